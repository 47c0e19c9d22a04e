package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"

	"github.com/nameplate-id/nameplate/registry/folder"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/state"
)

// Report is what [Check] found in a sound folder.
type Report struct {
	Log         identifier.LogID
	Segments    int
	Entries     uint64
	Checkpoints uint64
	Root        identifier.Hash // over all entries
	Torn        bool            // there is an unsynced tail, which the next start cuts off
	// Identifiers, Withdrawn and Delegations are what the journal adds up to.
	Identifiers, Withdrawn, Delegations uint64
	// Behind is how many frames of the journal the state has not taken over yet.
	Behind uint64
}

// Check reads everything in a node's folder and compares it: every frame of the
// journal with its checksum, every change with its row tree, every checkpoint with
// its signature and with the root of the entries that it covers, every page and
// every record of the state; where the index says that each record is; the state with one that it builds anew from the journal,
// in a temporary file beside it; and the node's key, if it is there, with the one the
// log was begun with. It changes nothing. The node must not run.
// progress, unless nil, is told of the journal offset reached.
//
// The error names the first thing that is not as it should be.
func Check(ctx context.Context, path string, o journal.Options, progress func(at journal.Offset)) (Report, error) {
	if _, err := os.Stat(path); err != nil {
		return Report{}, fmt.Errorf("data folder: %w", err)
	}
	f, err := folder.Open(path, nil)
	if err != nil {
		return Report{}, err
	}
	defer f.Close()
	// A fixed name: what a crash leaves goes with the next check.
	scratch := f.Join(scratchDir)
	if err := errors.Join(os.RemoveAll(scratch), os.Mkdir(scratch, 0o700)); err != nil {
		return Report{}, err
	}
	defer os.RemoveAll(scratch)
	dir := f.Join(folder.JournalDir)
	id, begun, err := journal.Identify(dir, o)
	switch {
	case err != nil:
		return Report{}, err
	case !begun:
		return Report{}, fmt.Errorf("there is no journal in %s: is it a node's folder?", path)
	}
	rebuilt, err := state.Open(filepath.Join(scratch, folder.StateFile), state.Options{Journal: id})
	if err != nil {
		return Report{}, err
	}
	defer rebuilt.Close()
	c := &checker{ledger: newLedger(ownLog, identifier.PublicKey{}, rebuilt, identifier.NewVerifier()), progress: progress}
	c.logs = newLogs(c.ledger)
	if key, err := f.NodeKey(false); err == nil {
		c.node = key.Public()
	} else if !errors.Is(err, os.ErrNotExist) {
		return Report{}, err
	}
	applying, stop := context.WithCancel(ctx)
	defer stop()
	go rebuilt.Run(applying)
	if err := c.openKept(f.Join(folder.StateFile), id); err != nil {
		return Report{}, err
	}
	c.index = f.Join(folder.IndexFile)
	if c.kept != nil {
		defer c.kept.Close()
	}
	return c.check(ctx, dir, o)
}

// scratchDir is where a check builds the state again.
const scratchDir = "check.new"

// checker is one run of [Check].
type checker struct {
	*ledger
	logs     *logs
	kept     *state.Store // the folder's own state; nil when there is none
	index    string       // the path of its index
	progress func(at journal.Offset)
	compared bool
	behind   uint64
}

// openKept opens the folder's own state.
func (c *checker) openKept(path string, id [16]byte) error {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var err error
	c.kept, err = state.Open(path, state.Options{Journal: id})
	return err
}

func (c *checker) check(ctx context.Context, dir string, o journal.Options) (Report, error) {
	if err := c.logs.load(); err != nil {
		return Report{}, err
	}
	read, err := journal.Verify(dir, o, func(f journal.Located) error { return c.frame(ctx, f) })
	if err != nil {
		return Report{}, err
	}
	if c.kept != nil && !c.compared {
		if at := c.kept.Applied(); at > uint64(read.End) {
			return Report{}, fmt.Errorf("the state has taken over the journal up to %d, and the journal ends at %d: the journal is not the one that the state was built from", at, read.End)
		}
		if err := c.compare(ctx); err != nil {
			return Report{}, err
		}
	}
	if err := c.state.WaitApplied(ctx, c.state.Published()); err != nil {
		return Report{}, err
	}
	totals := c.state.Totals()[ownLog]
	_, root := c.tree.head()
	report := Report{
		Log: c.log, Segments: read.Segments, Entries: read.Entries, Checkpoints: read.Checkpoints, Root: root, Torn: read.Torn,
		Identifiers: totals.Live, Withdrawn: totals.Withdrawn, Delegations: totals.Delegations, Behind: c.behind,
	}
	return report, nil
}

// frame takes one frame of the journal in.
func (c *checker) frame(ctx context.Context, f journal.Located) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.kept == nil || uint64(f.At) >= c.kept.Applied() {
		c.behind++
		if c.kept != nil && !c.compared {
			if err := c.compare(ctx); err != nil {
				return err
			}
		}
	}
	if err := c.logs.replay(f); err != nil {
		return fmt.Errorf("journal offset %d: %w", f.At, err)
	}
	if f.Kind == journal.KindCheckpoint {
		if err := c.checkRoot(c.checkpoint.Load()); err != nil {
			return fmt.Errorf("journal offset %d: %w", f.At, err)
		}
	}
	if c.progress != nil {
		c.progress(f.End)
	}
	return nil
}

// compare compares the folder's state with the one built from the same frames.
func (c *checker) compare(ctx context.Context) error {
	c.compared = true
	if err := c.state.WaitApplied(ctx, c.state.Published()); err != nil {
		return err
	}
	if err := c.kept.Check(ctx, func(t state.Table, _ uint32, row state.Row) error { return checkStoredRow(t, row) }); err != nil {
		return err
	}
	if err := c.kept.CheckIndex(c.index); err != nil {
		return err
	}
	if err := c.compareLog(ctx, c.ledger); err != nil {
		return err
	}
	for _, m := range c.logs.everything() {
		if err := c.compareLog(ctx, m.ledger); err != nil {
			return fmt.Errorf("mirror of log %s: %w", m.log, err)
		}
	}
	if kept, built := c.kept.Totals(), c.state.Totals(); !maps.Equal(kept, built) {
		return fmt.Errorf("the state counts %+v, the journal adds up to %+v: %w", kept, built, errRebuild)
	}
	return nil
}

// compareLog compares what the two states hold of one log.
func (c *checker) compareLog(ctx context.Context, l *ledger) error {
	for _, table := range []state.Table{state.Records, state.Delegations, state.Hashed, state.Tiles, state.Notes} {
		if err := sameRows(ctx, table, l.number, c.kept, c.state); err != nil {
			return err
		}
	}
	return c.compareRuns(l)
}

// compareRuns compares where the two states say that entries lie in the journal.
func (c *checker) compareRuns(l *ledger) error {
	run := func(s *state.Store, position uint64) (at, first uint64, err error) {
		err = s.View(func(v *state.Reader) error {
			at, first, _ = v.Run(l.number, position)
			return nil
		})
		return at, first, err
	}
	// From the last entry back, one step for each run.
	for next := l.published.Load(); next > 0; {
		at, first, err := run(c.state, next-1)
		if err != nil {
			return err
		}
		keptAt, keptFirst, err := run(c.kept, next-1)
		if err != nil {
			return err
		}
		if keptAt != at || keptFirst != first {
			return fmt.Errorf("the run index of the state is wrong about entry %d: %w", next-1, errRebuild)
		}
		next = first
	}
	return nil
}

// errRebuild is the mend of a state that is not what the journal adds up to.
var errRebuild = errors.New("delete the state, it is built again at the next start")

// checkStoredRow checks a row of the state by itself.
func checkStoredRow(t state.Table, row state.Row) error {
	var err error
	switch t {
	case state.Records:
		_, err = identifier.CheckStored(row.Key, row.Value)
	case state.Delegations:
		_, err = identifier.CheckStoredDelegation(row.Key, row.Value)
	case state.Tiles:
		_, err = tileHashes(row.Key, row.Value)
	case state.Hashed:
		_, err = summed(row.Key, row.Value)
	}
	return err
}

// sameRows compares a table of two states row by row.
func sameRows(ctx context.Context, t state.Table, log uint32, kept, built *state.Store) error {
	next, stop := iter.Pull2(kept.Ascend(ctx, t, log, nil))
	defer stop()
	differ := func(key []byte, what string) error {
		return fmt.Errorf("table %s, key %q: %s: %w", t, key, what, errRebuild)
	}
	for want, err := range built.Ascend(ctx, t, log, nil) {
		if err != nil {
			return err
		}
		have, err, ok := next()
		switch {
		case err != nil:
			return err
		case !ok || bytes.Compare(have.Key, want.Key) > 0:
			return differ(want.Key, "the state lacks what the journal adds up to")
		case !bytes.Equal(have.Key, want.Key):
			return differ(have.Key, "the state has what the journal does not add up to")
		case !bytes.Equal(have.Value, want.Value) || have.Withdrawn != want.Withdrawn:
			return differ(have.Key, "the state has another value than the journal adds up to")
		}
	}
	if have, err, ok := next(); err != nil {
		return err
	} else if ok {
		return differ(have.Key, "the state has what the journal does not add up to")
	}
	return nil
}
