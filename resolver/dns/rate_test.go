package dns_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/dns"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"

	wire "github.com/miekg/dns"
)

// Who may be answered when.
func TestRates(t *testing.T) {
	allows := dns.Rates(100)
	count := func(address string, at time.Duration, n int) (allowed int) {
		for range n {
			if allows(netip.MustParseAddr(address), at) {
				allowed++
			}
		}
		return allowed
	}
	for _, c := range []struct {
		address string
		at      time.Duration
		want    int // of a thousand
	}{
		{"192.0.2.1", 0, 251},                         // two and a half seconds at once
		{"192.0.2.77", 0, 0},                          // of the same network
		{"::ffff:192.0.2.9", 0, 0},                    // that too
		{"192.0.3.1", 0, 251},                         // of another
		{"192.0.2.1", time.Second, 100},               // a second later
		{"192.0.2.1", time.Hour, 251},                 // as if it had never been here
		{"2001:db8::1", 0, 251},                       //
		{"2001:db8:0:ff::1", 0, 0},                    // of the same /56
		{"2001:db8:0:100::1", 0, 251},                 // of another
		{"2001:db8::1", 10 * time.Millisecond, 1},     //
		{"192.0.2.1", time.Hour + time.Second/10, 10}, //
	} {
		if got := count(c.address, c.at, 1000); got != c.want {
			t.Errorf("%s after %v: got %d of 1000 answers; want %d", c.address, c.at, got, c.want)
		}
	}
}

// However many networks there are, each gets its rate, and an honest one too.
func TestRatesOfManyNetworks(t *testing.T) {
	allows := dns.Rates(10)
	for i := range uint32(200_000) {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], i<<8|1)
		if !allows(netip.AddrFrom4(b), time.Second) {
			t.Fatalf("the first question of network %d got no answer", i)
		}
	}
	for range 100 {
		if allows(netip.MustParseAddr("203.0.113.1"), 2*time.Second) {
			continue
		}
		return
	}
	t.Error("a hundred answers at once, where 26 are allowed")
}

// A flood from one network gets no more octets than it sent, but for the first moment;
// TCP still answers. Without a rate everything is answered.
func TestRateOverUDP(t *testing.T) {
	s := node()
	a := resolver.NewAuthority(resolvertest.NewLender(s), resolver.Options{Node: thisKey})
	const flood = 2000
	for _, rate := range []int{0, 20} {
		for _, atOnce := range []bool{false, true} {
			t.Run(fmt.Sprintf("rate %d, at once %v", rate, atOnce), func(t *testing.T) {
				address, server := serve(t, a, dns.Options{Node: thisNode, AtOnce: atOnce, Records: a, Rate: rate})
				conn, err := net.Dial("udp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				q, err := query(t, "sn-42._i.8.118.88.id.internal.", wire.TypeURI).Pack()
				if err != nil {
					t.Fatal(err)
				}
				whole, truncated := 0, 0
				var b [4096]byte
				for range flood {
					limited := server.Stats().Limited
					if _, err := conn.Write(q); err != nil {
						t.Fatal(err)
					}
					n := 0
					for n == 0 && server.Stats().Limited == limited {
						conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
						n, _ = conn.Read(b[:])
					}
					if n == 0 { // limited: TC, or nothing
						conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
						n, _ = conn.Read(b[:])
					}
					switch {
					case n == 0:
					case b[2]&0x02 == 0:
						whole++
					default:
						if truncated++; n > len(q) {
							t.Fatalf("a truncated answer has %d octets, the question %d", n, len(q))
						}
					}
					if truncated >= 3 || rate == 0 && whole >= 100 {
						break
					}
				}
				if limited := server.Stats().Limited; rate == 0 && (limited > 0 || truncated > 0) || rate > 0 && (limited == 0 || truncated == 0) {
					t.Errorf("got %d answers, %d truncated, %d limited", whole, truncated, limited)
				}
				m := query(t, "sn-42._i.8.118.88.id.internal.", wire.TypeURI)
				answer, _, err := (&wire.Client{Net: "tcp", Timeout: 10 * time.Second}).Exchange(m, address)
				if err != nil || len(answer.Answer) == 0 {
					t.Errorf("over TCP: got %v, %v; want the answer", answer, err)
				}
			})
		}
	}
}
