package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/state"
)

// logs are all logs that a journal holds: the node's own, and the mirrors of its
// children's. A frame goes to its log in the order of the journal, whether it is fresh
// from its sync, read again at a start, or read by a check.
type logs struct {
	own *ledger

	numbering sync.Mutex // held while a log gets its number

	mu     sync.RWMutex
	byNode map[identifier.PublicKey]*mirror // the log of a node that counts
	all    []*mirror                        // in the order in which the logs came; never changed, but replaced
	beside []*mirror                        // those that have not taken the place of another one yet, and those whose place was taken
	lines  map[identifier.PublicKey]*replica.Lineage
	next   uint32 // the number of the next child's log
	left   rule

	peerLogs []*mirror // never changed, but replaced
}

func newLogs(own *ledger) *logs {
	return &logs{own: own, byNode: make(map[identifier.PublicKey]*mirror), lines: make(map[identifier.PublicKey]*replica.Lineage), next: ownLog + 1}
}

// mirrorNote is what the notes begin with that say which child's log has which
// number; the number follows, four octets.
const mirrorNote = "mirror/"

func mirrorNoteName(number uint32) string {
	return string(binary.BigEndian.AppendUint32([]byte(mirrorNote), number))
}

// load reads what the state holds of every log.
func (l *logs) load() error {
	if err := l.own.loadState(); err != nil {
		return err
	}
	for row, err := range l.own.state.Ascend(context.Background(), state.Notes, ownLog, []byte(mirrorNote)) {
		if err != nil {
			return doubt(err)
		}
		if !bytes.HasPrefix(row.Key, []byte(mirrorNote)) {
			break
		}
		value, err := summed(row.Key, row.Value)
		if err != nil {
			return doubt(err)
		}
		n, err := parseNumbering(value)
		if err != nil {
			return doubt(err)
		}
		if err := l.open(n); err != nil {
			return fmt.Errorf("mirror of log %s: %w", n.log, err)
		}
	}
	return l.loadLineages()
}

// replay takes one frame in.
func (l *logs) replay(f journal.Located) error {
	switch {
	case f.Kind == journal.KindQuarantine:
		return l.setAside(f)
	case f.Kind == journal.KindSession:
		return l.number(f.Payload, f.At, f.End)
	case f.Kind == journal.KindCertain:
		m := l.numbered(f.Log)
		if m == nil {
			return fmt.Errorf("what is certain of log %d: nothing says whose log that is", f.Log)
		}
		return m.takeCertain(f.Payload, f.At, f.End)
	case f.Kind == journal.KindTold:
		m := l.numbered(f.Log)
		if m == nil {
			return fmt.Errorf("what the child of log %d was told: nothing says whose log that is", f.Log)
		}
		return m.takeTold(f.Payload, f.At, f.End)
	case f.Log == ownLog:
		return l.own.replayFrame(f)
	case f.Kind == journal.KindMirrored:
		m := l.numbered(f.Log)
		if m == nil {
			return fmt.Errorf("frame of log %d: nothing says whose log that is", f.Log)
		}
		return m.takeFrame(f)
	}
	return fmt.Errorf("frame of kind %q of log %d: only a mirror's units belong to another log", f.Kind, f.Log)
}

// setAside takes in that a log is in quarantine.
func (l *logs) setAside(f journal.Located) error {
	if f.Log == ownLog {
		return l.own.setAside(f.Payload, f.At, f.End)
	}
	m := l.numbered(f.Log)
	if m == nil {
		return fmt.Errorf("quarantine of log %d: nothing says whose log that is", f.Log)
	}
	return m.setAside(f.Payload, f.At, f.End)
}

// number takes in which child's log has which number from here on.
func (l *logs) number(payload []byte, at, end journal.Offset) error {
	n, err := parseNumbering(payload)
	if err != nil {
		return err
	}
	err = l.own.state.Publish(context.Background(), state.Batch{
		Log: ownLog, Position: l.own.published.Load(), At: uint64(at), End: uint64(end),
		Mutations: []state.Mutation{noteMutation(mirrorNoteName(n.number), payload)},
	})
	if err != nil {
		return err
	}
	return l.open(n)
}

// open makes the mirror of a log known, with what the state holds of it.
func (l *logs) open(n numbering) error {
	if n.role == roleRelay && l.of(n.via) == nil {
		return fmt.Errorf("it is sent by node %s, whose own log is not here", n.via)
	}
	m := newMirror(n, l)
	if err := m.load(); err != nil {
		return err
	}
	l.mu.Lock()
	l.next = max(l.next, n.number+1)
	if n.instead != 0 {
		l.beside = append(slices.Clip(l.beside), m)
	} else if l.all = append(slices.Clip(l.all), m); l.byNode[n.node] == nil || l.left == ruleEntries {
		l.count(m)
	}
	l.mu.Unlock()
	return l.replace(m, true)
}

// pending reports whether a mirror has yet to take the place of another one.
func (m *mirror) pending() bool { return m.instead != 0 && !slices.Contains(m.logs.mirrors(), m) }

// replace lets a mirror take the place of the one that it was begun for, as soon as all of
// it is there. fresh says that it was just read from the state, as it is.
func (l *logs) replace(m *mirror, fresh bool) error {
	if !m.pending() || m.published.Load() < m.entries {
		return nil
	}
	before := l.numbered(m.instead)
	if before != nil && before.replaced.Load() {
		return nil // by another one, of another policy
	}
	if before == nil || before.log != m.log || before.node != m.node || !slices.Contains(l.mirrors(), before) {
		return fmt.Errorf("mirror %d of log %s is to take the place of mirror %d, which is another log's, or has none", m.number, m.log, m.instead)
	}
	before.mu.Lock()
	m.told, m.lost = before.told, before.lost
	before.mu.Unlock()
	switch {
	case m.role == roleChild && m.policy != before.policy && fresh:
		// It knows what the child is to be told.
	case m.role == roleChild && m.policy != before.policy:
		m.grants.takeOver(&before.grants) // the child is told by their numbers
	case m.role == roleChild:
		if err := m.gatherAgain(); err != nil { // nothing of the child's was here when it was begun
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.Clone(l.all)
	l.all[slices.Index(l.all, before)] = m
	l.beside = append(slices.DeleteFunc(slices.Clone(l.beside), func(x *mirror) bool { return x == m }), before)
	if l.byNode[m.node] == before {
		l.byNode[m.node] = m
	}
	before.replaced.Store(true)
	return nil
}

// nextNumber returns the number for a new log.
func (l *logs) nextNumber() uint32 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.next
}

// of returns the mirror of the log of a node; nil when there is none.
func (l *logs) of(node identifier.PublicKey) *mirror {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.byNode[node]
}

// numbered returns the mirror with a number; nil when there is none.
func (l *logs) numbered(number uint32) *mirror {
	good := func(m *mirror) bool { return m.number == number }
	if m := l.first(good); m != nil {
		return m
	}
	all := l.everything()
	if i := slices.IndexFunc(all, good); i >= 0 {
		return all[i]
	}
	return nil
}

// withID returns the mirror of a log of a node; nil when there is none.
func (l *logs) withID(node identifier.PublicKey, log identifier.LogID) *mirror {
	return l.first(func(m *mirror) bool { return m.node == node && m.log == log })
}

func (l *logs) first(good func(*mirror) bool) *mirror {
	all := l.mirrors()
	if i := slices.IndexFunc(all, good); i >= 0 {
		return all[i]
	}
	return nil
}

// peers returns the mirrors of the other top-level nodes' own logs, in the order in which
// they came.
func (l *logs) peers() []*mirror {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.peerLogs
}

// everything returns all mirrors, also those that are not told of.
func (l *logs) everything() []*mirror {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return append(slices.Clip(l.all), l.beside...)
}

// mirrors returns all mirrors, also of logs that do not count, in the order in which they
// came.
func (l *logs) mirrors() []*mirror {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.all
}
