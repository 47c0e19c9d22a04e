package registry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nameplate-id/nameplate/registry/history"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Mirrored returns what is mirrored of the log of a node that counts, also when that is
// set aside, and the unit with the entry at a position. The error is a [*replica.Refusal]
// when there is none, or when this node lacks entries itself and may not know.
func (r *Registry) Mirrored(node identifier.PublicKey, position uint64) (history.Held, error) {
	return r.MirroredFor(node, node, identifier.LogID{}, position)
}

// MirroredFor is [Registry.Mirrored] for whoever asks: the node itself, or the top-level node
// that has sent its log here. log is one of its logs; of all zeros for the one that counts.
func (r *Registry) MirroredFor(asker, node identifier.PublicKey, log identifier.LogID, position uint64) (history.Held, error) {
	if err := r.takesIn(); err != nil {
		return history.Held{}, err
	}
	m := r.logs.of(node)
	if log != (identifier.LogID{}) {
		m = r.logs.withID(node, log)
	}
	if asker != node && (m == nil || m.role != roleRelay || m.via != asker) || m == nil && log != (identifier.LogID{}) {
		return history.Held{}, &replica.Refusal{Reason: replica.UnknownNode, Detail: fmt.Sprintf("nothing of node %s that node %s has sent is mirrored here", node, asker)}
	}
	if m == nil || m.published.Load() == 0 {
		return r.mirroredOnce(node)
	}
	if err := m.recall.whole(r.config.Clock()); err != nil {
		return history.Held{}, err
	}
	held := history.Held{Log: m.log, Size: m.published.Load(), Policy: m.policy}
	row, err := (&Mirror{r: r, m: m}).Row()
	if err != nil {
		return history.Held{}, err
	}
	held.Row = row.Size
	if held.Apart, held.Base, err = r.apart(m); err != nil {
		return history.Held{}, err
	}
	if c := m.checkpoint.Load(); held.Policy != identifier.PolicyMirror && c != nil {
		held.Size, held.Checkpoint, held.Base = c.Size, c.Note, max(held.Base, m.base.Load())
		return held, nil
	}
	if position >= held.Size {
		return held, nil
	}
	held.Unit, err = (&Mirror{r: r, m: m}).Unit(position)
	return held, err
}

// apart returns which logs of a child the one that counts does not contain, and how many
// positions are known to have been used up where some of them are lost.
func (r *Registry) apart(m *mirror) (apart replica.Unjoined, base uint64, err error) {
	if m.role != roleChild || !r.logs.counts(m) {
		return apart, 0, nil
	}
	rows, err := r.anchors.logsOf(m.node)
	if err != nil {
		return apart, 0, err
	}
	apart = r.logs.unjoined(m.node, rows)
	lost := make([]replica.LoggedRow, 0, len(apart.Lost))
	for _, log := range apart.Lost {
		row, _, err := r.childRow(log)
		if err != nil {
			return apart, 0, err
		}
		lost, base = append(lost, row), base+row.Row.Size
	}
	if base > 0 {
		base += m.base.Load()
	}
	apart.Held = apart.Held[:min(len(apart.Held), identifier.MaxBefore)]
	apart.Lost = newest(lost)
	return apart, base, nil
}

// newest returns the logs that rows are of, the last one that was logged first: as many as a
// genesis can name, and as whoever asks takes.
func newest(rows []replica.LoggedRow) (logs []identifier.LogID) {
	slices.SortStableFunc(rows, func(a, b replica.LoggedRow) int { return cmp.Compare(b.Position, a.Position) })
	for i := range rows[:min(len(rows), identifier.MaxBefore)] {
		logs = append(logs, rows[i].Row.Log)
	}
	return logs
}

// applyTime is how long a question about a lost mirror waits for the state.
const applyTime = 5 * time.Second

// mirroredOnce returns what this node's own log says of the log of a node of which there
// is nothing else: its mirror was lost.
func (r *Registry) mirroredOnce(node identifier.PublicKey) (history.Held, error) {
	ctx, cancel := context.WithTimeout(context.Background(), applyTime)
	defer cancel()
	if err := r.WaitApplied(ctx); err != nil {
		return history.Held{}, err
	}
	rows, err := r.loggedRows()
	if err != nil {
		return history.Held{}, err
	}
	rows = slices.DeleteFunc(rows, func(row replica.LoggedRow) bool { return row.Row.Node != node })
	var held history.Held
	var at, used uint64
	for _, row := range rows {
		used += row.Row.Size
		if row.Position >= at {
			held, at = history.Held{Log: row.Row.Log, Row: row.Row.Size, Policy: identifier.PolicyMirror}, row.Position
		}
	}
	held.Base = used - held.Row
	held.Apart.Lost = newest(slices.DeleteFunc(rows, func(row replica.LoggedRow) bool { return row.Row.Log == held.Log }))
	if held.Row == 0 {
		return held, &replica.Refusal{Reason: replica.UnknownNode, Detail: fmt.Sprintf("nothing of node %s is mirrored here", node)}
	}
	return held, nil
}
