package node

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Plain questions are answered from the registry's stored octets and count as answers
// like all others; which way a question took is told.
func TestPlainQuestionsAreCounted(t *testing.T) {
	n, _ := began(t, func(c *Config) { c.Name = "top" })
	id := identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}
	register(t, n.registry, ownPrefix(t, n, id.Prefix), id)
	ask := func(name string, rrtype uint16, answers int) {
		t.Helper()
		m := &dns.Msg{}
		m.SetQuestion(name, rrtype)
		a, err := dns.Exchange(m, n.Addresses().DNS[0])
		if err != nil || len(a.Answer) != answers {
			t.Fatalf("%s: got %v, %v; want %d answers", name, a, err, answers)
		}
	}
	for range 3 {
		ask("sn-42._i.8.118.88.id.internal.", dns.TypeURI, 1)
	}
	ask("SN-42._i.8.118.88.id.internal.", dns.TypeTXT, 2)
	ask("no._i.8.118.88.id.internal.", dns.TypeURI, 0)
	ask("outside.example.", dns.TypeURI, 0)
	ask(strings.Repeat("0", 51)+"g._h.8.118.88.id.internal.", dns.TypeURI, 0)
	page := metricsOf(t, n.Addresses().HTTP[0])
	for _, line := range []string{
		`nameplate_dns_datagrams_total{path="plain"} 6`, `nameplate_dns_datagrams_total{path="full"} 1`, `nameplate_dns_hashed_total 1`,
		`nameplate_answers_total{outcome="found",protocol="dns"} 4`, `nameplate_answers_total{outcome="absent",protocol="dns"} 2`,
	} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("/metrics has no line %s", line)
		}
	}
}
