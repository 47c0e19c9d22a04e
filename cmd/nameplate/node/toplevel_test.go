package node_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// topLevels runs five top-level nodes that mirror one another. What it returns starts one
// again.
func topLevels(t *testing.T) (nodes []*running, again func(i int)) {
	t.Helper()
	configs := make([]node.Config, 5)
	roots := make([]node.Root, 5)
	for i := range configs {
		// Once alone, for its key and free ports. At an address of its own: at the common one
		// somebody else may have a port before it is taken again.
		configs[i] = nodeConfig(t, fmt.Sprintf("top%d", i))
		own := []string{fmt.Sprintf("127.%d.%d.%d:0", 50+os.Getpid()%50, os.Getpid()/50%250, i+1)}
		configs[i].Listen = node.Listen{DNS: own, GRPC: own, HTTP: own}
		n := runNode(t, configs[i])
		configs[i].Listen = n.at
		at := netip.MustParseAddrPort(n.at.GRPC[0])
		roots[i] = node.Root{Name: configs[i].Name, Key: n.key.Public(), Addresses: []node.Address{{IP: at.Addr().String(), GRPC: at.Port()}}}
		n.stop()
	}
	nodes = make([]*running, 5)
	again = func(i int) { nodes[i] = runNode(t, configs[i]) }
	for i := range configs {
		configs[i].Peers = slices.Delete(slices.Clone(roots), i, i+1)
		again(i)
	}
	return nodes, again
}

// logsAt returns size and root of every log that a node has, its own and the mirrors.
func logsAt(t *testing.T, n *running) map[identifier.LogID]string {
	t.Helper()
	s, err := n.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	logs := map[identifier.LogID]string{s.Log: fmt.Sprintf("%d %x", s.Checkpoint.Size, s.Checkpoint.Root)}
	if s.Checkpoint.Size != s.Position {
		logs[s.Log] = "not signed yet"
	}
	for _, m := range s.Mirrors {
		logs[m.Log] = fmt.Sprintf("%d %x", m.Size, m.Root)
		if m.Bad != 0 {
			t.Errorf("%d entries of log %s are marked", m.Bad, m.Log)
		}
	}
	return logs
}

// sameLogs waits until all nodes have the same logs.
func sameLogs(t *testing.T, nodes []*running, logs int) {
	t.Helper()
	eventually(t, fmt.Sprintf("all have the same %d logs", logs), func() bool {
		want := logsAt(t, nodes[0])
		for _, n := range nodes[1:] {
			have := logsAt(t, n)
			if len(have) != logs {
				return false
			}
			for log, root := range have {
				if want[log] != root {
					return false
				}
			}
		}
		return true
	})
}

// Five top-level nodes mirror one another, with the log of a child; anchor what three of
// them hold and nothing else; answer for one another; and have the same again after
// some of them were away.
func TestFiveTopLevels(t *testing.T) {
	nodes, again := topLevels(t)
	child := below(t, nodes[0], "region", "88", nodes[0].key)
	r, err := child.RegisterTo(t.Context(), signed(t, "88/sn-1", "88", child.key), registry.Rooted, 20*time.Second)
	if err != nil || r.Level != registry.Rooted {
		t.Fatalf("got %+v, %v; want it rooted", r, err)
	}
	sameLogs(t, nodes, 6)

	// What the first has delegated, the others refer to, and from their mirrors of the
	// child they answer.
	id, err := identifier.Parse("88/sn-1")
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		a, err := n.asks.Resolve(t.Context(), resolver.Query{ID: id})
		if err != nil || a.Outcome != resolver.Referral || a.Delegation.Prefix != "88" || a.Delegation.Node.Key != child.key.Public() {
			t.Errorf("node %d: got %v, %+v, %v; want a referral", i, a.Outcome, a.Delegation, err)
		}
		a, err = n.asks.Resolve(t.Context(), resolver.Query{ID: id, Mirror: true})
		if err != nil || a.Outcome != resolver.Found || !a.Origin.Mirror {
			t.Errorf("node %d: got %v, %v; want it found in a mirror", i, a.Outcome, err)
		}
	}

	// Two of five are not enough.
	for _, i := range []int{2, 3, 4} {
		nodes[i].stop()
	}
	r, err = child.RegisterTo(t.Context(), signed(t, "88/sn-2", "88", child.key), registry.Anchored, 4*time.Second)
	if err != nil || r.Level != registry.Local {
		t.Fatalf("got %+v, %v; want it local", r, err)
	}
	// Each side has news that the other lacks.
	if _, err := nodes[1].Delegate(t.Context(), delegation(t, "99", nodes[1].key)); err != nil {
		t.Fatal(err)
	}
	again(2)
	if have, why, err := child.Await(t.Context(), r, registry.Anchored, 20*time.Second); err != nil || have < registry.Anchored {
		t.Fatalf("with three of five: got %v, %q, %v", have, why, err)
	}
	again(3)
	again(4)
	sameLogs(t, nodes, 6)
	for i, n := range nodes {
		a, err := n.asks.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "99", Suffix: "x"}})
		if err != nil || a.Outcome != resolver.Absent {
			t.Errorf("node %d: got %v, %v; want it absent in the prefix of another top-level node", i, a.Outcome, err)
		}
	}
}

// delegation gives a prefix to a key, and the node that logs it answers.
func delegation(t *testing.T, p identifier.Prefix, by identifier.PrivateKey) identifier.Envelope {
	t.Helper()
	payload, err := identifier.AppendDelegation(nil, &identifier.Delegation{
		Prefix: p, Epoch: 1, Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{by.Public()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return identifier.Sign(identifier.DelegationType, payload, by)
}
