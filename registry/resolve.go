package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// Resolution is what became of a log when it was continued as another one. The folder
// keeps it, in before/LOG/resolution.json.
type Resolution struct {
	// Before is the log that was continued, Log the one that continues it, and Why.
	Before string    `json:"before"`
	Log    string    `json:"log"`
	Why    string    `json:"why"`
	Time   time.Time `json:"time"`
	// Shared is how many entries both histories begin with; Own and Upper are how many each
	// had behind those: the node's, and the one that was held above.
	Shared uint64 `json:"shared"`
	Own    uint64 `json:"own"`
	Upper  uint64 `json:"upper"`
	// Entries is how many the new log has.
	Entries uint64 `json:"entries"`
	// There is how many entries added nothing, because all of it was there already.
	There uint64 `json:"there"`
	// Handed is how many rows are not in the new log, and are handed to their holders.
	Handed uint64 `json:"handed"`
	// File is where the rows are that were handed over, as the operator named it; empty for
	// none.
	File string `json:"file,omitempty"`
}

// Handed is a row, or a delegation, that did not get into the next incarnation of a log:
// it is for its holder to say what is to become of it.
type Handed struct {
	// Branch is whose history it stood in: "node" or "above". Entry is its place there.
	Branch string
	Entry  uint64
	// Row is what was registered; nil for a delegation or keyset of a prefix.
	Row    *identifier.Row
	Prefix identifier.Prefix
	// Reason is why it is not in the new log, and Collides says that this is because the
	// same version is there with other content. All others were signed together with one
	// that collides, or follow on it.
	Reason   string
	Collides bool
	// Version is the one that the identifier has in the new log; 0 for none.
	Version uint64
}

// ErrNothingToResolve says that a node's log need not be continued as another one.
var ErrNothingToResolve = errors.New("the log is one history, and what is held above begins as it does: there is nothing to resolve")

// Resolve begins the next incarnation of the node's log: a new log whose genesis names the
// one that it continues, and why; which repeats the newest rows of its children; and into
// which every entry of both histories is logged anew, through the check of versions that
// every change passes. Those that both share come first, then what is held above, which
// others have relied on, then the node's own. Signatures and times stay as they are; what
// has expired since counts, for it was admitted in time. What is there with other content
// is handed over, row by row, and nothing is dropped without that.
//
// file is where handed writes, for whoever asks later; empty for nowhere.
//
// upper is where the other history is; nil for none, as at a top-level node that was
// restored and has healed. The node must not run. When Resolve returns without an error the
// folder holds the new log, and that of before is kept beside it; with one, nothing has changed,
// or, when handed was called with nil, the next Open finishes it.
// handed is called for every row that is handed over, and with nil behind the last, before
// anything changes: what it was told must be durable then. Its error ends all.
func (c Config) Resolve(ctx context.Context, upper Upper, file string, handed func(*Handed) error) (Resolution, error) {
	c = c.withDefaults()
	old, err := Open(c)
	if err != nil {
		return Resolution{}, err
	}
	m := &merger{config: c, old: old, upper: upper, file: file, handed: handed}
	defer m.close()
	if err := m.compare(ctx); err != nil {
		return Resolution{}, err
	}
	if q := old.quarantine.Load(); m.after.Why == 0 && q != nil {
		// Nobody holds the other history any more; that there was one is proved.
		m.after.Why, m.after.Size, m.after.Held, m.after.Own = identifier.AfterFork, q.Size, q.Held, q.Signed
	}
	if m.after.Why == 0 {
		return Resolution{}, ErrNothingToResolve
	}
	scratch, err := old.folder.beginIncarnation()
	if err != nil {
		return Resolution{}, err
	}
	if err := m.build(ctx, scratch); err != nil {
		return Resolution{}, err
	}
	if err := handed(nil); err != nil {
		return Resolution{}, err
	}
	text, err := json.MarshalIndent(m.told, "", "  ")
	if err != nil {
		return Resolution{}, err
	}
	if err := writeFile(filepath.Join(scratch, resolutionFile), append(text, '\n'), 0o640); err != nil {
		return Resolution{}, err
	}
	before := old.log.String()
	if err := m.close(); err != nil {
		return Resolution{}, err
	}
	f, err := openFolder(c.Folder)
	if err != nil {
		return Resolution{}, err
	}
	defer f.close()
	return m.told, f.succeed(succession{Before: before})
}

// merger makes one log of two histories.
type merger struct {
	config Config
	old    *Registry // the node as it was
	new    *Registry // the next incarnation
	upper  Upper
	handed func(*Handed) error
	file   string

	after  identifier.Predecessor
	shared uint64 // entries that both histories begin with
	size   uint64 // of the log that is held above
	row    uint64 // how many entries were held above once
	told   Resolution
}

func (m *merger) close() (err error) {
	for _, r := range []**Registry{&m.new, &m.old} {
		if *r != nil {
			err = errors.Join(err, (*r).Close())
			*r = nil
		}
	}
	return err
}

// compare finds out where the two histories part, and what the next log has to say of that.
func (m *merger) compare(ctx context.Context) error {
	own, root := m.old.tree.head()
	m.after = identifier.Predecessor{Log: m.old.log, Size: own, Held: root, Own: root, Base: m.old.base.Load() + own}
	if m.upper == nil {
		m.shared, m.size = own, own
		m.after.Why = identifier.AfterRestore
		return nil
	}
	held, err := m.upper.Mirrored(ctx, 0)
	switch {
	case errors.Is(err, ErrNotMirrored):
		m.shared = own // nobody knows another history
		return nil
	case err != nil:
		return err
	}
	m.size, m.row = held.Size, held.Row
	m.after.Base = max(m.after.Base, m.old.base.Load()+held.Size)
	if own, err := m.old.continues(); err != nil {
		return err
	} else if own != nil && own.Log == held.Log {
		return nil // it was resolved, and is not heard of above yet
	}
	if held.Log != m.old.log {
		// It continues this node's log, or has nothing to do with it: then its own entries
		// are logged after all of those.
		_, root, err := m.at(ctx, held.Log, held.Size)
		if err != nil {
			return err
		}
		m.after.Log, m.after.Why, m.after.Size, m.after.Held, m.after.Own = held.Log, identifier.AfterBeginning, held.Size, root, identifier.Hash{}
		genesis, err := identifier.ParseEntry(held.Unit.Payloads[0])
		if err != nil {
			return err
		}
		g, err := identifier.ParseGenesis(genesis.Envelope.Payload)
		if err == nil && g.After != nil {
			m.after.Base = max(m.after.Base, g.After.Base+held.Size)
		}
		return err
	}
	return m.part(ctx, own)
}

// at returns the unit that ends a log of which so many entries are held above, and its root.
func (m *merger) at(ctx context.Context, log identifier.LogID, size uint64) (Mirrored, identifier.Hash, error) {
	held, err := m.upper.Mirrored(ctx, size-1)
	if err != nil {
		return held, identifier.Hash{}, err
	}
	root, err := m.checked(held, log, size-1)
	return held, root, err
}

// checked returns the root in the checkpoint of a unit that has an entry, if the node has
// signed it.
func (m *merger) checked(held Mirrored, log identifier.LogID, position uint64) (identifier.Hash, error) {
	u := held.Unit
	if u == nil || held.Log != log || position < u.Start || position >= u.End() {
		return identifier.Hash{}, fmt.Errorf("entry %d of log %s is not what came from above", position, log)
	}
	size, root, err := journal.VerifyCheckpoint(u.Checkpoint, log, m.old.key.Public())
	if err == nil && size != u.End() {
		err = fmt.Errorf("the checkpoint behind entry %d is over %d", u.End()-1, size)
	}
	return root, err
}

// part finds the first entry in which this log and the one above differ: among units by
// their roots, then entry by entry.
func (m *merger) part(ctx context.Context, own uint64) error {
	low, high := uint64(0), min(own, m.size)
	for low < high {
		held, err := m.upper.Mirrored(ctx, (low+high)/2)
		if err != nil {
			return err
		}
		root, err := m.checked(held, m.old.log, (low+high)/2)
		if err != nil {
			return err
		}
		u := held.Unit
		if u.End() <= own {
			mine, err := m.old.rootOf(u.End())
			if err != nil {
				return err
			}
			if mine == root {
				low = u.End()
				continue
			}
			if m.after.Why == 0 || u.End() < m.after.Size {
				m.after.Why, m.after.Size, m.after.Held, m.after.Own = identifier.AfterFork, u.End(), root, mine
			}
		}
		high = u.Start
	}
	m.shared = low
	if low < min(own, m.size) {
		return m.partWithin(ctx, own)
	}
	if m.row <= max(own, m.size) {
		return nil
	}
	// Neither has what the log of the node above says that there was.
	m.after.Why, m.after.Size = identifier.AfterLoss, low
	root, err := m.old.rootOf(low)
	m.after.Held, m.after.Own = root, root
	return err
}

// partWithin finds the first entry that differs in the unit that begins where both are
// still the same.
func (m *merger) partWithin(ctx context.Context, own uint64) error {
	held, err := m.upper.Mirrored(ctx, m.shared)
	if err != nil {
		return err
	}
	if _, err := m.checked(held, m.old.log, m.shared); err != nil {
		return err
	}
	for u := held.Unit; m.shared < min(own, u.End()); m.shared++ {
		theirs, err := identifier.EntryLeaf(u.Payloads[m.shared-u.Start])
		if err != nil {
			return err
		}
		entry, err := m.old.readEntry(m.shared)
		if err != nil {
			return err
		}
		if !bytes.Equal(theirs, identifier.AppendLeaf(nil, entry)) {
			break
		}
	}
	if m.after.Why == 0 && m.shared < min(own, m.size) {
		// No unit ends within both. The roots are those of the first entry that differs.
		if m.after.Own, err = m.old.rootOf(m.shared + 1); err != nil {
			return err
		}
		theirs, err := identifier.EntryLeaf(held.Unit.Payloads[m.shared-held.Unit.Start])
		if err != nil {
			return err
		}
		tree, err := journal.OpenTree(m.shared, tiles{m.old.state, ownLog})
		if err != nil {
			return err
		}
		tree.Append(theirs)
		m.after.Why, m.after.Size, m.after.Held = identifier.AfterFork, m.shared+1, tree.Root()
	}
	return nil
}

// branch yields the entries of the log above from a position on, which add up to what the
// node once signed.
func (m *merger) branch(ctx context.Context, from uint64, yield func(position uint64, payload []byte) error) error {
	if m.upper == nil {
		return nil
	}
	tree, err := journal.OpenTree(from, tiles{m.old.state, ownLog})
	if err != nil {
		return err
	}
	log := m.after.Log
	for from < m.size {
		held, err := m.upper.Mirrored(ctx, from)
		if err != nil {
			return err
		}
		root, err := m.checked(held, log, from)
		if err != nil {
			return err
		}
		u := held.Unit
		payloads := u.Payloads[from-u.Start:]
		for _, payload := range payloads {
			leaf, err := identifier.EntryLeaf(payload)
			if err != nil {
				return err
			}
			tree.Append(leaf)
		}
		if tree.Root() != root {
			return fmt.Errorf("entries %d to %d that are held above do not add up to what this node signed: run 'nameplate check' there", from, u.End()-1)
		}
		for _, payload := range payloads {
			if err := yield(from, payload); err != nil {
				return err
			}
			from++
		}
	}
	return nil
}

// newestRows returns the newest row of every child's log that either history has.
func (m *merger) newestRows(ctx context.Context) ([]identifier.ChildRow, error) {
	rows, err := m.old.childRows()
	if err != nil {
		return nil, err
	}
	newest := map[identifier.LogID]identifier.ChildRow{}
	take := func(rows []identifier.ChildRow) {
		for _, r := range rows {
			if r.Size > newest[r.Log].Size {
				newest[r.Log] = r
			}
		}
	}
	take(rows)
	err = m.branch(ctx, m.shared, func(_ uint64, payload []byte) error {
		e, err := identifier.ParseEntry(payload)
		if err == nil {
			take(e.Children)
		}
		return err
	})
	return slices.SortedFunc(maps.Values(newest), func(a, b identifier.ChildRow) int { return bytes.Compare(a.Log[:], b.Log[:]) }), err
}

// build makes the folder of the next incarnation.
func (m *merger) build(ctx context.Context, scratch string) error {
	rows, err := m.newestRows(ctx)
	if err != nil {
		return err
	}
	c := m.config
	c.Folder, c.Anchor, c.after, c.rows = scratch, "", &m.after, rows
	if m.new, err = Open(c); err != nil {
		return err
	}
	own := m.old.published.Load()
	m.told = Resolution{
		Before: m.after.Log.String(), Log: m.new.log.String(), Why: m.after.Why.String(), Time: m.config.Clock().UTC(), Shared: m.shared, Own: own - m.shared, Upper: m.size - min(m.size, m.shared),
	}
	if err := m.relog(ctx); err != nil {
		return err
	}
	if newest := m.new.sequencer.newestQueued(); newest != nil {
		if err := m.new.awaitSync(ctx, newest); err != nil {
			return err
		}
	}
	m.told.Entries = m.new.published.Load()
	if m.told.Handed > 0 {
		m.told.File = m.file
	}
	return m.new.WaitApplied(ctx)
}

// relog goes through the journal of before. The mirrors in it stay as they are; they judge
// what stands in them by the entries before, so the order stays as well.
func (m *merger) relog(ctx context.Context) error {
	above := func() error {
		return m.branch(ctx, m.shared, func(position uint64, payload []byte) error {
			return m.again(ctx, "above", position, payload)
		})
	}
	done := false
	for f, err := range m.old.journal.Scan(0, m.old.journal.Synced()) {
		if err != nil {
			return err
		}
		switch {
		case f.Log != ownLog && (f.Kind == journal.KindMirrored || f.Kind == journal.KindSession || f.Kind == journal.KindQuarantine):
			if err := m.copy(ctx, f.Frame); err != nil {
				return err
			}
		case f.Log == ownLog && f.Kind == journal.KindEntry:
			if f.Position >= m.shared && !done {
				done = true
				if err := above(); err != nil {
					return err
				}
			}
			if err := m.again(ctx, "node", f.Position, f.Payload); err != nil {
				return err
			}
		}
	}
	if done {
		return nil
	}
	return above()
}

// copy appends a frame of a mirror as it is.
func (m *merger) copy(ctx context.Context, f journal.Frame) error {
	f.Payload = bytes.Clone(f.Payload)
	for {
		if err := m.new.waitRoom(ctx, len(f.Payload)); err != nil {
			return err
		}
		synced := make(chan struct{})
		err := m.new.journal.Append(f, func(at, end journal.Offset) {
			if err := m.new.logs.replay(journal.Located{Frame: f, At: at, End: end}); err != nil {
				m.new.fail(err)
				return
			}
			close(synced)
		})
		if errors.Is(err, journal.ErrBusy) {
			continue
		}
		if err != nil {
			return err
		}
		m.new.sequencer.mu.Lock()
		m.new.sequencer.newest = synced // what is waited for at the end
		m.new.sequencer.mu.Unlock()
		return m.new.failure()
	}
}
