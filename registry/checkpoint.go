package registry

import (
	"context"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/journal"
)

// signCheckpoint signs what is synced, unless that is signed already, and waits
// until the note in the journal is synced: only then the checkpoint counts. Then it
// replaces the anchor.
//
// A node that takes no changes signs nothing. What it holds may be less than what it
// signed before it was restored, or something else; and the anchor, which says so,
// must not be made to forget it.
func (r *Registry) signCheckpoint(ctx context.Context) error {
	size, root := r.tree.head()
	if r.ReadOnly() != "" {
		return nil
	}
	if err := r.keepAcknowledged(); err != nil {
		return err
	}
	if last := r.checkpoint.Load(); size == 0 || last != nil && last.Size == size {
		return nil
	}
	note, err := journal.SignCheckpoint(size, root, r.log, r.key)
	if err != nil {
		return err
	}
	r.config.Hook(HookSigned)
	c := &Checkpoint{Size: size, Root: root, Time: r.now(), Note: note}
	if err := r.keepCheckpoint(ctx, c); err != nil {
		return err
	}
	if err := r.anchorCheckpoint(c); err != nil {
		return fmt.Errorf("anchor %s: %w", r.config.Anchor, err)
	}
	return nil
}

// keepCheckpoint logs a checkpoint and waits for its sync.
func (r *Registry) keepCheckpoint(ctx context.Context, c *Checkpoint) error {
	frame := journal.Frame{Log: ownLog, Position: c.Size, Kind: journal.KindCheckpoint, Payload: c.Note}
	synced := make(chan struct{})
	err := r.journal.Append(frame, func(at, end journal.Offset) {
		r.config.Hook(HookCheckpoint)
		if err := r.publishCheckpoint(c, at, end); err != nil {
			r.fail(fmt.Errorf("state: %w", err))
			return
		}
		close(synced)
	})
	if err != nil {
		return err
	}
	return r.awaitSync(ctx, synced)
}
