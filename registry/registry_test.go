package registry_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// node is an open registry with a holder of prefix 88.118.
type node struct {
	*registry.Registry
	t      *testing.T
	folder string
	stop   func() error
}

func openNode(t *testing.T, folder string) *node {
	t.Helper()
	n := &node{t: t, folder: folder}
	n.start()
	return n
}

func (n *node) start() {
	n.t.Helper()
	r, err := registry.Open(registry.Config{Folder: n.folder})
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stopped := false
	n.Registry = r
	n.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return errors.Join(<-done, r.Close())
	}
	n.t.Cleanup(func() {
		if err := n.stop(); err != nil {
			n.t.Error(err)
		}
	})
}

func (n *node) restart() {
	n.t.Helper()
	if err := n.stop(); err != nil {
		n.t.Fatal(err)
	}
	n.start()
}

func newKey(t *testing.T) identifier.PrivateKey {
	t.Helper()
	k, err := identifier.NewPrivateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustID(t *testing.T, text string) identifier.ID {
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

func put(id identifier.ID, current *identifier.Record, values []identifier.Value) identifier.Row {
	row := identifier.Row{Op: identifier.Put, ID: id, Spelling: id.String(), Version: 1, Values: values}
	if current != nil {
		row.Version, row.Replaces = current.Version+1, current.RowHash
	}
	return row
}

func signed(t *testing.T, key identifier.PrivateKey, d *identifier.Delegation, rows ...identifier.Row) *identifier.Change {
	t.Helper()
	c, err := identifier.SignChange(identifier.Header{
		Prefix: d.Prefix, Epoch: d.Epoch, KeysetVersion: d.Keyset.Version, Expiry: time.Now().Add(time.Hour).Truncate(time.Second),
	}, rows, rand.Reader, key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// delegate gives a prefix to a key, signed by the node's own.
func (n *node) delegate(prefix identifier.Prefix, by identifier.PrivateKey, to identifier.PublicKey) *identifier.Delegation {
	n.t.Helper()
	d := &identifier.Delegation{Prefix: prefix, Epoch: 1, Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{to}}}
	payload, err := identifier.AppendDelegation(nil, d)
	if err != nil {
		n.t.Fatal(err)
	}
	if _, err := n.Delegate(n.t.Context(), identifier.Sign(identifier.DelegationType, payload, by)); err != nil {
		n.t.Fatal(err)
	}
	return d
}

func TestRegisterFindRestart(t *testing.T) {
	n := openNode(t, t.TempDir())
	root, err := registry.NodeKey(n.folder)
	if err != nil {
		t.Fatal(err)
	}
	holder := newKey(t)
	d := n.delegate("88.118", root, holder.Public())
	var rows []identifier.Row
	for i := range 100 {
		rows = append(rows, put(mustID(t, fmt.Sprintf("88.118/sn-%03d", i)), nil, link(fmt.Sprintf("https://maker.example/%d", i))))
	}
	change := signed(t, holder, d, rows...)
	receipt, err := n.Register(t.Context(), change)
	if err != nil {
		t.Fatal(err)
	}
	if receipt.Level != registry.Local || receipt.Duplicate || receipt.Position != 3 {
		t.Errorf("receipt %+v", receipt)
	}
	again, err := n.Register(t.Context(), change)
	if err != nil || !again.Duplicate || again.Position != receipt.Position {
		t.Errorf("second time: %+v, %v", again, err)
	}
	for round := range 2 {
		for i := range 100 {
			f, err := n.Find(t.Context(), rows[i].ID)
			if err != nil {
				t.Fatal(err)
			}
			if f.Record == nil || string(f.Record.Values[0].Data) != fmt.Sprintf("https://maker.example/%d", i) {
				t.Fatalf("round %d: %s: %+v", round, rows[i].ID, f)
			}
		}
		f, err := n.Find(t.Context(), mustID(t, "88"))
		if err != nil || f.Record != nil || !f.Below || !f.InZone {
			t.Errorf("round %d: prefix 88: %+v, %v", round, f, err)
		}
		n.restart()
	}
}

func TestCheckFindsASoundFolderSound(t *testing.T) {
	n := openNode(t, t.TempDir())
	root, err := registry.NodeKey(n.folder)
	if err != nil {
		t.Fatal(err)
	}
	holder := newKey(t)
	d := n.delegate("88.118", root, holder.Public())
	for i := range 10 {
		row := put(mustID(t, fmt.Sprintf("88.118/sn-%03d", i)), nil, link("https://maker.example/"))
		if _, err := n.Register(t.Context(), signed(t, holder, d, row)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := registry.Check(t.Context(), n.folder, journal.Options{}, nil); err == nil {
		t.Error("check of a folder in use: no error")
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	report, err := registry.Check(t.Context(), n.folder, journal.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if report.Entries != 13 || report.Identifiers != 10 || report.Delegations != 1 || report.Checkpoints == 0 || report.Behind != 0 {
		t.Errorf("report %+v", report)
	}
}

func TestBackupRestore(t *testing.T) {
	n := openNode(t, t.TempDir())
	root, err := registry.NodeKey(n.folder)
	if err != nil {
		t.Fatal(err)
	}
	holder := newKey(t)
	d := n.delegate("88.118", root, holder.Public())
	id := mustID(t, "88.118/sn-1")
	if _, err := n.Register(t.Context(), signed(t, holder, d, put(id, nil, link("https://maker.example/1")))); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // the last group is closed when the journal is idle
	backup, restored := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "restored")
	m, err := registry.Backup(t.Context(), n.folder, backup, true)
	if err != nil {
		t.Fatal(err)
	}
	if m.Entries != 4 || !m.HoldsKey || m.NodeKey != root.Public() {
		t.Errorf("manifest %+v", m)
	}
	if _, err := registry.Backup(t.Context(), n.folder, backup, true); err == nil {
		t.Error("a backup over a backup: no error")
	}
	if _, err := registry.Restore(t.Context(), backup, restored, ""); err != nil {
		t.Fatal(err)
	}
	again := openNode(t, restored)
	f, err := again.Find(t.Context(), id)
	if err != nil || f.Record == nil {
		t.Fatalf("after restore: %+v, %v", f, err)
	}
	change := signed(t, holder, d, put(mustID(t, "88.118/sn-2"), nil, link("https://maker.example/2")))
	var refused *registry.Error
	if _, err := again.Register(t.Context(), change); !errors.As(err, &refused) || refused.Kind != registry.ReadOnly {
		t.Errorf("a change at a restored node: %v", err)
	}
	if err := again.stop(); err != nil {
		t.Fatal(err)
	}
	if err := registry.AcceptRestored(restored); err != nil {
		t.Fatal(err)
	}
	again.start()
	if _, err := again.Register(t.Context(), change); err != nil {
		t.Error(err)
	}
}
