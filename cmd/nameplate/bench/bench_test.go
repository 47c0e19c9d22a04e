//go:build linux

package bench

import (
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

func TestSeries(t *testing.T) {
	ours, theirs := series{4, 10, 6}, series{2, 4, 6}
	if got := ours.median(); got != 6 {
		t.Errorf("median: got %v, want 6", got)
	}
	l := ours.against(ours.line("x", "µs"), "nsd", theirs)
	// The ratios of the rounds are 2, 2.5 and 1: not that of the medians, 1.5.
	if l.Value != 6 || l.Min != 4 || l.Max != 10 || l.Rounds != 3 || *l.PeerValue != 4 || *l.Ratio != 2 {
		t.Errorf("got %+v, peer %v, ratio %v", l, *l.PeerValue, *l.Ratio)
	}
	if l = ours.against(ours.line("x", "µs"), "nsd", nil); !l.Absent || l.PeerValue != nil || l.Ratio != nil {
		t.Errorf("without the peer: got %+v", l)
	}
}

// The better of some peers is that of each round.
func TestLeast(t *testing.T) {
	got := series(nil).least(series{2, 4, 6}).least(series{3, 3, 3})
	if want := (series{2, 3, 3}); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRound(t *testing.T) {
	for v, want := range map[float64]float64{0: 0, 123456: 123500, 9.87654: 9.877, 0.00123456: 0.001235, 5000: 5000} {
		if got := round(v); got != want {
			t.Errorf("round(%v): got %v, want %v", v, got, want)
		}
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.add(time.Duration(i+1) * 10 * time.Microsecond)
	}
	for part, want := range map[float64]time.Duration{.5: 5 * time.Millisecond, .99: 9900 * time.Microsecond} {
		if got := h.quantile(part); got < want*98/100 || got > want*102/100 {
			t.Errorf("quantile %v: got %v, want about %v", part, got, want)
		}
	}
}

// A wrong answer is noticed, whatever is wrong with it.
func TestDiffers(t *testing.T) {
	d := data(10)
	q := d.queries()
	answer := func() *dns.Msg {
		var asked dns.Msg
		if err := asked.Unpack(q.packet(3)); err != nil {
			t.Fatal(err)
		}
		m := new(dns.Msg).SetReply(&asked)
		m.Authoritative = true
		m.Answer = []dns.RR{&dns.URI{
			Hdr:      dns.RR_Header{Name: asked.Question[0].Name, Rrtype: dns.TypeURI, Class: dns.ClassINET, Ttl: ttl},
			Priority: 1, Weight: 1, Target: d.link(3),
		}}
		return m
	}
	if why := d.links().differs(3, answer()); why != "" {
		t.Fatalf("a right answer: %s", why)
	}
	for name, spoil := range map[string]func(m *dns.Msg){
		"link":     func(m *dns.Msg) { m.Answer[0].(*dns.URI).Target = d.link(4) },
		"owner":    func(m *dns.Msg) { m.Answer[0].Header().Name = "x." + zoneName },
		"TTL":      func(m *dns.Msg) { m.Answer[0].Header().Ttl-- },
		"count":    func(m *dns.Msg) { m.Answer = append(m.Answer, m.Answer[0]) },
		"nothing":  func(m *dns.Msg) { m.Answer = nil },
		"question": func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeTXT },
		"AA":       func(m *dns.Msg) { m.Authoritative = false },
		"rcode":    func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure },
	} {
		m := answer()
		spoil(m)
		if d.links().differs(3, m) == "" {
			t.Errorf("a wrong %s is not noticed", name)
		}
	}
}

// What is asked for by hash has names that carry one, and questions of one length.
func TestLongNamesCarryHashes(t *testing.T) {
	d := data(100)
	long := d.long()
	for i := range long.count {
		if !identifier.HashNamed(long.id(i)) || identifier.HashNamed(d.id(i)) {
			t.Errorf("%s and %s: one name carries a hash, and the other none", long.id(i), d.id(i))
		}
	}
	if q := long.queries(); len(q.packets) != long.count*q.size {
		t.Errorf("%d questions have %d octets, the first %d", long.count, len(q.packets), q.size)
	}
}
