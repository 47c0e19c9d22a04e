package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nameplate-id/nameplate/registry/folder"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/state"
)

// Open opens the registry in a folder, or begins one where there is none. What the
// journal holds beyond the state is loaded before it returns, and resolves.
//
// The error names the file and what to do: another process uses the folder, the
// journal is damaged, missing or of a newer release, the key is not the one it was
// begun with. A state that is missing, damaged or behind is no error: it is built again
// from the journal, and a damaged one is kept beside it. Run must be called for
// checkpoints to be signed, and for a failure to be noticed.
func Open(c Config) (*Registry, error) {
	c = c.withDefaults()
	f, err := folder.Open(c.Folder, c.Hook)
	if err != nil {
		return nil, err
	}
	r := &Registry{config: c, folder: f, failed: make(chan struct{}), disk: newDiskWatch(c), opened: time.Now()}
	r.recovery.machine = replica.NewRecovery(len(c.Peers))
	if err := r.open(); err != nil {
		r.abandon()
		return nil, err
	}
	return r, nil
}

// abandon closes what a failed open had opened.
func (r *Registry) abandon() {
	if r.journal != nil {
		r.journal.Close()
	}
	if r.ledger != nil {
		r.stopApplying()
		r.state.Close()
	}
	r.folder.Close()
}

func (r *Registry) open() error {
	if err := r.folder.Finish(); err != nil {
		return err
	}
	dir := r.folder.Join(folder.JournalDir)
	id, begun, err := journal.Identify(dir, r.config.Journal)
	if err != nil {
		return err
	}
	if !begun {
		if err := r.folder.MayBegin(); err != nil {
			return err
		}
	}
	if r.key, err = r.folder.NodeKey(!begun); err != nil {
		return err
	}
	if begun {
		if err := r.openState(id); err != nil {
			return err
		}
	}
	if err := r.openJournal(dir, begun); err != nil {
		return err
	}
	if !begun {
		if id, _, err = journal.Identify(dir, r.config.Journal); err != nil {
			return err
		}
		if err := r.openState(id); err != nil {
			return err
		}
	}
	if err := r.loadOrRebuild(id); err != nil {
		return err
	}
	for _, m := range r.logs.everything() {
		m.remind(r.config.Clock(), r.config.Grace)
	}
	r.sequencer = newSequencer(r)
	r.anchors = newAnchoring(r)
	if err := r.begin(); err != nil {
		return err
	}
	r.anchors = newAnchoring(r) // the log has an id by now
	if err := r.anchors.load(); err != nil {
		return err
	}
	if err := r.findParts(); err != nil {
		return err
	}
	if err := r.loadResolution(); err != nil {
		return err
	}
	r.watchDisk()
	return r.checkRestored()
}

// openJournal opens the journal from where the state has got to.
func (r *Registry) openJournal(dir string, begun bool) error {
	var from journal.Offset
	if begun {
		from = journal.Offset(r.state.Applied())
	}
	var err error
	r.journal, err = journal.Open(dir, from, r.config.Journal)
	return err
}

// openState opens the state, and builds one anew when it cannot be used.
func (r *Registry) openState(journalID [16]byte) error {
	path := r.folder.Join(folder.StateFile)
	options := r.config.State
	options.Journal, options.Log = journalID, r.config.Log
	options.CheckRow = checkStoredRow
	options.Index = r.folder.Join(folder.IndexFile)
	s, err := state.Open(path, options)
	var damage *state.DamageError
	if !errors.As(err, &damage) {
		r.adopt(s, err)
		return err
	}
	if err := r.setAside(err); err != nil {
		return err
	}
	s, err = state.Open(path, options)
	r.adopt(s, err)
	return err
}

// asideSuffix is what the name of a state ends with that was found wanting.
const asideSuffix = ".damaged"

// setAside takes the state out of the way, so that the next to open one builds it
// anew. It is kept for whoever wants to know what happened to it.
func (r *Registry) setAside(why error) error {
	path := r.folder.Join(folder.StateFile)
	r.config.Log.Warn("the state cannot be trusted and is built again from the journal", "error", why, "kept", path+asideSuffix)
	return os.Rename(path, path+asideSuffix)
}

// loadOrRebuild loads the state and what the journal holds beyond it. Where the two
// do not add up, the state may be the one that is wrong: a new one is tried, once.
func (r *Registry) loadOrRebuild(journalID [16]byte) error {
	fresh := r.state.Applied() == 0
	err := r.load()
	var why *doubtError
	if fresh || !errors.As(err, &why) {
		return err
	}
	r.stopApplying()
	if err := errors.Join(r.setAside(why), r.state.Close()); err != nil {
		return err
	}
	if err := r.openState(journalID); err != nil {
		return err
	}
	return r.load()
}

// adopt makes an opened state the registry's and lets it take over what is
// published. That begins before the node serves, because there may be more to catch
// up with than memory holds.
func (r *Registry) adopt(s *state.Store, opened error) {
	if opened != nil {
		return
	}
	if err := s.Stats().Index.Err; err != nil {
		r.config.Log.Warn("the index of the state cannot be used: questions take longer", "error", err)
	}
	r.ledger = newLedger(ownLog, r.key.Public(), s, identifier.NewVerifier())
	r.logs = newLogs(r.ledger)
	r.logs.left = r.config.left
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := s.Run(ctx)
		var damage *state.DamageError
		if errors.As(err, &damage) {
			// Opening it again would not find what committing to it did.
			err = errors.Join(err, r.setAside(err))
		}
		if err != nil {
			r.fail(fmt.Errorf("state: %w", err))
		}
	}()
	r.stopApplying = func() {
		stop()
		<-done
	}
}

// load reads what the state holds, then the frames that it has not taken over yet.
func (r *Registry) load() error {
	if err := r.logs.load(); err != nil {
		return err
	}
	started, frames := time.Now(), 0
	for frame, err := range r.journal.Scan(journal.Offset(r.state.Applied()), r.journal.Synced()) {
		if err != nil {
			return err
		}
		if err := r.logs.replay(frame); err != nil {
			return doubt(fmt.Errorf("journal offset %d: %w", frame.At, err))
		}
		frames++
	}
	if frames == 0 {
		return nil
	}
	r.config.Log.Info("caught up with the journal", "frames", frames, "took", time.Since(started).Round(time.Millisecond))
	for _, m := range r.logs.mirrors() {
		if m.role == roleChild {
			if err := m.gatherAgain(); err != nil { // some of the frames may be delegations
				return err
			}
		}
	}
	return nil
}

// begin writes the first entries of a new log, or those that a crash left out: the
// genesis, and the grant of the root by which a node without a parent answers for
// everything.
func (r *Registry) begin() error {
	if r.config.Bare {
		return nil
	}
	if r.published.Load() == 0 {
		if _, err := rand.Read(r.log[:]); err != nil {
			return err
		}
		genesis, err := identifier.AppendGenesis(nil, &identifier.Genesis{Log: r.log, Key: r.key.Public(), Format: identifier.LogFormat, After: r.config.after})
		if err != nil {
			return err
		}
		if err := r.sequencer.write(identifier.EntryGenesis, identifier.Sign(identifier.GenesisType, genesis, r.key)); err != nil {
			return fmt.Errorf("begin the log: %w", err)
		}
	}
	if r.config.after != nil {
		return r.repeatRows()
	}
	if marker, err := r.folder.Marker(); err != nil || marker != "" {
		return err // there may be another second entry already
	}
	if r.published.Load() > 1 || r.config.Parent != (identifier.PublicKey{}) {
		return nil
	}
	root, err := identifier.AppendDelegation(nil, &identifier.Delegation{
		Epoch: 1, Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{r.key.Public()}},
	})
	if err != nil {
		return err
	}
	if err := r.sequencer.write(identifier.EntryGrant, identifier.Sign(identifier.DelegationType, root, r.key)); err != nil {
		return fmt.Errorf("begin the log: %w", err)
	}
	return nil
}
