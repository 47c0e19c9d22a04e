package dns_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver/dns"

	wire "github.com/miekg/dns"
)

var update = flag.Bool("update", false, "write testdata/answers.txt anew: read it well before committing")

// testdata/answers.txt is a conversation with the node of store_test.go: for every
// rule the questions that show it and the whole answers. A line that begins with a
// question mark asks: name, type and options (+edns, +do, +rd, a size as +edns=512,
// +place for the option of our own client, a class as +class=CH).
func TestAnswers(t *testing.T) {
	const file = "testdata/answers.txt"
	script, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := dns.New(authority(node()), dns.Options{Node: thisNode, Peers: []identifier.Node{{Name: "east", Addresses: []identifier.Address{{IP: "192.0.2.2", DNS: 53}}}}})
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	asked := 0
	for line := range strings.Lines(string(script)) {
		switch {
		case strings.HasPrefix(line, "?"):
			asked++
			got.WriteString(line)
			got.WriteString(converse(t, s, strings.Fields(line)[1:]))
		case strings.HasPrefix(line, "#"), strings.TrimSpace(line) == "":
			got.WriteString(line)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if asked < 60 {
		t.Errorf("got %d questions; want 60 or more", asked)
	}
	gotLines, wantLines := strings.Split(got.String(), "\n"), strings.Split(string(script), "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			t.Fatalf("%s:%d:\ngot  %s\nwant %s", file, i+1, gotLines[i], wantLines[i])
		}
	}
	if len(gotLines) != len(wantLines) {
		t.Errorf("got %d lines; want %d", len(gotLines), len(wantLines))
	}
}

// converse asks one question and writes the answer as lines.
func converse(t *testing.T, s *dns.Server, question []string) string {
	t.Helper()
	m := query(t, question[0], wire.StringToType[question[1]])
	for _, option := range question[2:] {
		applyOption(t, m, option)
	}
	reply := ask(t, s, m)
	var b strings.Builder
	fmt.Fprintf(&b, "  %s%s\n", wire.RcodeToString[reply.Rcode], flags(reply))
	for _, section := range []struct {
		name string
		rrs  []wire.RR
	}{{"answer", reply.Answer}, {"authority", reply.Ns}, {"additional", reply.Extra}} {
		for _, rr := range section.rrs {
			if opt, ok := rr.(*wire.OPT); ok {
				b.WriteString(describe(opt))
				continue
			}
			fmt.Fprintf(&b, "  %s: %s\n", section.name, strings.ReplaceAll(rr.String(), "\t", " "))
		}
	}
	return b.String()
}

func applyOption(t *testing.T, m *wire.Msg, option string) {
	t.Helper()
	name, text, _ := strings.Cut(option, "=")
	switch name {
	case "+edns":
		size := uint16(4096)
		if text != "" {
			fmt.Sscan(text, &size)
		}
		m.SetEdns0(size, false)
	case "+do":
		m.SetEdns0(4096, true)
	case "+place":
		m.SetEdns0(4096, false)
		m.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_LOCAL{Code: 65353, Data: []byte{0}}}
	case "+rd":
		m.RecursionDesired = true
	case "+class":
		m.Question[0].Qclass = wire.StringToClass[text]
	default:
		t.Fatalf("unknown option %q", option)
	}
}

func flags(m *wire.Msg) string {
	var s string
	for _, f := range []struct {
		set  bool
		name string
	}{{m.Authoritative, " aa"}, {m.Truncated, " tc"}, {m.RecursionDesired, " rd"}, {m.RecursionAvailable, " ra"}, {m.AuthenticatedData, " ad"}} {
		if f.set {
			s += f.name
		}
	}
	return s
}

func describe(opt *wire.OPT) string {
	s := fmt.Sprintf("  edns: version %d, size %d", opt.Version(), opt.UDPSize())
	if opt.Do() {
		s += ", do"
	}
	for _, o := range opt.Option {
		switch o := o.(type) {
		case *wire.EDNS0_EDE:
			s += fmt.Sprintf(", EDE %d %q", o.InfoCode, o.ExtraText)
		case *wire.EDNS0_LOCAL:
			s += fmt.Sprintf(", option %d %x", o.Code, o.Data)
		}
	}
	return s + "\n"
}

func query(t testing.TB, name string, rrtype uint16) *wire.Msg {
	t.Helper()
	if rrtype == 0 {
		t.Fatalf("unknown type asked of %s", name)
	}
	m := &wire.Msg{}
	m.Id = 4711
	m.Question = []wire.Question{{Name: name, Qtype: rrtype, Qclass: wire.ClassINET}}
	return m
}

// ask sends a query as a datagram and checks what must hold for every answer.
func ask(t testing.TB, s *dns.Server, m *wire.Msg) *wire.Msg {
	t.Helper()
	packed, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	b := dns.Answer(t.Context(), s, packed)
	reply := &wire.Msg{}
	if err := reply.Unpack(b); err != nil {
		t.Fatalf("%v: the answer %x does not unpack: %v", m.Question, b, err)
	}
	limit := 512
	if opt := m.IsEdns0(); opt != nil {
		limit = min(max(512, int(opt.UDPSize())), 1232)
	}
	switch {
	case len(b) > limit:
		t.Errorf("%v: the answer has %d octets; want %d or fewer", m.Question, len(b), limit)
	case reply.Id != m.Id || !reply.Response || !slices.Equal(reply.Question, m.Question):
		t.Errorf("%v: the answer does not belong to the query: %v", m.Question, reply)
	case (reply.IsEdns0() != nil) != (m.IsEdns0() != nil):
		t.Errorf("%v: got OPT %v; want one exactly when asked with one", m.Question, reply.IsEdns0())
	}
	return reply
}
