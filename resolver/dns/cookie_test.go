package dns_test

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/dns"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"

	wire "github.com/miekg/dns"
)

// The vectors of the makers of SipHash: 0, 1, 2, … octets under the key 00 01 … 0f.
func TestSipHash(t *testing.T) {
	var key [16]byte
	var message []byte
	for i := range key {
		key[i] = byte(i)
	}
	for n, want := range map[int]uint64{
		0: 0x726fdb47dd0e0e31, 1: 0x74f839c593dc67fd, 7: 0xab0200f58b01d137, 8: 0x93f5f5799a932462, 15: 0xa129ca6149be45e5, 63: 0x958a324ceb064572,
	} {
		message = message[:0]
		for i := range n {
			message = append(message, byte(i))
		}
		if got := dns.SipHash(&key, message); got != want {
			t.Errorf("%d octets: got %016x; want %016x", n, got, want)
		}
	}
}

// withCookie returns a query with a cookie, in hexadecimal digits.
func withCookie(t testing.TB, cookie string) *wire.Msg {
	m := query(t, "sn-42._i.8.118.88.id.internal.", wire.TypeURI)
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_COOKIE{Code: wire.EDNS0COOKIE, Cookie: cookie}}
	return m
}

// cookieOf returns the cookie of an answer; empty for none.
func cookieOf(m *wire.Msg) string {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if c, ok := o.(*wire.EDNS0_COOKIE); ok {
				return c.Cookie
			}
		}
	}
	return ""
}

func packedMessage(t testing.TB, m *wire.Msg) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unpacked(t testing.TB, b []byte) *wire.Msg {
	t.Helper()
	m := new(wire.Msg)
	if err := m.Unpack(b); err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	return m
}

// The vectors of RFC 9018, appendix A, and what is neither fresh nor good.
func TestCookies(t *testing.T) {
	const first, second = "e5e973e5a6b2a43f48e7dc849e37bfcf", "445536bcd2513298075a5d379663c962"
	for _, c := range []struct {
		what, secret, from string
		at                 int64
		cookie, want       string
	}{
		{"learning", first, "198.51.100.100", 1559731985, "2464c4abcf10c957", "2464c4abcf10c957010000005cf79f111f8130c3eee29480"},
		{"the same again", first, "198.51.100.100", 1559731985 + 1799, "2464c4abcf10c957010000005cf79f111f8130c3eee29480", "2464c4abcf10c957010000005cf79f111f8130c3eee29480"},
		{"renewing", first, "198.51.100.100", 1559734385, "2464c4abcf10c957010000005cf79f111f8130c3eee29480", "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"},
		{"another client, reserved octets", first, "203.0.113.203", 1559727985 + 300, "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5"},
		{"that one renewing", first, "203.0.113.203", 1559734700, "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"},
		{"IPv6, a new secret", second, "2001:db8:220:1:59de:d0f4:8769:82b8", 1559741961, "22681ab97d52c298010000005cf7c57926556bd0934c72f8", "22681ab97d52c298010000005cf7c609a6bb79d16625507a"},
		{"IPv4 as IPv6", first, "::ffff:198.51.100.100", 1559731985, "2464c4abcf10c957", "2464c4abcf10c957010000005cf79f111f8130c3eee29480"},
	} {
		server, err := dns.New(authority(node()), dns.Options{Node: thisNode, CookieSecret: c.secret})
		if err != nil {
			t.Fatal(err)
		}
		dns.SetTime(server, time.Unix(c.at, 0))
		answer := unpacked(t, server.Datagram(t.Context(), packedMessage(t, withCookie(t, c.cookie)), netip.MustParseAddr(c.from)))
		if got := cookieOf(answer); got != c.want || answer.Rcode != wire.RcodeSuccess || len(answer.Answer) == 0 {
			t.Errorf("%s: got %s, %v; want %s and the answer", c.what, got, answer, c.want)
		}
	}
}

// Which cookies are good: shown by a query for nothing but a cookie, which says so (RFC
// 7873, section 5.4).
func TestGoodCookies(t *testing.T) {
	server, err := dns.New(authority(node()), dns.Options{Node: thisNode})
	if err != nil {
		t.Fatal(err)
	}
	const at = 1_800_000_000
	from, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	ask := func(cookie string, seconds int64, from netip.Addr) *wire.Msg {
		dns.SetTime(server, time.Unix(at+seconds, 0))
		m := withCookie(t, cookie)
		m.Question = nil
		return unpacked(t, server.Datagram(t.Context(), packedMessage(t, m), from))
	}
	const client = "0102030405060708"
	first := ask(client, 0, from)
	good := cookieOf(first)
	if first.Rcode != wire.RcodeSuccess || len(first.Question) > 0 || len(good) != 48 {
		t.Fatalf("got %v; want a cookie and nothing else", first)
	}
	for _, c := range []struct {
		what, cookie string
		seconds      int64
		from         netip.Addr
		want         bool
	}{
		{"at once", good, 0, from, true},
		{"after an hour", good, 3600, from, true},
		{"after more than an hour", good, 3601, from, false},
		{"from a future not far", good, -300, from, true},
		{"from a far future", good, -301, from, false},
		{"from another address", good, 0, other, false},
		{"of another client cookie", "0102030405060709" + good[16:], 0, from, false},
		{"of another version", good[:16] + "02" + good[18:], 0, from, false},
		{"with other reserved octets", good[:18] + "000001" + good[24:], 0, from, false},
		{"of another time", good[:30] + "ff" + good[32:], 0, from, false},
		{"of another hash", good[:46] + "00", 0, from, good[46:] == "00"},
		{"shorter", good[:32], 0, from, false},
		{"longer", good + "00", 0, from, false},
	} {
		answer := ask(c.cookie, c.seconds, c.from)
		if got := answer.Rcode == wire.RcodeSuccess; got != c.want || !got && answer.Rcode != wire.RcodeBadCookie {
			t.Errorf("%s: got %v; want good %v", c.what, answer, c.want)
		}
		if renewed := ask(cookieOf(answer), c.seconds, c.from); renewed.Rcode != wire.RcodeSuccess {
			t.Errorf("%s: the cookie that came back is not good", c.what)
		}
	}
	// Options that are no cookies are no message; no cookie is no question.
	for _, option := range []string{"", "01", "01020304050607", "010203040506070809", hex.EncodeToString(make([]byte, 41))} {
		m := withCookie(t, "0102030405060708")
		data, _ := hex.DecodeString(option)
		m.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_LOCAL{Code: wire.EDNS0COOKIE, Data: data}}
		b := dns.Answer(t.Context(), server, packedMessage(t, m))
		if len(b) < 4 || b[3]&0xf != wire.RcodeFormatError {
			t.Errorf("a cookie of %d octets: got %x; want FORMERR", len(data), b)
		}
	}
	m := withCookie(t, client)
	m.Question, m.IsEdns0().Option = nil, nil
	if b := dns.Answer(t.Context(), server, packedMessage(t, m)); len(b) < 4 || b[3]&0xf != wire.RcodeFormatError {
		t.Errorf("no question and no cookie: got %x; want FORMERR", b)
	}
}

// Over UDP, both ways, and over TCP there is a cookie for who sent one, and none for others.
func TestCookiesOnTheWire(t *testing.T) {
	a := resolver.NewAuthority(resolvertest.NewLender(node()), resolver.Options{Node: thisKey})
	for _, atOnce := range []bool{false, true} {
		address, _ := serve(t, a, dns.Options{Node: thisNode, AtOnce: atOnce, Records: a})
		cookie := "0102030405060708"
		for _, network := range []string{"udp", "tcp", "udp"} {
			for _, name := range []string{"sn-42._i.8.118.88.id.internal.", "id.internal.", "absent._i.8.118.88.id.internal."} { // plain and not
				m := withCookie(t, cookie)
				m.Question[0].Name = name
				answer, _, err := (&wire.Client{Net: network, Timeout: 10 * time.Second}).Exchange(m, address)
				if err != nil {
					t.Fatal(err)
				}
				got := cookieOf(answer)
				if len(got) != 48 || got[:16] != cookie[:16] || len(cookie) > 16 && got != cookie {
					t.Errorf("%s, %s: got the cookie %s for %s; want that, whole", network, name, got, cookie)
				}
				cookie = got
			}
			m := withCookie(t, "0102030405060708")
			m.IsEdns0().Option = nil
			if answer, _, err := (&wire.Client{Net: network, Timeout: 10 * time.Second}).Exchange(m, address); err != nil || cookieOf(answer) != "" {
				t.Errorf("%s: got %v, %v; want no cookie for who sent none", network, answer, err)
			}
		}
	}
}

// Who has a good cookie is answered whatever the rate; who has none, or a wrong one, is not.
func TestCookiesSpareTheRate(t *testing.T) {
	a := resolver.NewAuthority(resolvertest.NewLender(node()), resolver.Options{Node: thisKey})
	for _, atOnce := range []bool{false, true} {
		address, server := serve(t, a, dns.Options{Node: thisNode, AtOnce: atOnce, Records: a, Rate: 1})
		conn, err := net.Dial("udp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var b [4096]byte
		// exchange returns the answer; nil when none comes.
		exchange := func(cookie string) *wire.Msg {
			limited := server.Stats().Limited
			if _, err := conn.Write(packedMessage(t, withCookie(t, cookie))); err != nil {
				t.Fatal(err)
			}
			for {
				conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
				if n, err := conn.Read(b[:]); err == nil {
					return unpacked(t, b[:n])
				}
				if server.Stats().Limited > limited {
					return nil
				}
			}
		}
		const client = "0102030405060708"
		cookie := cookieOf(exchange(client))
		for range 1000 { // until the network has had what it may have; TC brings a cookie, too
			answer := exchange(client)
			if answer == nil {
				break
			}
			if answer.Truncated && cookieOf(answer) != cookie {
				t.Fatalf("got %v; want TC with the cookie %s", answer, cookie)
			}
		}
		spared := server.Stats().Limited
		for range 100 {
			if answer := exchange(cookie); answer == nil || answer.Truncated {
				t.Fatalf("at once %v: got %v with a good cookie; want the answer", atOnce, answer)
			}
		}
		if got := server.Stats().Limited; got != spared {
			t.Errorf("at once %v: %d queries with a good cookie were limited", atOnce, got-spared)
		}
		whole := 0
		for range 20 {
			if answer := exchange(cookie[:46] + "00"); answer != nil && !answer.Truncated {
				whole++
			}
		}
		if whole > 5 && cookie[46:] != "00" {
			t.Errorf("at once %v: %d of 20 queries with a wrong cookie were answered", atOnce, whole)
		}
	}
}

// A secret of a server's own makes cookies for a day, and those that it made are good for an
// hour longer, but not what is made with it after that. One that is configured stays.
func TestSecretsRollOver(t *testing.T) {
	for _, configured := range []string{"", "e5e973e5a6b2a43f48e7dc849e37bfcf"} {
		synctest.Test(t, func(t *testing.T) {
			server, err := dns.New(authority(node()), dns.Options{Node: thisNode, CookieSecret: configured})
			if err != nil {
				t.Fatal(err)
			}
			client := []byte{1, 2, 3, 4, 5, 6, 7, 8}
			ask := func(cookie []byte) (good bool, now string) {
				m := withCookie(t, hex.EncodeToString(cookie))
				m.Question = nil
				answer := unpacked(t, dns.Answer(t.Context(), server, packedMessage(t, m)))
				return answer.Rcode == wire.RcodeSuccess, cookieOf(answer)
			}
			first := dns.CookieMaker(server)
			made := func() []byte { whole := first(client); return whole[:] }
			time.Sleep(24*time.Hour - time.Second)
			last := made()
			if good, now := ask(client); !good || now != hex.EncodeToString(last) {
				t.Fatalf("got %s a day after the start; want %x, which the first secret makes", now, last)
			}
			time.Sleep(time.Second)
			rolls := configured == ""
			if _, now := ask(client); (now != hex.EncodeToString(made())) != rolls {
				t.Errorf("got %s after a day; want one of another secret: %t", now, rolls)
			}
			time.Sleep(29 * time.Minute)
			if good, now := ask(last); !good || now != hex.EncodeToString(last) {
				t.Errorf("got good %t and %s; want the cookie of the secret before, as long as it is fresh", good, now)
			}
			time.Sleep(2 * time.Minute)
			good, now := ask(last)
			if !good || (now == hex.EncodeToString(made())) == rolls {
				t.Errorf("got good %t and %s; want the cookie replaced, by another secret: %t", good, now, rolls)
			}
			time.Sleep(29*time.Minute - time.Second)
			if good, _ := ask(last); !good {
				t.Error("a cookie that was made before a rollover is not good for an hour")
			}
			if good, _ := ask(made()); !good {
				t.Error("the secret before is not good for an hour")
			}
			time.Sleep(2 * time.Second)
			if good, _ := ask(made()); good == rolls {
				t.Errorf("a new cookie of the secret before is good %t, more than an hour later; want that %t", good, !rolls)
			}
			// Nobody asks for days: nothing of before is good.
			second := dns.CookieMaker(server)
			time.Sleep(100 * time.Hour)
			whole := second(client)
			if good, _ := ask(whole[:]); good == rolls {
				t.Errorf("a secret that was not used for days is good %t; want %t", good, !rolls)
			}
		})
	}
}

// What has several secrets makes cookies with the first and takes those of all: the stages in
// which servers behind one address change theirs (RFC 9018, section 5).
func TestSecretsOfSeveralServers(t *testing.T) {
	const before, after = "e5e973e5a6b2a43f48e7dc849e37bfcf", "445536bcd2513298075a5d379663c962"
	at := time.Unix(1_800_000_000, 0)
	from := netip.MustParseAddr("192.0.2.1")
	ask := func(secrets, cookie string) (good bool, now string) {
		server, err := dns.New(authority(node()), dns.Options{Node: thisNode, CookieSecret: secrets})
		if err != nil {
			t.Fatal(err)
		}
		dns.SetTime(server, at)
		m := withCookie(t, cookie)
		m.Question = nil
		answer := unpacked(t, server.Datagram(t.Context(), packedMessage(t, m), from))
		return answer.Rcode == wire.RcodeSuccess, cookieOf(answer)
	}
	stages := []string{before, before + "," + after, after + ", " + before, after}
	const client = "0102030405060708"
	cookies := make([]string, len(stages))
	for i, secrets := range stages {
		_, cookies[i] = ask(secrets, client)
	}
	if cookies[0] != cookies[1] || cookies[2] != cookies[3] || cookies[1] == cookies[2] {
		t.Errorf("got %q; want the second half made with another secret", cookies)
	}
	// One server may be a stage ahead of another.
	for i := range stages {
		for _, other := range []int{i - 1, i, i + 1} {
			if other < 0 || other == len(stages) {
				continue
			}
			if good, now := ask(stages[i], cookies[other]); !good || now != cookies[other] {
				t.Errorf("a server in stage %d: got good %t and %s for a cookie of stage %d; want it good and kept", i, good, now, other)
			}
		}
	}
	if good, _ := ask(before, cookies[3]); good {
		t.Error("a secret is taken that the server does not have")
	}
}

func TestCookieSecret(t *testing.T) {
	for _, secret := range []string{
		",", "e5e973e5a6b2a43f48e7dc849e37bfcf,", strings.Repeat("e5e973e5a6b2a43f48e7dc849e37bfcf,", 3) + "e5e973e5a6b2a43f48e7dc849e37bfcf",
		"e5e973", "e5e973e5a6b2a43f48e7dc849e37bfcfff", "zze973e5a6b2a43f48e7dc849e37bfcf"} {
		if _, err := dns.New(authority(node()), dns.Options{Node: thisNode, CookieSecret: secret}); err == nil {
			t.Errorf("%q is taken; want an error", secret)
		}
	}
}
