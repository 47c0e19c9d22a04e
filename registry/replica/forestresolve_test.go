package replica_test

import (
	"fmt"
	"maps"
	"slices"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// What an operator does below the top, and a node that was restored does by itself: to
// continue a log as another one in which two histories are joined, and to adopt the log
// that is held above. Both are played as the registry does them, while the node does not run.

// joint is what one log is made of.
type joint struct {
	m     *member
	after identifier.Predecessor
	// own is the node's history, upper the one that is held above; they share so many
	// entries.
	own, upper *place
	shared     uint64
	// lost says that what was held above once is in neither: people are told.
	lost bool

	frames  []frame
	gave    map[byte]given
	epoch   uint64
	revoked bool
	there   map[*entry]bool
}

// compare finds out where the two histories part, and what the next log says of that.
func (m *member) compare() *joint {
	f, own := m.f, m.fast
	j := &joint{m: m, own: own, upper: f.origin, shared: own.size, gave: map[byte]given{}, there: map[*entry]bool{}}
	j.after = identifier.Predecessor{Log: m.id, Size: own.size, Held: own.root, Own: own.root, Base: m.base() + own.size, Whole: true}
	defer func() { j.after.Continue(append(m.before(), m.id)...) }()
	if log := m.above.shows(m); log > 0 && m.bare() {
		j.compareCheckpoint(log)
	} else if log > 0 {
		h := m.above.mirrorOf(log)
		j.upper = h.at(f, h.synced)
		row, before := m.above.rows[log].Size, uint64(0)
		for other, r := range m.above.rows {
			if h.synced == 0 && other != log && f.logs[other-1].owner == m {
				before += r.Size
			}
		}
		j.after.Base = max(j.after.Base, m.base()+max(j.upper.size, row), before+row)
		switch i := f.logs[log-1]; {
		case m.after.Continues(i.id): // it was resolved, and is not heard of above yet
			j.upper = f.origin
			j.unjoined(m.above.unjoined(m).Without(m.incarnation.genesis()))
		case i != m.incarnation:
			j.shared = 0
			if h.synced > 0 {
				j.after.Base = max(j.after.Base, i.base()+j.upper.size)
			}
			j.joins(i)
			j.lost = m.above.rows[log].Size > j.upper.size
		default:
			j.part(h, m.above.rows[log])
			j.unjoined(m.above.unjoined(m))
		}
	}
	if m.forked != nil && j.after.Log == m.id && (j.after.Why == 0 || j.after.Why == identifier.AfterLoss) {
		// Nobody above holds the other history any more; that there was one is proved.
		d, err := m.forked.Check(verifyQuick)
		if err != nil {
			f.fail("node %d keeps evidence that shows nothing: %v", m.number, err)
		}
		j.after.Why, j.after.Size, j.after.Held, j.after.Own = identifier.AfterFork, d.Size, d.Held, d.Signed
		j.lost = true
	}
	return j
}

// joins says that all of the log above comes first in the next one.
func (j *joint) joins(i *incarnation) {
	j.after.Log, j.after.Why, j.after.Size, j.after.Held, j.after.Own = i.id, identifier.AfterBeginning, j.upper.size, j.upper.root, identifier.Hash{}
	j.after.Continue(i.before()...)
}

// unjoined joins a log that is held above beside the node's own, when there is nothing else
// to resolve; and says which ones are lost.
func (j *joint) unjoined(u replica.Unjoined) {
	if j.after.Why == 0 && len(u.Held) > 0 {
		i := j.m.f.logs[u.Held[0][15]-1]
		h := j.m.above.mirrorOf(i.log)
		j.shared, j.upper = 0, h.at(j.m.f, h.synced)
		j.after.Base = max(j.after.Base, i.base()+j.upper.size)
		j.joins(i)
		j.m.f.note(joinedBeside)
	}
	if len(u.Lost) == 0 {
		return
	}
	j.lost = true
	for _, log := range u.Lost {
		j.after.Base += j.m.above.rows[log[15]].Size
	}
	j.after.Continue(u.Lost...)
	if j.after.Why == 0 {
		j.after.Why = identifier.AfterLoss
	}
}

// shows returns the log of a child that a node shows it as the one that counts: also one
// of which it has nothing but a row. 0 for none.
func (m *member) shows(c *member) byte {
	log := m.logOf(c)
	if h := m.held[log]; h != nil && h.synced > 0 {
		return log
	}
	for _, row := range slices.Sorted(maps.Keys(m.rows)) {
		if m.f.logs[row-1].owner == c {
			log = row // the newest log has the highest number
		}
	}
	if m.rows[log].Size == 0 {
		return 0
	}
	return log
}

// part finds the first place where two histories of one log differ.
func (j *joint) part(h *heldLog, row replica.Row) {
	both := min(j.own.size, j.upper.size)
	for j.shared = 0; j.shared < both && j.own.way[j.shared+1] == j.upper.way[j.shared+1]; {
		j.shared++
	}
	mine := row.Size <= j.own.size && j.own.at(row.Size).root == row.Root
	j.lost = row.Size > j.upper.size && !mine
	switch {
	case j.shared < both:
		size := j.shared + 1
		for _, u := range h.units[:h.synced] {
			if end := u.end.size; end > j.shared && end <= both {
				size = end
				break
			}
		}
		j.after.Why, j.after.Size, j.after.Held, j.after.Own = identifier.AfterFork, size, j.upper.at(size).root, j.own.at(size).root
	case row.Size > max(j.own.size, j.upper.size):
		j.after.Why, j.after.Size = identifier.AfterLoss, j.shared
		j.after.Held, j.after.Own = j.own.at(j.shared).root, j.own.at(j.shared).root
	}
}

// resolve continues the log of a node as another one, where there is something to resolve
// and the node above can be asked.
func (m *member) resolve() {
	if m.above == nil || !m.above.standing().TakesIn() || m.above.draining {
		return
	}
	m.sync()
	j := m.compare()
	if j.after.Why == 0 {
		return
	}
	m.f.note(resolved)
	j.join()
	m.frames, m.marked, m.back, m.unheard = j.frames, false, false, false
	if j.lost || m.lossTold {
		m.reported, m.lossTold = true, false
		m.forget()
	}
	m.start()
}

// forget says that people were told of entries that the node has lost. What they said of
// those below it, and that it has cosigned that, nobody knows any more.
func (m *member) forget() {
	maps.DeleteFunc(m.f.cosigned, func(c cosignature, _ identifier.Hash) bool { return c.by == m.number })
	for _, c := range m.below {
		for _, i := range m.f.logs {
			if i.owner == c {
				clear(i.anchored)
				clear(i.receipts)
			}
		}
		c.forget()
	}
}

// resolve lets operators help those nodes that they look at.
func (f *forest) resolve(look func() bool) {
	for _, m := range f.nodes {
		if m.troubled() && look() {
			m.resolve()
		}
	}
}

// join makes the journal of the next log: what stands in the mirrors is judged by the
// entries before it, so the order stays.
func (j *joint) join() {
	f, m := j.m.f, j.m
	inc := f.newLog(m, &j.after)
	j.frames = append(j.frames, frame{next: inc})
	j.add(&entry{genesis: inc})
	rows := j.rows()
	for _, log := range slices.Sorted(maps.Keys(rows)) {
		j.add(&entry{row: &loggedRow{log, rows[log]}})
	}
	above := func() {
		for _, p := range j.upper.way[min(j.shared, j.upper.size)+1:] {
			j.again(p.last)
		}
	}
	position, done := uint64(0), false
	for _, x := range m.frames {
		switch {
		case x.unit != nil, x.cut != nil, x.certain != nil, x.fork > 0 && x.fork != m.log:
			j.frames = append(j.frames, x)
		case x.entry != nil:
			if position >= j.shared && !done {
				done = true
				above()
			}
			j.again(x.entry)
			position++
		}
	}
	if !done {
		above()
	}
	for _, p := range j.upper.way[min(j.shared, j.upper.size)+1:] {
		if p.last.row != nil {
			j.setAside(p.last.row)
		}
	}
}

// setAside sets a child's log aside where a row in the history above shows that the mirror
// is another one.
func (j *joint) setAside(row *loggedRow) {
	m := j.m
	h := m.held[row.log]
	if h == nil || h.synced == 0 || m.apart[row.log] != nil {
		return
	}
	held := h.at(m.f, h.synced)
	if m.f.logs[row.log-1].owner.witnessed || row.Size > held.size || held.at(row.Size).root == row.Root {
		return
	}
	i := m.f.logs[row.log-1]
	e := &replica.Evidence{Node: i.owner.key.Public(), Log: i.id, Held: h.units[h.synced-1].unit.Checkpoint, Signed: row.Checkpoint}
	if row.Size < held.size {
		e.Root = held.at(row.Size).root
		e.Proof, _ = held.prove(row.Size)
	}
	if _, err := e.Check(verifyQuick); err != nil {
		m.f.fail("a row and a mirror of log %d contradict each other, and that shows nothing: %v", row.log, err)
	}
	j.frames = append(j.frames, frame{fork: row.log, shown: e})
}

// rows returns the newest row of every log that either history has.
func (j *joint) rows() map[byte]replica.Row {
	rows := map[byte]replica.Row{}
	for _, way := range [][]*place{j.own.way[1:], j.upper.way[min(j.shared, j.upper.size)+1:]} {
		for _, p := range way {
			if r := p.last.row; r != nil && r.Size > rows[r.log].Size {
				rows[r.log] = r.Row
			}
		}
	}
	return rows
}

func (j *joint) add(e *entry) {
	j.m.f.fill(e, replicatest.Entry(j.m.f.draw(), 0))
	j.frames = append(j.frames, frame{entry: e})
}

// again logs an entry anew, through the check that it passed once, or hands over what it
// brought.
func (j *joint) again(e *entry) {
	f, first := j.m.f, e.first()
	if e.genesis != nil || e.row != nil || j.there[first] {
		return
	}
	there, follows := false, false
	switch {
	case e.given != nil:
		before := j.gave[e.given.child]
		there, follows = before == *e.given, e.given.epoch == before.epoch+1
		if follows {
			j.gave[e.given.child] = *e.given
		}
	case e.taken > 0:
		there = e.taken == j.epoch && e.revoked == j.revoked
		if follows = e.taken > j.epoch || e.taken == j.epoch && e.revoked != j.revoked; follows {
			j.epoch, j.revoked = e.taken, e.revoked
		}
	default:
		follows = !e.bad && e.epoch == j.epoch && !j.revoked
	}
	switch {
	case follows:
		j.there[first] = true
		j.add(&entry{given: e.given, taken: e.taken, revoked: e.revoked, epoch: e.epoch, bad: e.bad, again: first})
	case !there:
		f.handed[first] = true
		f.note(handedOver)
		if e.given != nil {
			f.forgotten[e.given.child] = true // what rests on it does not any more
		}
	}
}

// adopt makes the log that is held above the node's own, beginning with its first unit.
func (m *member) adopt() {
	log := m.above.logOf(m)
	h := m.above.held[log]
	if !m.back || m.bare() || h == nil || h.synced == 0 || log == m.log || m.after.Continues(m.f.logs[log-1].id) {
		m.back = false // it was asked: only an operator can help
		return
	}
	m.f.note(adoptedBelow)
	m.frames = []frame{{next: m.f.logs[log-1]}}
	for _, payload := range h.units[0].unit.Payloads {
		m.frames = append(m.frames, frame{entry: m.f.entryOf(payload)})
	}
	m.start()
}

// troubled reports whether only an operator can help a node below the top, as it is told.
func (m *member) troubled() bool {
	if m.above == nil {
		return false
	}
	if m.forked != nil {
		return true
	}
	return slices.ContainsFunc(m.links, func(l *link) bool {
		r := l.child.Refusal()
		if l.to != m.above || r == nil {
			return false
		}
		return r.Reason == replica.Loss || r.Reason == replica.Fork || r.Reason == replica.Succeeded && !m.back || r.Reason == replica.OtherLog
	})
}

// checkKept returns an error when what was anchored, or with one restore what was
// acknowledged, stands neither in the log of its node nor among what was handed over, and
// nobody was told.
func (m *member) checkKept() error {
	there := map[*entry]bool{}
	for _, p := range m.fast.way[1:] {
		there[p.last.first()] = true
	}
	for _, i := range m.f.logs {
		if i.owner != m {
			continue
		}
		ends := slices.Collect(maps.Values(i.receipts))
		if m.f.restored <= 1 && !m.lost() {
			ends = append(ends, i.told)
		}
		for _, end := range ends {
			for _, p := range end.way[1:] {
				if e := p.last; e.epoch > 0 && !there[e.first()] && !m.f.handed[e.first()] {
					return fmt.Errorf("node %d: entry %d of log %d, of which %d entries were anchored or acknowledged, is gone, and nobody was told", m.number, p.size-1, i.log, end.size)
				}
			}
		}
	}
	return nil
}
