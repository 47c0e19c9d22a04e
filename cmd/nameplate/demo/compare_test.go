package demo

import (
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
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

// In both networks every row of every scheme becomes an identifier of its own, below
// the prefix that its holder got, at the node that answers for it.
func TestData(t *testing.T) {
	for _, size := range []size{small, full} {
		t.Run(size.network, func(t *testing.T) {
			d := testDemo(t, size)
			if err := d.writeData(t.Context()); err != nil {
				t.Fatal(err)
			}
			seen, schemesSeen := map[identifier.ID]bool{}, map[string]bool{}
			for _, im := range d.imports {
				if d.net.Holds(im.prefix) != im.firm || im.firm == "" {
					t.Errorf("%s at %s: the holder is %q, want %q", im.name, im.prefix, im.firm, d.net.Holds(im.prefix))
				}
				schemesSeen[im.name] = true
				for _, r := range im.all() {
					id, err := identifier.Parse(r.says().spelling)
					if err != nil {
						t.Fatalf("%v: %v", r, err)
					}
					if !im.prefix.Covers(id.Prefix) || d.net.Responsible(id.Prefix) != im.node || seen[id] {
						t.Fatalf("%v: %v is not below %s, or not at node %s, or is there twice", r, id, im.prefix, im.node.Name)
					}
					seen[id] = true
				}
			}
			if got, want := len(seen), 6000+size.handles+3*size.others; got != want || len(schemesSeen) != len(schemes) {
				t.Errorf("%d identifiers of %d schemes, want %d of %d", got, len(schemesSeen), want, len(schemes))
			}
			victims, err := d.chooseVictims()
			if err != nil {
				t.Fatal(err)
			}
			if a, b := victims[0], victims[1]; a.Role != network.Secondary || b.Role != network.Enterprise || b.Parent == a.Name {
				t.Errorf("nodes %s and %s are killed; want a secondary and an enterprise node, one not above the other", a.Name, b.Name)
			}
		})
	}
}

// testDemo is a demo in a folder of its own that has not begun.
func testDemo(t *testing.T, s size) *demo {
	t.Helper()
	d := &demo{
		Options: Options{Folder: filepath.Join(t.TempDir(), "demo-data"), Testdata: "../../../testdata", Program: "nameplate", Out: io.Discard},
		size:    s, tell: &account{w: io.Discard},
	}
	if err := d.prepare(); err != nil {
		t.Fatal(err)
	}
	return d
}

// A mirror that is behind, wrong, or holds marked entries is told from one that is whole.
func TestCompareMirrors(t *testing.T) {
	d := testDemo(t, small)
	log, key := identifier.LogID{1}, identifier.PublicKey{}
	root := identifier.Hash{7}
	child := registryrpc.Status{Status: registry.Status{Log: log, Key: key, Position: 5, Checkpoint: registry.Checkpoint{Size: 5, Root: root}}}
	for _, test := range []struct {
		name      string
		mirror    registry.MirrorStatus
		behind    uint64
		differing int
		fails     string
	}{
		{"whole", registry.MirrorStatus{Log: log, Size: 5, Root: root}, 0, 0, ""},
		{"none", registry.MirrorStatus{Log: identifier.LogID{2}}, 5, 0, ""},
		{"behind", registry.MirrorStatus{Log: log, Size: 3}, 2, 0, ""},
		{"ahead of the checkpoint", registry.MirrorStatus{Log: log, Size: 6}, 0, 1, ""},
		{"wrong", registry.MirrorStatus{Log: log, Size: 5, Root: identifier.Hash{8}}, 0, 0, "the root is"},
		{"marked", registry.MirrorStatus{Log: log, Size: 5, Root: root, Bad: 1}, 0, 0, "has marked 1 entries"},
	} {
		all := map[string]registryrpc.Status{}
		for _, x := range d.holding() {
			s := registryrpc.Status{}
			if x.Name == "brightwater" {
				s = child
			} else if x.Parent != "" { // empty, and mirrored as such
				s.Log = identifier.LogID{byte(len(x.Name)), x.Name[0]}
			}
			all[x.Name] = s
		}
		for _, x := range d.holding() {
			if x.Parent == "" {
				continue
			}
			m := registry.MirrorStatus{Log: all[x.Name].Log}
			if x.Name == "brightwater" {
				m = test.mirror
			}
			parent := all[x.Parent]
			parent.Mirrors = append(parent.Mirrors, m)
			all[x.Parent] = parent
		}
		found, behind, differing, err := d.compareMirrors(all)
		if test.fails != "" {
			if err == nil || !strings.Contains(err.Error(), test.fails) {
				t.Errorf("%s: error %v, want %q", test.name, err, test.fails)
			}
			continue
		}
		if err != nil || behind != test.behind || differing != test.differing || found.children != 5 || found.parents != 5 {
			t.Errorf("%s: got %d behind, %d differing, %+v, %v; want %d, %d, 5 parents and children", test.name, behind, differing, found, err, test.behind, test.differing)
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

// Addresses that somebody has are left to them.
func TestBusyAddresses(t *testing.T) {
	usual, err := network.Read("../../../testdata/network-small.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first := usual.Nodes[0].Address
	l, err := net.Listen("tcp", netip.AddrPortFrom(first, usual.Ports.GRPC).String())
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	got, err := readNetwork("../../../testdata/network-small.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Nodes) != len(usual.Nodes) || got.Nodes[0].Address == first || !got.Nodes[0].Address.IsLoopback() {
		t.Errorf("found %d nodes from %v on, want %d elsewhere than %v", len(got.Nodes), got.Nodes[0].Address, len(usual.Nodes), first)
	}
}

func TestQuantile(t *testing.T) {
	var took []time.Duration
	if got := quantile(took, 0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for n := 1; n <= 101; n++ {
		took = append(took, time.Duration(n))
	}
	if half, most := quantile(took, 0.5), quantile(took, 0.99); half != 51 || most != 100 {
		t.Errorf("got %d and %d, want 51 and 100", half, most)
	}
}

// What this process and its children take is found.
func TestMemory(t *testing.T) {
	m := watchMemory()
	m.look()
	m.end()
	m.end()
	if m.most < 1<<20 {
		t.Errorf("%d octets at most, want this process at least", m.most)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 126000: "126,000", 1234567: "1,234,567"} {
		if got := count(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
