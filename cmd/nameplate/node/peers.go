package node

import (
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// peers returns the nodes that answer for the same prefixes as this one: the root's zone
// names them beside it.
func (c *Config) peers() ([]identifier.Node, error) {
	var peers []identifier.Node
	for i := range c.Peers {
		n, err := c.Peers[i].node()
		if err != nil {
			return nil, fmt.Errorf("peers[%d] %w", i, err)
		}
		peers = append(peers, n)
	}
	return peers, nil
}

// checkPeers checks those nodes.
func (c *Config) checkPeers() error {
	_, err := c.peers()
	switch {
	case err != nil:
		return err
	case len(c.Peers) >= resolver.MaxNodes:
		return fmt.Errorf("peers has %d nodes: name at most %d", len(c.Peers), resolver.MaxNodes-1)
	case len(c.Peers) > 0 && c.Parent.Address != "":
		return fmt.Errorf("peers has %d nodes, and there is a parent: only top-level nodes have peers, leave one out", len(c.Peers))
	case len(c.Peers) > 0 && c.Recursive.is():
		return fmt.Errorf("peers has %d nodes at a recursive node: it answers for no prefix, leave them out", len(c.Peers))
	}
	return nil
}
