package intake_test

import (
	"bytes"
	"context"
	"iter"
	"sync"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
	"github.com/nameplate-id/nameplate/resolver"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// fakeNode takes changes as a node does, and fails as one can: before the effect and
// after it.
type fakeNode struct {
	mu          sync.Mutex
	delegations map[identifier.Prefix]*identifier.Delegation
	records     map[identifier.ID]*identifier.Record
	changes     int
	logged      int // rows

	// trouble, when it is set, decides what goes wrong with a change.
	trouble func(n int) trouble
	// before is called with the node locked before a change is judged.
	before func(n int, c *identifier.Change)
}

type trouble uint8

const (
	none trouble = iota
	overloaded
	breakBefore // the stream breaks, and the change was not logged
	breakAfter  // the stream breaks, and it was
)

func newFakeNode() *fakeNode {
	return &fakeNode{
		delegations: map[identifier.Prefix]*identifier.Delegation{},
		records:     map[identifier.ID]*identifier.Record{},
	}
}

// delegate gives a prefix to keys, of which all must sign.
func (f *fakeNode) delegate(p identifier.Prefix, keys ...identifier.PrivateKey) {
	d := &identifier.Delegation{Prefix: p, Epoch: 1, Keyset: identifier.Keyset{Version: 1, Threshold: len(keys)}}
	if old := f.delegations[p]; old != nil {
		d.Epoch, d.Keyset.Version = old.Epoch+1, old.Keyset.Version+1
	}
	for _, k := range keys {
		d.Keyset.Keys = append(d.Keyset.Keys, k.Public())
	}
	f.delegations[p] = d
}

func (f *fakeNode) holder(p identifier.Prefix) *identifier.Delegation {
	for q, ok := p, true; ok; q, ok = q.Parent() {
		if d := f.delegations[q]; d != nil {
			return d
		}
	}
	return nil
}

func (f *fakeNode) Holder(_ context.Context, p identifier.Prefix) (*identifier.Delegation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.holder(p)
	if d == nil {
		return nil, nil
	}
	same := *d
	return &same, nil
}

func (f *fakeNode) RegisterBatch(ctx context.Context, changes iter.Seq[*identifier.Change]) iter.Seq2[registryrpc.Result, error] {
	return func(yield func(registryrpc.Result, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		ahead := make(chan *identifier.Change, 4)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer close(ahead)
			for c := range changes {
				select {
				case ahead <- c:
				case <-ctx.Done():
					return
				}
			}
		}()
		defer func() { cancel(); <-ended }()
		for c := range ahead {
			receipt, err, broken := f.take(c)
			if broken {
				yield(registryrpc.Result{}, &registry.Error{Kind: registry.Unavailable, Detail: "the connection broke"})
				return
			}
			if !yield(registryrpc.Result{Change: c, Receipt: receipt, Err: err}, nil) {
				return
			}
		}
	}
}

func (f *fakeNode) take(c *identifier.Change) (receipt registry.Receipt, err error, broken bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes++
	t := none
	if f.trouble != nil {
		t = f.trouble(f.changes)
	}
	switch t {
	case overloaded:
		return receipt, &registry.Error{Kind: registry.Overloaded, Detail: "too much to do"}, false
	case breakBefore:
		return receipt, nil, true
	}
	if f.before != nil {
		f.before(f.changes, c)
	}
	receipt, err = f.register(c)
	return receipt, err, t == breakAfter
}

// register judges a change as a registry does.
func (f *fakeNode) register(c *identifier.Change) (registry.Receipt, error) {
	h, hashes, err := c.Check()
	if err != nil {
		return registry.Receipt{}, &registry.Error{Kind: registry.Malformed, Detail: "broken", Err: err}
	}
	d := f.delegations[h.Prefix]
	if d == nil || d.Epoch != h.Epoch || d.Keyset.Version != h.KeysetVersion {
		return registry.Receipt{}, &registry.Error{Kind: registry.Denied, Detail: "another epoch"}
	}
	if c.Envelope.SignedBy(d.Keyset.Keys) < d.Keyset.Threshold {
		return registry.Receipt{}, &registry.Error{Kind: registry.Unauthenticated, Detail: "too few signatures"}
	}
	var denied, conflicts []registry.RowError
	fresh := 0
	for n, r := range c.Rows {
		if f.holder(r.ID.Prefix) != d {
			denied = append(denied, registry.RowError{Row: n, ID: r.ID, Reason: "delegated on"})
			continue
		}
		current := f.records[r.ID]
		if current == nil {
			current = &identifier.Record{}
		}
		a, _ := identifier.AppendContent(nil, "", current.Values)
		b, _ := identifier.AppendContent(nil, "", r.Values)
		switch {
		case current.Version == r.Version && !current.Withdrawn && bytes.Equal(a, b):
		case current.Version+1 == r.Version && current.RowHash == r.Replaces:
			fresh++
		default:
			conflicts = append(conflicts, registry.RowError{Row: n, ID: r.ID, Reason: "conflict", Version: current.Version, RowHash: current.RowHash})
		}
	}
	switch {
	case denied != nil:
		return registry.Receipt{}, &registry.Error{Kind: registry.Denied, Detail: "not every row", Rows: denied}
	case conflicts != nil:
		return registry.Receipt{}, &registry.Error{Kind: registry.Conflict, Detail: "conflict", Rows: conflicts}
	}
	for n, r := range c.Rows {
		f.records[r.ID] = &identifier.Record{ID: r.ID, Version: r.Version, RowHash: hashes[n], Values: r.Values}
	}
	f.logged += fresh
	return registry.Receipt{Duplicate: fresh == 0}, nil
}

func (f *fakeNode) ResolveBatch(_ context.Context, _ resolver.Query, ids iter.Seq[identifier.ID]) iter.Seq2[resolverrpc.Result, error] {
	return func(yield func(resolverrpc.Result, error) bool) {
		for id := range ids {
			f.mu.Lock()
			a := resolver.Answer{Outcome: resolver.Absent, ID: id}
			if r := f.records[id]; r != nil && !r.Withdrawn {
				a.Outcome, a.Record = resolver.Found, r
			}
			f.mu.Unlock()
			if !yield(resolverrpc.Result{ID: id, Answer: a}, nil) {
				return
			}
		}
	}
}
