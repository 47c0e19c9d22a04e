package rpc_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

// open begins a registry in a folder of its own; it ends with the test.
func open(t *testing.T) (*registry.Registry, identifier.PrivateKey) {
	t.Helper()
	folder := t.TempDir()
	r, err := registry.Open(registry.Config{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	key, err := registry.NodeKey(folder)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, r.Close()); err != nil {
			t.Error(err)
		}
	})
	return r, key
}

// A real registry, from delegation to watching, with nothing but a client.
func TestRegistryOverTheWire(t *testing.T) {
	r, root := open(t)
	c := serve(t, r, rpc.Options{Name: "plant", Version: "v1.2.3"})
	holder, err := identifier.NewPrivateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	above, err := c.Holder(t.Context(), "88.118")
	if err != nil || above == nil || above.Prefix != "" {
		t.Fatalf("got %+v, %v; want the grant of the root", above, err)
	}
	payload, err := identifier.AppendDelegation(nil, &identifier.Delegation{
		Prefix: "88.118", Epoch: 1, Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{holder.Public()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Delegate(t.Context(), identifier.Sign(identifier.DelegationType, payload, root)); err != nil {
		t.Fatal(err)
	}
	d, err := c.Holder(t.Context(), "88.118.9.9")
	if err != nil || d == nil || d.Prefix != "88.118" {
		t.Fatalf("got %+v, %v; want the delegation of 88.118", d, err)
	}

	sign := func(first, n int, version uint64) *identifier.Change {
		var rows []identifier.Row
		for i := first; i < first+n; i++ {
			id := identifier.ID{Prefix: "88.118", Suffix: fmt.Sprintf("sn-%06d", i)}
			var replaces identifier.Hash
			if version > 1 {
				replaces[0] = 1
			}
			rows = append(rows, identifier.Row{Op: identifier.Put, ID: id, Version: version, Replaces: replaces, Spelling: id.String(), Values: []identifier.Value{{
				Index: 1, Type: "URL", Data: fmt.Appendf(nil, "https://maker.example/%d", i), TTL: identifier.DefaultTTL,
				Permissions: identifier.DefaultPermissions, Timestamp: time.Unix(1_700_000_000, 0).UTC(),
			}}})
		}
		change, err := identifier.SignChange(identifier.Header{
			Prefix: d.Prefix, Epoch: d.Epoch, KeysetVersion: d.Keyset.Version, Expiry: time.Now().Add(time.Hour).Truncate(time.Second),
		}, rows, rand.Reader, holder)
		if err != nil {
			t.Fatal(err)
		}
		return change
	}
	receipt, err := c.Register(t.Context(), sign(0, 1000, 1))
	if err != nil || receipt.Level != registry.Local || receipt.Duplicate || receipt.Log != r.LogID() {
		t.Fatalf("got %+v, %v", receipt, err)
	}

	// Every row stands in the way, more than the details of a status can name.
	_, err = c.Register(t.Context(), sign(0, 1000, 5))
	var e *registry.Error
	if !errors.As(err, &e) || e.Kind != registry.Conflict || len(e.Rows) != 1000 {
		t.Fatalf("got %.200v; want a conflict of 1000 rows", err)
	}
	for i, row := range e.Rows {
		f, err := r.Find(t.Context(), row.ID)
		if err != nil || row.Row != i || row.Version != 1 || f.Record == nil || row.RowHash != f.Record.RowHash {
			t.Fatalf("row %d: got %+v, %v", i, row, err)
		}
	}

	changes := []*identifier.Change{sign(1000, 10, 1), sign(1000, 10, 7), sign(1010, 10, 1)}
	var outcomes []registry.Kind
	for result, err := range c.RegisterBatch(t.Context(), each(changes...)) {
		if err != nil {
			t.Fatal(err)
		}
		kind := registry.Kind(0)
		if errors.As(result.Err, &e) {
			kind = e.Kind
		}
		outcomes = append(outcomes, kind)
	}
	if d := cmp.Diff([]registry.Kind{0, registry.Conflict, 0}, outcomes); d != "" {
		t.Error(d)
	}

	status, err := c.Status(t.Context())
	if err != nil || status.Name != "plant" || status.Version != "v1.2.3" || status.Log != r.LogID() || status.Key != r.Key() || status.Position != 6 {
		t.Errorf("got %+v, %v", status, err)
	}
	rows := 0
	err = c.Watch(t.Context(), 0, func(l registry.Logged) error {
		rows += len(l.Entry.Rows)
		if l.Position == status.Position-1 {
			return errEnough
		}
		return nil
	})
	if err != errEnough || rows != 1020 {
		t.Errorf("saw %d rows, %v; want 1020", rows, err)
	}
	err = c.Watch(t.Context(), status.Position+1, func(registry.Logged) error { return nil })
	if !errors.As(err, &e) || e.Kind != registry.Malformed {
		t.Errorf("got %v; want malformed", err)
	}
}

func TestStatusCrossesTheWire(t *testing.T) {
	want := rpc.Status{Name: "plant", Version: "v1", Uptime: 90 * time.Second, Status: registry.Status{
		Key: identifier.PublicKey{Type: identifier.Ed25519, Raw: "0123456789abcdef0123456789abcdef"}, Log: identifier.LogID{1}, Position: 2,
		Synced: 3, Applied: 4, Identifiers: 5, Withdrawn: 6, Delegations: 7,
		Checkpoint: registry.Checkpoint{Size: 8, Root: identifier.Hash{9}, Time: time.UnixMilli(10).UTC(), Note: []byte("note")},
		Level:      registry.Local, ReadOnly: "restored", StateBytes: 11, Apexes: []identifier.Prefix{"", "88.118"},
	}}
	s := serve(t, &fake{status: want.Status}, rpc.Options{Name: "plant", Version: "v1", Started: time.Now().Add(-want.Uptime)})
	got, err := s.Client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestHolderThatDoesNotCover(t *testing.T) {
	s := serve(t, &fake{holder: func(identifier.Prefix) *identifier.Delegation { return &identifier.Delegation{Prefix: "88.11"} }}, rpc.Options{})
	var e *registry.Error
	if d, err := s.Holder(t.Context(), "88.118"); !errors.As(err, &e) || e.Kind != registry.Unavailable {
		t.Errorf("got %+v, %v; want unavailable", d, err)
	}
	s = serve(t, &fake{holder: func(identifier.Prefix) *identifier.Delegation { return nil }}, rpc.Options{})
	if d, err := s.Holder(t.Context(), "88.118"); d != nil || err != nil {
		t.Errorf("got %+v, %v; want none", d, err)
	}
}
