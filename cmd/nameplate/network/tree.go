package network

import (
	"slices"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Node returns the node with a name; nil when there is none.
func (f *File) Node(name string) *Node {
	for i := range f.Nodes {
		if f.Nodes[i].Name == name {
			return &f.Nodes[i]
		}
	}
	return nil
}

// With returns the nodes with a role, in the order of the file.
func (f *File) With(role Role) []*Node {
	var found []*Node
	for i := range f.Nodes {
		if f.Nodes[i].Role == role {
			found = append(found, &f.Nodes[i])
		}
	}
	return found
}

// Responsible returns the node that answers for a prefix: that with the longest prefix
// that covers it. It is nil when that is the root, for which every top-level node
// answers.
func (f *File) Responsible(p identifier.Prefix) *Node {
	var found *Node
	depth := 0
	for i := range f.Nodes {
		for _, q := range f.Nodes[i].Prefixes {
			if q.Covers(p) && q.Depth() > depth {
				found, depth = &f.Nodes[i], q.Depth()
			}
		}
	}
	return found
}

// holding is a prefix that the file gives to somebody.
type holding struct {
	prefix identifier.Prefix
	holder string // whose key holds it
	node   *Node  // that answers for it; nil when whoever delegates it does
	// signer holds what lies above; "" for the root, which every top-level node holds
	// with its own key.
	signer string
	// at is the node where it is delegated; nil for all top-level nodes.
	at *Node
}

// holdings returns all prefixes that the file gives to somebody, what lies above
// before what lies below.
func (f *File) holdings() []holding {
	var all []holding
	for i := range f.Nodes {
		for _, p := range f.Nodes[i].Prefixes {
			all = append(all, holding{prefix: p, holder: f.Nodes[i].Name, node: &f.Nodes[i]})
		}
	}
	for _, h := range f.Holders {
		for _, p := range h.Prefixes {
			all = append(all, holding{prefix: p, holder: h.Name})
		}
	}
	slices.SortStableFunc(all, func(a, b holding) int { return a.prefix.Depth() - b.prefix.Depth() })
	for i := range all {
		for _, above := range all[:i] { // the last that covers is the longest
			if above.prefix != all[i].prefix && above.prefix.Covers(all[i].prefix) {
				all[i].signer = above.holder
			}
		}
		if parent, ok := all[i].prefix.Parent(); ok {
			all[i].at = f.Responsible(parent)
		}
	}
	return all
}

// Holds returns the name of the holder of a prefix: that of the longest prefix of the
// file that covers it; "" when that is the root. Its key is at [Network.Key].
func (f *File) Holds(p identifier.Prefix) string {
	name := ""
	for _, h := range f.holdings() { // the last that covers is the longest
		if h.prefix.Covers(p) {
			name = h.holder
		}
	}
	return name
}

// keysFolder is the folder with the keys of the holders.
const keysFolder = "keys"
