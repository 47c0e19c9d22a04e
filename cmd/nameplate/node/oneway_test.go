package node_test

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// The control of TestOneWay, in one process: two nodes that never give up a way from which
// nothing comes take it for open when others have long noticed that it is held in one
// direction. They differ in nothing else.
func TestOneWayNotices(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a minute")
	}
	t.Parallel()
	for i, way := range []string{"towards the parent", "from the parent"} {
		for j, patient := range []bool{false, true} {
			t.Run(fmt.Sprintf("held %s, patient %v", way, patient), func(t *testing.T) {
				t.Parallel()
				playOneWay(t, fmt.Sprintf("127.%d.%d.%d:0", 150+os.Getpid()%50, os.Getpid()/50%250, 1+2*i+j), i == 0, patient)
			})
		}
	}
}

// tooLate is when a way that is held is noticed at the latest: three heartbeats, and the time
// of a ping and its answer, are less.
const tooLate = time.Minute

func playOneWay(t *testing.T, from string, up, patient bool) {
	var silence time.Duration
	if patient {
		silence = time.Hour // longer than the test
	}
	top := runSilent(t, nodeConfig(t, "top"), silence)
	way := newStrait(t, from, top.at.GRPC[0])
	below := nodeConfig(t, "maker")
	below.Parent = node.Parent{Key: top.key.Public(), Address: way.listener.Addr().String()}
	child := runSilent(t, below, silence)
	at := netip.MustParseAddrPort(child.at.GRPC[0])
	payload, err := identifier.AppendDelegation(nil, &identifier.Delegation{
		Prefix: "88.118", Epoch: 1,
		Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{child.key.Public()}},
		Node:   &identifier.Node{Name: "maker", Key: child.key.Public(), Addresses: []identifier.Address{{IP: at.Addr().String(), GRPC: at.Port()}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := top.Delegate(t.Context(), identifier.Sign(identifier.DelegationType, payload, top.key)); err != nil {
		t.Fatal(err)
	}
	connected := func() bool {
		s, err := child.Status(t.Context())
		return err == nil && s.Upstream != nil && s.Upstream.Connected
	}
	eventually(t, "the child answers for its prefix, and is connected", func() bool {
		s, err := child.Status(t.Context())
		return err == nil && len(s.Apexes) == 1 && connected()
	})
	held := &way.down
	if up {
		held = &way.up
	}
	held.Store(true)
	began := time.Now()
	for connected() && time.Since(began) < tooLate {
		time.Sleep(100 * time.Millisecond)
	}
	if noticed := !connected(); noticed == patient {
		t.Errorf("after %v it is noticed: %v, want %v", time.Since(began).Round(time.Millisecond), noticed, !patient)
	}
	held.Store(false)
	eventually(t, "the way is whole again", connected)
}
