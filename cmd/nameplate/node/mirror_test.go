package node

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// While a child is away its parent's mirror answers for it, and it answers itself
// soon after it is back.
func TestFailoverToMirrorAndBack(t *testing.T) {
	for _, over := range []string{"grpc", "dns"} {
		t.Run("over "+over, func(t *testing.T) {
			top, _ := began(t, func(c *Config) {
				c.Name = "top"
				c.Listen.Mirror = []string{"127.0.0.1:0"}
			})
			topRoot := top.root(t)
			below := func(c *Config) {
				c.Name = "child"
				c.Parent = Parent{Key: top.registry.Key(), Address: top.Addresses().GRPC[0]}
				// At an address of its own: at the common one somebody else may have a port
				// before it is taken again.
				own := []string{fmt.Sprintf("127.%d.%d.9:0", 50+os.Getpid()%50, os.Getpid()/50%250)}
				c.Listen = Listen{DNS: own, GRPC: own, HTTP: own}
			}
			child, stop := began(t, below)
			grant(t, top, child)
			id := identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}
			until(t, "the child has its grant", func() bool {
				d := child.registry.Holder("88")
				return d != nil && d.Prefix == "88"
			})
			register(t, child.registry, ownPrefix(t, child, id.Prefix), id)
			walker, _ := began(t, func(c *Config) {
				c.Name, c.Data = "walker", ""
				c.Recursive.Roots = []Root{topRoot}
				c.Recursive.Protocols = []string{over}
			})
			ask, err := resolverrpc.NewClient(walker.Addresses().GRPC[0], resolverrpc.ClientOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer ask.Close()
			parent, err := resolverrpc.NewClient(top.Addresses().GRPC[0], resolverrpc.ClientOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer parent.Close()
			from := func(r resolver.Resolver, q resolver.Query) (mirror, ok bool) {
				q.ID = id
				a, err := r.Resolve(t.Context(), q)
				if err != nil || a.Outcome != resolver.Found {
					t.Logf("%v, %v", a.Outcome, err)
					return false, false
				}
				return a.Origin.Mirror, true
			}
			until(t, "the mirror has the record", func() bool {
				mirror, ok := from(parent, resolver.Query{Mirror: true})
				return mirror && ok
			})
			secondary := resolverdns.NewClient(top.Addresses().Mirror[0], resolverdns.ClientOptions{})
			if mirror, ok := from(secondary, resolver.Query{}); !mirror || !ok {
				t.Error("the mirror's own address does not answer")
			}
			if mirror, ok := from(ask, resolver.Query{Recursive: true}); mirror || !ok {
				t.Error("the child does not answer itself")
			}
			at := child.Addresses()
			stop()
			walker.walker.cache.Flush(identifier.ID{Prefix: id.Prefix, Suffix: id.Suffix})
			begin := time.Now()
			if mirror, ok := from(ask, resolver.Query{Recursive: true}); !mirror || !ok {
				t.Error("the mirror does not answer")
			}
			t.Logf("from the mirror after %v", time.Since(begin))
			began(t, func(c *Config) {
				below(c)
				c.Data, c.Listen = child.config.Data, at
			})
			begin = time.Now()
			until(t, "the child is asked again", func() bool {
				mirror, ok := from(ask, resolver.Query{Recursive: true})
				if !ok {
					t.Error("no answer while the child comes back")
				}
				return !mirror
			})
			t.Logf("from the child after %v", time.Since(begin))
		})
	}
}

// until waits for something to become true.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// grant delegates 88 to a node.
func grant(t *testing.T, top, child *Node) {
	t.Helper()
	at := child.root(t)
	n := &identifier.Node{Name: "child", Key: at.Key}
	for _, a := range at.Addresses {
		n.Addresses = append(n.Addresses, identifier.Address{IP: a.IP, DNS: a.DNS, GRPC: a.GRPC, HTTP: a.HTTP})
	}
	delegate(t, top, &identifier.Delegation{Prefix: "88", Epoch: 1, Node: n,
		Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{at.Key}}})
}
