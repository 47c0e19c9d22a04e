package replica

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Row is what a parent's own log says of a child's: that the mirror had so many entries
// once, with this root. It is mirrored one level further up, and so comes back when the
// parent was restored. The size of a log's rows never goes down.
type Row struct {
	Size uint64
	Root identifier.Hash
	// Checkpoint is the one that the child signed over them, where it is known.
	Checkpoint []byte
}

// contradicts ends the stream when a unit leads past a row and not through it: the child
// has written anew what it had written before, and both sides have forgotten. signed is
// the checkpoint that the unit ends with.
func (p *Parent) contradicts(row Row, u *Unit, signed []byte) bool {
	edge := p.edge.clone()
	if err := edge.appendEntries(u.Payloads[:row.Size-edge.size]); err != nil || !p.left.lacks(ruleRow, edge.root() == row.Root) {
		return false
	}
	r := refuse(Fork, "this node has logged another root of the child's first %d entries: both sides were restored, and the child has written anew what it had written before", row.Size)
	r.Held, r.Signed = row.Checkpoint, signed
	if len(row.Checkpoint) > 0 {
		e := &Evidence{Node: p.config.Child, Log: p.config.Log, Held: row.Checkpoint, Signed: signed}
		if u.End() > row.Size {
			e.Root, e.Proof = edge.root(), p.proofThrough(u, row.Size)
		}
		if _, err := e.Check(p.config.Verify); err == nil {
			r.Evidence = e
		}
	}
	p.end(r)
	return true
}

// proofThrough returns the consistency proof from size to the end of a unit that lies
// around it; nil when the unit does not add up to one. Everything that such a proof holds
// is a subtree at the edge of the mirror, or one that the unit completes.
func (p *Parent) proofThrough(u *Unit, size uint64) []identifier.Hash {
	nodes := map[int64]tlog.Hash{}
	edge := p.edge.clone()
	edge.place(nodes)
	for _, payload := range u.Payloads {
		leaf, err := identifier.EntryLeaf(payload)
		if err != nil {
			return nil
		}
		h, n := tlog.RecordHash(leaf), int64(edge.size)
		for level := 0; ; level++ {
			nodes[tlog.StoredHashIndex(level, n)] = h
			if n&1 == 0 {
				break
			}
			h = tlog.NodeHash(nodes[tlog.StoredHashIndex(level, n-1)], h)
			n >>= 1
		}
		edge.append(tlog.RecordHash(leaf))
	}
	proof, err := tlog.ProveTree(int64(u.End()), int64(size), tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			h, ok := nodes[at]
			if !ok {
				return nil, fmt.Errorf("there is no hash %d", at)
			}
			hashes[i] = h
		}
		return hashes, nil
	}))
	if err != nil {
		return nil
	}
	var out []identifier.Hash
	for _, h := range proof {
		out = append(out, identifier.Hash(h))
	}
	return out
}

// place puts the subtrees of a frontier where tlog looks for them.
func (f *frontier) place(nodes map[int64]tlog.Hash) {
	var from uint64
	next := 0
	for level := 62; level >= 0; level-- {
		if f.size>>level&1 == 0 {
			continue
		}
		nodes[tlog.StoredHashIndex(level, int64(from>>level))] = f.subtrees[next]
		from, next = from+1<<level, next+1
	}
}
