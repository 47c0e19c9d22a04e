package registry

import (
	"context"

	"github.com/nameplate-id/nameplate/registry/identifier"
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
	RuleAddsUp  = ruleAddsUp
	RuleOlder   = ruleOlder
	RuleBack    = ruleBack
	RuleAstray  = ruleAstray
	RuleLook    = ruleLook
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
