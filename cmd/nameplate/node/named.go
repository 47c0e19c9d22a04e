package node

import (
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// named returns the nodes that the zones of this one name beside it: those that answer
// for the same prefixes, and those that have copies of its log.
func (c *Config) named() (peers, mirrors []identifier.Node, err error) {
	for i := range c.Peers {
		n, err := c.Peers[i].node()
		if err != nil {
			return nil, nil, fmt.Errorf("peers[%d] %w", i, err)
		}
		peers = append(peers, n)
	}
	if m := c.Parent.Mirror; m.Name != "" || len(m.Addresses) > 0 {
		root := Root{Name: m.Name, Addresses: m.Addresses}
		n, err := root.node()
		if err != nil {
			return nil, nil, fmt.Errorf("parent.mirror %w", err)
		}
		mirrors = append(mirrors, n)
	}
	return peers, mirrors, nil
}

// checkNamed checks those nodes.
func (c *Config) checkNamed() error {
	_, mirrors, err := c.named()
	switch {
	case err != nil:
		return err
	case len(c.Peers) >= resolver.MaxNodes:
		return fmt.Errorf("peers has %d nodes: name at most %d", len(c.Peers), resolver.MaxNodes-1)
	case len(c.Peers) > 0 && c.Parent.Address != "":
		return fmt.Errorf("peers has %d nodes, and there is a parent: only top-level nodes have peers, leave one out", len(c.Peers))
	case len(mirrors) > 0 && c.Parent.Address == "":
		return fmt.Errorf("parent.mirror has a name and no parent: give its address and key as well")
	case len(c.Peers) > 0 && c.Recursive.is():
		return fmt.Errorf("peers has %d nodes at a recursive node: it answers for no prefix, leave them out", len(c.Peers))
	}
	return nil
}
