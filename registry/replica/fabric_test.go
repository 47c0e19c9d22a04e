package replica_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// What the logs of a forest are made of: quick keys, so that a hundred thousand histories
// can be played, and logs that share what they have in common. World plays the same
// protocol with real keys and checkpoints.

// quickKey signs with a hash. Whoever has the public key can make its signatures; nobody
// in a forest does.
type quickKey byte

func (k quickKey) Public() identifier.PublicKey {
	return identifier.PublicKey{Type: identifier.Ed25519, Raw: string(bytes.Repeat([]byte{byte(k)}, 32))}
}

func (k quickKey) Sign(message []byte) []byte { return quickSign(k.Public(), message) }

func quickSign(key identifier.PublicKey, message []byte) []byte {
	h := sha256.New()
	h.Write([]byte(key.Raw))
	h.Write(message)
	return h.Sum(nil)
}

func quickProof(key identifier.PublicKey, message, signature []byte) bool {
	return bytes.Equal(signature, quickSign(key, message))
}

// quickNote is a checkpoint: size, root and signature. Cosignatures follow.
func quickNote(size uint64, root identifier.Hash, log identifier.LogID, key identifier.PublicKey) []byte {
	text := append(binary.BigEndian.AppendUint64(nil, size), root[:]...)
	return append(text, quickSign(key, append(log[:], text...))...)
}

const (
	quickText   = 8 + 32
	quickLength = quickText + sha256.Size
)

var errNote = errors.New("no checkpoint of that log")

func verifyQuick(note []byte, log identifier.LogID, key identifier.PublicKey) (uint64, identifier.Hash, error) {
	if len(note) < quickLength || !quickProof(key, append(log[:], note[:quickText]...), note[quickText:quickLength]) {
		return 0, identifier.Hash{}, errNote
	}
	return binary.BigEndian.Uint64(note), identifier.Hash(note[8:quickText]), nil
}

func cosignQuick(note []byte, by quickKey) []byte {
	return append(slices.Clip(note), by.Sign(append([]byte("cosigned"), note...))...)
}

func verifyQuickCosignature(note []byte, by identifier.PublicKey) error {
	if len(note) != quickLength+sha256.Size || !quickProof(by, append([]byte("cosigned"), note[:quickLength]...), note[quickLength:]) {
		return errNote
	}
	return nil
}

// entry is an entry of some log. What it says, its node wrote; the protocol looks at the
// payload alone.
type entry struct {
	payload []byte
	leaf    tlog.Hash
	epoch   uint64     // of a registration: that of the grant it rests on; 0 for the beginning of a log
	row     *loggedRow // of a child
	given   *given     // what the node gave to a child
	taken   uint64     // the epoch that the node was given
	revoked bool       // with taken: that it was taken away
	genesis *incarnation
	bad     bool   // a registration that breaks a rule
	again   *entry // what was registered first, where this is that of an earlier log once more
}

// first returns the entry in which something was registered first.
func (e *entry) first() *entry {
	if e.again != nil {
		return e.again
	}
	return e
}

// loggedRow is what a node's log says of a child's.
type loggedRow struct {
	log byte
	replica.Row
}

// given is a delegation to a child, or its end.
type given struct {
	child   byte
	epoch   uint64
	revoked bool
}

// place is a log up to an entry. Logs that have the same entries up to there have the
// same place, so one history is another's beginning when its place is on the way there.
type place struct {
	size     uint64
	last     *entry // nil before the first
	root     identifier.Hash
	subtrees []tlog.Hash
	way      []*place // from the beginning to this one
	next     []*place
}

// begin is the place of every empty log.
func beginning() *place {
	p := &place{root: identifier.Hash(sha256.Sum256(nil))}
	p.way = []*place{p}
	return p
}

// then returns the place behind an entry.
func (p *place) then(e *entry) *place {
	for _, n := range p.next {
		if bytes.Equal(n.last.payload, e.payload) {
			return n
		}
	}
	n := &place{size: p.size + 1, last: e}
	subtrees, h := slices.Clone(p.subtrees), e.leaf
	for size := p.size; size&1 == 1; size >>= 1 {
		h = tlog.NodeHash(subtrees[len(subtrees)-1], h)
		subtrees = subtrees[:len(subtrees)-1]
	}
	n.subtrees = append(subtrees, h)
	root := h
	for _, left := range slices.Backward(n.subtrees[:len(n.subtrees)-1]) {
		root = tlog.NodeHash(left, root)
	}
	n.root = identifier.Hash(root)
	if len(p.next) == 0 {
		n.way = append(p.way, n)
	} else {
		n.way = append(slices.Clip(p.way), n)
	}
	p.next = append(p.next, n)
	return n
}

// at returns the place of the first size entries.
func (p *place) at(size uint64) *place { return p.way[size] }

// has reports whether a log has another as its beginning.
func (p *place) has(b *place) bool { return b.size <= p.size && p.way[b.size] == b }

// entries returns the payloads from a position on.
func (p *place) payloads(from uint64) [][]byte {
	var all [][]byte
	for _, x := range p.way[from+1:] {
		all = append(all, x.last.payload)
	}
	return all
}

// hashes returns the subtrees as the protocol wants them.
func (p *place) hashes() []identifier.Hash {
	var all []identifier.Hash
	for _, h := range p.subtrees {
		all = append(all, identifier.Hash(h))
	}
	return all
}

// prove returns the consistency proof from the first old entries.
func (p *place) prove(old uint64) ([]identifier.Hash, error) {
	return replicatest.Prove(p.payloads(0), old)
}
