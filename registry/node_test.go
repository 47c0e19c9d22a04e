package registry_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// node is an open registry that runs.
type node struct {
	*registry.Registry
	t      testing.TB
	config registry.Config
	root   identifier.PrivateKey // the node's key, which holds the root
	stop   func() error
}

func newNode(t testing.TB) *node {
	t.Helper()
	return openNode(t, registry.Config{Folder: t.TempDir()})
}

// openNode opens a node, with short segments unless the configuration says otherwise.
func openNode(t testing.TB, c registry.Config) *node {
	t.Helper()
	if c.Journal.SegmentSize == 0 {
		c.Journal.SegmentSize = 1 << 20
	}
	n := &node{t: t, config: c}
	n.start()
	key, err := registry.NodeKey(c.Folder)
	if err != nil {
		t.Fatal(err)
	}
	n.root = key
	return n
}

func (n *node) start() {
	n.t.Helper()
	r, err := registry.Open(n.config)
	if err != nil {
		n.t.Fatal(err)
	}
	n.Registry = r
	n.stop = run(r)
	stop := n.stop
	n.t.Cleanup(func() {
		if err := stop(); err != nil {
			n.t.Error(err)
		}
	})
}

// run runs a registry and returns what ends and closes it, once.
func run(r *registry.Registry) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stopped := false
	return func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return errors.Join(<-done, r.Close())
	}
}

func (n *node) mustStop() {
	n.t.Helper()
	if err := n.stop(); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) restart() {
	n.t.Helper()
	n.mustStop()
	n.start()
}

// check stops the node and checks its folder.
func (n *node) check() registry.Report {
	n.t.Helper()
	n.mustStop()
	report, err := registry.Check(n.t.Context(), n.config.Folder, n.config.Journal, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	return report
}

// grant returns a delegation of a prefix, its first, with one of the keys needed.
func grant(prefix identifier.Prefix, keys ...identifier.PrivateKey) *identifier.Delegation {
	d := &identifier.Delegation{Prefix: prefix, Epoch: 1, Keyset: identifier.Keyset{Version: 1, Threshold: 1}}
	for _, k := range keys {
		d.Keyset.Keys = append(d.Keyset.Keys, k.Public())
	}
	return d
}

// delegate sends a delegation, signed by keys.
func (n *node) delegate(d *identifier.Delegation, by ...identifier.PrivateKey) (registry.Receipt, error) {
	return n.Delegate(n.t.Context(), identifier.Sign(identifier.DelegationType, delegationPayload(n.t, d), by...))
}

func delegationPayload(t testing.TB, d *identifier.Delegation) []byte {
	t.Helper()
	payload, err := identifier.AppendDelegation(nil, d)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// mustDelegate delegates and returns what is in force then.
func (n *node) mustDelegate(d *identifier.Delegation, by ...identifier.PrivateKey) *identifier.Delegation {
	n.t.Helper()
	if _, err := n.delegate(d, by...); err != nil {
		n.t.Fatal(err)
	}
	return d
}

// changeKeys sends a change of keyset for the delegation, signed by keys, and returns
// the delegation as it then should be.
func (n *node) changeKeys(d *identifier.Delegation, keyset identifier.Keyset, by ...identifier.PrivateKey) (*identifier.Delegation, error) {
	payload, err := identifier.AppendKeysetChange(nil, &identifier.KeysetChange{Prefix: d.Prefix, Epoch: d.Epoch, Keyset: keyset})
	if err != nil {
		n.t.Fatal(err)
	}
	changed := *d
	changed.Keyset = keyset
	_, err = n.Delegate(n.t.Context(), identifier.Sign(identifier.KeysetType, payload, by...))
	return &changed, err
}

func keyset(version uint64, threshold int, keys ...identifier.PrivateKey) identifier.Keyset {
	k := identifier.Keyset{Version: version, Threshold: threshold}
	for _, key := range keys {
		k.Keys = append(k.Keys, key.Public())
	}
	return k
}

func newKey(t testing.TB) identifier.PrivateKey {
	t.Helper()
	k, err := identifier.NewPrivateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustID(t testing.TB, text string) identifier.ID {
	t.Helper()
	id, err := identifier.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func link(url string) []identifier.Value {
	return []identifier.Value{{
		Index: 1, Type: "URL", Data: []byte(url), TTL: identifier.DefaultTTL,
		Permissions: identifier.DefaultPermissions, Timestamp: time.Unix(1_700_000_000, 0).UTC(),
	}}
}

// put returns the row that replaces current, nil when there is none.
func put(id identifier.ID, current *identifier.Record, values []identifier.Value) identifier.Row {
	row := identifier.NextRow(id, current)
	row.Spelling, row.Values = id.String(), values
	return row
}

func withdraw(current *identifier.Record) identifier.Row {
	row := identifier.NextRow(current.ID, current)
	row.Op = identifier.Withdraw
	return row
}

func header(d *identifier.Delegation) identifier.Header {
	return identifier.Header{
		Prefix: d.Prefix, Epoch: d.Epoch, KeysetVersion: d.Keyset.Version,
		Expiry: time.Now().Add(time.Hour).Truncate(time.Second),
	}
}

// signed signs rows for a delegation.
func signed(t testing.TB, key identifier.PrivateKey, d *identifier.Delegation, rows ...identifier.Row) *identifier.Change {
	t.Helper()
	return sign(t, header(d), rows, key)
}

func sign(t testing.TB, h identifier.Header, rows []identifier.Row, keys ...identifier.PrivateKey) *identifier.Change {
	t.Helper()
	c, err := identifier.SignChange(h, rows, rand.Reader, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (n *node) mustRegister(c *identifier.Change) registry.Receipt {
	n.t.Helper()
	receipt, err := n.Register(n.t.Context(), c)
	if err != nil {
		n.t.Fatal(err)
	}
	return receipt
}

// find returns what the node holds about an identifier.
func (n *node) find(text string) identifier.Finding {
	n.t.Helper()
	f, err := n.Find(n.t.Context(), mustID(n.t, text))
	if err != nil {
		n.t.Fatalf("find %s: %v", text, err)
	}
	return f
}

// record returns the live record of an identifier, which there must be.
func (n *node) record(text string) *identifier.Record {
	n.t.Helper()
	f := n.find(text)
	if f.Record == nil {
		n.t.Fatalf("%s: no record: %+v", text, f)
	}
	return f.Record
}

// wantKind checks that a change was refused in a certain way.
func wantKind(t testing.TB, err error, kind registry.Kind) *registry.Error {
	t.Helper()
	var e *registry.Error
	switch {
	case err == nil:
		t.Fatalf("no error, want %v", kind)
	case !errors.As(err, &e):
		t.Fatalf("error %v (%T), want an *Error of kind %v", err, err, kind)
	case e.Kind != kind:
		t.Fatalf("error %v, want kind %v", err, kind)
	}
	return e
}

// watched returns the first n entries of the log.
func (n *node) watched(from uint64, count int) []registry.Logged {
	n.t.Helper()
	errEnough := errors.New("enough")
	var entries []registry.Logged
	if count == 0 {
		return nil
	}
	err := n.Watch(n.t.Context(), from, func(l registry.Logged) error {
		if entries = append(entries, l); len(entries) == count {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		n.t.Fatal(err)
	}
	return entries
}

// status returns the status once the state has taken over everything.
func (n *node) status() registry.Status {
	n.t.Helper()
	for {
		s, err := n.Status(n.t.Context())
		if err != nil {
			n.t.Fatal(err)
		}
		if s.Applied >= registry.Published(n.Registry) {
			return s
		}
		time.Sleep(time.Millisecond)
	}
}

// rootOf returns the root of the tree over entries.
func rootOf(entries []registry.Logged) identifier.Hash {
	var tree journal.Tree
	for _, l := range entries {
		tree.Append(identifier.AppendLeaf(nil, l.Entry))
	}
	return tree.Root()
}

func serial(i int) string { return fmt.Sprintf("88.118/sn-%06d", i) }
