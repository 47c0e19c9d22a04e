package dns_test

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver/dns"

	wire "github.com/miekg/dns"
)

// pack returns the octets of a name written as text.
func pack(t testing.TB, name string) []byte {
	t.Helper()
	b := make([]byte, 300)
	n, err := wire.PackDomainName(wire.Fqdn(name), b, 0, nil, false)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b[:n]
}

// The vectors say what a name stands for (ok-) and which rule it breaks (bad-).
func TestNameVectors(t *testing.T) {
	files, err := filepath.Glob("../../testdata/vectors/dnsname/*.txt")
	if err != nil || len(files) < 50 {
		t.Fatalf("got %d vectors, %v; want 50 or more", len(files), err)
	}
	for _, file := range files {
		verdict := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(verdict, func(t *testing.T) {
			fields := readVector(t, file)
			n, err := defaultZone.Parse(pack(t, fields["name"]))
			switch {
			case strings.HasPrefix(verdict, "ok-"):
				if err != nil {
					t.Fatal(err)
				}
				checkName(t, n, fields)
			case fields["outside"] != "":
				if !errors.Is(err, dns.ErrOutside) {
					t.Fatalf("got %+v, %v; want outside", n, err)
				}
			default:
				broken, ok := errors.AsType[*identifier.SyntaxError](err)
				if !ok || !strings.Contains(broken.Error(), fields["rule"]) || broken.Mend == "" {
					t.Fatalf("got %+v, %v; want the rule %q", n, err, fields["rule"])
				}
				if n.Kind != dns.KindMalformed || string(n.ID.Prefix) != fields["prefix"] || n.ID.Suffix != "" {
					t.Errorf("got %+v; want malformed below %q", n, fields["prefix"])
				}
			}
		})
	}
}

func checkName(t *testing.T, n dns.Name, fields map[string]string) {
	t.Helper()
	kinds := map[string]dns.Kind{"identifier": dns.KindIdentifier, "hashed": dns.KindHashed, "above": dns.KindAbove, "servers": dns.KindServers, "server": dns.KindServer}
	want := dns.Name{Kind: kinds[fields["kind"]], Link: fields["link"], Server: fields["server"], Above: fields["above"] != ""}
	if text := fields["identifier"]; text != "" {
		var err error
		if want.ID, err = identifier.ParseCanonical(text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := hex.Decode(want.Hash[:], []byte(fields["hash"])); err != nil {
		t.Fatal(err)
	}
	if n != want {
		t.Errorf("got %+v; want %+v", n, want)
	}
}

// readVector reads the "key: value" lines of a file.
func readVector(t *testing.T, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); ok && !strings.HasPrefix(line, "#") {
			fields[key] = value
		}
	}
	return fields
}
