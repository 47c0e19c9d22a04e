package rpc_test

import (
	"context"
	"sync"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// memorySource is a child's registry in memory.
type memorySource struct {
	*replicatest.Log

	mu     sync.Mutex
	grants []identifier.Envelope
	accept func(identifier.Envelope) error // nil for always
	acked  map[identifier.PublicKey]uint64
	marked string
	forked *replica.Evidence

	receipts []*replica.Receipt
	anchored uint64
}

func (s *memorySource) Acked(parent identifier.PublicKey) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked[parent]
}

func (s *memorySource) Acknowledged(parent identifier.PublicKey, size uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.acked == nil {
		s.acked = map[identifier.PublicKey]uint64{}
	}
	s.acked[parent] = max(s.acked[parent], size)
}

func (s *memorySource) Marked() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.marked
}

func (s *memorySource) Mark(_ context.Context, why string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marked = why
	return nil
}

func (s *memorySource) TakeBack(_ context.Context, u *replica.Unit) error {
	for _, p := range u.Payloads {
		s.Append(p)
	}
	s.Sync()
	return nil
}

func (s *memorySource) Heal() (bool, error) { return true, s.Mark(context.Background(), "") }

func (s *memorySource) Again() bool { return false }

func (s *memorySource) Forked(_ context.Context, e *replica.Evidence) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forked = e
	return nil
}

func (s *memorySource) AcceptGrant(_ context.Context, e identifier.Envelope) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accept != nil {
		if err := s.accept(e); err != nil {
			return err
		}
	}
	s.grants = append(s.grants, e)
	return nil
}

func (s *memorySource) AcceptReceipt(_ context.Context, r *replica.Receipt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.receipts = append(s.receipts, r)
	return nil
}

func (s *memorySource) Receipts() (anchored, rooted uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(len(s.receipts)), 0
}

func (s *memorySource) Ended() {}

func (s *memorySource) Anchored(size uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.anchored = size
}

func (s *memorySource) granted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.grants)
}

// grow registers entries and syncs them.
func (s *memorySource) grow(number uint64, entries int, octets int) {
	for i := range entries {
		s.Append(replicatest.Entry(number+uint64(i), octets))
	}
	s.Sync()
}
