package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/state"
)

// Open opens the registry in a folder, or begins one where there is none. What the
// journal holds beyond the state is loaded before it returns, and resolves.
//
// The error names the file and what to do: another process uses the folder, the
// journal is damaged or of a newer release, the key is missing. A state that is
// missing, damaged or behind is no error: it is built again from the journal. Run must
// be called for anything to be taken over into it.
func Open(c Config) (*Registry, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	f, err := openFolder(c.Folder)
	if err != nil {
		return nil, err
	}
	r := &Registry{config: c, folder: f, holders: newHolders(), grew: make(chan struct{}), failed: make(chan struct{})}
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
	if r.state != nil {
		r.stopApplying()
		r.state.Close()
	}
	r.folder.close()
}

func (r *Registry) open() error {
	dir := r.folder.join(journalDir)
	id, begun, err := journal.Identify(dir, r.config.Journal)
	if err != nil {
		return err
	}
	if r.key, err = r.folder.nodeKey(!begun); err != nil {
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
	if err := r.load(); err != nil {
		return err
	}
	r.sequencer = newSequencer(r)
	if err := r.begin(); err != nil {
		return err
	}
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
	path := r.folder.join(stateFile)
	options := r.config.State
	options.Journal = journalID
	var err error
	r.state, err = state.Open(path, options)
	var damage *state.DamageError
	if !errors.As(err, &damage) {
		r.startApplying(err)
		return err
	}
	aside := path + ".damaged"
	r.config.Log.Warn("the state is damaged and is built again from the journal", "error", err, "kept", aside)
	if err := os.Rename(path, aside); err != nil {
		return err
	}
	r.state, err = state.Open(path, options)
	r.startApplying(err)
	return err
}

// startApplying lets the state take over what is published. It begins before the
// node serves, because there may be more to catch up with than memory holds.
func (r *Registry) startApplying(opened error) {
	if opened != nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.state.Run(ctx); err != nil {
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
	if err := r.loadState(); err != nil {
		return err
	}
	started, frames := time.Now(), 0
	for frame, err := range r.journal.Scan(journal.Offset(r.state.Applied()), r.journal.Synced()) {
		if err != nil {
			return err
		}
		if err := r.replayFrame(frame); err != nil {
			return fmt.Errorf("journal offset %d: %w", frame.At, err)
		}
		frames++
	}
	if frames > 0 {
		r.config.Log.Info("caught up with the journal", "frames", frames, "took", time.Since(started).Round(time.Millisecond))
	}
	return nil
}

// loadState sets up what is kept in memory from the state.
func (r *Registry) loadState() error {
	position := r.state.Positions()[ownLog]
	r.published.Store(position)
	tree, err := journal.OpenTree(position, tiles{r.state})
	if err != nil {
		return err
	}
	r.tree = &logTree{tree: tree}
	if position == 0 {
		return nil
	}
	var genesis, checkpoint []byte
	err = r.state.View(func(v *state.Reader) error {
		genesis = bytes.Clone(v.Get(state.Notes, ownLog, []byte(genesisNote)))
		checkpoint = bytes.Clone(v.Get(state.Notes, ownLog, []byte(checkpointNote)))
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.loadGenesis(genesis); err != nil {
		return err
	}
	if checkpoint != nil {
		c, err := r.readCheckpoint(checkpoint)
		if err != nil {
			return err
		}
		r.checkpoint.Store(c)
	}
	return r.loadHolders()
}

// loadHolders reads the grants and the delegations.
func (r *Registry) loadHolders() error {
	for row, err := range r.state.Ascend(context.Background(), state.Notes, ownLog, []byte(grantNote)) {
		if err != nil {
			return err
		}
		key, ok := bytes.CutPrefix(row.Key, []byte(grantNote))
		if !ok {
			break
		}
		if err := r.loadDelegation(key, row.Value, true); err != nil {
			return err
		}
	}
	for row, err := range r.state.Ascend(context.Background(), state.Delegations, ownLog, nil) {
		if err != nil {
			return err
		}
		if err := r.loadDelegation(row.Key, row.Value, false); err != nil {
			return err
		}
	}
	return nil
}

func (r *Registry) loadDelegation(key, value []byte, apex bool) error {
	stored, err := identifier.CheckStoredDelegation(key, value)
	if err != nil {
		return err
	}
	d, err := stored.Delegation()
	if err != nil {
		return err
	}
	r.holders.put(held{delegation: d, position: stored.Position(), granted: stored.Granted(), apex: apex})
	return nil
}

// loadGenesis checks that the log is signed by this node's key.
func (r *Registry) loadGenesis(payload []byte) error {
	g, err := identifier.ParseGenesis(payload)
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	if g.Key != r.key.Public() {
		return fmt.Errorf("node key %s is not the one that the log was begun with, %s: put the right one back", r.key.Public(), g.Key)
	}
	r.log = g.Log
	return nil
}

func (r *Registry) readCheckpoint(note []byte) (*Checkpoint, error) {
	size, root, err := journal.VerifyCheckpoint(note, r.log, r.key.Public())
	if err != nil {
		return nil, err
	}
	return &Checkpoint{Size: size, Root: root, Time: now(), Note: bytes.Clone(note)}, nil
}

// replayFrame publishes a frame that was synced before the start, as the committer
// would have.
func (r *Registry) replayFrame(f journal.Located) error {
	if f.Log != ownLog {
		return fmt.Errorf("frame of log %d: this release keeps no mirrors", f.Log)
	}
	switch f.Kind {
	case journal.KindCheckpoint:
		c, err := r.readCheckpoint(f.Payload)
		if err != nil {
			return err
		}
		r.publishCheckpoint(c, f.At, f.End)
		return r.failure()
	case journal.KindEntry:
		if f.Position != r.published.Load() {
			return fmt.Errorf("entry %d where %d should stand", f.Position, r.published.Load())
		}
		entry, err := identifier.ParseEntry(f.Payload)
		if err != nil {
			return fmt.Errorf("entry %d: %w", f.Position, err)
		}
		if entry.Kind == identifier.EntryGenesis {
			if err := r.loadGenesis(entry.Envelope.Payload); err != nil {
				return err
			}
		}
		x, err := effectOf(entry, f.Position, r.holders)
		if err != nil {
			return fmt.Errorf("entry %d: %w", f.Position, err)
		}
		return r.publish(x, identifier.AppendLeaf(nil, entry), f.Position, f.At, f.End)
	}
	return nil
}

// begin writes the first entries of a new log, or those that a crash left out: the
// genesis, and the grant of the root by which a node without a parent answers for
// everything.
func (r *Registry) begin() error {
	if r.published.Load() == 0 {
		if _, err := rand.Read(r.log[:]); err != nil {
			return err
		}
		genesis, err := identifier.AppendGenesis(nil, &identifier.Genesis{Log: r.log, Key: r.key.Public(), Format: identifier.LogFormat})
		if err != nil {
			return err
		}
		if err := r.sequencer.write(identifier.EntryGenesis, identifier.Sign(identifier.GenesisType, genesis, r.key)); err != nil {
			return fmt.Errorf("begin the log: %w", err)
		}
	}
	if r.published.Load() > 1 {
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
