package handle_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/handle"
)

// handleKey is the key of an identity as a delegation names it.
func handleKey(t *testing.T, i *handle.Identity) identifier.PublicKey {
	t.Helper()
	key, err := i.Key()
	if err != nil {
		t.Fatal(err)
	}
	return identifier.PublicKey{Type: identifier.RSA, Raw: string(x509.MarshalPKCS1PublicKey(&key.PublicKey))}
}

// between stands in front of a server and changes what it says on the way, as whoever has
// the network between can.
func between(t *testing.T, address string, change func(m *handle.Message)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	exchange := func(conn net.Conn) {
		defer conn.Close()
		behind, err := net.Dial("tcp", address)
		if err != nil {
			return
		}
		defer behind.Close()
		behind.SetDeadline(time.Now().Add(5 * time.Second))
		go io.Copy(behind, conn)
		head := make([]byte, 20)
		if _, err := io.ReadFull(behind, head); err != nil {
			return
		}
		e, err := handle.ParseEnvelope(head)
		if err != nil {
			return
		}
		b := make([]byte, e.Length)
		if _, err := io.ReadFull(behind, b); err != nil {
			return
		}
		m, err := handle.ParseMessage(e, b)
		if err != nil {
			return
		}
		change(m)
		conn.Write(m.AppendStream(nil))
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go exchange(conn)
		}
	}()
	return listener.Addr().String()
}

// signedTree is a root, a secondary and an enterprise node of ours, each with a key. What
// the secondary and the enterprise say passes through somebody; the keys of both stand in
// the delegations, unless keyed is false. It returns the site of the root.
func signedTree(t *testing.T, keyed bool, secondarySays, enterpriseSays func(*handle.Message)) *handle.Site {
	t.Helper()
	site := func(address string) identifier.Address {
		return identifier.Address{IP: "127.0.0.1", Handle: netip.MustParseAddrPort(address).Port()}
	}
	start := func(apex, below identifier.Prefix, child *identifier.Node) (*handle.Identity, string) {
		i, err := handle.OpenIdentity("", &identifier.Node{Name: "n"})
		if err != nil {
			t.Fatal(err)
		}
		return i, serve(t, resolverFunc(func(_ context.Context, q resolver.Query) (resolver.Answer, error) {
			a := resolver.Answer{ID: q.ID, Apex: apex, InZone: true, Outcome: resolver.Absent, Lifetime: resolver.NegativeTTL}
			switch {
			case child != nil && below.Covers(q.ID.Prefix):
				a.Outcome = resolver.Referral
				a.Delegation = &identifier.Delegation{Prefix: below, Epoch: 1, Node: child,
					Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{{Type: identifier.Ed25519, Raw: strings.Repeat("k", 32)}}}}
			case q.ID.Suffix == "sn":
				a.Outcome = resolver.Found
				a.Record = &identifier.Record{ID: q.ID, Version: 7, Time: time.UnixMilli(5).UTC(), Values: []identifier.Value{valueOf("URL", "https://maker.example/sn")}}
			}
			return a, nil
		}), handle.Options{Identity: i})
	}
	node := func(name string, i *handle.Identity, address string) *identifier.Node {
		n := &identifier.Node{Name: name, Addresses: []identifier.Address{site(address)}}
		if keyed {
			n.HandleKey = handleKey(t, i)
		}
		return n
	}
	identity, address := start("88.118.8", "", nil)
	enterprise := node("enterprise", identity, between(t, address, enterpriseSays))
	identity, address = start("88.118", "88.118.8", enterprise)
	secondary := node("secondary", identity, between(t, address, secondarySays))
	identity, address = start("", "88.118", secondary)
	return &handle.Site{Format: 1, Serial: identity.Serial(), Servers: []handle.SiteServer{{
		ID: 1, Address: [16]byte{12: 127, 15: 1}, Key: public(t, identity).Append(nil),
		Interfaces: []handle.Interface{{Kind: 3, Protocol: handle.TCP, Port: uint32(site(address).Handle)}},
	}}}
}

// The parent publishes the key of its child, so the walk from the root to the holder is
// signed at every step, and who changes something on the way is not believed, wherever he
// stands. Where delegations name no keys, he is: the control.
func TestCertifiedWalk(t *testing.T) {
	honest := func(*handle.Message) {}
	signed := func(got *atomic.Int32) func(*handle.Message) {
		return func(m *handle.Message) {
			if len(m.Credential) > 0 {
				got.Add(1)
			}
		}
	}
	forge := func(m *handle.Message) { m.Body = bytes.ReplaceAll(m.Body, []byte("maker"), []byte("faker")) }
	deny := func(m *handle.Message) {
		m.Code, m.Body, m.Flags = handle.NotFound, m.Body[:33], m.Flags&^handle.FlagAnswer
	}
	strip := func(change func(*handle.Message)) func(*handle.Message) {
		return func(m *handle.Message) {
			change(m)
			m.Credential, m.Flags = nil, m.Flags&^handle.FlagCertified
		}
	}
	const found = "found URL=https://maker.example/sn"
	var atSecondary, atEnterprise atomic.Int32
	for _, c := range []struct {
		name                  string
		secondary, enterprise func(*handle.Message)
		want, control         string
	}{
		{"everybody is honest", signed(&atSecondary), signed(&atEnterprise), found, found},
		{"a value is changed", honest, forge, "unavailable", "found URL=https://faker.example/sn"},
		{"a value is changed and the signature taken off", honest, strip(forge), "unavailable", "found URL=https://faker.example/sn"},
		{"the handle is denied", honest, deny, "unavailable", "absent"},
		{"the prefix is denied in the middle", deny, honest, "unavailable", "absent"},
		{"the prefix is denied in the middle and the signature taken off", strip(deny), honest, "unavailable", "absent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for keyed, want := range map[bool]string{true: c.want, false: c.control} {
				atSecondary.Store(0)
				atEnterprise.Store(0)
				w, err := handle.NewWalk(handle.WalkOptions{Roots: []*handle.Site{signedTree(t, keyed, c.secondary, c.enterprise)}, Transports: []handle.Transport{handle.TCP}})
				if err != nil {
					t.Fatal(err)
				}
				if got := ask(t, w, "88.118.8/sn", resolver.Query{}); got != want {
					t.Errorf("with keys %v: got %q; want %q", keyed, got, want)
				}
				if a, b := atSecondary.Load(), atEnterprise.Load(); c.want == found && (a > 0 != keyed || b > 0 != keyed) {
					t.Errorf("with keys %v: %d and %d answers are signed", keyed, a, b)
				}
			}
		})
	}
}
