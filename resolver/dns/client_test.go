package dns_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/dns"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"

	wire "github.com/miekg/dns"
)

func checkFound(t *testing.T, client *dns.Client, n *resolvertest.Store, id identifier.ID) {
	t.Helper()
	got, err := client.Resolve(t.Context(), resolver.Query{ID: id})
	want, wantErr := authority(n).Resolve(t.Context(), resolver.Query{ID: id})
	if wantErr != nil {
		t.Fatal(wantErr)
	}
	if id.Suffix == "many" {
		// 75,000 octets do not fit any DNS message: no answer, rather than half of one.
		if e, ok := errors.AsType[*resolver.Error](err); !ok || e.Kind != resolver.Unavailable || !strings.Contains(err.Error(), "more values than fit") {
			t.Errorf("%v: got %v, %v; want unavailable", id, got, err)
		}
		return
	}
	if err != nil || got.Outcome != want.Outcome || !reflect.DeepEqual(got.Record, want.Record) && len(want.Record.Values) > 0 || !reflect.DeepEqual(got.Default, want.Default) {
		t.Errorf("%v: got %+v, %v; want %+v", id, got, err, want)
	}
}

// faker answers queries as a test tells it to, over UDP and TCP.
type faker struct {
	address  string
	udp, tcp atomic.Int32
	overUDP  func(q *wire.Msg) []*wire.Msg
	overTCP  func(q *wire.Msg) *wire.Msg
}

func fake(t *testing.T, f *faker) *faker {
	t.Helper()
	socket, listener := resolvertest.Listen(t)
	f.address = socket.LocalAddr().String()
	done := make(chan struct{}, 2)
	go func() {
		defer func() { done <- struct{}{} }()
		b := make([]byte, 4096)
		for {
			n, from, err := socket.ReadFrom(b)
			if err != nil {
				return
			}
			f.udp.Add(1)
			q := &wire.Msg{}
			if q.Unpack(b[:n]) != nil || f.overUDP == nil {
				continue
			}
			for _, m := range f.overUDP(q) {
				packed, err := m.Pack()
				if err != nil {
					t.Error(err)
				}
				socket.WriteTo(packed, from)
			}
		}
	}()
	go func() {
		defer func() { done <- struct{}{} }()
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			f.tcp.Add(1)
			f.speak(t, conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		socket.Close()
		listener.Close()
		<-done
		<-done
	})
	return f
}

func (f *faker) speak(t *testing.T, conn net.Conn) {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil || f.overTCP == nil {
		return
	}
	b := make([]byte, binary.BigEndian.Uint16(length[:]))
	q := &wire.Msg{}
	if _, err := io.ReadFull(conn, b); err != nil || q.Unpack(b) != nil {
		return
	}
	packed, err := f.overTCP(q).Pack()
	if err != nil {
		t.Error(err)
	}
	conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...))
}

// answerTo makes an authoritative answer with records written as in a zone file; @
// stands for the name asked for.
func answerTo(q *wire.Msg, answer, authority, additional []string) *wire.Msg {
	m := new(wire.Msg).SetReply(q)
	m.Authoritative = true
	m.Answer, m.Ns, m.Extra = records(q, answer), records(q, authority), records(q, additional)
	return m
}

func records(q *wire.Msg, texts []string) (rrs []wire.RR) {
	for _, text := range texts {
		rr, err := wire.NewRR(strings.ReplaceAll(text, "@", q.Question[0].Name))
		if err != nil {
			panic(err)
		}
		rrs = append(rrs, rr)
	}
	return rrs
}

const (
	headText  = `@ 60 IN TXT "nameplate=1" "id=88.118.8/sn-42" "version=3" "values=1"`
	valueText = `@ 60 IN TXT "value=1" "type=DESC" "ttl=60" "data=a pump"`
	zoneSOA   = `118.88.id.internal. 30 IN SOA ns. host. 1 1 1 1 20`
)

var item = identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}

// The client believes only what belongs to its question.
func TestClientBelieves(t *testing.T) {
	const unavailable = resolver.Outcome(0)
	set := func(change func(m *wire.Msg)) func(*wire.Msg) { return change }
	for _, c := range []struct {
		name                          string
		answer, authority, additional []string
		change                        func(*wire.Msg)
		want                          resolver.Outcome
	}{
		{"a record", []string{headText, valueText}, nil, nil, nil, resolver.Found},
		{"records in another order", []string{valueText, headText}, nil, nil, nil, resolver.Found},
		{"a record and more", []string{headText, valueText, `@ 60 IN TXT "later=1" "x"`, `@ 60 IN A 192.0.2.1`}, nil, nil, nil, resolver.Found},
		{"not authoritative", []string{headText, valueText}, nil, nil, set(func(m *wire.Msg) { m.Authoritative = false }), unavailable},
		{"another identifier", []string{strings.Replace(headText, "sn-42", "sn-43", 1), valueText}, nil, nil, nil, unavailable},
		{"another name", []string{strings.Replace(headText, "@", "sn-43._i.8.118.88.id.internal.", 1)}, nil, nil, nil, unavailable},
		{"another class", []string{strings.Replace(headText, " IN ", " CH ", 1)}, nil, nil, nil, unavailable},
		{"no head", []string{valueText}, nil, nil, nil, unavailable},
		{"two heads", []string{headText, strings.Replace(headText, "=3", "=4", 1), valueText}, nil, nil, nil, unavailable},
		{"a value missing", []string{headText}, nil, nil, nil, unavailable},
		{"a value twice", []string{headText, valueText, strings.Replace(valueText, "pump", "pipe", 1)}, nil, nil, nil, unavailable},
		{"a newer form", []string{strings.Replace(headText, "nameplate=1", "nameplate=2", 1), valueText}, nil, nil, nil, unavailable},
		{"no version", []string{strings.Replace(headText, "version=3", "version=0", 1), valueText}, nil, nil, nil, unavailable},
		{"a value without index", []string{headText, strings.Replace(valueText, "value=1", "value=0", 1)}, nil, nil, nil, unavailable},
		{"a TTL that is none", []string{headText, strings.Replace(valueText, "ttl=60", "ttl=-1", 1)}, nil, nil, nil, unavailable},
		{"text of somebody else", []string{`@ 60 IN TXT "v=spf1 -all"`}, nil, nil, nil, unavailable},
		{"a continuation of nothing", []string{`@ 60 IN TXT "+x"`, headText, valueText}, nil, nil, nil, unavailable},
		{"an alias", []string{`@ 60 IN CNAME sn-43._i.8.118.88.id.internal.`, strings.Replace(headText, "@", "sn-43._i.8.118.88.id.internal.", 1)}, nil, nil, nil, unavailable},

		{"NXDOMAIN", nil, []string{zoneSOA}, nil, set(func(m *wire.Msg) { m.Rcode = wire.RcodeNameError }), resolver.Absent},
		{"NODATA", nil, []string{zoneSOA}, nil, nil, resolver.Absent},
		{"NXDOMAIN without SOA", nil, nil, nil, set(func(m *wire.Msg) { m.Rcode = wire.RcodeNameError }), unavailable},
		{"SOA of another prefix", nil, []string{strings.Replace(zoneSOA, "118.88", "119.88", 1)}, nil, nil, unavailable},
		{"SOA of a prefix below", nil, []string{"1.8." + zoneSOA}, nil, nil, unavailable},
		{"SOA of another zone", nil, []string{strings.Replace(zoneSOA, "118.88.id.internal", "example", 1)}, nil, nil, unavailable},
		{"SOA of the identifier's own name", nil, []string{"sn-42._i.8." + zoneSOA}, nil, nil, unavailable},
		{"nothing", nil, nil, nil, nil, unavailable},
		{"REFUSED", nil, nil, nil, set(func(m *wire.Msg) { m.Rcode = wire.RcodeRefused }), resolver.Refused},
		{"SERVFAIL", nil, nil, nil, set(func(m *wire.Msg) { m.Rcode = wire.RcodeServerFailure }), unavailable},
		{"NOTIMP", nil, nil, nil, set(func(m *wire.Msg) { m.Rcode = wire.RcodeNotImplemented }), unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := fake(t, &faker{overUDP: func(q *wire.Msg) []*wire.Msg {
				m := answerTo(q, c.answer, c.authority, c.additional)
				if c.change != nil {
					c.change(m)
				}
				return []*wire.Msg{m}
			}})
			got, err := dns.NewClient(f.address, dns.ClientOptions{}).Resolve(t.Context(), resolver.Query{ID: item})
			if e, ok := errors.AsType[*resolver.Error](err); c.want == unavailable && (!ok || e.Kind != resolver.Unavailable) || c.want != unavailable && err != nil || got.Outcome != c.want {
				t.Errorf("got %+v, %v; want %v", got, err, c.want)
			}
			if c.want == resolver.Absent && got.Lifetime != 20*time.Second {
				t.Errorf("got lifetime %v; want the SOA's minimum, 20s", got.Lifetime)
			}
		})
	}
}

// A referral counts for one prefix above the identifier, with servers below it.
func TestClientReferral(t *testing.T) {
	node := func(name string, addresses ...identifier.Address) *identifier.Node {
		return &identifier.Node{Name: name, Addresses: addresses}
	}
	plain := func(ip string) identifier.Address { return identifier.Address{IP: ip, DNS: 53} }
	ns := []string{"118.88.id.internal. 200 IN NS n1._ns.118.88.id.internal."}
	for _, c := range []struct {
		name                  string
		authority, additional []string
		want                  *identifier.Node
	}{
		{"glue only", ns, []string{"n1._ns.118.88.id.internal. 300 IN A 192.0.2.1", "N1._NS.118.88.id.internal. 300 IN AAAA 2001:db8::1"}, node("n1", plain("192.0.2.1"), plain("2001:db8::1"))},
		{"no glue", ns, nil, node("n1")},
		{"glue of other names", ns, []string{"n2._ns.118.88.id.internal. 300 IN A 192.0.2.1", "ns.example. 300 IN A 192.0.2.2"}, node("n1")},
		{"SVCB", ns, []string{
			"n1._ns.118.88.id.internal. 300 IN A 192.0.2.9",
			`118.88.id.internal. 300 IN SVCB 2 n1._ns.118.88.id.internal. ipv6hint=2001:db8::1 key65280="443" key65281="x" key65290="later"`,
			`118.88.id.internal. 300 IN SVCB 1 n1._ns.118.88.id.internal. port=5300 ipv4hint=192.0.2.1`,
		}, node("n1", identifier.Address{IP: "192.0.2.1", DNS: 5300}, identifier.Address{IP: "2001:db8::1", GRPC: 443})},
		{"SVCB of others", ns, []string{
			`88.id.internal. 300 IN SVCB 1 n1._ns.118.88.id.internal. ipv4hint=192.0.2.1`,
			`118.88.id.internal. 300 IN SVCB 1 n2._ns.118.88.id.internal. ipv4hint=192.0.2.1`,
			`118.88.id.internal. 300 IN SVCB 0 n1._ns.118.88.id.internal.`,
			`118.88.id.internal. 300 IN SVCB 1 n1._ns.118.88.id.internal. port=53`,
			"n1._ns.118.88.id.internal. 300 IN A 192.0.2.9",
		}, node("n1", plain("192.0.2.9"))},
		{"of another prefix", []string{"119.88.id.internal. 300 IN NS n1._ns.119.88.id.internal."}, nil, nil},
		{"of a prefix below", []string{"1.8.118.88.id.internal. 300 IN NS n1._ns.1.8.118.88.id.internal."}, nil, nil},
		{"of the whole zone", []string{"id.internal. 300 IN NS n1._ns.id.internal."}, nil, nil},
		{"upward", []string{". 300 IN NS a.root-servers.net."}, nil, nil},
		{"of the identifier's own name", []string{"sn-42._i.8.118.88.id.internal. 300 IN NS n1._ns.118.88.id.internal."}, nil, nil},
		{"to a server elsewhere", []string{"118.88.id.internal. 300 IN NS ns.example."}, nil, nil},
		{"to a server of another prefix", []string{"118.88.id.internal. 300 IN NS n1._ns.119.88.id.internal."}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := fake(t, &faker{overUDP: func(q *wire.Msg) []*wire.Msg {
				m := answerTo(q, nil, c.authority, c.additional)
				m.Authoritative = false
				return []*wire.Msg{m}
			}})
			got, err := dns.NewClient(f.address, dns.ClientOptions{}).Resolve(t.Context(), resolver.Query{ID: item})
			if c.want == nil {
				if err == nil {
					t.Fatalf("got %+v; want no answer", got)
				}
				return
			}
			if err != nil || got.Outcome != resolver.Referral || got.Delegation.Prefix != "88.118" || !reflect.DeepEqual(got.Delegation.Node, c.want) || got.Lifetime != 200*time.Second {
				t.Errorf("got %+v, %+v, %v; want %+v for 200s", got, got.Delegation, err, c.want)
			}
		})
	}
}

// What does not repeat the question is not looked at, and does not end the wait.
func TestClientWaitsForItsAnswer(t *testing.T) {
	good := func(q *wire.Msg) *wire.Msg { return answerTo(q, []string{headText, valueText}, nil, nil) }
	forged := func(q *wire.Msg) *wire.Msg {
		return answerTo(q, nil, []string{zoneSOA}, nil)
	}
	f := fake(t, &faker{overUDP: func(q *wire.Msg) []*wire.Msg {
		var all []*wire.Msg
		for _, change := range []func(m *wire.Msg){
			func(m *wire.Msg) { m.Id++ },
			func(m *wire.Msg) { m.Response = false },
			func(m *wire.Msg) { m.Question[0].Name = "sn-43._i.8.118.88.id.internal." },
			func(m *wire.Msg) { m.Question[0].Qtype = wire.TypeURI },
			func(m *wire.Msg) { m.Question = append(m.Question, m.Question[0]) },
			func(m *wire.Msg) { m.Question = nil },
			func(m *wire.Msg) { m.Opcode = wire.OpcodeNotify },
			func(m *wire.Msg) { m.Question[0].Name = strings.ToUpper(m.Question[0].Name) },
		} {
			m := forged(q)
			change(m)
			all = append(all, m)
		}
		return append(all, good(q))
	}})
	got, err := dns.NewClient(f.address, dns.ClientOptions{}).Resolve(t.Context(), resolver.Query{ID: item})
	if err != nil || got.Outcome != resolver.Found || f.udp.Load() != 1 {
		t.Errorf("got %+v, %v after %d queries; want it found with the first", got, err, f.udp.Load())
	}
}

// Over TCP goes what is truncated, and what comes from a server that changes case.
func TestClientFallsBack(t *testing.T) {
	good := func(q *wire.Msg) *wire.Msg { return answerTo(q, []string{headText, valueText}, nil, nil) }
	for name, overUDP := range map[string]func(q *wire.Msg) []*wire.Msg{
		"truncated": func(q *wire.Msg) []*wire.Msg {
			m := new(wire.Msg).SetReply(q)
			m.Truncated = true
			return []*wire.Msg{m}
		},
		"lower case": func(q *wire.Msg) []*wire.Msg {
			m := good(q)
			m.Question[0].Name = strings.ToLower(m.Question[0].Name)
			return []*wire.Msg{m}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := fake(t, &faker{overUDP: overUDP, overTCP: func(q *wire.Msg) *wire.Msg {
				m := good(q)
				m.Question[0].Name = strings.ToLower(m.Question[0].Name)
				return m
			}})
			got, err := dns.NewClient(f.address, dns.ClientOptions{Timeout: 200 * time.Millisecond, Attempts: 1}).Resolve(t.Context(), resolver.Query{ID: item})
			if err != nil || got.Outcome != resolver.Found || f.tcp.Load() != 1 {
				t.Errorf("got %+v, %v, %d times over TCP; want it found over TCP", got, err, f.tcp.Load())
			}
		})
	}
}

// A silent server gets every attempt, each from another port; a refused one is
// unavailable at once.
func TestClientGivesUp(t *testing.T) {
	f := fake(t, &faker{})
	client := dns.NewClient(f.address, dns.ClientOptions{Timeout: 50 * time.Millisecond, Attempts: 4})
	_, err := client.Resolve(t.Context(), resolver.Query{ID: item})
	if e, ok := errors.AsType[*resolver.Error](err); !ok || e.Kind != resolver.Unavailable || f.udp.Load() != 4 {
		t.Errorf("got %v after %d attempts; want unavailable after 4", err, f.udp.Load())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := client.Resolve(ctx, resolver.Query{ID: item}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v; want the deadline", err)
	}
}

// Where a record is too large for a message, one link type may still fit.
func TestClientAsksForLinkType(t *testing.T) {
	f := fake(t, &faker{overUDP: func(q *wire.Msg) []*wire.Msg {
		if !strings.EqualFold(q.Question[0].Name, "_dpp.sn-42._i.8.118.88.id.internal.") {
			return []*wire.Msg{answerTo(q, []string{headText}, nil, nil)}
		}
		return []*wire.Msg{answerTo(q, []string{
			strings.Replace(headText, "values=1", "values=2", 1),
			`@ 60 IN TXT "value=7" "type=URL" "ttl=60" "rel=gs1:dpp" "data=https://dpp.example/"`,
			`@ 60 IN TXT "default=2" "type=URL" "ttl=60" "data=https://maker.example/"`,
		}, nil, nil)}
	}})
	got, err := dns.NewClient(f.address, dns.ClientOptions{}).Resolve(t.Context(), resolver.Query{ID: item, Relation: "https://gs1.org/voc/dpp"})
	if err != nil || len(got.Record.Values) != 1 || got.Record.Values[0].Index != 7 || got.Default == nil || got.Default.Index != 2 {
		t.Errorf("got %+v, %v; want value 7 and default link 2", got, err)
	}
}

func TestClientMalformed(t *testing.T) {
	hash := identifier.Hash{1}
	for _, q := range []resolver.Query{
		{}, {ID: identifier.ID{Suffix: "x"}}, {ID: identifier.ID{Prefix: "A"}}, {ID: identifier.ID{Prefix: "88", Suffix: "\x00"}}, {ID: item, SuffixHash: &hash},
	} {
		_, err := dns.NewClient("127.0.0.1:1", dns.ClientOptions{}).Resolve(t.Context(), q)
		if e, ok := errors.AsType[*resolver.Error](err); !ok || e.Kind != resolver.Malformed {
			t.Errorf("%v: got %v; want malformed", q, err)
		}
	}
}
