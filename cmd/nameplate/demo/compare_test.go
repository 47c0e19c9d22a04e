package demo

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

func TestCompare(t *testing.T) {
	want := saying{spelling: "88.118.8/A-1", link: "https://maker.example/a", description: "Pump"}
	url := identifier.Value{Index: 1, Type: "URL", Data: []byte("https://maker.example/a")}
	desc := identifier.Value{Index: 101, Type: "DESC", Data: []byte("Pump")}
	found := func(spelling string, values ...identifier.Value) resolver.Answer {
		return resolver.Answer{Outcome: resolver.Found, Record: &identifier.Record{Spelling: spelling, Values: values}}
	}
	other := func(v identifier.Value, data string) identifier.Value { v.Data = []byte(data); return v }
	for _, test := range []struct {
		name   string
		answer resolver.Answer
		want   string // in the error; "" for none
	}{
		{"right", found("88.118.8/A-1", url, desc), ""},
		{"absent", resolver.Answer{Outcome: resolver.Absent}, "is absent, not found"},
		{"spelling", found("88.118.8/a-1", url, desc), `the spelling is "88.118.8/a-1"`},
		{"link", found("88.118.8/A-1", other(url, "https://maker.example/b"), desc), "the link is"},
		{"no link", found("88.118.8/A-1", desc), `the link is ""`},
		{"description", found("88.118.8/A-1", url, other(desc, "Valve")), `the description is "Valve"`},
		{"more", found("88.118.8/A-1", url, desc, identifier.Value{Index: 102, Type: "EMAIL"}), "has 3 values"},
	} {
		err := want.compare(&test.answer)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
}

// Every scheme has a holder that got its prefix, and its rows become identifiers
// below it, each its own.
func TestSchemes(t *testing.T) {
	delegated := map[string]string{}
	for _, h := range holders {
		for _, p := range h.prefixes {
			delegated[p] = h.name
		}
	}
	d := &demo{models: [][]string{{"Vendor", "A/b c(1)", "Ø pump"}, {"Vendor", "K-9'x:2", "Valve"}}}
	for i := range schemes {
		s := &schemes[i]
		if got := delegated[s.prefix]; got != s.holder {
			t.Errorf("%s: %s is delegated to %q, want %q", s.name, s.prefix, got, s.holder)
		}
		var rows [][]string
		switch s.name {
		case "GS1":
			rows = [][]string{{"09506000134352", "Brand", "Name", "1 l"}, {"00000000009102", "", "Raisins", ""}}
		case "OID":
			rows = d.numbered(4)
		default:
			rows = d.pieces(4)
		}
		seen := map[identifier.ID]bool{}
		for _, row := range rows {
			id, err := identifier.Parse(s.says(row).spelling)
			if err != nil {
				t.Errorf("%s: %v", s.name, err)
				continue
			}
			if !identifier.Prefix(s.prefix).Covers(id.Prefix) || seen[id] {
				t.Errorf("%s: %v is not below %s, or is there twice", s.name, id, s.prefix)
			}
			seen[id] = true
		}
	}
}

func TestRestricted(t *testing.T) {
	products := [][]string{
		{"00000000009102"}, // GTIN-8 00009102
		{"00000020000004"}, // GTIN-8 20000004
		{"00000040170725"}, // GTIN-8 that is not restricted
		{"00001234567895"}, // GTIN-12
	}
	if got := restricted(products); got != 2 {
		t.Errorf("%d restricted, want 2", got)
	}
}

func TestEscaped(t *testing.T) {
	if got, want := escaped("A/b c(1)~é%"), "A%2Fb%20c%281%29~%C3%A9%25"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Ports that somebody has are left to them.
func TestBusyPorts(t *testing.T) {
	l, err := net.Listen("tcp", usual.at(usual.grpc))
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	p, err := findPlace()
	if err != nil {
		t.Fatal(err)
	}
	if p.host != usual.host || p.grpc == usual.grpc || p.grpc == 0 || p.dns == 0 || p.http == 0 {
		t.Errorf("found %+v, want free ports on %s", p, usual.host)
	}
}

func TestQuantile(t *testing.T) {
	a := &asked{}
	if got := a.quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for n := 1; n <= 101; n++ {
		a.took = append(a.took, time.Duration(n))
	}
	if half, most := a.quantile(0.5), a.quantile(0.99); half != 51 || most != 100 {
		t.Errorf("got %d and %d, want 51 and 100", half, most)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 126000: "126,000", 1234567: "1,234,567"} {
		if got := count(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
