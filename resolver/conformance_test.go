package resolver_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"
)

// twoLevels is a top-level node that refers for every first segment to one node,
// where the backend answers, but for 99, which it has nothing to do with.
func twoLevels(t *testing.T, backend resolver.Resolver) *resolver.Walk {
	t.Helper()
	address := func(ip string) []identifier.Address { return []identifier.Address{{IP: ip, GRPC: 2640}} }
	top := resolverFunc(func(_ context.Context, q resolver.Query) (resolver.Answer, error) {
		first, _, _ := strings.Cut(q.ID.Prefix.String(), ".")
		if first == "99" {
			return resolver.Answer{Outcome: resolver.Refused, ID: q.ID, Lifetime: resolver.NegativeTTL, Origin: origin99}, nil
		}
		return resolver.Answer{Outcome: resolver.Referral, ID: q.ID, InZone: true, Lifetime: resolver.ReferralTTL,
			Delegation: &identifier.Delegation{Prefix: identifier.Prefix(first), Epoch: 1, Node: &identifier.Node{Name: "n", Addresses: address("127.0.0.2")}},
		}, nil
	})
	w, err := resolver.NewWalk(resolver.WalkOptions{
		Roots: []identifier.Node{{Name: "top", Addresses: address("127.0.0.1")}},
		Dial: func(e resolver.Endpoint) (resolver.Resolver, error) {
			switch e.At.Addr().String() {
			case "127.0.0.1":
				return top, nil
			case "127.0.0.2":
				return backend, nil
			}
			return nil, errNobody
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	w.Hold() // what it knows must not age between two questions
	return w
}

// origin99 is what the suite's backend says of itself.
var origin99 = resolver.Origin{Log: identifier.LogID{0: 0xfe, 7: 0x01, 15: 0x7f}, Position: 70_001}

func TestConformanceWalk(t *testing.T) {
	resolvertest.Run(t, resolver.GRPC, func(t *testing.T, backend resolver.Resolver) resolver.Resolver {
		return twoLevels(t, backend)
	},
		resolvertest.Omission{Part: resolvertest.Recursive, Because: "a walk asks node by node and follows itself"},
		resolvertest.Omission{Part: resolvertest.Mirror, Because: "a walk decides itself when to ask for a mirror"},
		resolvertest.Omission{Part: resolvertest.Details, Because: "a walk says which nodes were asked"},
	)
}

func TestConformanceCachedWalk(t *testing.T) {
	resolvertest.Run(t, resolver.GRPC, func(t *testing.T, backend resolver.Resolver) resolver.Resolver {
		c := cached(t, twoLevels(t, backend), resolver.CacheOptions{})
		t.Cleanup(func() { c.Close() })
		c.Hold() // what it keeps must not age between the two questions
		return resolverFunc(func(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
			// Once to fetch it, once from the cache.
			c.Flush(q.ID)
			if a, err := c.Resolve(ctx, q); err != nil {
				return a, err
			}
			return c.Resolve(ctx, q)
		})
	},
		resolvertest.Omission{Part: resolvertest.Recursive, Because: "a walk asks node by node and follows itself"},
		resolvertest.Omission{Part: resolvertest.Mirror, Because: "a walk decides itself when to ask for a mirror"},
		resolvertest.Omission{Part: resolvertest.Details, Because: "a walk says which nodes were asked"},
		resolvertest.Omission{Part: resolvertest.Selection, Because: "a cache fetches whole records and selects from them"},
	)
}
