package network

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// check checks the file as a whole, fills in the roles and folds the prefixes. It
// returns the first mistake, with its line.
func (f *File) check(at lines) error {
	c := checker{File: f, at: at}
	for _, check := range []func() error{c.settings, c.names, c.addresses, c.parents, c.policies, c.prefixes, c.claims} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checker checks one file.
type checker struct {
	*File
	at lines
}

// mistake is an error at a line.
func mistake(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, args...))
}

// settings checks what is common to all nodes, as each of them will.
func (c *checker) settings() error {
	if c.Ports.DNS == 0 || c.Ports.GRPC == 0 || c.Ports.HTTP == 0 || c.Ports.Handle == 0 {
		return mistake(c.at.of("ports"), "ports: a port of 0 cannot be told to others: use 1 to 65535")
	}
	if c.Memory != 0 && c.Memory < 16<<20 {
		return mistake(c.at.of("memory"), "memory: a node does not run in %v: give it 16MiB or more, or leave it out", c.Memory)
	}
	if len(c.Nodes) == 0 {
		return mistake(c.at.of("nodes"), "there are no nodes: list at least one that has no parent")
	}
	config := node.DefaultConfig()
	config.Zone, config.Journal, config.Log = c.Zone, c.Journal, c.Log
	if err := config.Check(); err != nil {
		field := regexp.MustCompile(`^\w+`).FindString(err.Error())
		return mistake(c.at.of(field), "%v", err)
	}
	return nil
}

// names checks that everybody has a name of its own.
func (c *checker) names() error {
	lines := map[string]int{}
	check := func(name string, line int) error {
		switch before, taken := lines[name]; {
		case !labelled.MatchString(name):
			return mistake(line, "name %q is not one DNS label: use 1 to 63 lower case letters, digits and inner hyphens", name)
		case name == keysFolder:
			return mistake(line, "name %q is that of the folder with the keys: choose another", name)
		case taken:
			return mistake(line, "name %q is there already in line %d: a node and a holder need names of their own", name, before)
		}
		lines[name] = line
		return nil
	}
	for i, n := range c.Nodes {
		if err := check(n.Name, c.at.of("nodes", i, "name")); err != nil {
			return err
		}
	}
	for i, h := range c.Holders {
		if err := check(h.Name, c.at.of("holders", i, "name")); err != nil {
			return err
		}
	}
	return nil
}

// labelled matches a DNS label as host names have them (RFC 1123, section 2.1), in
// lower case.
var labelled = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// addresses checks that every node has addresses of its own.
func (c *checker) addresses() error {
	type use struct {
		node string
		line int
	}
	used := map[netip.Addr]use{}
	for i, n := range c.Nodes {
		line := c.at.of("nodes", i, "address")
		if !n.Address.IsValid() {
			return mistake(line, "node %q has no address: give it one, such as 127.88.0.1", n.Name)
		}
		for _, a := range []struct {
			field string
			ip    netip.Addr
		}{{"address", n.Address}, {"mirror", n.Mirror}} {
			line := c.at.of("nodes", i, a.field)
			switch before, taken := used[a.ip]; {
			case !a.ip.IsValid():
				continue
			case a.ip.IsUnspecified() || a.ip.IsMulticast() || a.ip.Is4In6() || a.ip.Zone() != "":
				return mistake(line, "%s %v of node %q is not that of one host: use one such as 127.88.0.1", a.field, a.ip, n.Name)
			case taken:
				return mistake(line, "%s %v of node %q is that of node %q in line %d: give each its own", a.field, a.ip, n.Name, before.node, before.line)
			}
			used[a.ip] = use{n.Name, line}
		}
	}
	return nil
}

// policies checks what is to be kept of the nodes' logs.
func (c *checker) policies() error {
	for i, n := range c.Nodes {
		if n.Policy == "" {
			continue
		}
		line := c.at.of("nodes", i, "policy")
		if n.Parent == "" {
			return mistake(line, "node %q has no parent, and policy is what that keeps of its log: leave it out", n.Name)
		}
		if _, err := identifier.ParsePolicy(n.Policy); err != nil {
			return mistake(line, "policy: %v", err)
		}
	}
	return nil
}

// parents checks that the nodes are a tree, and finds their roles.
func (c *checker) parents() error {
	top := false
	for i := range c.Nodes {
		n := &c.Nodes[i]
		line := c.at.of("nodes", i, "parent")
		switch {
		case n.Recursive && n.Parent != "":
			return mistake(line, "node %q is recursive and has a parent: leave one of them out", n.Name)
		case n.Recursive && n.Mirror.IsValid():
			return mistake(c.at.of("nodes", i, "mirror"), "node %q is recursive and mirrors nobody: leave mirror out", n.Name)
		case n.Recursive:
			n.Role = Recursive
			continue
		case n.Parent == "":
			n.Role, top = TopLevel, true
			continue
		}
		depth, above := 0, n
		for ; above.Parent != ""; depth++ {
			if depth > len(c.Nodes) {
				return mistake(line, "node %q is above itself: name another parent for it or for %q", n.Name, above.Name)
			}
			parent := c.Node(above.Parent)
			switch {
			case parent == nil:
				return mistake(c.lineOf(above.Name, "parent"), "node %q has the parent %q, and there is no such node: name one of the file", above.Name, above.Parent)
			case parent.Recursive:
				return mistake(c.lineOf(above.Name, "parent"), "node %q has the parent %q, which is recursive: name one that holds a prefix", above.Name, above.Parent)
			}
			above = parent
		}
		n.Role = Enterprise
		if depth == 1 {
			n.Role = Secondary
		}
	}
	if !top {
		return mistake(c.at.of("nodes"), "every node has a parent or is recursive: list one that has none and holds the root")
	}
	return nil
}

// lineOf returns the line of a field of the node or holder with a name.
func (c *checker) lineOf(name string, path ...any) int {
	list, i := "nodes", slices.IndexFunc(c.Nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		list, i = "holders", slices.IndexFunc(c.Holders, func(h Holder) bool { return h.Name == name })
	}
	return c.at.of(append([]any{list, i}, path...)...)
}

// prefixes checks the prefixes one by one, and folds them.
func (c *checker) prefixes() error {
	fold := func(prefixes []identifier.Prefix, list string, i int) error {
		for k := range prefixes {
			line := c.at.of(list, i, "prefixes", k)
			if prefixes[k] == "" {
				return mistake(line, "the root is held by the top-level nodes: name a prefix such as 88.118")
			}
			p, err := identifier.ParsePrefix(string(prefixes[k]))
			if err != nil {
				return mistake(line, "%v", err)
			}
			prefixes[k] = p
		}
		return nil
	}
	for i, n := range c.Nodes {
		line := c.at.of("nodes", i, "prefixes")
		below := n.Role == Secondary || n.Role == Enterprise
		switch {
		case below && len(n.Prefixes) == 0:
			return mistake(line, "node %q has no prefix: list those that it is responsible for", n.Name)
		case !below && len(n.Prefixes) > 0:
			return mistake(line, "node %q is a %s node and has no prefixes of its own: leave them out, or name its parent", n.Name, n.Role)
		}
		if err := fold(n.Prefixes, "nodes", i); err != nil {
			return err
		}
	}
	for i, h := range c.Holders {
		if len(h.Prefixes) == 0 {
			return mistake(c.at.of("holders", i), "holder %q has no prefix: list those that it holds", h.Name)
		}
		if err := fold(h.Prefixes, "holders", i); err != nil {
			return err
		}
	}
	return nil
}

// claims checks that everybody has its prefixes from its parent.
func (c *checker) claims() error {
	lines := map[identifier.Prefix]int{}
	who := map[identifier.Prefix]string{}
	check := func(name string, prefixes []identifier.Prefix) error {
		for k, p := range prefixes {
			line := c.lineOf(name, "prefixes", k)
			if before, taken := lines[p]; taken {
				return mistake(line, "prefix %q of %q is that of %q in line %d: give it to one of them", p, name, who[p], before)
			}
			lines[p], who[p] = line, name
		}
		return nil
	}
	for _, n := range c.Nodes {
		if err := check(n.Name, n.Prefixes); err != nil {
			return err
		}
	}
	for _, h := range c.Holders {
		if err := check(h.Name, h.Prefixes); err != nil {
			return err
		}
	}
	for _, n := range c.Nodes {
		for k, p := range n.Prefixes {
			above := c.above(p)
			if parent := c.Node(n.Parent); above == parent.Name || above == "" && parent.Role == TopLevel {
				continue
			}
			line := c.lineOf(n.Name, "prefixes", k)
			if above == "" {
				return mistake(line, "prefix %q of node %q is not below one of its parent %q: use one that is, or name another parent", p, n.Name, n.Parent)
			}
			return mistake(line, "prefix %q of node %q lies below one of %q, which is not its parent: use one below %q, or name another parent", p, n.Name, above, n.Parent)
		}
	}
	return nil
}

// above returns the name of the node that is responsible for what lies directly above
// a prefix; "" for the top-level nodes.
func (f *File) above(p identifier.Prefix) string {
	parent, ok := p.Parent()
	if !ok {
		return ""
	}
	if n := f.Responsible(parent); n != nil {
		return n.Name
	}
	return ""
}
