package node_test

import (
	"context"
	"crypto/rand"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// below runs a node below another, which delegates a prefix to it, and waits until it
// knows. The node's own key holds the prefix.
func below(t *testing.T, parent *running, name string, prefix identifier.Prefix, by identifier.PrivateKey) *running {
	t.Helper()
	c := nodeConfig(t, name)
	c.Parent = node.Parent{Key: parent.key.Public(), Address: parent.at.GRPC[0]}
	child := runNode(t, c)
	at := netip.MustParseAddrPort(child.at.GRPC[0])
	d := &identifier.Delegation{
		Prefix: prefix, Epoch: 1, Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{child.key.Public()}},
		Node: &identifier.Node{Name: name, Key: child.key.Public(), Addresses: []identifier.Address{{IP: at.Addr().String(), GRPC: at.Port()}}},
	}
	payload, err := identifier.AppendDelegation(nil, d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parent.Delegate(t.Context(), identifier.Sign(identifier.DelegationType, payload, by)); err != nil {
		t.Fatal(err)
	}
	eventually(t, name+" answers for its prefix", func() bool {
		s, err := child.Status(t.Context())
		return err == nil && len(s.Apexes) == 1 && s.Apexes[0] == prefix
	})
	return child
}

// signed returns a change that registers an identifier.
func signed(t *testing.T, text string, prefix identifier.Prefix, by identifier.PrivateKey) *identifier.Change {
	t.Helper()
	id, err := identifier.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	row := identifier.NextRow(id, nil)
	row.Values = []identifier.Value{{Index: 1, Type: "URL", Data: []byte("https://maker.example/1"), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions}}
	change, err := identifier.SignChange(identifier.Header{
		Prefix: prefix, Epoch: 1, KeysetVersion: 1, Expiry: time.Now().Add(time.Hour).Truncate(time.Second),
	}, []identifier.Row{row}, rand.Reader, by)
	if err != nil {
		t.Fatal(err)
	}
	return change
}

// Three levels, the topmost with an anchor file: what the lowest registers is anchored,
// and then rooted, within seconds, and still is after it was started again.
func TestThreeLevels(t *testing.T) {
	c := nodeConfig(t, "top")
	c.Anchor = filepath.Join(t.TempDir(), "anchor")
	top := runNode(t, c)
	middle := below(t, top, "region", "88", top.key)
	lowest := below(t, middle, "maker", "88.118", middle.key)
	begin := time.Now()
	r, err := lowest.RegisterTo(t.Context(), signed(t, "88.118/sn-1", "88.118", lowest.key), registry.Anchored, 20*time.Second)
	if err != nil || r.Level < registry.Anchored {
		t.Fatalf("got %+v, %v; want it anchored", r, err)
	}
	t.Logf("anchored after %v", time.Since(begin))
	have, why, err := lowest.Await(t.Context(), r, registry.Rooted, 20*time.Second)
	if err != nil || have != registry.Rooted {
		t.Fatalf("got %v, %q, %v; want it rooted", have, why, err)
	}
	t.Logf("rooted after %v", time.Since(begin))
	for who, n := range map[string]*running{"region": middle, "top": top} {
		s, err := n.Status(t.Context())
		if err != nil || s.Level != registry.Rooted {
			t.Errorf("%s: got level %v, %v", who, s.Level, err)
		}
		for _, m := range s.Mirrors {
			if m.Bad != 0 {
				t.Errorf("%s: %d entries of log %s are marked", who, m.Bad, m.Log)
			}
		}
	}
	// A stream of changes, each answered when it is anchored.
	changes := func(yield func(*identifier.Change) bool) {
		for _, id := range []string{"88.118/sn-2", "88.118/sn-3", "88.118/sn-4"} {
			if !yield(signed(t, id, "88.118", lowest.key)) {
				return
			}
		}
	}
	n := 0
	for result, err := range lowest.RegisterBatchTo(t.Context(), changes, registry.Anchored, 20*time.Second) {
		if n++; err != nil || result.Err != nil || result.Receipt.Level < registry.Anchored {
			t.Errorf("got %+v, %v; want it anchored", result.Receipt, err)
		}
	}
	if n != 3 {
		t.Errorf("got %d answers; want 3", n)
	}
}

// While the parent is away a change is logged, and the answer says why it is no more.
func TestParentAway(t *testing.T) {
	c := nodeConfig(t, "top")
	c.Anchor = filepath.Join(t.TempDir(), "anchor")
	top := runNode(t, c)
	child := below(t, top, "maker", "88", top.key)
	top.stop()
	eventually(t, "the child knows that its parent is away", func() bool {
		s, err := child.Status(t.Context())
		return err == nil && !s.Upstream.Connected
	})
	r, err := child.RegisterTo(t.Context(), signed(t, "88/sn-1", "88", child.key), registry.Anchored, time.Second)
	if err != nil || r.Level != registry.Local {
		t.Fatalf("got %+v, %v; want it local", r, err)
	}
	have, why, err := child.Await(t.Context(), r, registry.Anchored, time.Millisecond)
	if err != nil || have != registry.Local || !strings.Contains(why, "is away") {
		t.Errorf("got %v, %q, %v", have, why, err)
	}
}

// A node with nothing above it, not even a file, cosigns nothing and says so.
func TestNothingAbove(t *testing.T) {
	top := runNode(t, nodeConfig(t, "top"))
	child := below(t, top, "maker", "88", top.key)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := child.RegisterTo(ctx, signed(t, "88/sn-1", "88", child.key), registry.Anchored, 3*time.Second)
	if err != nil || r.Level != registry.Local {
		t.Errorf("got %+v, %v; want it local", r, err)
	}
	s, err := top.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, why, err := top.Await(ctx, registry.Receipt{Log: s.Log, Level: registry.Local}, registry.Rooted, time.Millisecond)
	if err != nil || !strings.Contains(why, "no anchor file") {
		t.Errorf("got %q, %v", why, err)
	}
}
