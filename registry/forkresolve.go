package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/nameplate-id/nameplate/registry/folder"
	"github.com/nameplate-id/nameplate/registry/history"
	"github.com/nameplate-id/nameplate/registry/identifier"
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
func (c Config) Resolve(ctx context.Context, upper history.Upper, file string, handed func(*Handed) error) (Resolution, error) {
	c = c.withDefaults()
	old, err := Open(c)
	if err != nil {
		return Resolution{}, err
	}
	m := &merger{config: c, old: old, upper: upper, file: file, handed: handed}
	defer m.close()
	own, err := old.ownHistory()
	if err == nil {
		m.parting, err = history.Compare(ctx, own, upper)
	}
	if err != nil {
		return Resolution{}, err
	}
	after := &m.parting.After
	if q := old.quarantine.Load(); q != nil && after.Log == old.log && (after.Why == 0 || after.Why == identifier.AfterLoss) {
		// Nobody holds the other history any more, or gives it back, or the node has too little to
		// compare with the checkpoint that is held; that there was one is proved.
		after.Why, after.Size, after.Held, after.Own = identifier.AfterFork, q.Size, q.Held, q.Signed
	}
	if after.Why == 0 {
		return Resolution{}, ErrNothingToResolve
	}
	scratch, err := old.folder.Begin()
	if err != nil {
		return Resolution{}, err
	}
	if err := m.build(ctx, scratch); err != nil {
		return Resolution{}, err
	}
	c.Hook(HookMerged)
	if err := handed(nil); c.left.lacks(ruleHanded, err == nil) {
		return Resolution{}, err
	}
	text, err := json.MarshalIndent(m.told, "", "  ")
	if err != nil {
		return Resolution{}, err
	}
	if err := folder.WriteFile(filepath.Join(scratch, folder.ResolutionFile), append(text, '\n'), 0o640); err != nil {
		return Resolution{}, err
	}
	before := old.log.String()
	if err := m.close(); err != nil {
		return Resolution{}, err
	}
	f, err := folder.Open(c.Folder, c.Hook)
	if err != nil {
		return Resolution{}, err
	}
	defer f.Close()
	return m.told, f.Succeed(folder.Succession{Before: before})
}

// merger makes one log of two histories.
type merger struct {
	config Config
	old    *Registry // the node as it was
	new    *Registry // the next incarnation
	upper  history.Upper
	handed func(*Handed) error
	file   string

	parting *history.Parting
	told    Resolution

	origins []origin // of which a keyset of either history speaks
}

// origin is a place in a log of before that is to be marked, and in which history it was.
type origin struct {
	identifier.Origin
	marked map[string]bool // by branch
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

// speaksOf notes that a keyset speaks of a place.
func (m *merger) speaksOf(o identifier.Origin) {
	if !slices.ContainsFunc(m.origins, func(x origin) bool { return x.Origin == o }) {
		m.origins = append(m.origins, origin{Origin: o})
	}
}

// suspicionIn returns what an entry says is suspect; nil for nothing.
func suspicionIn(e *identifier.Entry) *identifier.Suspicion {
	switch e.Kind {
	case identifier.EntryGrant, identifier.EntryDelegation, identifier.EntryKeyset:
		if g, err := parseGrant(e.Envelope); err == nil {
			return g.delegation.Keyset.Suspect
		}
	}
	return nil
}

// newestRows returns the newest row of every child's log that either history has, and notes
// of which places their keysets speak.
func (m *merger) newestRows(ctx context.Context) ([]identifier.ChildRow, error) {
	if m.config.left == ruleNewest {
		return nil, nil
	}
	if err := m.old.WaitApplied(ctx); err != nil {
		return nil, err
	}
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
	for _, s := range m.old.suspicions.list() {
		m.speaksOf(identifier.Origin{Log: s.Log, Position: s.Since})
	}
	err = m.parting.Entries(ctx, func(_ uint64, payload []byte) error {
		e, err := identifier.ParseEntry(payload)
		if err != nil {
			return err
		}
		take(e.Children)
		if s := suspicionIn(e); s != nil {
			m.speaksOf(identifier.Origin{Log: s.Log, Position: s.Since})
		}
		return nil
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
	c.Folder, c.Anchor, c.after, c.rows = scratch, "", &m.parting.After, rows
	if m.new, err = Open(c); err != nil {
		return err
	}
	own, p := m.old.published.Load(), m.parting
	m.told = Resolution{
		Before: p.After.Log.String(), Log: m.new.log.String(), Why: p.After.Why.String(), Time: m.config.Clock().UTC(), Shared: p.Shared, Own: own - p.Shared, Upper: p.Size - min(p.Size, p.Shared),
	}
	if err := m.relog(ctx); err != nil {
		return err
	}
	if newest := m.new.sequencer.newestQueued(); newest != nil {
		if err := m.new.awaitSync(ctx, newest); err != nil {
			return err
		}
	}
	if err := m.setAsideAstray(ctx); err != nil {
		return err
	}
	m.told.Entries = m.new.published.Load()
	if m.told.Handed > 0 {
		m.told.File = m.file
	}
	return m.new.WaitApplied(ctx)
}
