package resolvertest

import (
	"bytes"
	"context"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Store is a node's registry as a few maps, for the tests of servers.
type Store struct {
	Apexes      []identifier.Prefix
	Delegations map[identifier.Prefix]*identifier.Delegation
	Records     map[identifier.ID]*identifier.Record
	Grant       *identifier.Delegation // by which it has its apex; nil at the root
}

// Find implements [resolver.Store].
func (s *Store) Find(_ context.Context, id identifier.ID) (identifier.Finding, error) {
	f := identifier.Finding{Position: 1<<32 + 7, Log: identifier.LogID{1, 2, 3}, Grant: s.Grant}
	for _, apex := range s.Apexes {
		if apex.Covers(id.Prefix) && len(apex) >= len(f.Apex) {
			f.Apex, f.InZone = apex, true
		}
	}
	for p, ok := id.Prefix, true; ok && f.Apex.Covers(p) && f.Delegation == nil; p, ok = p.Parent() {
		f.Delegation = s.Delegations[p]
	}
	f.Record = s.Records[id]
	if id.IsPrefix() {
		for p := range s.Delegations {
			f.Below = f.Below || id.Prefix.Covers(p)
		}
		for other := range s.Records {
			f.Below = f.Below || other != id && id.Prefix.Covers(other.Prefix)
		}
	}
	return f, nil
}

// FindHashed implements [resolver.Store].
func (s *Store) FindHashed(ctx context.Context, p identifier.Prefix, hash identifier.Hash) (identifier.ID, identifier.Finding, error) {
	for id := range s.Records {
		if id.Prefix == p && identifier.SuffixHash(id.Suffix) == hash {
			f, err := s.Find(ctx, id)
			return id, f, err
		}
	}
	f, err := s.Find(ctx, identifier.ID{Prefix: p})
	f.Record = nil
	return identifier.ID{Prefix: p}, f, err
}

// Put puts a record with these values, numbered from 1, under a canonical text.
func (s *Store) Put(canonical string, values ...identifier.Value) {
	id, err := identifier.ParseCanonical(canonical)
	if err != nil {
		panic(err)
	}
	for i := range values {
		values[i].Index = uint32(i + 1)
	}
	s.Records[id] = &identifier.Record{ID: id, Spelling: canonical, Version: 3, Time: time.UnixMilli(1_793_872_800_250).UTC(), Values: values}
}

// Lender is a store that lends what it held when the lender was made.
type Lender struct {
	*Store
	stored map[string]identifier.Stored
}

// NewLender returns a lender of what a store holds, which must be valid.
func NewLender(s *Store) *Lender {
	held := *s
	held.Records = map[identifier.ID]*identifier.Record{}
	l := &Lender{&held, map[string]identifier.Stored{}}
	for id, r := range s.Records {
		key := identifier.AppendKey(nil, id)
		b, err := identifier.AppendStored(nil, key, r, 1)
		if err != nil {
			panic(err)
		}
		if l.stored[string(key)], err = identifier.CheckStored(key, b); err != nil {
			panic(err)
		}
		// What is stored has no empty links, for one.
		if held.Records[id], err = l.stored[string(key)].Record(id); err != nil {
			panic(err)
		}
	}
	return l
}

// Lend implements [resolver.Lender].
func (l *Lender) Lend(loans []identifier.Loan, f func()) error {
	for i := range loans {
		loan := &loans[i]
		found, _ := l.Find(context.Background(), identifier.ID{Prefix: identifier.Prefix(loan.Prefix)})
		loan.Delegation, loan.InZone, loan.Apex, loan.Grant, loan.Position = found.Delegation, found.InZone, found.Apex, found.Grant, found.Position
		loan.Log = found.Log
		loan.Stored, loan.Absent = nil, true
		if loan.Hash != nil {
			id, _, _ := l.FindHashed(context.Background(), identifier.Prefix(loan.Prefix), identifier.Hash(loan.Hash))
			loan.Key = identifier.AppendKey(nil, id)
		}
		if stored := l.stored[string(loan.Key)]; stored != nil && !stored.Withdrawn() && !(loan.Hash != nil && bytes.HasSuffix(loan.Key, []byte{0})) {
			loan.Stored, loan.Absent = stored, false
		}
		for p, ok := identifier.Prefix(loan.Prefix), true; ok; p, ok = p.Parent() {
			loan.Absent = loan.Absent && l.Records[identifier.ID{Prefix: p}] == nil
		}
	}
	f()
	return nil
}
