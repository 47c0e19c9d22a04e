package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Quarantine is why a log is not added to any more: the evidence that its node has
// signed two histories of it. A node whose own log it is takes no changes; a parent takes
// in no more of that child's log, while all others go on.
type Quarantine struct {
	Since    time.Time // when this node learned of it
	Evidence *replica.Evidence
	replica.Divergence
}

// text says in one line why no changes are taken.
func (q *Quarantine) text() string {
	return fmt.Sprintf("two histories of log %s were signed, which differ within their first %d entries: run 'nameplate fork show', then 'nameplate fork resolve'", q.Evidence.Log, q.Size)
}

// refusal is what a child in quarantine is told.
func (q *Quarantine) refusal() *replica.Refusal {
	return &replica.Refusal{Reason: replica.Fork, Held: q.Evidence.Held, Signed: q.Evidence.Signed, Evidence: q.Evidence,
		Detail: fmt.Sprintf("since %s this log is set aside: two histories of its first %d entries were signed; run 'nameplate fork show' at either node", q.Since.Format(time.RFC3339), q.Size)}
}

// quarantineNote is the note of a log that holds its quarantine, as the frame has it:
//
//	format    u8   1
//	since     u64  milliseconds since 1970
//	evidence       to the end
const (
	quarantineNote   = "quarantine"
	quarantineFormat = 1
	quarantineHead   = 1 + 8
)

// NewQuarantine returns what a piece of evidence means, or why it means nothing.
func NewQuarantine(since time.Time, e *replica.Evidence) (*Quarantine, error) {
	d, err := e.Check(journal.VerifyCheckpoint)
	return &Quarantine{Since: since, Evidence: e, Divergence: d}, err
}

func (q *Quarantine) append(dst []byte) []byte {
	dst = append(dst, quarantineFormat)
	dst = binary.BigEndian.AppendUint64(dst, uint64(q.Since.UnixMilli()))
	return replica.AppendEvidence(dst, q.Evidence)
}

func parseQuarantine(b []byte) (*Quarantine, error) {
	if len(b) < quarantineHead || b[0] != quarantineFormat {
		return nil, fmt.Errorf("the quarantine is not of format %d: use a newer release", quarantineFormat)
	}
	e, err := replica.ParseEvidence(b[quarantineHead:])
	if err != nil {
		return nil, err
	}
	return NewQuarantine(time.UnixMilli(int64(binary.BigEndian.Uint64(b[1:]))).UTC(), e)
}

// Quarantine returns why the node's own log is not added to; nil when it is.
func (r *Registry) Quarantine() *Quarantine { return r.quarantine.Load() }

// Forked keeps evidence that this node has signed two histories of its own log. It is
// durable at return. From then on the node takes no changes; it goes on answering, and
// its children's logs go on.
func (s *Source) Forked(ctx context.Context, e *replica.Evidence) error {
	return s.r.setAsideLog(ctx, s.r.ledger, e)
}

// setAsideLog puts a log into quarantine. The first evidence counts.
func (r *Registry) setAsideLog(ctx context.Context, l *ledger, e *replica.Evidence) error {
	if e.Log != l.log || e.Node != l.node {
		return errors.New("the evidence is of another log")
	}
	q, err := NewQuarantine(now(), e)
	if err != nil || l.quarantine.Load() != nil {
		return err
	}
	payload := q.append(nil)
	synced := make(chan struct{})
	frame := journal.Frame{Log: l.number, Position: q.Size, Kind: journal.KindQuarantine, Payload: payload}
	err = r.journal.Append(frame, func(at, end journal.Offset) {
		if err := l.setAside(payload, at, end); err != nil {
			r.fail(fmt.Errorf("quarantine of log %s: %w", l.log, err))
			return
		}
		close(synced)
	})
	if err != nil {
		return err
	}
	if err := r.awaitSync(ctx, synced); err != nil {
		return err
	}
	r.config.Log.Error("two histories of a log were signed: it is set aside", "log", l.log, "node", l.node, "within", q.Size,
		"held", string(e.Held), "signed", string(e.Signed))
	return nil
}

// setAside takes in a quarantine that is synced. What comes later changes nothing.
func (l *ledger) setAside(payload []byte, at, end journal.Offset) error {
	q, err := parseQuarantine(payload)
	if err != nil {
		return err
	}
	if l.quarantine.Load() != nil {
		return nil
	}
	if err := l.keepNote(quarantineNote, payload, at, end); err != nil {
		return err
	}
	l.quarantine.Store(q)
	return nil
}

// loadQuarantine reads what the state holds.
func (l *ledger) loadQuarantine() error {
	note, err := l.note(quarantineNote)
	if err != nil || note == nil {
		return err
	}
	q, err := parseQuarantine(note)
	if err != nil {
		return err
	}
	l.quarantine.Store(q)
	return nil
}

// Refused keeps the evidence of a fork, where a refusal has it, and sets the child's log
// aside; it tells the operator of any other refusal that has to do with what the child
// signed.
func (m *Mirror) Refused(why *replica.Refusal) {
	if why.Evidence == nil {
		m.r.config.Log.Error("a child's log was refused", "log", m.m.log, "node", m.m.node, "reason", why.Reason, "detail", why.Detail,
			"held", string(why.Held), "signed", string(why.Signed))
		return
	}
	if err := m.r.setAsideLog(context.Background(), m.m.standing().ledger, why.Evidence); err != nil {
		m.r.config.Log.Error("the evidence of a fork was not kept", "log", m.m.log, "node", m.m.node, "detail", why.Detail, "error", err,
			"held", string(why.Held), "signed", string(why.Signed))
	}
}
