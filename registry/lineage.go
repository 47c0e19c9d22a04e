package registry

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/state"
)

// A node may have had several logs here, each continued by the next: its incarnations
// ([replica.Lineage]). One of them counts: it answers, and is added to. Those before it
// stay as evidence. One that says that it continues the one that counts is stored, and
// counts from the unit on with which it says all that it must.

// succeedsNote is the note of a log that counts in the place of another one: that log's id.
const succeedsNote = "succeeds"

// mostWaiting is how many logs of a node may wait for their first entry. Each has cost a
// frame of the journal.
const mostWaiting = 16

// line returns the lineage of a node. The caller holds mu.
func (l *logs) line(node identifier.PublicKey) *replica.Lineage {
	if l.lines[node] == nil {
		l.lines[node] = &replica.Lineage{}
	}
	return l.lines[node]
}

// count makes a log the one of its node that counts. The caller holds mu.
func (l *logs) count(m *mirror) {
	before := l.byNode[m.node]
	l.line(m.node).Take(m.log)
	l.byNode[m.node] = m
	if m.role != rolePeer {
		return
	}
	l.peerLogs = slices.Clone(l.peerLogs)
	if i := slices.Index(l.peerLogs, before); i >= 0 {
		l.peerLogs[i] = m
	} else {
		l.peerLogs = append(l.peerLogs, m)
	}
}

// loadLineages puts the logs of every node in the order in which they began to count.
func (l *logs) loadLineages() error {
	next := map[identifier.LogID]*mirror{} // by the log before
	for _, m := range l.mirrors() {
		note, err := m.succeeds()
		if err != nil {
			return doubt(err)
		}
		if note == nil {
			continue
		}
		if len(note) != len(identifier.LogID{}) {
			return doubt(fmt.Errorf("the log that comes before log %s has no id", m.log))
		}
		next[identifier.LogID(note)] = m
	}
	for m := range l.current() {
		for ; m != nil; m = next[m.log] {
			l.mu.Lock()
			l.count(m)
			l.mu.Unlock()
		}
	}
	return nil
}

// succeeds returns the id of the log in whose place this one counts; nil for none.
func (m *mirror) succeeds() (note []byte, err error) {
	for ; m != nil && note == nil && err == nil; m = m.logs.numbered(m.instead) {
		note, err = m.note(succeedsNote)
	}
	return note, err
}

// current returns the logs that count now.
func (l *logs) current() map[*mirror]bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	list := make(map[*mirror]bool, len(l.byNode))
	for _, m := range l.byNode {
		list[m] = true
	}
	return list
}

// counts reports whether a log is the one of its node that counts.
func (l *logs) counts(m *mirror) bool { return l.of(m.node) == m }

// waiting returns how many logs of a node have no entry yet, beside the one that counts.
func (l *logs) waiting(node identifier.PublicKey) (n int) {
	for _, m := range l.mirrors() {
		if m.node == node && m.published.Load() == 0 && !l.counts(m) {
			n++
		}
	}
	return n
}

// hear returns why a Hello of a log of a node is refused; nil when it is not. rows has the
// logs of the node of which this node's own log has rows.
func (l *logs) hear(node identifier.PublicKey, log identifier.LogID, rows []identifier.LogID) error {
	l.mu.RLock()
	line := l.lines[node]
	l.mu.RUnlock()
	if line == nil {
		return nil
	}
	apart := l.unjoined(node, rows)
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := line.Hear(log, apart); r != nil {
		return r
	}
	return nil
}

// standsBeside reports whether a log of a child stands beside the one that counts.
func (l *logs) standsBeside(m *mirror) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, line := l.byNode[m.node], l.lines[m.node]
	if now == nil || now == m || l.left == ruleJoin {
		return false
	}
	l.takeNote(m.node, line)
	held := now.held()
	return line.Beside(&identifier.Genesis{Log: m.log, After: m.continues()}, held)
}

// recalls reports whether a log is taken in from another top-level node, where so many of its
// entries are here ([replica.Lineage.Recalls]).
func (l *logs) recalls(g *identifier.Genesis, have, size uint64, restored bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := l.lines[g.Key]
	if line == nil {
		line = &replica.Lineage{} // nothing of this node is here
	}
	l.takeNote(g.Key, line)
	return line.Recalls(g, have, size, restored)
}

// takeNote lets a lineage know of all that its logs continue. The caller holds mu.
func (l *logs) takeNote(node identifier.PublicKey, line *replica.Lineage) {
	for _, m := range l.all {
		if m.node == node && (m.log == line.Current() || line.Succeeded(m.log)) {
			line.Continued(m.continues())
		}
	}
}

// unjoined returns which logs of a child stand against the one that counts; none while there
// is nothing of that one.
func (l *logs) unjoined(node identifier.PublicKey, rows []identifier.LogID) (apart replica.Unjoined) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, line := l.byNode[node], l.lines[node]
	if now == nil {
		return apart
	}
	l.takeNote(node, line)
	if now.role != roleChild || now.published.Load() == 0 || l.left == ruleJoin {
		return apart
	}
	held := now.held()
	there := map[identifier.LogID]bool{now.log: true}
	for _, m := range l.all {
		if m.node != node || m == now || m.published.Load() == 0 {
			continue
		}
		there[m.log] = true
		if line.Beside(&identifier.Genesis{Log: m.log, After: m.continues()}, held) {
			apart.Held = append(apart.Held, m.log)
		}
	}
	if a := now.continues(); a != nil && !a.Whole {
		return apart // not everything that it continues is known
	}
	for _, log := range rows {
		if !there[log] && !line.Succeeded(log) {
			apart.Lost = append(apart.Lost, log)
		}
	}
	return apart
}

// begins returns why a log of a node may not begin with an entry; nil when it may: it is
// the first, or continues the one that counts.
func (l *logs) begins(m *mirror, payload []byte, rows []identifier.LogID) error {
	if l.counts(m.standing()) {
		return nil // for the one that has yet to take its place, that has said so
	}
	e, err := identifier.ParseEntry(payload)
	if err != nil {
		return err
	}
	if e.Kind != identifier.EntryGenesis || l.left.lacks(ruleGenesis, e.Envelope.SignedBy([]identifier.PublicKey{m.node}) > 0) {
		return fmt.Errorf("log %s does not begin with a genesis that the node has signed", m.log)
	}
	g, err := identifier.ParseGenesis(e.Envelope.Payload)
	if err != nil {
		return err
	}
	if err := l.follows(m, g); l.left.lacks(ruleBegins, err == nil) {
		return err
	}
	if lost := l.unjoined(m.node, rows).Without(g).Lost; len(lost) > 0 {
		return fmt.Errorf("log %s does not name log %s, of which this node has logged how many entries it had, and which is lost", m.log, lost[0])
	}
	return nil
}

// held is the log as [replica.Lineage] compares it with the next one.
func (m *mirror) held() replica.Held {
	return replica.Held{Size: m.published.Load(), Base: m.base.Load(), Root: m.rootOf, Pointers: m.policy == identifier.PolicyPointer}
}

// strayed reports whether a log that says of itself that it follows on a loss continues another
// history than that of which pointers are held here.
func (l *logs) strayed(node identifier.PublicKey, a *identifier.Predecessor) bool {
	now := l.of(node)
	if now == nil || a == nil || now.policy != identifier.PolicyPointer || a.Log != now.log || a.Size > now.published.Load() {
		return false
	}
	root, err := now.rootOf(a.Size)
	return err == nil && root != a.Held && root != a.Own
}

func (l *logs) follows(m *mirror, g *identifier.Genesis) error {
	now := l.of(m.node)
	if now == m {
		return nil
	}
	held := now.held()
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.lines[m.node].Follows(g, held)
}

// succession returns what is to be stored when a log counts from the unit on that is being
// taken in, which brings rows of children; none when it does not.
func (m *mirror) succession() ([]state.Mutation, error) {
	if m.pending() {
		return nil, nil // the one whose place it is to take has said so
	}
	now := m.logs.of(m.node)
	after := m.continues()
	if now == m || after == nil || m.logs.follows(m, &identifier.Genesis{Log: m.log, After: after}) != nil {
		return nil, nil
	}
	counts := []state.Mutation{noteMutation(succeedsNote, now.log[:])}
	if m.witness() {
		return counts, nil // what it repeats a witness does not see
	}
	before := slices.Collect(maps.Values(now.newest))
	repeated := slices.AppendSeq(slices.Collect(maps.Values(m.rows)), maps.Values(m.newest))
	for _, log := range m.logs.unjoined(m.node, nil).Held {
		if after.Continues(log) {
			before = slices.AppendSeq(before, maps.Values(m.logs.withID(m.node, log).newest))
		}
	}
	m.logs.mu.RLock()
	defer m.logs.mu.RUnlock()
	if m.logs.left.lacks(ruleRows, m.logs.lines[m.node].Repeats(before, repeated, m.goneOn && (m.role != roleChild || m.policy != identifier.PolicyMirror))) {
		return nil, nil
	}
	return counts, nil
}

// childRows returns the newest row that the log has of each log of a child, as far as the
// state has it: see [state.Store.Ascend].
func (l *ledger) childRows() ([]identifier.ChildRow, error) {
	logged, err := l.loggedRows()
	rows := make([]identifier.ChildRow, len(logged))
	for i := range logged {
		rows[i] = logged[i].Row
	}
	return rows, err
}

// loggedRows returns the same, each with the position of its entry.
func (l *ledger) loggedRows() (rows []replica.LoggedRow, err error) {
	for row, err := range l.state.Ascend(context.Background(), state.Notes, l.number, []byte(childNote)) {
		if err != nil {
			return nil, err
		}
		if len(row.Key) < len(childNote) || string(row.Key[:len(childNote)]) != childNote {
			break
		}
		value, err := summed(row.Key, row.Value)
		if err != nil {
			return nil, err
		}
		r, err := parseChildNote(value)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// follow notes which log this one continues, and where its positions count on.
func (m *mirror) follow(g *identifier.Genesis) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.after = g.After
	m.continued(g)
	if g.After != nil {
		m.base.Store(g.After.Base)
	}
}

// continues returns which log this one continues; nil for none.
func (m *mirror) continues() *identifier.Predecessor {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.after
}
