package main

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// toyRoot is a root server that delegates id.internal to the top-level nodes, and keeps
// what it was asked.
type toyRoot struct {
	soa, ns   dns.RR
	address   dns.RR
	cut, glue []dns.RR

	mu    sync.Mutex
	asked []string
}

func startRoot(t *testing.T, tops []string) *toyRoot {
	t.Helper()
	r := &toyRoot{
		soa:     record(t, ". 3600 SOA a.root. nobody.root. 1 1800 900 604800 30"),
		ns:      record(t, ". 3600 NS a.root."),
		address: record(t, "a.root. 3600 A "+rootServer),
	}
	for i, address := range tops {
		name := fmt.Sprintf("%s._ns.id.internal.", topNames[i])
		r.cut = append(r.cut, record(t, "id.internal. 300 NS "+name))
		r.glue = append(r.glue, record(t, name+" 300 A "+address))
	}
	udp, err := net.ListenPacket("udp", rootServer+":53")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", rootServer+":53")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: r}, {Listener: tcp, Handler: r}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return r
}

func record(t *testing.T, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

// ServeDNS implements [dns.Handler].
func (r *toyRoot) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	question := q.Question[0]
	name := strings.ToLower(question.Name)
	r.mu.Lock()
	r.asked = append(r.asked, name)
	r.mu.Unlock()
	is := func(rrtype uint16) bool { return question.Qtype == rrtype }
	m.Authoritative = true
	switch {
	case name == "id.internal." && is(dns.TypeDS):
	case dns.IsSubDomain("id.internal.", name):
		m.Authoritative, m.Ns, m.Extra = false, r.cut, r.glue
	case name == "." && is(dns.TypeNS):
		m.Answer, m.Extra = []dns.RR{r.ns}, []dns.RR{r.address}
	case name == "." && is(dns.TypeSOA):
		m.Answer = []dns.RR{r.soa}
	case name == "a.root." && is(dns.TypeA):
		m.Answer = []dns.RR{r.address}
	case name == ".", name == "root.", name == "a.root.", name == "internal.":
	default:
		m.Rcode = dns.RcodeNameError
	}
	if m.Authoritative && len(m.Answer) == 0 {
		m.Ns = []dns.RR{r.soa}
	}
	_ = w.WriteMsg(m)
}

// heard returns the names that the root was asked for since it was last called, each
// once.
func (r *toyRoot) heard() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.asked = nil }()
	names := slices.Sorted(slices.Values(r.asked))
	return slices.Compact(names)
}
