package rpc_test

import (
	"context"
	"errors"
	"sync"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/history"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
	"github.com/nameplate-id/nameplate/registry/rpc"
)

// memoryMirrors is a parent's registry in memory.
type memoryMirrors struct {
	mu      sync.Mutex
	refuse  error // what every child is told
	mirrors map[identifier.LogID]*memoryMirror
	forked  map[identifier.LogID]bool // logs of which no more is taken in
}

func (m *memoryMirrors) Mirror(_ context.Context, log identifier.LogID, _, _ identifier.PublicKey, _ uint64) (rpc.Mirror, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse != nil {
		return nil, m.refuse
	}
	if m.forked[log] {
		return nil, &replica.Refusal{Reason: replica.Fork, Detail: "two histories of the log were signed"}
	}
	return m.of(log), nil
}

// quarantine sets a log aside.
func (m *memoryMirrors) quarantine(log identifier.LogID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forked = map[identifier.LogID]bool{log: true}
}

func (m *memoryMirrors) Mirrored(_, _ identifier.PublicKey, _ identifier.LogID, _ uint64) (history.Held, error) {
	return history.Held{}, history.ErrNotMirrored
}

func (m *memoryMirrors) of(log identifier.LogID) *memoryMirror {
	if m.mirrors == nil {
		m.mirrors = make(map[identifier.LogID]*memoryMirror)
	}
	if m.mirrors[log] == nil {
		m.mirrors[log] = &memoryMirror{more: make(chan struct{}), room: make(chan struct{})}
		close(m.mirrors[log].room)
	}
	return m.mirrors[log]
}

// mirror returns the mirror of a log.
func (m *memoryMirrors) mirror(log identifier.LogID) *memoryMirror {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of(log)
}

func (m *memoryMirrors) refuseWith(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse = err
}

// Begins lets every log begin.
func (m *memoryMirror) Begins([]byte) *replica.Refusal { return nil }

// memoryMirror is a mirror whose disk may be full.
type memoryMirror struct {
	mu         sync.Mutex
	payloads   [][]byte
	checkpoint []byte
	units      int
	stored     []*replica.Unit
	heard      []uint64
	refused    []*replica.Refusal
	regressed  []uint64
	grants     []identifier.Envelope
	more       chan struct{}
	room       chan struct{} // closed while there is some
	held       bool          // nothing is synced
	waiting    []func()
	fail       error
	paused     string
	pausing    chan struct{} // closed when paused changes
	aside      *replica.Refusal

	anchoring registry.Anchoring
	anchored  chan struct{}
}

func (m *memoryMirror) Anchoring() (registry.Anchoring, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.anchored == nil {
		m.anchored = make(chan struct{})
	}
	return m.anchoring, m.anchored
}

// anchor gives the child a receipt.
func (m *memoryMirror) anchor(a registry.Anchoring) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.anchoring = a
	if m.anchored != nil {
		close(m.anchored)
		m.anchored = nil
	}
}

func (m *memoryMirror) Settle(context.Context, uint64, identifier.Hash) (uint64, error) {
	return 0, nil
}

func (m *memoryMirror) Policy() identifier.Policy { return identifier.PolicyMirror }
func (m *memoryMirror) Held() uint64              { return 0 }

func (m *memoryMirror) Open() (replica.Mirror, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return replica.Mirror{Checkpoint: m.checkpoint, Size: uint64(len(m.payloads)), Subtrees: replicatest.Subtrees(m.payloads)}, nil
}

func (m *memoryMirror) Append(ctx context.Context, u *replica.Unit, synced func()) error {
	m.mu.Lock()
	room, fail := m.room, m.fail
	m.mu.Unlock()
	if fail != nil {
		return fail
	}
	select {
	case <-room:
	case <-ctx.Done():
		return ctx.Err()
	}
	m.mu.Lock()
	m.payloads, m.checkpoint = append(m.payloads, u.Payloads...), u.Checkpoint
	m.units++
	m.stored = append(m.stored, u)
	held := m.held
	if held {
		m.waiting = append(m.waiting, synced)
	}
	m.mu.Unlock()
	if !held {
		synced()
	}
	return nil
}

func (m *memoryMirror) Fence(context.Context, uint64, identifier.Hash) error { return nil }
func (m *memoryMirror) Overdue() string                                      { return "" }
func (m *memoryMirror) Fenced(uint64) replica.Fence                          { return replica.Fence{} }
func (m *memoryMirror) Unproved()                                            {}

func (m *memoryMirror) Row() (replica.Row, error) { return replica.Row{}, nil }

func (m *memoryMirror) Root(size uint64) (identifier.Hash, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return replicatest.Root(m.payloads[:size]), nil
}

func (m *memoryMirror) Prove(old, size uint64) ([]identifier.Hash, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return replicatest.Prove(m.payloads[:size], old)
}

func (m *memoryMirror) Unit(position uint64) (*replica.Unit, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range m.stored {
		if u.Start <= position && position < u.End() {
			return u, nil
		}
	}
	return nil, errors.New("there is no such unit")
}

func (m *memoryMirror) Grants(from uint64) ([]identifier.Envelope, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.grants[from:], m.more
}

func (m *memoryMirror) Paused() (string, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pausing == nil {
		m.pausing = make(chan struct{})
	}
	return m.paused, m.pausing
}

func (m *memoryMirror) SetAside() *replica.Refusal {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.aside
}

// setAside says that somebody has shown two histories of the log.
func (m *memoryMirror) setAside(why *replica.Refusal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.aside = why
}

// pause asks the child to wait, or with "" to go on.
func (m *memoryMirror) pause(why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paused = why
	if m.pausing != nil {
		close(m.pausing)
		m.pausing = nil
	}
}

func (m *memoryMirror) Heard(size uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard = append(m.heard, size)
}

func (m *memoryMirror) Regressed(acknowledged uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.regressed = append(m.regressed, acknowledged)
}

func (m *memoryMirror) Refused(r *replica.Refusal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused = append(m.refused, r)
}

func (m *memoryMirror) grant(e identifier.Envelope) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.grants = append(m.grants, e)
	close(m.more)
	m.more = make(chan struct{})
}

// fill lets nothing more in until the returned function is called.
func (m *memoryMirror) fill() (free func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	room := make(chan struct{})
	m.room = room
	return sync.OnceFunc(func() { close(room) })
}

// hold lets nothing be synced until the returned function is called.
func (m *memoryMirror) hold() (release func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = true
	return func() {
		m.mu.Lock()
		waiting := m.waiting
		m.held, m.waiting = false, nil
		m.mu.Unlock()
		for _, synced := range waiting {
			synced()
		}
	}
}

func (m *memoryMirror) failWith(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// size returns how many entries there are.
func (m *memoryMirror) size() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.payloads))
}

// state returns what was told of the child.
func (m *memoryMirror) state() (heard []uint64, refused []*replica.Refusal, units int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heard, m.refused, m.units
}

// check returns an error unless the mirror is the beginning of a log.
func (m *memoryMirror) check(l *replicatest.Log) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return l.CheckMirror(m.payloads, m.checkpoint)
}
