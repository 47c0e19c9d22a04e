package intake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/intake"
	"github.com/nameplate-id/nameplate/cmd/nameplate/table"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

func newKey(t testing.TB) identifier.PrivateKey {
	t.Helper()
	k, err := identifier.NewPrivateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// registration makes the registration of row n.
func registration(t testing.TB, n int, id, url string) table.Registration {
	t.Helper()
	r, err := table.Mapping{ID: id, Links: []string{url}, Time: time.Unix(1_700_000_000, 0)}.Literal()
	if err != nil {
		t.Fatal(err)
	}
	r.Row, r.Line = n, n+1
	return r
}

// run settles registrations and returns the outcomes by identifier.
func run(t testing.TB, node *fakeNode, o intake.Options, registrations ...table.Registration) (map[string]intake.Outcome, error) {
	t.Helper()
	outcomes := map[string]intake.Outcome{}
	err := intake.New(node, node, o, func(o intake.Outcome) {
		id := o.Registration.ID.String()
		if before, twice := outcomes[id]; twice {
			t.Errorf("%s is settled twice: %v and %v", id, before.Result, o.Result)
		}
		outcomes[id] = o
	}).Run(t.Context(), slices.Values(registrations))
	return outcomes, err
}

func expect(t *testing.T, outcomes map[string]intake.Outcome, want map[string]string) {
	t.Helper()
	if len(outcomes) != len(want) {
		t.Errorf("got %d outcomes, want %d", len(outcomes), len(want))
	}
	for id, w := range want {
		o := outcomes[id]
		if got := strings.TrimSuffix(o.Result.String()+": "+o.Reason, ": "); !strings.HasPrefix(got, w) {
			t.Errorf("%s: got %q, want %q", id, got, w)
		}
	}
}

func TestRegisterAndRunAgain(t *testing.T) {
	node, key := newFakeNode(), newKey(t)
	node.delegate("88.118.8", key)
	var rows []table.Registration
	for n := range 2500 {
		rows = append(rows, registration(t, n, fmt.Sprintf("88.118.8/sn-%d", n), "https://m.example/"))
	}
	rand.Shuffle(len(rows), func(a, b int) { rows[a], rows[b] = rows[b], rows[a] })
	for _, want := range []intake.Result{intake.Registered, intake.Unchanged} {
		outcomes, err := run(t, node, intake.Options{Keys: []identifier.PrivateKey{key}}, rows...)
		if err != nil {
			t.Fatal(err)
		}
		for id, o := range outcomes {
			if o.Result != want {
				t.Fatalf("%s: got %v %s, want %v", id, o.Result, o.Reason, want)
			}
		}
		if len(outcomes) != len(rows) || node.logged != len(rows) {
			t.Errorf("got %d outcomes and %d rows logged, want %d", len(outcomes), node.logged, len(rows))
		}
	}
}

func TestConflicts(t *testing.T) {
	node, key := newFakeNode(), newKey(t)
	node.delegate("1.0", key)
	o := intake.Options{Keys: []identifier.PrivateKey{key}}
	before := []table.Registration{
		registration(t, 1, "1.0/same", "https://m.example/1"),
		registration(t, 2, "1.0/retimed", "https://m.example/2"),
		registration(t, 3, "1.0/other", "https://m.example/3"),
		registration(t, 4, "1.0/withdrawn", "https://m.example/4"),
	}
	before[1].Values[0].Timestamp = time.Unix(1_600_000_000, 0)
	if _, err := run(t, node, o, before...); err != nil {
		t.Fatal(err)
	}
	withdrawn := node.records[before[3].ID]
	node.records[before[3].ID] = &identifier.Record{ID: withdrawn.ID, Version: 2, Withdrawn: true, RowHash: identifier.Hash{9}}

	rows := []table.Registration{
		registration(t, 1, "1.0/same", "https://m.example/1"),
		registration(t, 2, "1.0/retimed", "https://m.example/2"),
		registration(t, 3, "1.0/other", "https://m.example/changed"),
		registration(t, 4, "1.0/withdrawn", "https://m.example/4"),
		registration(t, 5, "1.0/new", "https://m.example/5"),
	}
	outcomes, err := run(t, node, o, rows...)
	if err != nil {
		t.Fatal(err)
	}
	// What is the same goes along in the change with the new row, and the receipt does
	// not tell the two apart.
	expect(t, outcomes, map[string]string{
		"1.0/same":      "registered",
		"1.0/retimed":   "unchanged",
		"1.0/other":     "failed: it is registered with other content, version 1: say --replace",
		"1.0/withdrawn": "failed: it was registered and cannot be read or was withdrawn, version 2: say --replace",
		"1.0/new":       "registered",
	})

	o.Replace = true
	outcomes, err = run(t, node, o, rows...)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, outcomes, map[string]string{
		"1.0/same": "registered", "1.0/retimed": "unchanged", "1.0/other": "replaced",
		"1.0/withdrawn": "replaced", "1.0/new": "registered",
	})
	if v := node.records[rows[2].ID]; v.Version != 2 || string(v.Values[0].Data) != "https://m.example/changed" {
		t.Errorf("got version %d, %s", v.Version, v.Values[0].Data)
	}
}

func TestHolders(t *testing.T) {
	ours, both, theirs := newKey(t), newKey(t), newKey(t)
	node := newFakeNode()
	node.delegate("1.0", ours)
	node.delegate("1.0.5", theirs)     // below ours
	node.delegate("1.0.6", both)       // below ours, another key of ours
	node.delegate("2.0", theirs)       // not ours
	node.delegate("2.0.1", ours)       // ours again
	node.delegate("3.0", ours, theirs) // needs both
	node.delegate("4.0", ours, both)
	outcomes, err := run(t, node, intake.Options{Keys: []identifier.PrivateKey{ours, both}},
		registration(t, 1, "1.0/a", "https://m.example/"),
		registration(t, 2, "1.0.5/b", "https://m.example/"),
		registration(t, 3, "1.0.6/c", "https://m.example/"),
		registration(t, 4, "2.0/d", "https://m.example/"),
		registration(t, 5, "2.0.1/e", "https://m.example/"),
		registration(t, 6, "3.0/f", "https://m.example/"),
		registration(t, 7, "4.0/g", "https://m.example/"),
		registration(t, 8, "5.0/h", "https://m.example/"),
	)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, outcomes, map[string]string{
		"1.0/a":   "registered",
		"1.0.5/b": "failed: prefix 1.0.5 is held by key " + theirs.Public().ID().String() + " and none of your keys is it",
		"1.0.6/c": "registered",
		"2.0/d":   "failed: prefix 2.0 is held by key",
		"2.0.1/e": "registered",
		"3.0/f":   "failed: prefix 3.0 is held by keys of which 2 must sign and you have 1",
		"4.0/g":   "registered",
		"5.0/h":   "failed: prefix 5.0 is delegated to nobody",
	})
}

// A delegation that changes under way is asked for again.
func TestHolderChanges(t *testing.T) {
	old, other := newKey(t), newKey(t)
	node := newFakeNode()
	node.delegate("1.0", old)
	node.delegate("1.1", old)
	node.before = func(n int, _ *identifier.Change) {
		if n == 1 {
			node.delegate("1.0", old, other)
			node.delegate("1.1", newKey(t))
		}
	}
	outcomes, err := run(t, node, intake.Options{Keys: []identifier.PrivateKey{old, other}},
		registration(t, 1, "1.0/a", "https://m.example/"), registration(t, 2, "1.1/b", "https://m.example/"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, outcomes, map[string]string{"1.0/a": "registered", "1.1/b": "failed: prefix 1.1 is held by"})
}

// Whatever breaks, every row is settled once and logged once.
func TestTrouble(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			node, key := newFakeNode(), newKey(t)
			node.delegate("1.0", key)
			node.delegate("1.0.1", key)
			node.trouble = func(int) trouble { return trouble(random.IntN(7)) } // above 3: none
			var rows []table.Registration
			want := map[string]string{}
			for n := range 400 {
				id := fmt.Sprintf("1.0.%d/sn-%d", random.IntN(3), n)
				rows = append(rows, registration(t, n, id, fmt.Sprintf("https://m.example/%d", n)))
				if random.IntN(10) == 0 {
					other := registration(t, n, id, "https://other.example/")
					node.records[other.ID] = &identifier.Record{ID: other.ID, Version: 3, RowHash: identifier.Hash{byte(n), 1}, Values: other.Values}
				}
				want[id] = fmt.Sprintf("https://m.example/%d", n)
			}
			present := len(node.records)
			outcomes, err := run(t, node, intake.Options{Keys: []identifier.PrivateKey{key}, Replace: true, Rows: 1 + random.IntN(40)}, rows...)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			replaced := 0
			for id, o := range outcomes {
				if o.Result == intake.Failed {
					t.Errorf("seed %d: %s: %s", seed, id, o.Reason)
				}
				if o.Registration.ID.String() != id {
					t.Errorf("seed %d: %s has the outcome of %s", seed, id, o.Registration.ID)
				}
				replaced += int(node.records[o.Registration.ID].Version) / 4
			}
			got := map[string]string{}
			for id, r := range node.records {
				got[id.String()] = string(r.Values[0].Data)
			}
			if !maps.Equal(got, want) || len(outcomes) != len(rows) || node.logged != len(rows) || replaced != present {
				t.Errorf("seed %d: got %d records, %d outcomes, %d logged, %d replaced; want %d, %d of them replaced", seed, len(got), len(outcomes), node.logged, replaced, len(rows), present)
			}
		})
	}
}

func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, key := newFakeNode(), newKey(t)
		node.delegate("1.0", key)
		node.trouble = func(n int) trouble {
			if n == 1 {
				return none
			}
			return breakBefore
		}
		begin := time.Now()
		outcomes, err := run(t, node, intake.Options{Keys: []identifier.PrivateKey{key}, Rows: 1, Patience: 20 * time.Second},
			registration(t, 1, "1.0/a", "https://m.example/"), registration(t, 2, "1.0/b", "https://m.example/"))
		if err == nil || !strings.Contains(err.Error(), "run the same again") || len(outcomes) != 1 {
			t.Errorf("got %v with %d outcomes, want an error and 1", err, len(outcomes))
		}
		if waited := time.Since(begin); waited < 20*time.Second || waited > 30*time.Second {
			t.Errorf("waited %v, want 20 s", waited)
		}
	})
}

// Whoever runs out of time is told what the node said, such as that its disk is full.
func TestDeadlineTellsWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, key := newFakeNode(), newKey(t)
		node.delegate("1.0", key)
		node.trouble = func(int) trouble { return overloaded }
		ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Second, errors.New("no answer within 30s"))
		defer cancel()
		err := intake.New(node, node, intake.Options{Keys: []identifier.PrivateKey{key}, Patience: time.Minute}, func(intake.Outcome) {}).
			Run(ctx, slices.Values([]table.Registration{registration(t, 1, "1.0/a", "https://m.example/")}))
		if err == nil || !strings.Contains(err.Error(), "no answer within 30s; what the node said last: overloaded: too much to do") {
			t.Errorf("got %v", err)
		}
	})
}

// A node that never answered is not waited for.
func TestNoNode(t *testing.T) {
	node := &deaf{newFakeNode()}
	err := intake.New(node, node.fakeNode, intake.Options{}, func(intake.Outcome) {}).
		Run(t.Context(), slices.Values([]table.Registration{registration(t, 1, "1.0/a", "https://m.example/")}))
	var e *registry.Error
	if !errors.As(err, &e) || e.Detail != "nobody there" {
		t.Errorf("got %v", err)
	}
}

type deaf struct{ *fakeNode }

func (*deaf) Holder(context.Context, identifier.Prefix) (*identifier.Delegation, error) {
	return nil, &registry.Error{Kind: registry.Unavailable, Detail: "nobody there"}
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, key := newFakeNode(), newKey(t)
		node.delegate("1.0", key)
		node.trouble = func(int) trouble { return overloaded }
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := intake.New(node, node, intake.Options{Keys: []identifier.PrivateKey{key}}, func(intake.Outcome) {}).
			Run(ctx, slices.Values([]table.Registration{registration(t, 1, "1.0/a", "https://m.example/")}))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Minute) // what was put off comes to nothing
	})
}

// More rows than may be under way, large ones, and holders whose changes do not fill.
func TestMuchMoreThanFits(t *testing.T) {
	node, key := newFakeNode(), newKey(t)
	var rows []table.Registration
	for n := range 600 {
		prefix := identifier.Prefix(fmt.Sprintf("1.%d", n%50))
		node.delegate(prefix, key)
		r := registration(t, n, fmt.Sprintf("%s/sn-%d", prefix, n), "https://m.example/")
		for index := range uint32(2) {
			r.Values = append(r.Values, identifier.Value{Index: 200 + index, Type: "DESC", Data: bytes.Repeat([]byte{'x'}, 60<<10), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions})
		}
		rows = append(rows, r)
	}
	outcomes, err := run(t, node, intake.Options{Keys: []identifier.PrivateKey{key}}, rows...)
	if err != nil || len(outcomes) != len(rows) || node.logged != len(rows) {
		t.Errorf("got %d outcomes, %d logged, %v", len(outcomes), node.logged, err)
	}
}
