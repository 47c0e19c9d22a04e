package registry

import (
	"errors"
	"fmt"
	"os"

	"github.com/nameplate-id/nameplate/registry/folder"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// A node without a parent has nobody who would notice that it was put back to an
// older state of itself. It keeps its newest checkpoint in a file on another volume,
// the anchor, which is never part of a backup. At the start the log must hold what
// the anchor says.

// anchorCheckpoint replaces the anchor.
func (r *Registry) anchorCheckpoint(c *Checkpoint) error {
	if r.config.Anchor == "" {
		return nil
	}
	r.config.Hook(HookAnchor)
	if err := folder.WriteFile(r.config.Anchor, c.Note, 0o640); err != nil {
		return err
	}
	r.config.Hook(HookAnchored)
	r.anchors.hold(c.Size)
	return nil
}

// anchorAllows checks the log against the anchor. It returns why no changes may be
// taken; "" when they may; and whether there was an anchor to ask.
func (r *Registry) anchorAllows() (why string, asked bool, err error) {
	if r.config.Anchor == "" {
		return "", false, nil
	}
	note, err := os.ReadFile(r.config.Anchor)
	if errors.Is(err, os.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("anchor: %w", err)
	}
	size, root, err := journal.VerifyCheckpoint(note, r.log, r.key.Public())
	if after, missing := r.continues(); err != nil && missing == nil && after != nil {
		if _, _, earlier := journal.VerifyCheckpoint(note, after.Log, r.key.Public()); earlier == nil {
			return "", false, nil // of the log that this one continues: it is replaced with the next checkpoint
		}
	}
	if err != nil {
		return "", false, fmt.Errorf("anchor %s is not one of this log: %w", r.config.Anchor, err)
	}
	have, _ := r.tree.head()
	if size > have {
		return fmt.Sprintf("the anchor says that the log had %d entries, this folder holds %d: restore a newer backup", size, have), true, nil
	}
	now, err := journal.Root(size, tiles{r.state, ownLog})
	if err != nil {
		return "", false, fmt.Errorf("anchor: %w", err)
	}
	if now != root {
		return fmt.Sprintf("the first %d entries are not those that the anchor was signed over: the log has been rewritten, restore a good backup", size), true, nil
	}
	r.anchors.hold(size)
	return "", true, nil
}
