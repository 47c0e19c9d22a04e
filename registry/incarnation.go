package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nameplate-id/nameplate/registry/folder"
	"github.com/nameplate-id/nameplate/registry/history"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// ErrAgain is what [Registry.Run] returns when the node is to be opened again, because it
// is to have another log.
var ErrAgain = errors.New("the node begins again with another log")

// Lacks reports whether the node may have to adopt another log: its own has nothing but
// its beginning, or was restored from a backup.
func (r *Registry) Lacks() bool {
	return r.beginning() || r.restored.Load()
}

// mostBeginning is how many entries a log may have at the most in which there is nothing of
// the node's own.
const mostBeginning = 256

// beginning reports whether there is nothing in the log but what a first start writes, and
// what was granted from above.
func (r *Registry) beginning() bool {
	size := r.published.Load()
	if size > mostBeginning || r.base.Load() > 0 || len(r.logs.mirrors()) > 0 {
		return false
	}
	for position := range size {
		e, err := r.readEntry(position)
		if err != nil || e.Kind != identifier.EntryGenesis && e.Kind != identifier.EntryGrant && e.Kind != identifier.EntryKeyset {
			return false
		}
	}
	return true
}

// Due reports whether the next incarnation of the log is to be begun before the node goes
// on: it is a top-level node that was restored and has healed.
func (r *Registry) Due() bool {
	marker, err := r.folder.Marker()
	return err == nil && marker == incarnationDue
}

// incarnationDue is the mark of a top-level node that has healed.
const incarnationDue = "this top-level node was restored and has everything that three others hold: it continues its log as another one"

// Adopts reports whether the node is to adopt the log that is held above in place of its
// own: another one than its own, which its own does not continue, and of which there are whole
// entries.
func (r *Registry) Adopts(held history.Held) bool {
	after, err := r.continues()
	return err == nil && r.Lacks() && held.Policy == identifier.PolicyMirror && held.Size > 0 && held.Log != r.log && !r.config.left.lacks(ruleOlder, !after.Continues(held.Log))
}

// NotDue says that a node for which [Registry.Due] holds asks the others once more before it
// goes on. The node must not run. It is durable at return.
func (c Config) NotDue() error {
	f, err := folder.Open(c.Folder, c.withDefaults().Hook)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Mark(folder.Restored + ": too few other top-level nodes had an answer")
}

// continues returns which log the node's own one continues; nil for none.
func (r *Registry) continues() (*identifier.Predecessor, error) {
	note, err := r.note(genesisNote)
	if err != nil || note == nil {
		return nil, err
	}
	g, err := identifier.ParseGenesis(note)
	if err != nil {
		return nil, err
	}
	return g.After, nil
}

// loadResolution reads what became of the log that this one continues, where the folder
// still tells.
func (r *Registry) loadResolution() error {
	var err error
	if r.after, err = r.continues(); err != nil || r.after == nil {
		return err
	}
	files, err := r.folder.Resolutions()
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var told Resolution
		if err := json.Unmarshal(text, &told); err != nil {
			r.config.Log.Warn("what is told of the log before cannot be read", "file", file, "error", err)
			continue
		}
		if told.Log == r.log.String() {
			r.resolution = &told
		}
	}
	return nil
}

// Adopt makes the log that is held above the node's own, beginning with what one question
// gives. The node must not run. When it is opened again it is marked, and gets the rest as
// one that was restored does. The journal that it had is kept, unless there was nothing in
// it.
func (c Config) Adopt(ctx context.Context, upper history.Upper) error {
	c = c.withDefaults()
	old, err := Open(c)
	if err != nil {
		return err
	}
	before, empty := old.log, old.beginning()
	if err := old.Close(); err != nil {
		return err
	}
	held, err := upper.Mirrored(ctx, 0)
	if err == nil && held.Unit == nil {
		err = history.ErrNotMirrored
	}
	if err != nil {
		return err
	}
	f, err := folder.Open(c.Folder, c.Hook)
	if err != nil {
		return err
	}
	defer f.Close()
	scratch, err := f.Begin()
	if err != nil {
		return err
	}
	if err := c.adoptInto(ctx, scratch, held); err != nil {
		return fmt.Errorf("the log that is held above cannot be taken in: %w", err)
	}
	c.Hook(HookAdopted)
	s := folder.Succession{Before: before.String(), Mark: fmt.Sprintf("restored from what is held above of log %s, with %d entries", held.Log, held.Size)}
	if empty {
		s.Before = ""
	}
	c.Log.Warn("the node adopts the log that is held above", "log", held.Log, "entries", held.Size, "before", before, "kept", s.Before != "")
	return f.Succeed(s)
}

// adoptInto begins a journal with the first unit of a log that is there already.
func (c Config) adoptInto(ctx context.Context, scratch string, held history.Held) error {
	c.Folder, c.Anchor, c.Bare = scratch, "", true
	r, err := Open(c)
	if err != nil {
		return err
	}
	why := "it is being adopted"
	r.marked.Store(&why)
	size, root, err := journal.VerifyCheckpoint(held.Unit.Checkpoint, held.Log, r.key.Public())
	if err == nil && size != held.Unit.End() {
		err = fmt.Errorf("the checkpoint is over %d entries, and there are %d", size, held.Unit.End())
	}
	if err == nil {
		u := *held.Unit
		u.Root = root
		err = r.Source().TakeBack(ctx, &u)
	}
	return errors.Join(err, r.Close())
}

// Again ends the registry's run with [ErrAgain], when another log may have to be adopted. It
// reports whether it does.
func (s *Source) Again() bool {
	if s.r.settled || !s.r.Lacks() || time.Since(s.r.opened) < againEvery {
		return false
	}
	s.r.fail(ErrAgain)
	return true
}

// BeginAgain ends the registry's run with [ErrAgain]: what is held above is to be joined with
// what is here.
func (r *Registry) BeginAgain() { r.fail(ErrAgain) }

// Settle says that those who can be asked were, and hold no log that this node could adopt:
// it does not begin again for that. Call it before Run.
func (r *Registry) Settle() { r.settled = true }

// againEvery is how often a node may begin again, so that a parent which changes its mind
// costs little.
const againEvery = 2 * time.Second
