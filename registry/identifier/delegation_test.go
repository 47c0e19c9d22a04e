package identifier_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"pgregory.net/rapid"
)

func sampleDelegation(t testing.TB) *identifier.Delegation {
	t.Helper()
	return &identifier.Delegation{
		Prefix: "88.118", Epoch: 1, NoAgents: true,
		Keyset: identifier.Keyset{Version: 1, Threshold: 2, Keys: []identifier.PublicKey{newKey(t, 1).Public(), newKey(t, 2).Public()}},
		Node: &identifier.Node{
			Name: "plant-1", Key: newKey(t, 3).Public(),
			Addresses: []identifier.Address{
				{IP: "192.0.2.1", DNS: 53, GRPC: 2640, HTTP: 8080, Handle: 2641},
				{IP: "2001:db8::1", DNS: 53},
			},
		},
	}
}

// sampleMirror is a mirror of the sample's node, with the addresses of one that refers
// in DNS at its own.
func sampleMirror(t testing.TB, name string) identifier.Node {
	return identifier.Node{Name: name, Key: newKey(t, 4).Public(), Addresses: []identifier.Address{
		{IP: "192.0.2.54", DNS: 53}, {IP: "192.0.2.53", GRPC: 2640, HTTP: 8080},
	}}
}

func TestDelegationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDelegation(t)
		b, err := identifier.AppendDelegation([]byte("before"), d)
		if err != nil {
			t.Fatal(err)
		}
		b = b[len("before"):]
		got, err := identifier.ParseDelegation(b)
		if err != nil || !reflect.DeepEqual(got, d) {
			t.Fatalf("got %+v, %v, want %+v", got, err, d)
		}
		readWhole(t, b, func(b []byte) error { _, err := identifier.ParseDelegation(b); return err })
	})
}

func TestKeysetChangeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := &identifier.KeysetChange{
			Prefix: identifier.Prefix(drawText(t, "prefix", 0, 126)), Epoch: rapid.Uint64().Draw(t, "epoch"), Keyset: drawKeyset(t, 0),
		}
		b, err := identifier.AppendKeysetChange(nil, k)
		if err != nil {
			t.Fatal(err)
		}
		got, err := identifier.ParseKeysetChange(b)
		if err != nil || !reflect.DeepEqual(got, k) {
			t.Fatalf("got %+v, %v, want %+v", got, err, k)
		}
		readWhole(t, b, func(b []byte) error { _, err := identifier.ParseKeysetChange(b); return err })
	})
}

func TestGenesisRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := &identifier.Genesis{
			Log: identifier.LogID(drawOctets(t, "log", 16, 16)), Key: drawPublicKey(t, "key"), Format: rapid.Uint32().Draw(t, "format"),
		}
		if rapid.Bool().Draw(t, "continues another log") {
			g.After = &identifier.Predecessor{
				Log: identifier.LogID(drawOctets(t, "after", 16, 16)), Why: identifier.Succession(rapid.Byte().Draw(t, "why")), Size: rapid.Uint64().Draw(t, "size"),
				Held: identifier.Hash(drawOctets(t, "held", 32, 32)), Own: identifier.Hash(drawOctets(t, "own", 32, 32)), Base: rapid.Uint64().Draw(t, "base"),
			}
			for range rapid.IntRange(0, 3).Draw(t, "before") {
				g.After.Continue(identifier.LogID(drawOctets(t, "before", 16, 16)))
			}
			g.After.Whole = rapid.Bool().Draw(t, "whole")
		}
		b, err := identifier.AppendGenesis(nil, g)
		if err != nil {
			t.Fatal(err)
		}
		got, err := identifier.ParseGenesis(b)
		if err != nil || !reflect.DeepEqual(got, g) {
			t.Fatalf("got %+v, %v, want %+v", got, err, g)
		}
		readWhole(t, b, func(b []byte) error { _, err := identifier.ParseGenesis(b); return err })
	})
}

// readWhole checks that an encoding is refused when it is cut or followed by
// something.
func readWhole(t *rapid.T, b []byte, parse func([]byte) error) {
	cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
	var format *identifier.FormatError
	if err := parse(b[:cut]); !errors.As(err, &format) {
		t.Fatalf("%d of %d octets: got %v", cut, len(b), err)
	}
	if err := parse(append(bytes.Clone(b), 0)); !errors.As(err, &format) {
		t.Fatalf("an octet behind the end: got %v", err)
	}
}

func TestDelegationRules(t *testing.T) {
	key := func(i int) identifier.PublicKey { return newKey(t, byte(i)).Public() }
	tests := []struct {
		name string
		harm func(d *identifier.Delegation)
		want string // part of the error; none when the delegation is good
	}{
		{"as it is", func(d *identifier.Delegation) {}, ""},
		{"without a node", func(d *identifier.Delegation) { d.Node = nil }, ""},
		{"of the root", func(d *identifier.Delegation) { d.Prefix = "" }, ""},
		{"taken back", func(d *identifier.Delegation) {
			*d = identifier.Delegation{Prefix: "88.118", Epoch: 2, Keyset: identifier.Keyset{Version: 2}}
		}, ""},
		{"taken back with a node", func(d *identifier.Delegation) { d.Keyset = identifier.Keyset{} }, "takes the prefix back"},
		{"prefix in capitals", func(d *identifier.Delegation) { d.Prefix = "88.A" }, "lower case"},
		{"prefix with an empty segment", func(d *identifier.Delegation) { d.Prefix = "88..1" }, "segment"},
		{"epoch 0", func(d *identifier.Delegation) { d.Epoch = 0 }, "epoch"},
		{"keyset version 0", func(d *identifier.Delegation) { d.Keyset.Version = 0 }, "version"},
		{"threshold 0", func(d *identifier.Delegation) { d.Keyset.Threshold = 0 }, "threshold"},
		{"threshold above", func(d *identifier.Delegation) { d.Keyset.Threshold = 3 }, "threshold"},
		{"16 keys", func(d *identifier.Delegation) {
			d.Keyset.Keys = nil
			for i := range 16 {
				d.Keyset.Keys = append(d.Keyset.Keys, key(i))
			}
		}, ""},
		{"17 keys", func(d *identifier.Delegation) {
			for i := range 15 {
				d.Keyset.Keys = append(d.Keyset.Keys, key(20+i))
			}
		}, "1 to 16 keys"},
		{"key twice", func(d *identifier.Delegation) { d.Keyset.Keys[1] = d.Keyset.Keys[0] }, "twice"},
		{"short key", func(d *identifier.Delegation) { d.Keyset.Keys[1].Raw = "x" }, "32 octets"},
		{"unknown kind of key", func(d *identifier.Delegation) { d.Keyset.Keys[1] = identifier.PublicKey{Type: 9, Raw: "x"} }, ""},
		{"no node name", func(d *identifier.Delegation) { d.Node.Name = "" }, "DNS label"},
		{"node name with a dot", func(d *identifier.Delegation) { d.Node.Name = "a.b" }, "DNS label"},
		{"node name in capitals", func(d *identifier.Delegation) { d.Node.Name = "A" }, "DNS label"},
		{"node name too long", func(d *identifier.Delegation) { d.Node.Name = strings.Repeat("a", 64) }, "DNS label"},
		{"node without key", func(d *identifier.Delegation) { d.Node.Key = identifier.PublicKey{} }, "key"},
		{"no addresses", func(d *identifier.Delegation) { d.Node.Addresses = nil }, "1 to 16 addresses"},
		{"17 addresses", func(d *identifier.Delegation) {
			d.Node.Addresses = nil
			for i := range 17 {
				d.Node.Addresses = append(d.Node.Addresses, identifier.Address{IP: fmt.Sprintf("192.0.2.%d", i+1), DNS: 53})
			}
		}, "1 to 16 addresses"},
		{"a name for an address", func(d *identifier.Delegation) { d.Node.Addresses[0].IP = "plant.example" }, "not an IP address"},
		{"address in another form", func(d *identifier.Delegation) { d.Node.Addresses[1].IP = "2001:DB8::1" }, "not an IP address"},
		{"address with a zone", func(d *identifier.Delegation) { d.Node.Addresses[1].IP = "fe80::1%eth0" }, "not an IP address"},
		{"IPv4 in IPv6", func(d *identifier.Delegation) { d.Node.Addresses[1].IP = "::ffff:192.0.2.1" }, "IPv6 clothes"},
		{"no address in particular", func(d *identifier.Delegation) { d.Node.Addresses[0].IP = "0.0.0.0" }, "one host"},
		{"multicast", func(d *identifier.Delegation) { d.Node.Addresses[0].IP = "224.0.0.1" }, "one host"},
		{"no ports", func(d *identifier.Delegation) { d.Node.Addresses[1].DNS = 0 }, "port"},
		{"a mirror", func(d *identifier.Delegation) {
			d.Mirrors = []identifier.Node{sampleMirror(t, "region-mirror")}
		}, ""},
		{"8 mirrors", func(d *identifier.Delegation) {
			for i := range 8 {
				d.Mirrors = append(d.Mirrors, sampleMirror(t, fmt.Sprint("m", i)))
			}
		}, ""},
		{"9 mirrors", func(d *identifier.Delegation) {
			for i := range 9 {
				d.Mirrors = append(d.Mirrors, sampleMirror(t, fmt.Sprint("m", i)))
			}
		}, "at most 8 mirrors"},
		{"mirrors of nobody", func(d *identifier.Delegation) {
			d.Node, d.Mirrors = nil, []identifier.Node{sampleMirror(t, "region-mirror")}
		}, "none is named"},
		{"taken back with a mirror", func(d *identifier.Delegation) {
			*d = identifier.Delegation{Prefix: "88.118", Epoch: 2, Keyset: identifier.Keyset{Version: 2}, Mirrors: []identifier.Node{sampleMirror(t, "m")}}
		}, "takes the prefix back"},
		{"a mirror with the node's name", func(d *identifier.Delegation) {
			d.Mirrors = []identifier.Node{sampleMirror(t, "plant-1")}
		}, "two nodes are called"},
		{"a mirror twice", func(d *identifier.Delegation) {
			d.Mirrors = []identifier.Node{sampleMirror(t, "m"), sampleMirror(t, "m")}
		}, "two nodes are called"},
		{"a mirror without key", func(d *identifier.Delegation) {
			d.Mirrors = []identifier.Node{sampleMirror(t, "m")}
			d.Mirrors[0].Key = identifier.PublicKey{}
		}, "mirror 1"},
		{"a mirror without address", func(d *identifier.Delegation) {
			d.Mirrors = []identifier.Node{sampleMirror(t, "m")}
			d.Mirrors[0].Addresses = nil
		}, "1 to 16 addresses"},
		{"a Handle key", func(d *identifier.Delegation) { d.Node.HandleKey = sampleRSA() }, ""},
		{"a Handle key of a mirror alone", func(d *identifier.Delegation) {
			d.Mirrors = []identifier.Node{sampleMirror(t, "m")}
			d.Mirrors[0].HandleKey = sampleRSA()
		}, ""},
		{"a Handle key of another kind", func(d *identifier.Delegation) { d.Node.HandleKey = key(1) }, "a Handle key is an RSA key"},
		{"a Handle key that is cut", func(d *identifier.Delegation) {
			d.Node.HandleKey = sampleRSA()
			d.Node.HandleKey.Raw = d.Node.HandleKey.Raw[:100]
		}, "PKCS #1"},
		{"a Handle key for the node's own", func(d *identifier.Delegation) { d.Node.Key = sampleRSA() }, "not an RSA key"},
		{"a Handle key for a holder's", func(d *identifier.Delegation) { d.Keyset.Keys[1] = sampleRSA() }, "signs Handle answers and nothing else"},
		{"taken back with a Handle key", func(d *identifier.Delegation) {
			*d = identifier.Delegation{Prefix: "88.118", Epoch: 2, Keyset: identifier.Keyset{Version: 2}, Node: &identifier.Node{HandleKey: sampleRSA()}}
		}, "takes the prefix back"},
		{"address twice", func(d *identifier.Delegation) { d.Node.Addresses[1] = d.Node.Addresses[0] }, "twice"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := sampleDelegation(t)
			test.harm(d)
			err := d.Check()
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil {
				return
			}
			if _, err := identifier.AppendDelegation(nil, d); err != nil {
				t.Errorf("good, but cannot be encoded: %v", err)
			}
		})
	}
}

func TestKeysetChangeAndGenesisRules(t *testing.T) {
	keyset := sampleDelegation(t).Keyset
	after := func(log byte, why identifier.Succession, held byte) error {
		return (&identifier.Genesis{Log: identifier.LogID{1}, Key: keyset.Keys[0], Format: 1, After: &identifier.Predecessor{
			Log: identifier.LogID{log}, Why: why, Held: identifier.Hash{held},
		}}).Check()
	}
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"genesis after a fork", after(2, identifier.AfterFork, 1), ""},
		{"genesis after another log", after(2, identifier.AfterBeginning, 0), ""},
		{"genesis after itself", after(1, identifier.AfterFork, 1), "continues another"},
		{"genesis after itself by a way", func() error {
			g := &identifier.Genesis{Log: identifier.LogID{1}, Key: keyset.Keys[0], Format: 1, After: &identifier.Predecessor{Log: identifier.LogID{2}, Why: identifier.AfterRestore}}
			g.After.Continue(identifier.LogID{3}, g.Log)
			return g.Check()
		}(), "continues another"},
		{"genesis after nothing", after(0, identifier.AfterFork, 1), "continues another"},
		{"genesis after one history", after(2, identifier.AfterFork, 0), "two roots"},
		{"genesis for no reason", after(2, 0, 1), "newer version"},
		{"genesis for a new reason", after(2, identifier.AfterBeginning+1, 1), "newer version"},
		{"keyset", (&identifier.KeysetChange{Prefix: "88.118", Epoch: 1, Keyset: keyset}).Check(), ""},
		{"keyset of epoch 0", (&identifier.KeysetChange{Prefix: "88.118", Keyset: keyset}).Check(), "epoch"},
		{"keyset without keys", (&identifier.KeysetChange{Prefix: "88.118", Epoch: 1}).Check(), "1 to 16 keys"},
		{"keyset of a bad prefix", (&identifier.KeysetChange{Prefix: "88.", Epoch: 1, Keyset: keyset}).Check(), "segment"},
		{"genesis", (&identifier.Genesis{Log: identifier.LogID{1}, Key: keyset.Keys[0], Format: 1}).Check(), ""},
		{"genesis without id", (&identifier.Genesis{Key: keyset.Keys[0], Format: 1}).Check(), "id"},
		{"genesis without key", (&identifier.Genesis{Log: identifier.LogID{1}, Format: 1}).Check(), "key"},
		{"genesis of a newer format", (&identifier.Genesis{Log: identifier.LogID{1}, Key: keyset.Keys[0], Format: 2}).Check(), "newer version"},
	}
	for _, test := range tests {
		switch {
		case test.want == "" && test.err != nil:
			t.Errorf("%s: got %v", test.name, test.err)
		case test.want != "" && (test.err == nil || !strings.Contains(test.err.Error(), test.want)):
			t.Errorf("%s: got %v, want %q", test.name, test.err, test.want)
		}
	}
}

// What cannot be encoded is refused and not cut.
func TestAppendDelegationRefuses(t *testing.T) {
	for name, harm := range map[string]func(d *identifier.Delegation){
		"long prefix":      func(d *identifier.Delegation) { d.Prefix = identifier.Prefix(strings.Repeat("a", 127)) },
		"17 keys":          func(d *identifier.Delegation) { d.Keyset.Keys = make([]identifier.PublicKey, 17) },
		"threshold 17":     func(d *identifier.Delegation) { d.Keyset.Threshold = 17 },
		"threshold -1":     func(d *identifier.Delegation) { d.Keyset.Threshold = -1 },
		"key without type": func(d *identifier.Delegation) { d.Keyset.Keys[1].Type = 0 },
		"empty key":        func(d *identifier.Delegation) { d.Keyset.Keys[1].Raw = "" },
		"long key":         func(d *identifier.Delegation) { d.Keyset.Keys[1].Raw = strings.Repeat("x", 4097) },
		"long name":        func(d *identifier.Delegation) { d.Node.Name = strings.Repeat("a", 64) },
		"no node key":      func(d *identifier.Delegation) { d.Node.Key = identifier.PublicKey{} },
		"no addresses":     func(d *identifier.Delegation) { d.Node.Addresses = nil },
		"9 mirrors":        func(d *identifier.Delegation) { d.Mirrors = make([]identifier.Node, 9) },
		"an empty mirror":  func(d *identifier.Delegation) { d.Mirrors = make([]identifier.Node, 1) },
		"17 addresses":     func(d *identifier.Delegation) { d.Node.Addresses = make([]identifier.Address, 17) },
		"no address":       func(d *identifier.Delegation) { d.Node.Addresses[0].IP = "" },
		"address and zone": func(d *identifier.Delegation) { d.Node.Addresses[0].IP = "fe80::1%eth0" },
		"IPv4 in hex":      func(d *identifier.Delegation) { d.Node.Addresses[0].IP = "::ffff:c000:201" },
	} {
		d := sampleDelegation(t)
		harm(d)
		if b, err := identifier.AppendDelegation(nil, d); err == nil {
			t.Errorf("%s: encoded as %x", name, b)
		}
		k := &identifier.KeysetChange{Prefix: d.Prefix, Epoch: 1, Keyset: d.Keyset}
		bad := d.Prefix != "88.118" || d.Keyset.Threshold != 2 || strings.Contains(name, "key") && name != "no node key"
		if _, err := identifier.AppendKeysetChange(nil, k); (err != nil) != bad {
			t.Errorf("%s: the keyset alone: %v", name, err)
		}
	}
}

func TestNamesInHex(t *testing.T) {
	if got, want := (identifier.LogID{0xff, 15: 1}).String(), "ff000000000000000000000000000001"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := (identifier.KeyID{0xff, 7: 1}).String(), "ff00000000000001"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
