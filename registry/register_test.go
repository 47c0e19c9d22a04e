package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// maker gives a node a holder of 88.118.
func maker(t testing.TB, n *node) (identifier.PrivateKey, *identifier.Delegation) {
	t.Helper()
	holder := newKey(t)
	return holder, n.mustDelegate(grant("88.118", holder), n.root)
}

func TestRegisterFindRestart(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder, d := maker(t, n)
	var rows []identifier.Row
	for i := range 100 {
		rows = append(rows, put(mustID(t, serial(i)), nil, link(fmt.Sprintf("https://maker.example/%d", i))))
	}
	receipt := n.mustRegister(signed(t, holder, d, rows...))
	if receipt.Level != registry.Local || receipt.Duplicate || receipt.Position != 3 || receipt.Log != n.LogID() {
		t.Errorf("receipt %+v", receipt)
	}
	for round := range 3 {
		for i := range 100 {
			r := n.record(serial(i))
			if string(r.Values[0].Data) != fmt.Sprintf("https://maker.example/%d", i) || r.Version != 1 || r.Spelling != serial(i) {
				t.Fatalf("round %d: %s: %+v", round, serial(i), r)
			}
		}
		n.restart()
	}
	report := n.check()
	if report.Entries != 4 || report.Identifiers != 100 || report.Delegations != 1 || report.Checkpoints == 0 || report.Behind != 0 || report.Torn || report.Log != receipt.Log {
		t.Errorf("report %+v", report)
	}
}

func TestAllOrNothing(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder, d := maker(t, n)
	other := newKey(t)
	n.mustDelegate(grant("88.118.9", other), holder)
	for i := range 4 {
		n.mustRegister(signed(t, holder, d, put(mustID(t, serial(i)), nil, link("https://first.example/"))))
	}
	n.mustRegister(signed(t, holder, d, put(mustID(t, serial(1)), n.record(serial(1)), link("https://second.example/"))))
	n.mustRegister(signed(t, holder, d, withdraw(n.record(serial(2)))))
	before := n.status()

	wrongHash := put(mustID(t, serial(3)), n.record(serial(3)), link("https://x.example/"))
	wrongHash.Replaces[0] ^= 1
	ahead := put(mustID(t, serial(4)), &identifier.Record{Version: 6, RowHash: identifier.Hash{1}}, link("https://x.example/"))
	gone := identifier.Row{Op: identifier.Withdraw, ID: mustID(t, serial(2)), Version: 3, Replaces: n.tombstone(t, holder, d, serial(2)).RowHash}
	rows := []identifier.Row{
		put(mustID(t, serial(0)), nil, link("https://first.example/")), // there already
		put(mustID(t, serial(1)), nil, link("https://x.example/")),     // stale version
		gone,      // nothing to withdraw
		wrongHash, // replaces something else
		ahead,     // a version left out
		put(mustID(t, serial(5)), nil, link("https://x.example/")), // fine
		put(mustID(t, serial(6)), nil, link("https://x.example/")), // fine
	}
	_, err := n.Register(t.Context(), signed(t, holder, d, rows...))
	e := wantKind(t, err, registry.Conflict)
	want := []struct {
		row     int
		version uint64
		reason  string
	}{{1, 2, "the current version is 2, the row makes 1"}, {2, 2, "nothing to withdraw"}, {3, 1, "the row replaces"}, {4, 0, "the current version is 0, the row makes 7"}}
	if len(e.Rows) != len(want) {
		t.Fatalf("%d rows are named, want %d: %v", len(e.Rows), len(want), err)
	}
	for i, w := range want {
		got := e.Rows[i]
		if got.Row != w.row || got.Version != w.version || !strings.Contains(got.Reason, w.reason) || got.ID != rows[w.row].ID {
			t.Errorf("row error %+v, want %+v", got, w)
		}
	}
	if e.Rows[0].RowHash != n.record(serial(1)).RowHash || e.Rows[3].RowHash != (identifier.Hash{}) {
		t.Errorf("row hashes %+v", e.Rows)
	}
	if !strings.Contains(err.Error(), "4 of 7 rows") {
		t.Errorf("error text %q", err)
	}
	if after := n.status(); after.Position != before.Position || after.Identifiers != before.Identifiers {
		t.Errorf("something was logged: %+v, before %+v", after, before)
	}
	if f := n.find(serial(5)); f.Record != nil {
		t.Error("a row of a refused change is there")
	}
	// Rows of two holders: none.
	_, err = n.Register(t.Context(), signed(t, holder, d, rows[5], put(mustID(t, "88.118.9/x"), nil, link("https://x.example/"))))
	if e := wantKind(t, err, registry.Denied); len(e.Rows) != 1 || e.Rows[0].Row != 1 {
		t.Errorf("rows %+v", e.Rows)
	}
	// Without the bad ones it is taken, with the one that was there already.
	r := n.mustRegister(signed(t, holder, d, rows[0], rows[5], rows[6]))
	if r.Duplicate || r.Position != before.Position {
		t.Errorf("receipt %+v", r)
	}
	if got := n.record(serial(0)); got.Version != 1 {
		t.Errorf("version %d of a row that was there", got.Version)
	}
	n.check()
}

// tombstone learns the version and the row hash of a withdrawn identifier as a holder
// would: from the conflict.
func (n *node) tombstone(t testing.TB, holder identifier.PrivateKey, d *identifier.Delegation, text string) registry.RowError {
	t.Helper()
	_, err := n.Register(t.Context(), signed(t, holder, d, put(mustID(t, text), &identifier.Record{Version: 1 << 40, RowHash: identifier.Hash{1}}, link("https://x.example/"))))
	return wantKind(t, err, registry.Conflict).Rows[0]
}

func TestWithdrawalLeavesATombstone(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder, d := maker(t, n)
	id := mustID(t, serial(1))
	first := signed(t, holder, d, put(id, nil, link("https://a.example/1")))
	n.mustRegister(first)
	gone := signed(t, holder, d, withdraw(n.record(serial(1))))
	receipt := n.mustRegister(gone)
	for range 2 {
		if f := n.find(serial(1)); f.Record != nil {
			t.Errorf("withdrawn and found: %+v", f)
		}
		if s := n.status(); s.Identifiers != 0 || s.Withdrawn != 1 {
			t.Errorf("status %+v", s)
		}
		if again := n.mustRegister(gone); !again.Duplicate || again.Position != receipt.Position {
			t.Errorf("withdrawn again: %+v", again)
		}
		// Neither the old change nor a new version 1 brings it back.
		_, err := n.Register(t.Context(), first)
		if e := wantKind(t, err, registry.Conflict); e.Rows[0].Version != 2 {
			t.Errorf("rows %+v", e.Rows)
		}
		_, err = n.Register(t.Context(), signed(t, holder, d, put(id, nil, link("https://a.example/new"))))
		wantKind(t, err, registry.Conflict)
		n.restart()
	}
	there := n.tombstone(t, holder, d, serial(1))
	n.mustRegister(signed(t, holder, d, put(id, &identifier.Record{Version: there.Version, RowHash: there.RowHash}, link("https://a.example/3"))))
	if r := n.record(serial(1)); r.Version != 3 || string(r.Values[0].Data) != "https://a.example/3" {
		t.Errorf("registered again: %+v", r)
	}
	if s := n.status(); s.Identifiers != 1 || s.Withdrawn != 0 {
		t.Errorf("status %+v", s)
	}
	n.check()
}

func TestTheSameAgain(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder, d := maker(t, n)
	a := put(mustID(t, serial(1)), nil, link("https://a.example/"))
	b := put(mustID(t, serial(2)), nil, link("https://b.example/"))
	c := put(mustID(t, serial(3)), nil, link("https://c.example/"))
	first := n.mustRegister(signed(t, holder, d, a))
	second := n.mustRegister(signed(t, holder, d, b, c))
	for _, test := range []struct {
		name string
		rows []identifier.Row
		want registry.Receipt
	}{
		{"a row signed anew", []identifier.Row{a}, first},
		{"rows of two changes", []identifier.Row{a, b}, second},
		{"part of a change", []identifier.Row{c}, second},
	} {
		got := n.mustRegister(signed(t, holder, d, test.rows...))
		if !got.Duplicate || got.Position != test.want.Position {
			t.Errorf("%s: %+v, want position %d", test.name, got, test.want.Position)
		}
	}
	// Spelled otherwise it is something else, and so is a value that was touched.
	spelled := a
	spelled.Spelling = "88.118/SN-000001"
	touched := a
	touched.Values = link("https://a.example/")
	touched.Values[0].Timestamp = touched.Values[0].Timestamp.Add(time.Second)
	for _, row := range []identifier.Row{spelled, touched} {
		_, err := n.Register(t.Context(), signed(t, holder, d, row))
		wantKind(t, err, registry.Conflict)
	}
	if s := n.status(); s.Position != 5 {
		t.Errorf("the log has %d entries, want 5", s.Position)
	}
	// The signatures of a duplicate are checked like any other's.
	_, err := n.Register(t.Context(), signed(t, newKey(t), d, a))
	wantKind(t, err, registry.Unauthenticated)
}

// gate holds syncs of the journal back.
type gate struct{ shut atomic.Pointer[chan struct{}] }

func (g *gate) hook(point string) {
	if point != journal.HookSync {
		return
	}
	if shut := g.shut.Load(); shut != nil {
		<-*shut
	}
}

// close holds every sync from now on back until it is opened.
func (g *gate) close() (open func()) {
	shut := make(chan struct{})
	g.shut.Store(&shut)
	return func() {
		g.shut.Store(nil)
		close(shut)
	}
}

// Nobody hears of a row before its sync: not its own sender, nor who sends it a second
// time, nor who sends what it refuses, nor a reader, nor a watcher.
func TestNobodyHearsOfARowBeforeItsSync(t *testing.T) {
	t.Parallel()
	var g gate
	n := openNode(t, registry.Config{Folder: t.TempDir(), Journal: journal.Options{Hook: g.hook}})
	holder, d := maker(t, n)
	open := g.close()

	id := mustID(t, serial(1))
	change := signed(t, holder, d, put(id, nil, link("https://a.example/")))
	taken := *d
	taken.Epoch, taken.Keyset = 2, keyset(2, 1, newKey(t))
	type outcome struct {
		name    string
		receipt registry.Receipt
		err     error
	}
	outcomes := make(chan outcome, 10)
	do := func(name string, f func() (registry.Receipt, error)) {
		go func() {
			receipt, err := f()
			outcomes <- outcome{name, receipt, err}
		}()
		time.Sleep(20 * time.Millisecond) // each is judged before the next
	}
	register := func(c *identifier.Change) func() (registry.Receipt, error) {
		return func() (registry.Receipt, error) { return n.Register(context.Background(), c) }
	}
	do("first", register(change))
	do("duplicate", register(change))
	do("conflict", register(signed(t, holder, d, put(id, nil, link("https://b.example/")))))
	do("taken away", func() (registry.Receipt, error) { return n.delegate(&taken, n.root) })
	do("old epoch", register(signed(t, holder, d, put(mustID(t, serial(2)), nil, link("https://c.example/")))))
	do("taken away again", func() (registry.Receipt, error) { return n.delegate(&taken, n.root) })
	select {
	case o := <-outcomes:
		t.Errorf("%s was answered before the sync: %+v, %v", o.name, o.receipt, o.err)
	case <-time.After(100 * time.Millisecond):
	}
	if f := n.find(serial(1)); f.Record != nil || f.Position != 3 || f.Delegation.Epoch != 1 {
		t.Errorf("found before the sync: %+v", f)
	}
	watching, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := n.Watch(watching, 3, func(l registry.Logged) error { return fmt.Errorf("seen before the sync: %d", l.Position) }); err != nil {
		t.Error(err)
	}
	if got := registry.Waiting(n.Registry); got != 1 {
		t.Errorf("%d rows wait, want 1", got)
	}
	open()
	got := make(map[string]outcome)
	for range 6 {
		o := <-outcomes
		got[o.name] = o
	}
	if o := got["first"]; o.err != nil || o.receipt.Position != 3 || o.receipt.Duplicate {
		t.Errorf("%+v", o)
	}
	if o := got["duplicate"]; o.err != nil || o.receipt.Position != 3 || !o.receipt.Duplicate {
		t.Errorf("%+v", o)
	}
	if e := wantKind(t, got["conflict"].err, registry.Conflict); e.Rows[0].Version != 1 {
		t.Errorf("%+v", e)
	}
	if o := got["taken away"]; o.err != nil || o.receipt.Position != 4 {
		t.Errorf("%+v", o)
	}
	if o := got["taken away again"]; o.err != nil || o.receipt.Position != 4 || !o.receipt.Duplicate {
		t.Errorf("%+v", o)
	}
	wantKind(t, got["old epoch"].err, registry.Denied)
	if n.record(serial(1)).Version != 1 || registry.Waiting(n.Registry) != 0 {
		t.Error("not there, or still waiting")
	}
}

// Changes of one identifier may follow on each other within one sync.
func TestVersionsWithinOneSync(t *testing.T) {
	t.Parallel()
	var g gate
	n := openNode(t, registry.Config{Folder: t.TempDir(), Journal: journal.Options{Hook: g.hook}})
	holder, d := maker(t, n)
	open := g.close()
	id := mustID(t, serial(1))
	current := (*identifier.Record)(nil)
	done := make(chan error, 10)
	for v := range uint64(10) {
		row := put(id, current, link(fmt.Sprintf("https://a.example/%d", v)))
		if v == 5 {
			row = withdraw(current)
		}
		c := signed(t, holder, d, row)
		_, hashes, err := c.Check()
		if err != nil {
			t.Fatal(err)
		}
		current = &identifier.Record{ID: id, Version: v + 1, RowHash: hashes[0]}
		go func() {
			_, err := n.Register(context.Background(), c)
			done <- err
		}()
		for registry.WaitingVersion(n.Registry, id) != v+1 {
			time.Sleep(time.Millisecond)
		}
	}
	open()
	for range 10 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if r := n.record(serial(1)); r.Version != 10 || r.RowHash != current.RowHash {
		t.Errorf("%+v", r)
	}
	n.check()
}

// A wait that ends early leaves the fate open, and sending again tells.
func TestCancelledWait(t *testing.T) {
	t.Parallel()
	var g gate
	n := openNode(t, registry.Config{Folder: t.TempDir(), Journal: journal.Options{Hook: g.hook}})
	holder, d := maker(t, n)
	open := g.close()
	change := signed(t, holder, d, put(mustID(t, serial(1)), nil, link("https://a.example/")))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := n.Register(ctx, change)
	wantKind(t, err, registry.Unavailable)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	open()
	if r := n.mustRegister(change); !r.Duplicate {
		t.Errorf("receipt %+v", r)
	}
}

func TestRefusedChanges(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder, d := maker(t, n)
	row := put(mustID(t, serial(1)), nil, link("https://a.example/"))
	edit := func(f func(*identifier.Change)) *identifier.Change {
		c := signed(t, holder, d, row)
		f(c)
		return c
	}
	with := func(f func(*identifier.Header)) *identifier.Change {
		h := header(d)
		f(&h)
		return sign(t, h, []identifier.Row{row}, holder)
	}
	big := row
	big.Values = []identifier.Value{{Index: 1, Type: "DESC", Data: bytes.Repeat([]byte("x"), identifier.MaxValueData+1)}}
	for _, test := range []struct {
		name   string
		change *identifier.Change
		kind   registry.Kind
		says   string
	}{
		{"nothing", &identifier.Change{}, registry.Malformed, "payload type"},
		{"a value touched", edit(func(c *identifier.Change) { c.Rows[0].Values = link("https://b.example/") }), registry.Malformed, "root"},
		{"a seed touched", edit(func(c *identifier.Change) { c.IDSeed[0] ^= 1 }), registry.Malformed, "root"},
		{"rows left out", edit(func(c *identifier.Change) { c.Rows = nil }), registry.Malformed, "rows"},
		{"oversize", edit(func(c *identifier.Change) { c.Rows = []identifier.Row{big} }), registry.Malformed, "octets"},
		{"too many rows", edit(func(c *identifier.Change) { c.Rows = make([]identifier.Row, identifier.MaxRows+1) }), registry.Malformed, "rows"},
		{"broken UTF-8", edit(func(c *identifier.Change) { c.Rows[0].ID.Suffix = "sn-\xff" }), registry.Malformed, "UTF-8"},
		{"no signature", edit(func(c *identifier.Change) { c.Envelope.Signatures = nil }), registry.Malformed, "signed"},
		{"a signature touched", edit(func(c *identifier.Change) { c.Envelope.Signatures[0].Signature[3] ^= 1 }), registry.Unauthenticated, "0 good signatures"},
		{"a header touched", edit(func(c *identifier.Change) { c.Envelope.Payload[len(c.Envelope.Payload)-3] ^= 1 }), registry.Unauthenticated, ""},
		{"expired", with(func(h *identifier.Header) { h.Expiry = time.Now().Add(-time.Second) }), registry.Expired, "expired at"},
		{"another keyset", with(func(h *identifier.Header) { h.KeysetVersion = 2 }), registry.Denied, "version 1"},
		{"another epoch", with(func(h *identifier.Header) { h.Epoch = 2 }), registry.Denied, "epoch 1"},
		{"another's key", signed(t, newKey(t), d, row), registry.Unauthenticated, "1 are needed"},
		{"the node's key", signed(t, n.root, d, row), registry.Unauthenticated, ""},
		{"a foreign prefix", signed(t, holder, grant("88.119", holder), put(mustID(t, "88.119/a"), nil, row.Values)), registry.Denied, "not delegated here"},
		{"a longer prefix than is held", signed(t, holder, grant("88.118.8", holder), put(mustID(t, "88.118.8/a"), nil, row.Values)), registry.Denied, "not delegated here"},
		{"a shorter prefix than is held", signed(t, holder, grant("88", holder), row), registry.Denied, "not delegated here"},
		{"the root's prefix", signed(t, holder, grant("", holder), row), registry.Unauthenticated, ""},
		{"over the holder's head", signed(t, n.root, n.Holder(""), row), registry.Denied, "delegated on to another holder"},
	} {
		_, err := n.Register(t.Context(), test.change)
		var e *registry.Error
		if !errors.As(err, &e) || e.Kind != test.kind || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %v and %q", test.name, err, test.kind, test.says)
		}
	}
	if s := n.status(); s.Position != 3 || s.Identifiers != 0 {
		t.Errorf("something was logged: %+v", s)
	}
}

// The largest change that the rules allow is logged, found and read again.
func TestLargestChange(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder, d := maker(t, n)
	var rows []identifier.Row
	size := 0
	for i := 0; len(rows) < identifier.MaxRows; i++ {
		row := put(mustID(t, serial(i)), nil, []identifier.Value{{Index: 1, Type: "DESC", Data: bytes.Repeat([]byte{byte(i)}, 476), Permissions: identifier.PublicRead}})
		n, err := row.Size()
		if err != nil {
			t.Fatal(err)
		}
		if size += n; size > identifier.MaxChange {
			t.Fatalf("%d rows have %d octets", i, size)
		}
		rows = append(rows, row)
	}
	n.mustRegister(signed(t, holder, d, rows...))
	n.restart()
	for i := range rows {
		if got := n.record(serial(i)).Values[0].Data; !bytes.Equal(got, rows[i].Values[0].Data) {
			t.Fatalf("%s: %q", serial(i), got)
		}
	}
	n.check()
}
