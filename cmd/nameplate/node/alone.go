package node

import (
	"path/filepath"
	"strings"
)

// alone says why nothing that this node or its children register is ever anchored; "" for
// a node that has a parent, peers or an anchor file.
func (c *Config) alone() string {
	if c.Recursive.is() || c.Parent.Address != "" || len(c.peerKeys()) > 0 || c.Anchor != "" {
		return ""
	}
	return "this node has no level above it and no anchor file: nobody would notice that it was put back to an older state of itself, and it cosigns nothing for its children; name a file on another volume as its anchor"
}

// anchorInside reports whether the anchor lies where it does not help: in the data folder.
func (c *Config) anchorInside() bool {
	if c.Anchor == "" {
		return false
	}
	data, err := filepath.Abs(c.Data)
	if err != nil {
		return false
	}
	anchor, err := filepath.Abs(c.Anchor)
	return err == nil && strings.HasPrefix(anchor, data+string(filepath.Separator))
}
