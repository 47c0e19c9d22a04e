package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal/journaltest"
)

// TestTwin does random things to a registry and to a map, crashes it, damages its
// state, and compares everything that can be asked after each step.
func TestTwin(t *testing.T) {
	t.Parallel()
	dir := fastDir(t)
	rapid.Check(t, func(rt *rapid.T) {
		folder, err := os.MkdirTemp(dir, "twin-")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(folder)
		p := newPair(rt, folder)
		defer func() { p.stop() }() // of the registry that runs by then
		rt.Repeat(map[string]func(*rapid.T){
			"delegate":    p.delegate,
			"delegate 2":  p.delegate,
			"keyset":      p.changeKeyset,
			"register":    p.register,
			"register 2":  p.register,
			"register 3":  p.register,
			"register 4":  p.register,
			"register 5":  p.register,
			"one sync":    p.oneSync,
			"checkpoint":  p.checkpoint,
			"restart":     p.restart,
			"crash":       p.crash,
			"failed sync": p.failSync,
			"state":       p.loseState,
			"check":       p.checkFolder,
			"":            p.compare,
		})
	})
}

// pair is a registry and its twin.
type pair struct {
	*twin
	t      *rapid.T
	config registry.Config
	disk   *journaltest.Disk
	gate   *gate
	r      *registry.Registry
	stop   func() error
	node   identifier.PrivateKey
	watch  []registry.Logged // what was watched so far
	older  []byte            // the state as it was at some earlier stop
}

func newPair(t *rapid.T, folder string) *pair {
	p := &pair{t: t, disk: journaltest.NewDisk(), gate: new(gate), twin: newTwin()}
	p.config = registry.Config{Folder: folder, Reserve: -1} // the volume may be a small one, and others write to it
	p.config.Journal.SegmentSize = 16 << 10
	p.config.Journal.Hook = p.gate.hook
	p.config.State.Gather = time.Millisecond
	p.config.State.Limit = 64 << 20
	p.open()
	var err error
	if p.node, err = registry.NodeKey(folder); err != nil {
		t.Fatal(err)
	}
	p.keys[p.node.Public()] = p.node
	p.delegations[""] = grant("", p.node)
	p.entries = 2
	// So that there is something to do from the first step on.
	for _, prefix := range []identifier.Prefix{"88", "88.1"} {
		d, by := grant(prefix, p.pool[0]), []identifier.PrivateKey{p.keys[p.above(prefix).Keyset.Keys[0]]}
		want := p.twin.delegate(d, false, by)
		payload, err := identifier.AppendDelegation(nil, d)
		if err != nil {
			t.Fatal(err)
		}
		receipt, err := p.r.Delegate(context.Background(), identifier.Sign(identifier.DelegationType, payload, by...))
		p.wanted("begin", receipt, err, want)
	}
	return p
}

func (p *pair) open() {
	p.config.Journal.FS = p.disk
	r, err := registry.Open(p.config)
	if err != nil {
		p.t.Fatalf("open: %v", err)
	}
	p.r, p.stop = r, run(r)
}

func (p *pair) mustStop() {
	if err := p.stop(); err != nil {
		p.t.Fatalf("stop: %v", err)
	}
}

// wanted compares how something ended with what the twin says of it.
func (p *pair) wanted(what string, got registry.Receipt, err error, want outcome) {
	var e *registry.Error
	switch {
	case err == nil && want.kind == 0:
		if got.Duplicate != want.duplicate || got.Position != want.position || got.Level != registry.Local {
			p.t.Fatalf("%s: %+v, want %+v", what, got, want)
		}
	case !errors.As(err, &e) || e.Kind != want.kind:
		p.t.Fatalf("%s: %v, want %+v", what, err, want)
	case len(e.Rows) != len(want.rows):
		p.t.Fatalf("%s: %v; want rows %+v", what, e, want.rows)
	}
	for i, row := range want.rows {
		if got := e.Rows[i]; got.Row != row.Row || got.Version != row.Version || got.RowHash != row.RowHash || got.ID != row.ID {
			p.t.Fatalf("%s: row error %+v, want %+v", what, got, row)
		}
	}
}

func (p *pair) delegate(t *rapid.T) {
	prefix := rapid.SampledFrom(twinPrefixes).Draw(t, "prefix")
	var version uint64
	epoch := uint64(0)
	if current := p.delegations[prefix]; current != nil {
		epoch, version = current.Epoch, current.Keyset.Version
	}
	d := &identifier.Delegation{Prefix: prefix, Epoch: epoch + 1, Keyset: p.drawKeyset(t, version+1)}
	if rapid.IntRange(0, 9).Draw(t, "wrong epoch") == 0 {
		d.Epoch = max(1, epoch)
	}
	switch rapid.IntRange(0, 9).Draw(t, "what") {
	case 0, 1: // take it back
		d.Keyset.Keys, d.Keyset.Threshold = nil, 0
	case 2:
		d.Node = &identifier.Node{Name: "other", Key: p.pool[0].Public(), Addresses: []identifier.Address{{IP: "192.0.2.1", DNS: 53}}}
	case 3:
		d.Private = true
	case 4:
		if p.delegations[prefix] != nil { // again
			d = p.delegations[prefix]
		}
	}
	payload, err := identifier.AppendDelegation(nil, d)
	if err != nil {
		t.Fatal(err)
	}
	by := p.drawSigners(t, p.above(prefix))
	want := p.twin.delegate(d, false, by)
	receipt, err := p.r.Delegate(context.Background(), identifier.Sign(identifier.DelegationType, payload, by...))
	p.wanted(fmt.Sprintf("delegate %+v", *d), receipt, err, want)
}

func (p *pair) changeKeyset(t *rapid.T) {
	prefix := rapid.SampledFrom(append([]identifier.Prefix{""}, twinPrefixes...)).Draw(t, "prefix")
	current := p.delegations[prefix]
	d := grant(prefix)
	if current != nil {
		copied := *current
		d = &copied
	}
	d.Keyset = p.drawKeyset(t, d.Keyset.Version+1)
	payload, err := identifier.AppendKeysetChange(nil, &identifier.KeysetChange{Prefix: prefix, Epoch: d.Epoch, Keyset: d.Keyset})
	if err != nil {
		t.Fatal(err)
	}
	from := current
	if rapid.Bool().Draw(t, "from above") {
		from = p.above(prefix)
	}
	by := p.drawSigners(t, from)
	want := p.twin.delegate(d, true, by)
	receipt, err := p.r.Delegate(context.Background(), identifier.Sign(identifier.KeysetType, payload, by...))
	p.wanted(fmt.Sprintf("change keys of %+v", *d), receipt, err, want)
}

// register sends a change with rows of every sort.
func (p *pair) register(t *rapid.T) {
	d := p.drawHeld(t)
	h := header(d)
	switch rapid.IntRange(0, 39).Draw(t, "header") {
	case 1:
		h.Epoch++
	case 2:
		h.KeysetVersion++
	}
	by := p.drawSigners(t, d)
	rows := p.drawRows(t, d.Prefix, p.records, false)
	if rapid.IntRange(0, 9).Draw(t, "foreign rows too") != 1 {
		rows = slices.DeleteFunc(rows, func(r identifier.Row) bool { return p.of(r.ID.Prefix) != d })
	}
	if len(rows) == 0 {
		return
	}
	c, err := identifier.SignChange(h, rows, randomOf(t), by...)
	if err != nil {
		t.Fatal(err)
	}
	want := p.twin.register(c, by)
	receipt, err := p.r.Register(context.Background(), c)
	p.wanted(fmt.Sprintf("register under %q: %s", d.Prefix, describeRows(rows)), receipt, err, want)
}

// pending are changes that are queued and wait for their sync, in order, with what
// the twin is when each has been logged.
type pending struct {
	changes []*identifier.Change
	twins   []*twin
	done    chan error
}

// queue registers some changes, each on top of the one before, while no sync is done.
func (p *pair) queue(t *rapid.T) *pending {
	q := &pending{done: make(chan error, 10), twins: []*twin{p.twin.clone()}}
	queued := 0 // rows: without a sync the journal takes in no more than one segment holds
	for range rapid.IntRange(0, 6).Draw(t, "changes") {
		if queued > 30 {
			break
		}
		now := q.twins[len(q.twins)-1].clone()
		d := p.drawHeld(t)
		if d.Node != nil || p.delegations[d.Prefix] != d {
			continue
		}
		var by []identifier.PrivateKey
		for _, k := range d.Keyset.Keys[:d.Keyset.Threshold] {
			by = append(by, p.keys[k])
		}
		rows := slices.DeleteFunc(p.drawRows(t, d.Prefix, now.records, true), func(r identifier.Row) bool { return now.of(r.ID.Prefix) != d })
		if len(rows) == 0 {
			continue
		}
		c, err := identifier.SignChange(header(d), rows, randomOf(t), by...)
		if err != nil {
			t.Fatal(err)
		}
		want := now.register(c, by)
		if want.kind != 0 {
			t.Fatalf("a good change is not: %+v", want)
		}
		if want.duplicate {
			continue // nothing would be queued
		}
		next := registry.Next(p.r)
		go func() {
			_, err := p.r.Register(context.Background(), c)
			q.done <- err
		}()
		for late := time.Now().Add(time.Minute); registry.Next(p.r) == next; {
			if time.Now().After(late) {
				t.Fatalf("entry %d of %s is not queued within a minute; %d are", next, describeRows(rows), len(q.changes))
			}
			select {
			case err := <-q.done:
				t.Fatalf("entry %d of %s is not queued, but answered at once: %v", next, describeRows(rows), err)
			case <-time.After(50 * time.Microsecond):
			}
		}
		queued += len(rows)
		q.changes, q.twins = append(q.changes, c), append(q.twins, now)
	}
	return q
}

// oneSync lets several changes share a sync.
func (p *pair) oneSync(t *rapid.T) {
	open := p.gate.close()
	q := p.queue(t)
	p.compare(t) // nobody sees any of it
	open()
	for range q.changes {
		if err := <-q.done; err != nil {
			t.Fatal(err)
		}
	}
	p.twin = q.twins[len(q.twins)-1]
}

// survive goes on after a crash in which some changes waited: as many of them as the
// log says have been logged, from the first one on.
func (p *pair) survive(t *rapid.T, q *pending) {
	p.open()
	s, err := p.r.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	logged := int(s.Position) - q.twins[0].entries
	if logged < 0 || logged > len(q.changes) {
		t.Fatalf("the log has %d entries after the crash; %d were acknowledged and %d waited", s.Position, q.twins[0].entries, len(q.changes))
	}
	p.twin, p.watch = q.twins[logged], nil
}

// crash cuts the power while some changes wait for their sync.
func (p *pair) crash(t *rapid.T) {
	open := p.gate.close()
	q := p.queue(t)
	after := p.disk.Crash(func() bool { return rapid.Bool().Draw(t, "kept") })
	open()
	p.stop() // fails
	p.disk = after
	for range q.changes {
		if err := <-q.done; err == nil {
			t.Fatal("acknowledged after the crash")
		}
	}
	p.survive(t, q)
}

// failSync lets a sync fail, after which only the process ends.
func (p *pair) failSync(t *rapid.T) {
	open := p.gate.close()
	q := p.queue(t)
	if len(q.changes) == 0 {
		open()
		return
	}
	p.disk.FailSyncNamed(1, func() bool { return rapid.Bool().Draw(t, "kept") })
	open()
	for range q.changes {
		if err := <-q.done; err == nil {
			t.Fatal("acknowledged although the sync failed")
		}
	}
	if err := p.stop(); err == nil {
		t.Fatal("the node does not end with an error")
	}
	p.disk = p.disk.Restart()
	p.survive(t, q)
}

func (p *pair) checkpoint(t *rapid.T) {
	if err := registry.SignCheckpoint(context.Background(), p.r); err != nil {
		t.Fatal(err)
	}
	s, err := p.r.Status(context.Background())
	if err != nil || s.Checkpoint.Size != uint64(p.entries) {
		t.Fatalf("checkpoint %+v, %v", s.Checkpoint, err)
	}
	if _, root := registry.Head(p.r); root != s.Checkpoint.Root {
		t.Fatalf("checkpoint %x, root %x", s.Checkpoint.Root, root)
	}
}

func (p *pair) restart(t *rapid.T) {
	p.mustStop()
	p.watch = nil
	p.open()
}

// loseState deletes or damages the state, or puts an older one in its place.
func (p *pair) loseState(t *rapid.T) {
	p.mustStop()
	path := filepath.Join(p.config.Folder, "state.db")
	now, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	what := rapid.SampledFrom([]string{"deleted", "cut", "pages", "older", "older"}).Draw(t, "state")
	switch what {
	case "deleted":
		err = os.Remove(path)
	case "cut":
		err = os.Truncate(path, int64(rapid.IntRange(4096, 40_000).Draw(t, "at")))
	case "pages":
		err = overwrite(path, 8192, int64(len(bytes.TrimRight(now, "\x00"))), 0xAA)
	case "older":
		if p.older != nil {
			err = os.WriteFile(path, p.older, 0o600)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	p.older, p.watch = now, nil
	p.open()
}

func (p *pair) checkFolder(t *rapid.T) {
	p.mustStop()
	report, err := registry.Check(context.Background(), p.config.Folder, p.config.Journal, nil)
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	live, withdrawn, delegations := p.count()
	if report.Entries != uint64(p.entries) || report.Identifiers != live || report.Withdrawn != withdrawn || report.Delegations != delegations || report.Torn {
		t.Fatalf("check: %+v; want %d entries, %d, %d, %d", report, p.entries, live, withdrawn, delegations)
	}
	p.open()
	if size, root := registry.Head(p.r); size != report.Entries || root != report.Root {
		t.Fatalf("check: root %x, the log has %x", report.Root, root)
	}
}
