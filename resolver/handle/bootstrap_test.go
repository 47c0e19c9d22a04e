package handle_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver/handle"
)

func siteAt(ip string, port uint32) *handle.Site {
	s := handle.SiteServer{ID: 1, Interfaces: []handle.Interface{{Kind: 3, Protocol: handle.TCP, Port: port}, {Kind: 2, Protocol: handle.UDP, Port: port}}}
	if a := netip.MustParseAddr(ip); a.Is4() {
		four := a.As4()
		copy(s.Address[12:], four[:])
	} else {
		s.Address = a.As16()
	}
	return &handle.Site{Format: 1, Version: handle.Version{Major: 2, Minor: 11}, Serial: 1, Primary: true, Hash: handle.HashWhole,
		Attributes: []handle.Attribute{{Name: "desc", Value: "east"}}, Servers: []handle.SiteServer{s}}
}

// The file, octet by octet.
func TestBootstrapFile(t *testing.T) {
	b := handle.NewBootstrap([]*handle.Site{siteAt("192.0.2.1", 2641), siteAt("2001:db8::1", 2641)}, time.UnixMilli(1_700_000_000_000))
	got, err := b.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	path := "testdata/bootstrap_handles"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %s\nwant %s", got, want)
	}
	again, err := handle.ParseBootstrap(got)
	if err != nil || !reflect.DeepEqual(again.Roots(), b.Roots()) || !again.Updated.Equal(b.Updated) {
		t.Errorf("got %+v, %v; want what was written", again, err)
	}
}

// What stock software writes: sites as JSON, services that lead on, records of keys.
func TestBootstrapOfStockSoftware(t *testing.T) {
	text, err := os.ReadFile("testdata/bootstrap_handles.stock")
	if err != nil {
		t.Fatal(err)
	}
	b, err := handle.ParseBootstrap(text)
	if err != nil {
		t.Fatal(err)
	}
	roots := b.Roots()
	if len(roots) != 2 {
		t.Fatalf("got %d sites; want the one of the root and the one of its service", len(roots))
	}
	s := roots[1]
	if s.Hash != handle.HashSuffix || !s.MultiPrimary || s.Serial != 7 || s.Version != (handle.Version{Major: 2, Minor: 10}) || len(s.Servers) != 2 {
		t.Errorf("got %+v; want what the file says", s)
	}
	if ip := s.Servers[1].IP(); ip != netip.MustParseAddr("2001:db8::7") {
		t.Errorf("got %v; want the address of the second server", ip)
	}
	want := []handle.Interface{{Kind: 2, Protocol: handle.UDP, Port: 2641}, {Kind: 3, Protocol: handle.TCP, Port: 2641}, {Kind: 3, Protocol: handle.HTTP, Port: 8000}}
	if got := s.Servers[0].Interfaces; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v; want %+v", got, want)
	}
}

// Data is read in every form in which stock software writes octets.
func TestBootstrapOfOctets(t *testing.T) {
	data := siteAt("192.0.2.1", 2641).Append(nil)
	for format, value := range map[string]string{"hex": hex.EncodeToString(data), "base64": base64.StdEncoding.EncodeToString(data)} {
		text := fmt.Sprintf(`{"handles":{"0.NA/0.NA":{"values":[{"index":1,"type":"HS_SITE","data":{"format":%q,"value":%q}}]}}}`, format, value)
		b, err := handle.ParseBootstrap([]byte(text))
		if err != nil || len(b.Roots()) != 1 || !bytes.Equal(b.Roots()[0].Append(nil), data) {
			t.Errorf("%s: got %+v, %v; want the site", format, b, err)
		}
		if _, err := handle.ParseBootstrap([]byte(strings.Replace(text, `"value":"`, `"value":"!`, 1))); err == nil {
			t.Errorf("%s that is none is read", format)
		}
	}
}

func TestBootstrapThatIsNone(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":            {"", "no bootstrap file"},
		"no JSON":          {"\x00\x00\x00\x02", "no bootstrap file"},
		"no handles":       {`{"lastUpdate":1}`, "1 to 256 handles"},
		"no root":          {`{"handles":{"0.NA/1":{"values":[]}}}`, "nowhere to begin"},
		"no site":          {`{"handles":{"0.NA/0.NA":{"values":[{"index":1,"type":"URL","data":"x"}]}}}`, "nowhere to begin"},
		"no data":          {`{"handles":{"0.NA/0.NA":{"values":[{"index":1,"type":"HS_SITE","data":7}]}}}`, "a format and a value"},
		"an odd format":    {`{"handles":{"0.NA/0.NA":{"values":[{"index":1,"type":"HS_SITE","data":{"format":"x","value":"y"}}]}}}`, `format "x"`},
		"a broken address": {`{"handles":{"0.NA/0.NA":{"values":[{"index":1,"type":"HS_SITE","data":{"format":"site","value":{"servers":[{"serverId":3,"address":"nowhere"}]}}}]}}}`, "address of server 3"},
		"too large a port": {`{"handles":{"0.NA/0.NA":{"values":[{"index":1,"type":"HS_SITE","data":{"format":"site","value":{"servers":[{"address":"192.0.2.1","interfaces":[{"port":70000}]}]}}}]}}}`, "port 70000"},
		"too long":         {strings.Repeat(" ", handle.MaxBootstrap+1), "at most 1048576 octets"},
	} {
		if _, err := handle.ParseBootstrap([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v; want an error with %q", name, err, c.want)
		}
	}
}

// Services that lead in a circle end.
func TestBootstrapInACircle(t *testing.T) {
	b := handle.NewBootstrap([]*handle.Site{siteAt("192.0.2.1", 2641)}, time.Time{})
	b.Handles[handle.RootHandle] = append(b.Handles[handle.RootHandle], valueOf("HS_SERV", "0.na/a"))
	b.Handles["0.NA/A"] = []identifier.Value{valueOf("HS_SERV", "0.NA/0.NA"), valueOf("HS_SERV", "0.NA/B")}
	if n := len(b.Roots()); n != 1 {
		t.Errorf("got %d sites; want 1", n)
	}
}

func TestBootstrapRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sites []*handle.Site
		for range rapid.IntRange(1, 5).Draw(t, "sites") {
			ip := rapid.SampledFrom([]string{"192.0.2.1", "2001:db8::5", "127.0.0.1"}).Draw(t, "ip")
			s := siteAt(ip, uint32(rapid.IntRange(1, 65535).Draw(t, "port")))
			s.Attributes[0].Value = rapid.String().Draw(t, "desc")
			s.Serial = rapid.Uint16().Draw(t, "serial")
			sites = append(sites, s)
		}
		text, err := handle.NewBootstrap(sites, time.UnixMilli(rapid.Int64Range(0, 1<<40).Draw(t, "updated"))).Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := handle.ParseBootstrap(text)
		if err != nil || len(b.Roots()) != len(sites) {
			t.Fatalf("got %+v, %v; want %d sites", b, err, len(sites))
		}
		for i, s := range b.Roots() {
			if !bytes.Equal(s.Append(nil), sites[i].Append(nil)) {
				t.Fatalf("got %+v; want %+v", s, sites[i])
			}
		}
	})
}

func FuzzBootstrap(f *testing.F) {
	for _, path := range []string{"testdata/bootstrap_handles", "testdata/bootstrap_handles.stock"} {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := handle.ParseBootstrap(text)
		if err != nil {
			return
		}
		if n := len(b.Roots()); n == 0 || n > handle.MaxSites {
			t.Fatalf("%d sites to begin at", n)
		}
		again, err := b.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := handle.ParseBootstrap(again); err != nil && len(again) <= handle.MaxBootstrap {
			t.Fatalf("%v for what was written: %s", err, again)
		}
	})
}
