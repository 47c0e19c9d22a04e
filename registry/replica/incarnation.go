package replica

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Lineage is the logs that a node has had, each continued by the next, as another node
// mirrors them. It decides which one counts. It does no I/O and stores nothing: which logs
// there are, and in which order they began to count, is told again after a start.
type Lineage struct {
	logs      []identifier.LogID // the last one counts
	continued []identifier.LogID // by one of these

	left rule
}

// Current returns the log that counts, of all zeros for none.
func (l *Lineage) Current() identifier.LogID {
	if len(l.logs) == 0 {
		return identifier.LogID{}
	}
	return l.logs[len(l.logs)-1]
}

// Succeeded reports whether a log has counted once, and another one does now. It may have
// counted elsewhere alone ([Lineage.Continued]).
func (l *Lineage) Succeeded(log identifier.LogID) bool {
	return log != l.Current() && (slices.Contains(l.logs, log) || slices.Contains(l.continued, log))
}

// Continued says which logs the log that counts continues, by its genesis; nil for none.
// This node may never have had them: it was away, or was restored. A node that is put back to
// one of them and asks here has to hear that there is a later one.
func (l *Lineage) Continued(a *identifier.Predecessor) {
	if a == nil || l.left == ruleContinued {
		return
	}
	for _, log := range append([]identifier.LogID{a.Log}, a.Before...) {
		if !slices.Contains(l.continued, log) {
			l.continued = append(l.continued, log)
		}
	}
}

// Beside reports whether a log that begins with this genesis, which the node has signed,
// stands beside the one that counts: neither continues the other. The node went on twice:
// it was restored, and so was the one above it, to a time before it had gone on. What stands
// in either may be anchored, so the node has to join them.
func (l *Lineage) Beside(g *identifier.Genesis, now Held) bool {
	if l.Current() == (identifier.LogID{}) || g.Log == l.Current() || l.Succeeded(g.Log) {
		return false
	}
	return l.Follows(g, now) != nil
}

// Unjoined are logs of a node that the one which counts does not contain.
type Unjoined struct {
	// Held are those of which there are entries here ([Lineage.Beside]).
	Held []identifier.LogID
	// Lost are those of which this node has logged rows, and nothing is left.
	Lost []identifier.LogID
}

// Without returns those that a log with this genesis does not continue either.
func (u Unjoined) Without(g *identifier.Genesis) Unjoined {
	continued := func(log identifier.LogID) bool { return log == g.Log || g.After.Continues(log) }
	return Unjoined{Held: slices.DeleteFunc(slices.Clone(u.Held), continued), Lost: slices.DeleteFunc(slices.Clone(u.Lost), continued)}
}

// Recalls reports whether a top-level node takes in what another one holds of the log of a
// child: the log that begins with this genesis, which the child has signed, and of which it
// has more entries than are here. restored says that this node was, and has healed, and takes
// in nothing of its children before that: then it may be the log that counts here, which is
// the child's own to bring otherwise.
func (l *Lineage) Recalls(g *identifier.Genesis, have, size uint64, restored bool) bool {
	if size <= have || l.Succeeded(g.Log) || restored && l.left == ruleRecall {
		return false
	}
	return restored || g.Log != l.Current()
}

// Hear returns why a Hello of a log is refused; nil when it is not: the log counts, or is
// one that may come to. With the Hello alone it does not: a node that says it and is
// restored once more would leave everybody with a log that has nothing.
func (l *Lineage) Hear(log identifier.LogID, u Unjoined) *Refusal {
	switch {
	case l.Succeeded(log):
		return refuse(Succeeded, "log %s of this node was continued as log %s: the node was restored to a time before that. It takes no changes; run 'nameplate fork resolve' there, which adopts the newer log and hands over what was written meanwhile", log, l.Current())
	case l.left.lacks(ruleJoin, !slices.Contains(u.Held, log)):
		return refuse(Succeeded, "log %s of this node is held beside log %s, which counts: the node went on twice after it was restored. It takes no changes; run 'nameplate fork resolve' there, which joins the two", log, l.Current())
	case l.left.lacks(ruleJoin, log != l.Current() || len(u.Held) == 0):
		return refuse(Succeeded, "log %s of this node is held beside log %s, which counts: the node went on twice, because it and the node above it were restored to a time before the first of the two. It takes no changes; run 'nameplate fork resolve' there, which joins the two", u.Held[0], log)
	case l.left.lacks(ruleJoin, log != l.Current() || len(u.Lost) == 0):
		return refuse(Loss, "this node has logged how many entries log %s of the child had, which log %s does not continue, and nobody who could be asked holds any of them. Restore a newer backup of either node, or bring back the top-level node that was away; when there is none, stop the child and run 'nameplate fork resolve' there, which goes on with what is left", u.Lost[0], log)
	}
	if l.left == ruleFirst || len(l.logs) == 0 {
		l.Take(log)
	}
	return nil
}

// Take says that a log counts from here on.
func (l *Lineage) Take(log identifier.LogID) {
	if log != l.Current() {
		l.logs = append(l.logs, log)
	}
}

// Follows returns nil when a genesis, which the node has signed, begins the log that comes
// after the one that counts, which is held here as it says: either of two histories, where
// the log has forked. There may have been others in
// between that never came here, while this node or that one was away: then it names the one
// that counts here among those that it continues. One that was begun by an older release does
// not name all of them: then the node must have used up as many positions as are here, at least.
func (l *Lineage) Follows(g *identifier.Genesis, now Held) error {
	a := g.After
	if a != nil && a.Log != l.Current() && (a.Continues(l.Current()) ||
		!a.Whole && !slices.Contains(l.logs, a.Log) && a.Base > 0 && a.Base >= now.Base+now.Size) {
		return nil
	}
	if l.left.lacks(ruleSuccessor, a != nil && a.Log == l.Current()) {
		return fmt.Errorf("log %s does not say that it continues log %s, which is the one of this node here", g.Log, l.Current())
	}
	if a == nil || a.Size == 0 || a.Size > now.Size {
		return nil // the node alone knows more of it
	}
	root, err := now.Root(a.Size)
	if errors.Is(err, ErrNoRoot) {
		return nil // the node alone knows
	}
	if err != nil {
		return err
	}
	// Where it joins two histories, some top-level nodes hold the one and some the other.
	if l.left.lacks(ruleSuccessor, root == a.Held || root == a.Own || now.Pointers && a.Why == identifier.AfterLoss) {
		return fmt.Errorf("log %s says that the first %d entries of log %s have root %x, or %x; here it is %x", g.Log, a.Size, a.Log, a.Held, a.Own, root)
	}
	return nil
}

// Repeats reports whether a log that continues the current one says all that it has to say
// of the logs of its children: nothing that was anchored in the one before may be forgotten
// by the change. It has to have, for every log of which the current one has a row, one that is
// no smaller. It repeats them behind its genesis, and whatever else it has follows on those.
//
// The node has asked its parent, which holds the log that counts there, for all its rows. It
// has not asked every top-level node: one that was away may alone have a row that the node has
// lost. Such a row was not anchored, because as many were asked as cannot all be without one
// that was ([Recovery]). Nor is it given back by a parent that keeps pointers; then people
// were told of the loss. So at all these past tells that something has come behind what is
// repeated: then nothing more will be, and the log counts. To wait for the row would be to
// wait until the child's log has grown so far, which it never has when the child itself has
// gone on with another log.
func (l *Lineage) Repeats(before, now []identifier.ChildRow, past bool) bool {
	if past && l.left != rulePast {
		return true
	}
	sizes := make(map[identifier.LogID]uint64, len(now))
	for _, r := range now {
		sizes[r.Log] = max(sizes[r.Log], r.Size)
	}
	return !slices.ContainsFunc(before, func(r identifier.ChildRow) bool {
		return l.left.lacks(ruleRepeat, sizes[r.Log] >= r.Size)
	})
}

// ErrNoRoot says that the root of so many entries is not known, because checkpoints alone are
// kept, of other sizes.
var ErrNoRoot = errors.New("no checkpoint of that size was kept")

// Held is the current log of a node as another one holds it.
type Held struct {
	Size uint64
	Base uint64                                     // that its genesis says: the positions that were used up before it
	Root func(size uint64) (identifier.Hash, error) // of the first entries, at most Size; ErrNoRoot for a witness
	// Pointers says that no contents are kept. A node that has less than this and was told that
	// the rest is lost could compare nothing with it: what it had may have been another history.
	Pointers bool
}

// Recovery is when a top-level node that was restored has heard enough. An entry that was
// anchored is held by more than half of the top-level nodes, perhaps by this one among
// them; so it asks as many others as cannot all be without it: three of four. Those that
// are marked themselves do not count, for they may lack it too.
type Recovery struct {
	need  int
	holds map[identifier.PublicKey]uint64

	left rule
}

// NewRecovery returns the recovery of a node with so many peers.
func NewRecovery(peers int) *Recovery {
	nodes := peers + 1
	return &Recovery{need: nodes - (nodes/2 + 1) + 1, holds: make(map[identifier.PublicKey]uint64)}
}

// Hear says how many entries of this node's log an unmarked peer holds.
func (r *Recovery) Hear(peer identifier.PublicKey, size uint64) {
	r.holds[peer] = max(r.holds[peer], size)
}

// Need returns how many unmarked peers must be heard, and Heard how many were.
func (r *Recovery) Need() int  { return r.need }
func (r *Recovery) Heard() int { return len(r.holds) }

// Whole reports whether the node, with so many entries of its own log, has everything
// that may have been anchored.
func (r *Recovery) Whole(size uint64) bool {
	if r.left.lacks(ruleThree, len(r.holds) >= r.need) {
		return false
	}
	for _, held := range r.holds {
		if held > size {
			return false
		}
	}
	return true
}
