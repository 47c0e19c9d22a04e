package network_test

import (
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"
)

const tree = `nodes:
  - {name: east, address: 127.88.90.1, mirror: 127.88.90.101}
  - {name: west, address: 127.88.90.2}
  - {name: pumps, parent: east, prefixes: ["88.118", "GS1.4"], address: 127.88.90.3}
  - {name: maker, parent: pumps, prefixes: ["88.118.8"], address: 127.88.90.4}
  - {name: walker, recursive: true, address: 127.88.90.5}
holders:
  - {name: acme, prefixes: ["88.118.9", "88.118.8.1", "oid.2"]}
`

func TestParse(t *testing.T) {
	f, err := network.Parse([]byte(tree))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]network.Role{"east": network.TopLevel, "pumps": network.Secondary, "maker": network.Enterprise, "walker": network.Recursive} {
		if got := f.Node(name).Role; got != want {
			t.Errorf("%s: got role %s, want %s", name, got, want)
		}
	}
	if got := f.Ports; got != (network.Ports{DNS: 5300, GRPC: 2640, HTTP: 8080, Handle: 2641}) {
		t.Errorf("got ports %v", got)
	}
	if got, want := f.Journal.Segment.String(), "4MiB"; got != want {
		t.Errorf("got segment %s, want %s", got, want)
	}
	if got, want := string(f.Node("pumps").Prefixes[1]), "gs1.4"; got != want {
		t.Errorf("got prefix %s, want %s", got, want)
	}
	for prefix, want := range map[string]string{"88.118": "pumps", "88.118.7": "pumps", "88.118.9.9": "acme", "88.118.8.2": "maker", "88": "", "oid.2.999": "acme"} {
		p := mustPrefix(t, prefix)
		if got := f.Holds(p); got != want {
			t.Errorf("%s: got holder %q, want %q", prefix, got, want)
		}
	}
	for prefix, want := range map[string]string{"88.118.9": "pumps", "88.118.8.1": "maker", "oid.2": "", "gs1.4.5": "pumps"} {
		got := ""
		if n := f.Responsible(mustPrefix(t, prefix)); n != nil {
			got = n.Name
		}
		if got != want {
			t.Errorf("%s: got responsible %q, want %q", prefix, got, want)
		}
	}
}

func TestBadFiles(t *testing.T) {
	replace := func(old, new string) string {
		if !strings.Contains(tree, old) {
			t.Fatalf("%q is not in the file", old)
		}
		return strings.Replace(tree, old, new, 1)
	}
	tests := []struct {
		name, text, want string
	}{
		{"empty", "# nothing\n", "line 1: the file is empty"},
		{"no nodes", "zone: id.internal\n", "line 1: there are no nodes"},
		{"two documents", tree + "---\nzone: x\n", "several documents"},
		{"not YAML", "nodes: [\n", "line 1: "},
		{"unknown field", "nodez: []\n", `line 1: a network has no field "nodez"`},
		{"unknown field of a node", replace("recursive: true", "recursing: true"), `line 6: a node has no field "recursing"`},
		{"unknown field of a holder", replace("{name: acme, ", "{name: acme, key: x, "), `line 8: a holder has no field "key"`},
		{"unknown field of ports", "ports: {dsn: 1}\n" + tree, `line 1: ports has no field "dsn"`},
		{"field twice", replace("{name: west, ", "{name: west, name: south, "), "line 3: "},
		{"port of none", "ports: {http: 0}\n" + tree, "line 1: ports: a port of 0"},
		{"port too large", "ports: {http: 65536}\n" + tree, "line 1: cannot unmarshal"},
		{"memory", "memory: 1MiB\n" + tree, "line 1: memory: a node does not run in 1MiB"},
		{"size", "memory: lots\n" + tree, `"lots" is not a size such as 64MiB`},
		{"segment", "journal: {segment: 1MiB}\n" + tree, "line 1: journal.segment is 1MiB"},
		{"level", "log:\n  level: loud\n" + tree, `line 2: log.level "loud"`},
		{"zone", "zone: UPPER\n" + tree, `line 1: zone "UPPER"`},
		{"bad name", replace("name: west", "name: West"), `line 3: name "West" is not one DNS label`},
		{"no name", replace("name: west, ", ""), `line 3: name "" is not one DNS label`},
		{"reserved name", replace("name: west", "name: keys"), `line 3: name "keys" is that of the folder`},
		{"name twice", replace("name: west", "name: east"), `line 3: name "east" is there already in line 2`},
		{"holder named as a node", replace("name: acme", "name: west"), `line 8: name "west" is there already in line 3`},
		{"no address", replace(", address: 127.88.90.2", ""), `line 3: node "west" has no address`},
		{"bad address", replace("127.88.90.2", "127.88.90.256"), "127.88.90.256"},
		{"any address", replace("127.88.90.2", "0.0.0.0"), "line 3: address 0.0.0.0 of node \"west\" is not that of one host"},
		{"address twice", replace("127.88.90.4", "127.88.90.1"), `line 5: address 127.88.90.1 of node "maker" is that of node "east" in line 2`},
		{"mirror twice", replace("127.88.90.101", "127.88.90.1"), `line 2: mirror 127.88.90.1 of node "east" is that of node "east" in line 2`},
		{"unknown parent", replace("parent: east", "parent: north"), `line 4: node "pumps" has the parent "north", and there is no such node`},
		{"recursive parent", replace("parent: east", "parent: walker"), `line 4: node "pumps" has the parent "walker", which is recursive`},
		{"recursive with parent", replace("recursive: true", "recursive: true, parent: east"), `line 6: node "walker" is recursive and has a parent`},
		{"recursive with mirror", replace("recursive: true", "recursive: true, mirror: 127.88.90.9"), `line 6: node "walker" is recursive and mirrors nobody`},
		{"recursive with prefix", replace("recursive: true", "recursive: true, prefixes: ['1']"), `line 6: node "walker" is a recursive node and has no prefixes`},
		{"loop", replace("parent: east", "parent: maker"), `line 4: node "pumps" is above itself`},
		{"own parent", replace("parent: pumps", "parent: maker"), `line 5: node "maker" is above itself`},
		{"no top", "nodes:\n  - {name: walker, recursive: true, address: 127.88.90.5}\n", "line 2: every node has a parent or is recursive"},
		{"top with prefix", replace("{name: west,", "{name: west, prefixes: ['89'],"), `line 3: node "west" is a top-level node and has no prefixes`},
		{"no prefix", replace(`, prefixes: ["88.118.8"]`, ""), `line 5: node "maker" has no prefix`},
		{"holder without prefix", replace(`, prefixes: ["88.118.9", "88.118.8.1", "oid.2"]`, ""), `line 8: holder "acme" has no prefix`},
		{"bad prefix", replace("88.118.8\"", "88..8\""), `line 5: "88..8"`},
		{"root", replace("\"88.118.8\"", "\"\""), "line 5: the root is held by the top-level nodes"},
		{"prefix twice", replace("\"88.118.8\"", "\"88.118\""), `line 5: prefix "88.118" of "maker" is that of "pumps" in line 4`},
		{"prefix of a holder", replace("\"88.118.9\"", "\"gs1.4\""), `line 8: prefix "gs1.4" of "acme" is that of "pumps" in line 4`},
		{"not below the parent", replace("\"88.118.8\"", "\"89.1\""), `line 5: prefix "89.1" of node "maker" is not below one of its parent "pumps"`},
		{"not by segment", replace("\"88.118.8\"", "\"88.1188\""), `line 5: prefix "88.1188" of node "maker" is not below one of its parent "pumps"`},
		{"policy", replace("{name: maker, ", "{name: maker, policy: copy, "), `line 5: policy: "copy" is no policy: write mirror, pointer or witness`},
		{"policy at the top", replace("{name: west, ", "{name: west, policy: witness, "), `line 3: node "west" has no parent`},
		{"below another node", replace("holders:", "  - {name: other, parent: east, prefixes: ['gs1.4.0'], address: 127.88.90.6}\nholders:"),
			`line 7: prefix "gs1.4.0" of node "other" lies below one of "pumps", which is not its parent`},
	}
	for _, test := range tests {
		_, err := network.Parse([]byte(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got error %v, want one line with %q", test.name, err, test.want)
		}
	}
}
