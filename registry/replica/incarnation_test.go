package replica_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// What each rule of incarnations and of top-level nodes that were restored prevents: with
// all rules it does not happen, without that one it does.
func TestEachRuleOfIncarnations(t *testing.T) {
	for name, c := range map[string]struct {
		rule replica.Rule
		play func(*testing.T, replica.Rule) error
	}{
		"a log that continues no other one":                {replica.RuleSuccessor, strangeLog},
		"a log that continues another history":             {replica.RuleSuccessor, strangeRoot},
		"a Hello of a log that never begins":               {replica.RuleFirst, onlyHello},
		"a log that forgets what it has said of its child": {replica.RuleRepeat, forgottenRow},
		"a log of before that never came":                  {replica.RuleContinued, neverCame},
		"a node that asks one of four":                     {replica.RuleThree, askedOne},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.play(t, 0); err != nil {
				t.Errorf("with all rules: %v", err)
			}
			if err := c.play(t, c.rule); err == nil {
				t.Error("without the rule: nothing is wrong")
			}
		})
	}
}

var (
	firstLog = identifier.LogID{1}
	nextLog  = identifier.LogID{2}
)

// lineage returns that of a node with one log, which has five entries.
func lineage(left replica.Rule) (*replica.Lineage, replica.Held) {
	l := &replica.Lineage{}
	l.LeaveOut(left)
	l.Take(firstLog)
	return l, replica.Held{Size: 5, Root: func(size uint64) (identifier.Hash, error) { return identifier.Hash{byte(size)}, nil }}
}

func continues(log identifier.LogID, size uint64, root byte) *identifier.Genesis {
	return &identifier.Genesis{Log: nextLog, Format: identifier.LogFormat, After: &identifier.Predecessor{
		Log: log, Why: identifier.AfterFork, Size: size, Held: identifier.Hash{root}, Own: identifier.Hash{0xff},
	}}
}

func strangeLog(t *testing.T, left replica.Rule) error {
	l, now := lineage(left)
	if err := l.Follows(continues(firstLog, 4, 4), now); err != nil {
		t.Errorf("the next log: %v", err)
	}
	for _, g := range []*identifier.Genesis{{Log: nextLog, Format: identifier.LogFormat}, continues(identifier.LogID{9}, 4, 4)} {
		if l.Follows(g, now) == nil {
			return errors.New("any log is taken for the next one")
		}
	}
	return nil
}

func strangeRoot(t *testing.T, left replica.Rule) error {
	l, now := lineage(left)
	if err := l.Follows(continues(firstLog, 9, 1), now); err != nil {
		t.Errorf("a log of which this node has not everything: %v", err)
	}
	now.Root = func(uint64) (identifier.Hash, error) { return identifier.Hash{0xff}, nil }
	if err := l.Follows(continues(firstLog, 4, 4), now); err != nil {
		t.Errorf("of two histories this node has the other one: %v", err)
	}
	_, now = lineage(left)
	if l.Follows(continues(firstLog, 4, 3), now) == nil {
		return errors.New("a log that continues what was never here is taken for the next one")
	}
	joins := continues(firstLog, 4, 3)
	if joins.After.Own = (identifier.Hash{4}); l.Follows(joins, now) != nil {
		t.Error("a log that joins two histories is not taken where the node's own is held")
	}
	now.Pointers = true
	if l.Follows(joins, now) != nil || l.Follows(continues(firstLog, 4, 3), now) == nil {
		t.Error("where pointers are held a log is not taken, or any")
	}
	if joins.After.Why, joins.After.Own = identifier.AfterLoss, (identifier.Hash{5}); l.Follows(joins, now) != nil {
		t.Error("where pointers are held a log after a loss is not taken")
	}
	if now.Pointers = false; l.Follows(joins, now) == nil {
		t.Error("where entries are held a log after a loss is taken that continues what was never here")
	}
	now.Root = func(uint64) (identifier.Hash, error) { return identifier.Hash{}, errors.New("unreadable") }
	if l.Follows(continues(firstLog, 4, 4), now) == nil {
		t.Error("what cannot be read is taken to agree")
	}
	return nil
}

// A node says Hello with its next log, is lost before its first entry arrives, and comes
// back with the log that counts.
func onlyHello(t *testing.T, left replica.Rule) error {
	l, _ := lineage(left)
	if r := l.Hear(nextLog, replica.Unjoined{}); r != nil {
		t.Errorf("the Hello of the next log: %v", r)
	}
	if r := l.Hear(firstLog, replica.Unjoined{}); r != nil {
		return r
	}
	l.Take(nextLog)
	if r := l.Hear(firstLog, replica.Unjoined{}); r == nil || r.Reason != replica.Succeeded || r.Duty() != replica.MarkLog {
		t.Errorf("the Hello of a log that was continued: %v", r)
	}
	if r := l.Hear(nextLog, replica.Unjoined{}); r != nil || l.Current() != nextLog || !l.Succeeded(firstLog) {
		t.Errorf("the Hello of the log that counts: %v, current is %s", r, l.Current())
	}
	return nil
}

// A node went on with another log while its first one had not come here, is put back to
// that, and asks whether it lacks anything.
func neverCame(t *testing.T, left replica.Rule) error {
	l := &replica.Lineage{}
	l.LeaveOut(left)
	l.Take(nextLog)
	l.Continued(continues(firstLog, 4, 4).After)
	l.Continued(continues(firstLog, 4, 4).After)
	if r := l.Hear(identifier.LogID{3}, replica.Unjoined{}); r != nil {
		t.Errorf("the Hello of what may be the next log: %v", r)
	}
	if r := l.Hear(firstLog, replica.Unjoined{}); r == nil || r.Reason != replica.Succeeded {
		return fmt.Errorf("the log of before is taken in: %v", r)
	}
	return nil
}

func forgottenRow(t *testing.T, left replica.Rule) error {
	l, _ := lineage(left)
	before := []identifier.ChildRow{{Log: identifier.LogID{7}, Size: 3}, {Log: identifier.LogID{8}, Size: 4}}
	more := []identifier.ChildRow{{Log: identifier.LogID{8}, Size: 2}, {Log: identifier.LogID{7}, Size: 3}, {Log: identifier.LogID{8}, Size: 9}, {Log: identifier.LogID{9}, Size: 1}}
	if !l.Repeats(before, more, false) || !l.Repeats(nil, nil, false) {
		t.Error("all rows are repeated, and that is not seen")
	}
	for _, now := range [][]identifier.ChildRow{nil, more[:2]} {
		if l.Repeats(before, now, false) {
			return errors.New("a row was not repeated, and the log counts")
		}
	}
	return nil
}

// The one entry that matters is held by the two peers that are asked last.
func askedOne(t *testing.T, left replica.Rule) error {
	r := replica.NewRecovery(4)
	r.LeaveOut(left)
	for i, size := range []uint64{5, 5} {
		r.Hear(peerKey(i), size)
		r.Hear(peerKey(i), size)
		if r.Whole(5) {
			return errors.New("the node is taken for whole, and lacks what the other two hold")
		}
	}
	r.Hear(peerKey(2), 6)
	if r.Whole(5) {
		t.Error("a peer holds more")
	}
	if !r.Whole(6) || r.Heard() != r.Need() {
		t.Errorf("not whole with all that %d of %d hold", r.Heard(), r.Need())
	}
	for peers, need := range []int{0, 1, 2, 2, 3} {
		if got := replica.NewRecovery(peers).Need(); peers > 0 && got != need {
			t.Errorf("with %d peers %d are needed, want %d", peers, got, need)
		}
	}
	return nil
}

// A peer was away while a node went on twice: it never got the log in between.
func TestLineageWithoutTheLogBetween(t *testing.T) {
	l, now := lineage(0)
	now.Base = 10 // and 5 entries
	for base, follows := range map[uint64]bool{0: false, 14: false, 15: true, 99: true} {
		g := continues(identifier.LogID{9}, 4, 0x77) // the root is not known here
		g.After.Base = base
		if err := l.Follows(g, now); (err == nil) != follows {
			t.Errorf("with base %d: %v", base, err)
		}
	}
	// Of one that was here and was continued otherwise, that does not hold.
	l.Take(nextLog)
	g := continues(firstLog, 4, 4)
	g.Log, g.After.Base = identifier.LogID{3}, 99
	if l.Follows(g, now) == nil {
		t.Error("a second log that continues the first one follows on the one that counts")
	}
}
