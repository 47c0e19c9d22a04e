package registry

import (
	"fmt"
	"time"

	"github.com/nameplate-id/nameplate/registry/journal"
)

// checkpointEvery is how often a growing log gets a checkpoint.
const checkpointEvery = time.Second

// signCheckpoint signs what is synced, unless that is signed already. The
// checkpoint counts once the note in the journal is synced.
func (r *Registry) signCheckpoint() error {
	size, root := r.tree.head()
	if last := r.checkpoint.Load(); size == 0 || last != nil && last.Size == size {
		return nil
	}
	note, err := journal.SignCheckpoint(size, root, r.log, r.key)
	if err != nil {
		return err
	}
	c := &Checkpoint{Size: size, Root: root, Time: now(), Note: note}
	// Two checkpoints of one size are the same statement, so it does no harm when a
	// second is signed before the first is synced.
	frame := journal.Frame{Log: ownLog, Position: size, Kind: journal.KindCheckpoint, Payload: note}
	return r.journal.Append(frame, func(at, end journal.Offset) {
		if err := r.publishCheckpoint(c, at, end); err != nil {
			r.fail(fmt.Errorf("state: %w", err))
			return
		}
		if err := r.anchorCheckpoint(c); err != nil {
			r.config.Log.Warn("anchor not written", "file", r.config.Anchor, "error", err)
		}
	})
}
