package registry

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Head returns the size and the root of the log's tree.
func Head(r *Registry) (uint64, identifier.Hash) { return r.tree.head() }

// Published returns the journal offset up to which readers see everything.
func Published(r *Registry) uint64 { return r.state.Published() }

// SignCheckpoint signs a checkpoint now.
func SignCheckpoint(ctx context.Context, r *Registry) error { return r.signCheckpoint(ctx) }

// Waiting returns how many rows wait for their sync.
func Waiting(r *Registry) int {
	r.sequencer.waitingMu.Lock()
	defer r.sequencer.waitingMu.Unlock()
	return len(r.sequencer.waiting)
}

// WaitingVersion returns the version of an identifier that waits for its sync; 0 for none.
func WaitingVersion(r *Registry, id identifier.ID) uint64 {
	r.sequencer.waitingMu.Lock()
	defer r.sequencer.waitingMu.Unlock()
	if w := r.sequencer.waiting[string(identifier.AppendKey(nil, id))]; w != nil {
		return w.version
	}
	return 0
}

// Admit judges a change and queues it, without asking whether there is room.
func Admit(r *Registry, c *identifier.Change) error {
	x, err := c.Examine()
	if err != nil {
		return err
	}
	entry, err := encodeExamined(&identifier.Entry{
		Kind: identifier.EntryChange, Time: now(), Envelope: c.Envelope,
		IDSeed: c.IDSeed, ValueSeed: c.ValueSeed, Rows: c.Rows,
	}, x)
	if err != nil {
		return err
	}
	_, err = r.sequencer.admit(&proposal{entry: entry, rows: x, holder: r.sequencer.holders.at(x.Header.Prefix)}, sighting{})
	return err
}

// Next returns the position that the next entry gets.
func Next(r *Registry) uint64 {
	r.sequencer.mu.Lock()
	defer r.sequencer.mu.Unlock()
	return r.sequencer.next
}

// Counts reports which of two delegations of one prefix counts in the merged state.
func Counts(d, than *identifier.Delegation) bool { return counts(d, than) }

// LogChildren logs a row of a child that it did not sign for, as a broken node would.
func LogChildren(ctx context.Context, r *Registry, rows []identifier.ChildRow) error {
	return r.logRows(ctx, rows)
}

// LogMirrors logs a row of every child whose log has grown, as once a second.
func LogMirrors(ctx context.Context, r *Registry) error { return r.logChildren(ctx) }

// Rule is a rule that a test leaves out.
type Rule = rule

const (
	RuleCut     = ruleCut
	RuleCertain = ruleCertain
	RuleBegins  = ruleBegins
	RuleGenesis = ruleGenesis
	RuleEntries = ruleEntries
	RuleRows    = ruleRows
	RuleNewest  = ruleNewest
	RuleUpper   = ruleUpper
	RuleHand    = ruleHand
	RuleHanded  = ruleHanded
	RuleOlder   = ruleOlder
	RuleBack    = ruleBack
	RulePart    = rulePart
	RuleTold    = ruleTold
	RuleAstray  = ruleAstray
	RuleLook    = ruleLook
	RuleSeldom  = ruleSeldom
	RuleOwner   = ruleOwner
	RuleJoin    = ruleJoin
	RuleRecall  = ruleRecall
)

// LeaveOut lets a registry do without a rule.
func LeaveOut(c *Config, r Rule) { c.left = r }

// Renumber reads which log has which number, and writes it again.
func Renumber(b []byte) ([]byte, error) {
	n, err := parseNumbering(b)
	if err != nil {
		return nil, err
	}
	return n.append(nil), nil
}

// Reread reads what the journal or the state keeps beside entries, and writes it again.
// Checkpoints in it are of the log and the node.
func Reread(kind string, log identifier.LogID, node identifier.PublicKey, b []byte) ([]byte, error) {
	switch kind {
	case "certain":
		m := &mirror{judge: judge{ledger: &ledger{log: log, node: node}}}
		row, err := m.parseCertain(b)
		if err != nil {
			return nil, err
		}
		return appendCertain(nil, row), nil
	case "acknowledged":
		parent, size, err := parseAcknowledged(b)
		return appendAcknowledged(nil, parent, size), err
	case "child":
		r, err := parseChildNote(b)
		if err != nil {
			return nil, err
		}
		return r.Row.Append(binary.BigEndian.AppendUint64(nil, r.Position))
	case "told":
		p, n, err := parseTold(b)
		return appendTold(nil, p, n), err
	case "quarantine":
		q, err := parseQuarantine(b)
		if err != nil {
			return nil, err
		}
		return q.append(nil), nil
	}
	key, rest := b[:min(len(b), 3)], b[min(len(b), 3):] // a note with its checksum
	value, err := summed(key, rest)
	return append(bytes.Clone(key), sum(key, value)...), err
}

// AppendCertain writes up to where a mirror is certain.
func AppendCertain(row *replica.Row) []byte { return appendCertain(nil, row) }

// Overlay returns how many octets the state counts that are not committed yet.
func Overlay(r *Registry) int64 { return r.state.Stats().OverlayBytes }
