package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
		defer p.stop()
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
	p.config = registry.Config{Folder: folder}
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

func (p *pair) drawKeyset(t *rapid.T, version uint64) identifier.Keyset {
	k := identifier.Keyset{Version: version}
	for _, key := range p.pool {
		if rapid.Bool().Draw(t, "key") {
			k.Keys = append(k.Keys, key.Public())
		}
	}
	if len(k.Keys) == 0 {
		k.Keys = append(k.Keys, p.pool[0].Public())
	}
	k.Threshold = rapid.IntRange(1, len(k.Keys)).Draw(t, "threshold")
	return k
}

// drawSigners mostly returns those who may sign for a delegation.
func (p *pair) drawSigners(t *rapid.T, d *identifier.Delegation) []identifier.PrivateKey {
	if d == nil || d.Revoked() || rapid.IntRange(0, 19).Draw(t, "strangers") == 1 {
		return []identifier.PrivateKey{rapid.SampledFrom(p.pool[:]).Draw(t, "stranger")}
	}
	n := d.Keyset.Threshold
	if n > 1 && rapid.IntRange(0, 19).Draw(t, "one too few") == 1 {
		n--
	}
	var by []identifier.PrivateKey
	for _, k := range d.Keyset.Keys[:n] {
		by = append(by, p.keys[k])
	}
	return by
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

func describeRows(rows []identifier.Row) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, " %d %s v%d replaces %x", r.Op, r.ID, r.Version, r.Replaces[:2])
	}
	return b.String()
}

func randomOf(t *rapid.T) io.Reader {
	return bytes.NewReader(rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(t, "seeds"))
}

// drawHeld mostly returns a delegation in force.
func (p *pair) drawHeld(t *rapid.T) *identifier.Delegation {
	prefix := rapid.SampledFrom(append([]identifier.Prefix{""}, twinPrefixes...)).Draw(t, "held")
	if rapid.IntRange(0, 19).Draw(t, "whatever") == 1 {
		return grant(prefix, p.pool[0])
	}
	return p.of(prefix)
}

// drawRows returns rows at or below a prefix, in order; only good ones when good says so.
func (p *pair) drawRows(t *rapid.T, under identifier.Prefix, records map[identifier.ID]twinRecord, good bool) []identifier.Row {
	var rows []identifier.Row
	for _, id := range twinIDs {
		if !under.Covers(id.Prefix) || rapid.IntRange(0, 2).Draw(t, "this one") > 0 {
			continue
		}
		current := records[id]
		row := put(id, current.asRecord(id), link(fmt.Sprintf("https://x.example/%d", rapid.IntRange(0, 2).Draw(t, "value"))))
		sort := rapid.IntRange(0, 19).Draw(t, "sort")
		switch {
		case sort <= 2 && current.version > 0 && !current.withdrawn:
			row = withdraw(current.asRecord(id))
		case sort == 3 && current.version > 0: // the same again
			row = current.row
		case good:
		case sort == 4: // stale, or ahead
			row.Version++
			if row.Replaces == (identifier.Hash{}) {
				row.Replaces[0] = 1
			}
		case sort == 5 && row.Version > 1:
			row.Replaces[5] ^= 1
		case sort == 6 && current.version > 0: // version 1 again
			row.Version, row.Replaces = 1, identifier.Hash{}
		case (sort == 0 || sort == 7) && current.withdrawn:
			row.Op, row.Spelling, row.Values = identifier.Withdraw, "", nil
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b identifier.Row) int { return identifier.Compare(a.ID, b.ID) })
	return rows
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
	for range rapid.IntRange(0, 6).Draw(t, "changes") {
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
		for registry.Next(p.r) == next {
			time.Sleep(50 * time.Microsecond)
		}
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
	p.disk.FailSync(1, func() bool { return rapid.Bool().Draw(t, "kept") })
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

// compare compares everything that can be asked.
func (p *pair) compare(t *rapid.T) {
	ctx := context.Background()
	p.compareAnswers(t)
	// The log: dense, and its tree that of its entries.
	errEnd := errors.New("end")
	if len(p.watch) < p.entries {
		err := p.r.Watch(ctx, uint64(len(p.watch)), func(l registry.Logged) error {
			if l.Position != uint64(len(p.watch)) {
				return fmt.Errorf("entry %d where %d should come", l.Position, len(p.watch))
			}
			if p.watch = append(p.watch, l); len(p.watch) == p.entries {
				return errEnd
			}
			return nil
		})
		if !errors.Is(err, errEnd) {
			t.Fatalf("watch: %v", err)
		}
	}
	if size, root := registry.Head(p.r); size != uint64(p.entries) || root != rootOf(p.watch) {
		t.Fatalf("the log has %d entries with root %x, want %d with %x", size, root, p.entries, rootOf(p.watch))
	}
	s := settled(t, p.r)
	live, withdrawn, delegations := p.count()
	if s.Position != uint64(p.entries) || s.Identifiers != live || s.Withdrawn != withdrawn || s.Delegations != delegations || s.ReadOnly != "" {
		t.Fatalf("status %+v, want %d entries, %d live, %d withdrawn, %d delegations", s, p.entries, live, withdrawn, delegations)
	}
	var exported []string
	err := p.r.Export(ctx, "", identifier.ID{}, func(r *identifier.Record) error {
		exported = append(exported, fmt.Sprintf("%s %d %s", r.ID, r.Version, r.Values[0].Data))
		return nil
	})
	if want := p.exported(); err != nil || !slices.Equal(exported, want) {
		t.Fatalf("export %q, %v, want %q", exported, err, want)
	}
}

// settled returns the status once the state has taken over what was published.
func settled(t *rapid.T, r *registry.Registry) registry.Status {
	for {
		s, err := r.Status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if s.Applied >= registry.Published(r) {
			return s
		}
		time.Sleep(100 * time.Microsecond)
	}
}

func (p *pair) compareAnswers(t *rapid.T) {
	ctx := context.Background()
	for _, id := range twinIDs {
		f, err := p.r.Find(ctx, id)
		if err != nil {
			t.Fatalf("find %s: %v", id, err)
		}
		p.compareFinding(t, id, f)
		if identifier.HashNamed(id) {
			found, f, err := p.r.FindHashed(ctx, id.Prefix, identifier.SuffixHash(id.Suffix))
			if err != nil {
				t.Fatalf("find hashed %s: %v", id, err)
			}
			if f.Record != nil && found != id {
				t.Fatalf("found %s by the hash of %s", found, id)
			}
			p.compareFinding(t, id, f)
		}
	}
	for _, prefix := range append([]identifier.Prefix{"", "88.118", "88.1.8.8", "99.9", "77"}, twinPrefixes...) {
		if got, want := p.r.Holder(prefix), p.of(prefix); !sameEncoded(got, want) {
			t.Fatalf("holder of %q: %+v, want %+v", prefix, got, want)
		}
		if prefix == "" {
			continue
		}
		f, err := p.r.Find(ctx, identifier.ID{Prefix: prefix})
		if d := p.of(prefix); err != nil || (d.Node == nil && f.Below != p.below(prefix)) {
			t.Fatalf("below %s: %v, %v, want %v", prefix, f.Below, err, p.below(prefix))
		}
	}
}

func (p *pair) compareFinding(t *rapid.T, id identifier.ID, f identifier.Finding) {
	want, holder := p.records[id], p.of(id.Prefix)
	there := want.version > 0 && !want.withdrawn && holder.Node == nil
	switch {
	case !f.InZone || f.Apex != "" || f.Position != uint64(p.entries):
		t.Fatalf("find %s: %+v, want position %d", id, f, p.entries)
	case holder.Prefix == "" && f.Delegation != nil || holder.Prefix != "" && !sameEncoded(f.Delegation, holder):
		t.Fatalf("find %s: delegation %+v, want %+v", id, f.Delegation, holder)
	case there != (f.Record != nil):
		t.Fatalf("find %s: %+v, want %+v", id, f.Record, want)
	case there && (f.Record.Version != want.version || f.Record.RowHash != want.hash || string(f.Record.Values[0].Data) != string(want.row.Values[0].Data)):
		t.Fatalf("find %s: %+v, want %+v", id, f.Record, want)
	}
}

func sameEncoded(a, b *identifier.Delegation) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, errX := identifier.AppendDelegation(nil, a)
	y, errY := identifier.AppendDelegation(nil, b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
