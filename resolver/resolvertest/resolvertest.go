// Package resolvertest is the conformance suite of the protocols: every answer
// survives every wire unchanged.
//
// A protocol's test hands [Run] a function that puts a Resolver behind a server of
// that protocol and returns the protocol's client, which is a Resolver too. The
// suite asks the client what a backend of its own knows, for identifiers of every
// scheme and every row of the table of outcomes, and wants the backend's answer
// back, field by field. A row may be left out only where the table has no such case
// for the protocol; a field only where the protocol's test declares an [Omission]
// and says why. What the answers look like on the wire is not tested here but
// beside each protocol.
package resolvertest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// Dial starts a server in front of the backend and returns a client of it. Both
// end with the test (t.Cleanup).
type Dial func(t *testing.T, backend resolver.Resolver) resolver.Resolver

// Run runs the suite over one protocol.
func Run(t *testing.T, p resolver.Protocol, dial Dial, omissions ...Omission) {
	t.Helper()
	for _, o := range omissions {
		if o.Because == "" {
			t.Fatalf("the omission %q has no reason", o.Part)
		}
	}
	b := newBackend(fixtures())
	client := dial(t, b)
	for _, c := range resolver.Cases() {
		t.Run(c.String(), func(t *testing.T) {
			switch {
			case !c.On(p):
				t.Skipf("the table of outcomes has no such case for %s", p)
			case c == resolver.CaseConflict:
				t.Skip("no question ends like this, only changes do")
			}
			runCase(t, c, b, client, omissions)
		})
	}
	t.Run("queries arrive", func(t *testing.T) { testQueries(t, dial, omissions) })
	t.Run("many at once", func(t *testing.T) { testConcurrent(t, b, client, omissions) })
	t.Run("patience ends", func(t *testing.T) { testDeadline(t, dial) })
	t.Run("given up before it began", func(t *testing.T) { testCancelled(t, client) })
}

// runCase asks for every fixture of one case, in each of its ways.
func runCase(t *testing.T, c resolver.Case, b *backend, client resolver.Resolver, omissions []Omission) {
	ran := 0
	for _, f := range b.fixtures {
		for _, q := range f.queries() {
			want := b.expect(t.Context(), q)
			if resolver.CaseOf(want.answer, want.error()) != c {
				continue
			}
			ran++
			t.Run(f.name+describe(q), func(t *testing.T) {
				got := ask(t, client, q)
				for _, difference := range compare(want, got, omissions) {
					t.Error(difference)
				}
			})
		}
	}
	if ran == 0 {
		t.Error("the suite has no question for this case")
	}
}

// ask asks the client; an error that is not an [*resolver.Error] fails the test.
func ask(t *testing.T, client resolver.Resolver, q resolver.Query) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	answer, err := client.Resolve(ctx, q)
	if err == nil {
		return result{answer: answer}
	}
	e, ok := errors.AsType[*resolver.Error](err)
	if !ok {
		t.Fatalf("got the error %v (%T); want a *resolver.Error", err, err)
	}
	if answer.Outcome != 0 {
		t.Errorf("got the answer %v beside the error %v", answer.Outcome, err)
	}
	return result{err: e}
}

// testQueries checks that the backend is asked what the client was.
func testQueries(t *testing.T, dial Dial, omissions []Omission) {
	r := &recorder{}
	client := dial(t, r)
	short := identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}
	hash := identifier.Hash{0: 1, 15: 0xff, 31: 0x80}
	for _, q := range []resolver.Query{
		{ID: short},
		{ID: identifier.ID{Prefix: "88.118.8"}},
		{ID: short, Types: []string{"URL", "HS_SITE.", `odd,type&"=;+%`}},
		{ID: short, Indexes: []uint32{1, 4294967295}},
		{ID: short, Types: []string{"URL"}, Indexes: []uint32{7}},
		{ID: short, Relation: "gs1:pip"},
		{ID: short, Relation: "https://ref.gs1.org/voc/pip?a=b&c#d"},
		{ID: short, Recursive: true},
		{ID: short, Authoritative: true},
		{ID: short, Mirror: true},
		{ID: identifier.ID{Prefix: "88.118.8"}, SuffixHash: &hash},
		{ID: identifier.ID{Prefix: "88.118.8"}, SuffixHash: &hash, Types: []string{"URL"}, Indexes: []uint32{1}, Relation: "x", Recursive: true, Authoritative: true},
	} {
		t.Run(q.ID.String()+describe(q), func(t *testing.T) {
			r.take()
			ask(t, client, q)
			asked := r.take()
			if len(asked) == 0 {
				t.Fatal("the backend was not asked")
			}
			for _, difference := range compareQueries(q, asked[0], omissions) {
				t.Error(difference)
			}
		})
	}
}

// testConcurrent checks that nobody gets somebody else's answer.
func testConcurrent(t *testing.T, b *backend, client resolver.Resolver, omissions []Omission) {
	var small []fixture
	for _, f := range b.fixtures {
		if f.err == nil && !f.large {
			small = append(small, f)
		}
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 3 * len(small) {
				q := resolver.Query{ID: small[(worker*7+i)%len(small)].id}
				answer, err := client.Resolve(t.Context(), q)
				if err != nil {
					t.Errorf("%v: %v", q.ID, err)
					return
				}
				if d := compare(b.expect(t.Context(), q), result{answer: answer}, omissions); len(d) > 0 {
					t.Errorf("%v: %v", q.ID, d)
				}
			}
		})
	}
	wg.Wait()
}

// testDeadline checks that a client whose server does not answer gives up when its
// context says so, and says unavailable.
func testDeadline(t *testing.T, dial Dial) {
	client := dial(t, silent{})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := client.Resolve(ctx, resolver.Query{ID: identifier.ID{Prefix: "88", Suffix: "x"}})
	if e, ok := errors.AsType[*resolver.Error](err); !ok || e.Kind != resolver.Unavailable {
		t.Errorf("got %v; want unavailable", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("gave up after %v; want 300ms", took)
	}
}

// testCancelled checks that a question nobody waits for any more fails.
func testCancelled(t *testing.T, client resolver.Resolver) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client.Resolve(ctx, resolver.Query{ID: identifier.ID{Prefix: "88", Suffix: "x"}})
	if e, ok := errors.AsType[*resolver.Error](err); !ok || e.Kind != resolver.Unavailable {
		t.Errorf("got %v; want unavailable", err)
	}
}

// silent answers when the question is given up.
type silent struct{}

func (silent) Resolve(ctx context.Context, _ resolver.Query) (resolver.Answer, error) {
	<-ctx.Done()
	return resolver.Answer{}, &resolver.Error{Kind: resolver.Unavailable, Detail: "given up", Err: ctx.Err()}
}

// recorder finds nothing and remembers what it was asked.
type recorder struct {
	mu    sync.Mutex
	asked []resolver.Query
}

func (r *recorder) Resolve(_ context.Context, q resolver.Query) (resolver.Answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q.Types, q.Indexes = slices.Clone(q.Types), slices.Clone(q.Indexes)
	r.asked = append(r.asked, q)
	return resolver.Answer{Outcome: resolver.Absent, ID: q.ID, InZone: true, Lifetime: resolver.NegativeTTL}, nil
}

func (r *recorder) take() []resolver.Query {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}
