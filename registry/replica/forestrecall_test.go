package replica_test

import (
	"slices"

	"github.com/nameplate-id/nameplate/registry/replica"
)

// What a top-level node takes from the others of the logs of its children, which it has sent
// them: all of it after it was restored, before it lets a child in; and a log that it never
// had, when another one refuses the one that it sends.

// recallAll asks the others, and reports whether enough had an answer: as many as cannot all
// be without an entry that was anchored.
func (m *member) recallAll() bool {
	var asked []*member
	for _, peer := range m.peers {
		if peer.standing().TakesIn() && !peer.draining {
			asked = append(asked, peer)
		}
	}
	need := m.recovery.Need()
	if len(asked) < need {
		return false
	}
	if m.f.drawn%3 == 0 {
		asked = asked[:need] // one is away
	}
	for _, peer := range asked {
		for _, c := range m.below {
			m.recall(peer, c, true)
		}
	}
	m.sync()
	return true
}

// recall takes in what a peer holds of the log of a child that counts there.
func (m *member) recall(peer, c *member, restored bool) {
	log := peer.logOf(c)
	from := peer.held[log]
	if c.bare() || log == 0 || from == nil || from.synced == 0 || peer.apart[log] != nil || m.apart[log] != nil {
		return
	}
	i, h := m.f.logs[log-1], m.mirrorOf(log)
	m.sync()
	have, all := h.at(m.f, h.synced), from.at(m.f, from.synced)
	if h.certain != nil || !all.has(have) || !m.line(c).Recalls(i.genesis(), have.size, all.size, restored) {
		return
	}
	m.f.note(map[bool]event{true: recalled, false: foundBeside}[restored])
	for at := have.size; at < all.size; {
		u, err := from.Unit(at)
		if err != nil {
			m.f.fail("node %d holds no entry %d of log %d: %v", peer.number, at, log, err)
			return
		}
		rest := &replica.Unit{Start: at, Payloads: u.Payloads[at-u.Start:], Checkpoint: u.Checkpoint, Root: u.Root}
		m.append(frame{unit: rest, whose: log, end: all.at(u.End())}, nil)
		at = u.End()
	}
	m.sync()
	h.parent = nil
	for _, l := range m.f.links {
		if l.to == m && l.owner == c {
			l.stream, l.greeted = nil, false
		}
		if l.from == m && l.owner == c && slices.Contains(m.peers, l.to) {
			l.hangUp()
			l.restart()
		}
	}
}
