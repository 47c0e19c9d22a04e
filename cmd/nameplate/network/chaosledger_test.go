package network_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// ledger is what is known of every identifier, and how the answers were.
type ledger struct {
	mu    sync.Mutex
	known map[identifier.ID]*known
	acked []identifier.ID
	sizes map[held][]grown

	registrations, unknown, right, absent, unanswered, mirrors, stale int
	errs                                                              []string
}

// known is an identifier: its versions, from 1.
type known struct {
	node     *network.Node
	versions []version
}

type version struct {
	link    string
	rowHash identifier.Hash
	acked   time.Time // zero while it is not known to be registered
	receipt registry.Receipt
}

// held is a log as one node holds it: top-level nodes mirror the logs of the others too.
type held struct {
	by  string
	log identifier.LogID
}

// grown is when a mirror was seen to have so many entries.
type grown struct {
	size uint64
	at   time.Time
}

func newLedger() *ledger {
	return &ledger{known: map[identifier.ID]*known{}, sizes: map[held][]grown{}}
}

func (l *ledger) note(note func(*ledger)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	note(l)
}

func (l *ledger) wrong(format string, args ...any) {
	l.note(func(l *ledger) { l.errs = append(l.errs, fmt.Sprintf(format, args...)) })
}

// sent notes a row that is about to be sent.
func (l *ledger) sent(row *identifier.Row, hash identifier.Hash, node *network.Node) {
	l.note(func(l *ledger) {
		if l.known[row.ID] == nil {
			l.known[row.ID] = &known{node: node}
		}
		k := l.known[row.ID]
		k.versions = append(k.versions, version{link: string(row.Values[0].Data), rowHash: hash})
	})
}

func (l *ledger) acknowledged(id identifier.ID, receipt registry.Receipt) {
	now := time.Now()
	l.note(func(l *ledger) {
		versions := l.known[id].versions
		v := &versions[len(versions)-1]
		v.acked, v.receipt = now, receipt
		l.registrations++
		if len(versions) == 1 {
			l.acked = append(l.acked, id)
		}
	})
}

// current returns the newest version, which has been acknowledged.
func (l *ledger) current(id identifier.ID) *identifier.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	versions := l.known[id].versions
	return &identifier.Record{ID: id, Version: uint64(len(versions)), RowHash: versions[len(versions)-1].rowHash}
}

// mirrored notes how many entries of a log its mirror at a node has.
func (l *ledger) mirrored(by string, log identifier.LogID, size uint64) {
	now := time.Now()
	l.note(func(l *ledger) {
		sizes := l.sizes[held{by, log}]
		switch {
		case len(sizes) > 0 && size < sizes[len(sizes)-1].size:
			l.errs = append(l.errs, fmt.Sprintf("the mirror of log %s at %s has %d entries and had %d", log, by, size, sizes[len(sizes)-1].size))
		case len(sizes) == 0 || size > sizes[len(sizes)-1].size:
			l.sizes[held{by, log}] = append(sizes, grown{size, now})
		}
	})
}

// anchored returns whether a version was in the mirror of the node's parent at a time.
func (l *ledger) anchored(parent string, v *version, at time.Time) bool {
	sizes := l.sizes[held{parent, v.receipt.Log}]
	for i := len(sizes) - 1; i >= 0; i-- {
		if sizes[i].at.Before(at) {
			return !v.acked.IsZero() && sizes[i].size > v.receipt.Position
		}
	}
	return false
}

// choose returns an acknowledged identifier, half of the time one of the newest; the
// zero ID when there is none.
func (l *ledger) choose(random *rand.Rand) identifier.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch n := len(l.acked); {
	case n == 0:
		return identifier.ID{}
	case random.IntN(2) == 0:
		return l.acked[n-1-random.IntN(min(n, 20))]
	default:
		return l.acked[random.IntN(n)]
	}
}

// judge judges what was said of an identifier that is acknowledged, or was never
// registered, when it was asked for at a time.
//
// Whatever is found has to be the content of a version that was sent. An answer says
// how many entries of the log it is drawn from: it must not be older than those. It says
// how long ago it was known to be true (its age), and from where: if the node itself
// knew then, it must not be older than what had been acknowledged; if a mirror did, not
// older than what the mirror had been seen to have. Absent is only what was never
// registered, whoever says so and whatever its age: what is asked for had been
// acknowledged before, and had never been asked for before that.
func (l *ledger) judge(id identifier.ID, began time.Time, a *resolver.Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.Origin.Mirror {
		l.mirrors++
	}
	if a.Origin.Stale {
		l.stale++
	}
	fail := func(why string) {
		l.errs = append(l.errs, fmt.Sprintf("%s: %s: got %s", id, why, worded(a)))
	}
	k := l.known[id]
	if k == nil {
		if l.absent++; a.Outcome != resolver.Absent {
			fail("never registered")
		}
		return
	}
	const slack = 1100 * time.Millisecond // ages in caches are whole seconds, and mirrors are watched from outside
	knew := began.Add(-a.Origin.Age - slack)
	least := 0 // the version that it has to have
	for i := range k.versions {
		v := &k.versions[i]
		switch {
		case v.acked.IsZero():
		case v.receipt.Log == a.Origin.Log && v.receipt.Position < a.Origin.Position:
			least = i + 1
		case a.Origin.Mirror && l.anchored(k.node.Parent, v, knew), !a.Origin.Mirror && v.acked.Before(knew):
			least = i + 1
		}
	}
	switch a.Outcome {
	case resolver.Found:
		if why := k.differs(a); why != "" {
			fail(why)
		} else if int(a.Record.Version) < least {
			fail(fmt.Sprintf("version %d was acknowledged", least))
		}
		l.right++
	case resolver.Absent:
		fail(fmt.Sprintf("it was acknowledged %v ago", time.Since(k.versions[0].acked)))
	default:
		fail("acknowledged")
	}
}

// differs returns why a found answer is none of the versions; "" when it is.
func (k *known) differs(a *resolver.Answer) string {
	n := a.Record.Version
	if n == 0 || n > uint64(len(k.versions)) || len(a.Record.Values) != 1 {
		return fmt.Sprintf("there are %d versions with one value", len(k.versions))
	}
	if got, want := string(a.Record.Values[0].Data), k.versions[n-1].link; got != want {
		return "version has link " + want
	}
	return ""
}

// worded is an answer in words.
func worded(a *resolver.Answer) string {
	text := fmt.Sprintf("%v, age %v, mirror %t, stale %t, position %d", a.Outcome, a.Origin.Age, a.Origin.Mirror, a.Origin.Stale, a.Origin.Position)
	if r := a.Record; r != nil {
		text += fmt.Sprintf(", version %d", r.Version)
		for i := range r.Values {
			text += " " + string(r.Values[i].Data)
		}
	}
	return text
}

// checkHealed checks what has to be so when all nodes run again: all mirrors are whole,
// and every identifier has its last content at its node, in the mirror of it and
// through the recursive node. That one may still ask a mirror: it leaves a node that did
// not answer alone for a while.
func (c *chaos) checkHealed(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.AwaitMirrors(ctx, c.names()...); err != nil {
		t.Error(err)
	}
	for _, s := range c.Status(ctx) {
		if s.Copy != nil && s.Copy.Bad > 0 {
			t.Errorf("the parent of %s has marked %d entries as bad", s.Node.Name, s.Copy.Bad)
		}
	}
	walker := c.Node("walker")
	conn, err := grpc.NewClient(c.grpc(walker), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := resolverrpc.FlushCache(ctx, conn, ""); err != nil {
		t.Error(err)
	}
	for _, x := range c.Nodes {
		if len(x.Prefixes) > 0 {
			c.checkAll(t, x.Name, x.Name, resolver.Query{Authoritative: true})
			c.checkAll(t, x.Name, x.Parent, resolver.Query{Mirror: true})
			c.checkAll(t, x.Name, walker.Name, resolver.Query{Recursive: true})
		}
	}
}

// checkAll asks one node for everything that was registered at another.
func (c *chaos) checkAll(t *testing.T, holder, asked string, q resolver.Query) {
	t.Helper()
	client, err := resolverrpc.NewClient(c.grpc(c.Node(asked)), resolverrpc.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var g errgroup.Group
	g.SetLimit(16)
	for id, k := range c.ledger.known { // nobody writes any more
		if k.node.Name != holder {
			continue
		}
		g.Go(func() error {
			q := q
			q.ID = id
			a, err := client.Resolve(t.Context(), q)
			newest := k.versions[len(k.versions)-1]
			switch {
			case err != nil:
			case newest.acked.IsZero():
				err = errors.New("it was never acknowledged")
			case a.Outcome != resolver.Found || a.Record.Version != uint64(len(k.versions)) || k.differs(&a) != "" || a.Origin.Mirror && q.Authoritative || !a.Origin.Mirror && q.Mirror:
				err = fmt.Errorf("got %s, want version %d with link %s", worded(&a), len(k.versions), newest.link)
			}
			if err != nil {
				c.ledger.wrong("healed: %s of node %s at node %s: %v", id, holder, asked, err)
			}
			return nil
		})
	}
	_ = g.Wait()
}

// report says what was found; what was wrong fails the test.
func (l *ledger) report(t *testing.T, took time.Duration, kills int) {
	t.Helper()
	t.Logf("%d kills in %v; %d registrations of %d identifiers acknowledged, %d outcomes unknown at first", kills, took.Round(time.Second), l.registrations, len(l.known), l.unknown)
	t.Logf("%d found (answers from mirrors %d, stale %d), %d never registered and absent, %d questions without an answer", l.right, l.mirrors, l.stale, l.absent, l.unanswered)
	for i, text := range l.errs {
		if i == 20 {
			t.Errorf("and %d more", len(l.errs)-i)
			break
		}
		t.Error(text)
	}
	if l.right == 0 || l.registrations == 0 || l.absent == 0 || l.mirrors == 0 {
		t.Error("nothing was registered, or nothing found, or nothing absent, or no mirror was asked")
	}
}

// refused reports whether a node has refused a change for what it is.
func refused(err error) bool {
	e, ok := errors.AsType[*registry.Error](err)
	return ok && (e.Kind <= registry.Expired)
}

func keyOf(file string) (identifier.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return identifier.PrivateKey{}, err
	}
	return identifier.ParsePrivateKeyPEM(text)
}
