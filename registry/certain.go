package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// What a restored node's mirrors hold beyond the rows in its own log is not certain to be
// the children's logs ([replica.Cut]). A frame of the mirror says up to where it is, until
// the child has said what becomes of the rest: as long, nothing of it is anchored, nor sent
// to other top-level nodes.

// certainNote is the note of a mirror that holds the newest such frame:
//
//	format      u8  1
//	whole       u8  1: all of the mirror is certain; 0: as much as the checkpoint covers
//	checkpoint      to the end; empty for no entries
const (
	certainNote   = "certain"
	certainFormat = 1
)

func appendCertain(dst []byte, row *replica.Row) []byte {
	if row == nil {
		return append(dst, certainFormat, 1)
	}
	return append(append(dst, certainFormat, 0), row.Checkpoint...)
}

// parseCertain returns up to where a mirror is certain; nil for all of it.
func (m *mirror) parseCertain(b []byte) (*replica.Row, error) {
	if len(b) < 2 || b[0] != certainFormat || b[1] > 1 || b[1] == 1 && len(b) > 2 {
		return nil, fmt.Errorf("what is certain of a mirror is not of format %d: use a newer release", certainFormat)
	}
	if b[1] == 1 {
		return nil, nil
	}
	row := &replica.Row{}
	if len(b) == 2 {
		return row, nil
	}
	c, err := m.readCheckpoint(b[2:])
	if err != nil {
		return nil, err
	}
	row.Size, row.Root, row.Checkpoint = c.Size, c.Root, c.Note
	return row, nil
}

// takeCertain takes such a frame in.
func (m *mirror) takeCertain(payload []byte, at, end journal.Offset) error {
	row, err := m.parseCertain(payload)
	if err != nil {
		return err
	}
	if err := m.keepNote(certainNote, payload, at, end); err != nil {
		return err
	}
	m.certain.Store(row)
	return nil
}

// loadCertain reads what the state holds.
func (m *mirror) loadCertain() error {
	note, err := m.note(certainNote)
	if err != nil || note == nil {
		return err
	}
	row, err := m.parseCertain(note)
	if err != nil {
		return err
	}
	m.certain.Store(row)
	return nil
}

// noteCertain says up to where a mirror is certain, nil for all of it, durably at return.
func (r *Registry) noteCertain(ctx context.Context, m *mirror, row *replica.Row) error {
	payload := appendCertain(nil, row)
	synced := make(chan struct{})
	frame := journal.Frame{Log: m.number, Position: m.published.Load(), Kind: journal.KindCertain, Payload: payload}
	err := r.whenRoom(ctx, len(payload), func() error {
		return r.journal.Append(frame, func(at, end journal.Offset) {
			if err := m.takeCertain(payload, at, end); err != nil {
				r.fail(fmt.Errorf("mirror of log %s: %w", m.log, err))
				return
			}
			close(synced)
		})
	})
	if err != nil {
		return err
	}
	return r.awaitSync(ctx, synced)
}

// certainty is what is certain of a mirror, and whether the rest of it contradicts what the
// node's own log says.
type certainty struct {
	replica.Row
	astray bool
}

// certainties works out what is certain of every mirror that has more than that. It reads
// the rows in the node's own log, as far as there are any: a row a second for years, so none
// is kept but the largest of each log. That one tells, as a rule; only where it contradicts
// the mirror all are read once more and compared.
func (r *Registry) certainties(ctx context.Context) (map[*mirror]certainty, error) {
	mirrors := map[identifier.LogID]*mirror{}
	for _, m := range r.logs.mirrors() {
		// Nothing more comes of a log that is set aside, and there is nothing of one that is
		// kept as checkpoints alone.
		if m.role == roleChild && !m.witness() && m.published.Load() > 0 && m.quarantine.Load() == nil {
			mirrors[m.log] = m
		}
	}
	largest := map[*mirror]identifier.ChildRow{}
	err := r.rowsWithin(ctx, mirrors, func(m *mirror, row *identifier.ChildRow) error {
		if row.Size > largest[m].Size {
			largest[m] = *row
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	cuts, doubtful := map[*mirror]*replica.Cutting{}, map[identifier.LogID]*mirror{}
	for log, m := range mirrors {
		cuts[m] = &replica.Cutting{}
		if row := largest[m]; row.Size > 0 {
			if err := r.weighRow(cuts[m], m, &row); err != nil {
				return nil, err
			}
		}
		if _, astray := cuts[m].Found(); astray {
			doubtful[log] = m
		}
	}
	err = r.rowsWithin(ctx, doubtful, func(m *mirror, row *identifier.ChildRow) error { return r.weighRow(cuts[m], m, row) })
	if err != nil {
		return nil, err
	}
	found := map[*mirror]certainty{}
	for m, c := range cuts {
		if kept, astray := c.Found(); kept.Size < m.published.Load() {
			found[m] = certainty{kept, astray}
		}
	}
	return found, nil
}

// rowsWithin yields the rows in the node's own log that mirrors can be compared with.
func (r *Registry) rowsWithin(ctx context.Context, mirrors map[identifier.LogID]*mirror, yield func(*mirror, *identifier.ChildRow) error) error {
	if len(mirrors) == 0 {
		return nil
	}
	at, err := r.locate(0)
	if err != nil {
		return err
	}
	_, _, err = r.replay(ctx, at, 0, r.published.Load(), func(l Logged) error {
		for i := range l.Entry.Children {
			row := &l.Entry.Children[i]
			if m := mirrors[row.Log]; m != nil && row.Size <= m.published.Load() {
				if err := yield(m, row); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// weighRow compares a row with a mirror.
func (r *Registry) weighRow(c *replica.Cutting, m *mirror, row *identifier.ChildRow) error {
	note, err := journal.AssembleCheckpoint(row.Size, row.Root, row.Log, row.Node, row.Signature)
	if err != nil {
		return fmt.Errorf("row of log %s: %w", row.Log, err)
	}
	if err := c.Weigh(replica.Row{Size: row.Size, Root: row.Root, Checkpoint: note}, m.published.Load(), &Mirror{r: r, m: m}); err != nil {
		return fmt.Errorf("mirror of log %s: %w", m.log, err)
	}
	return nil
}

// certify notes of every mirror what is certain of it, when the node has healed its own
// log, and cuts those that contradict it.
func (r *Registry) certify(ctx context.Context) error {
	found, err := r.certainties(ctx)
	if err != nil {
		return err
	}
	for m, c := range found {
		switch {
		case c.astray && r.config.left != ruleCut:
			err = r.cut(ctx, m, c.Row)
		case !c.astray && r.config.left != ruleCertain:
			err = r.noteCertain(ctx, m, &c.Row)
			m.generation.Add(1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// cut makes a mirror shorter: what a row says of it is taken over under another number, and
// counts in the place of the one before when all of it is there. That one stays in the
// journal, as it was. It is durable at return.
func (r *Registry) cut(ctx context.Context, m *mirror, to replica.Row) error {
	r.config.Log.Warn("a mirror is cut: what it held beyond is not the log that the child has now, or that this node's own log tells of",
		"log", m.log, "child", m.node, "entries", m.published.Load(), "kept", to.Size, "number", m.number)
	r.config.Hook(HookCut)
	n, err := r.numberAgain(ctx, m, to.Size)
	if err != nil {
		return err
	}
	var synced chan struct{}
	for next := uint64(0); next < to.Size; {
		u, err := (&Mirror{r: r, m: m}).Unit(next)
		if err != nil {
			return err
		}
		u = replica.CutUnit(u, to)
		done := make(chan struct{})
		if err := r.appendUnit(ctx, n, u, func() { close(done) }); err != nil {
			return err
		}
		next, synced = u.End(), done
		r.config.Hook(HookCutUnit)
	}
	if synced != nil {
		if err := r.awaitSync(ctx, synced); err != nil {
			return err
		}
	}
	r.anchors.cut(m.log, to.Size)
	return nil
}

// errCut ends the stream of a child whose mirror was cut meanwhile: it comes again.
var errCut = errors.New("the mirror was cut, and goes on from there: come back in a moment")

// numberAgain begins the mirror that takes the place of another one when it has so many
// entries.
func (r *Registry) numberAgain(ctx context.Context, m *mirror, entries uint64) (*mirror, error) {
	n := numbering{log: m.log, node: m.node, role: m.role, via: m.via, policy: m.policy, instead: m.number, entries: entries}
	number, err := r.giveNumber(ctx, n, func() bool { return false })
	if err != nil {
		return nil, err
	}
	return r.logs.numbered(number), nil
}

// Settle is told what the child says that it has, before anything else of it is heard: a
// checkpoint over so many entries. Where some of the mirror is not certain, that may say
// what becomes of it. The generation is another one whenever the mirror is not what it was.
func (m *Mirror) Settle(ctx context.Context, tip uint64, root identifier.Hash) (generation uint64, err error) {
	if certain := m.m.certain.Load(); certain != nil {
		v, err := replica.Greeted(*certain, m.m.published.Load(), m, tip, root)
		switch {
		case err != nil:
			return 0, err
		case v == replica.Keep:
			err = m.r.noteCertain(ctx, m.m, nil)
			m.m.generation.Add(1)
		case v == replica.Drop:
			err = m.r.cut(ctx, m.m, *certain)
		}
		if err != nil {
			return 0, err
		}
		m.m = m.r.logs.withID(m.m.node, m.m.log)
	}
	return uint64(m.m.number)<<32 | uint64(m.m.generation.Load()), nil
}

// resent takes in a unit that begins within what is not certain of the mirror. It returns
// what is to be appended; nil for nothing.
func (m *Mirror) resent(ctx context.Context, certain *replica.Row, u *replica.Unit) (*replica.Unit, error) {
	size := m.m.published.Load()
	v, rest, err := replica.Resent(size, m, u)
	switch {
	case err != nil:
		return nil, err
	case v == replica.Drop:
		if err := m.r.cut(ctx, m.m, *certain); err != nil {
			return nil, err
		}
		return nil, errCut
	case u.End() < size:
		// In memory: after a start the child sends it once more.
		m.m.certain.Store(&replica.Row{Size: u.End(), Root: u.Root, Checkpoint: u.Checkpoint})
		return nil, nil
	}
	return rest, m.r.noteCertain(ctx, m.m, nil)
}
