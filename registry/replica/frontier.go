package replica

import (
	"crypto/sha256"
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// maxLog is how many entries a log may have.
const maxLog = 1 << 62

// emptyRoot is the root of a tree without leaves (RFC 9162, section 2.1.1).
var emptyRoot = identifier.Hash(sha256.Sum256(nil))

// frontier is the right edge of a Merkle tree (RFC 9162, section 2.1.1): enough to
// append leaves and to tell the root.
type frontier struct {
	size uint64
	// subtrees holds the roots of the complete subtrees, one for every set bit of
	// size, the largest first.
	subtrees []tlog.Hash
	// known is the root where no more than that is known: of a witness. There are no
	// subtrees then, and nothing is appended.
	known *identifier.Hash
}

func newFrontier(size uint64, subtrees []identifier.Hash) (frontier, error) {
	if size > maxLog || len(subtrees) != bits.OnesCount64(size) {
		return frontier{}, fmt.Errorf("a tree of %d leaves does not consist of %d complete subtrees", size, len(subtrees))
	}
	f := frontier{size: size}
	for _, h := range subtrees {
		f.subtrees = append(f.subtrees, tlog.Hash(h))
	}
	return f, nil
}

// append adds a leaf.
func (f *frontier) append(leaf tlog.Hash) {
	for n := f.size; n&1 == 1; n >>= 1 {
		last := len(f.subtrees) - 1
		leaf = tlog.NodeHash(f.subtrees[last], leaf)
		f.subtrees = f.subtrees[:last]
	}
	f.subtrees = append(f.subtrees, leaf)
	f.size++
}

func (f *frontier) root() identifier.Hash {
	if f.size == 0 {
		return emptyRoot
	}
	if f.known != nil {
		return *f.known
	}
	last := len(f.subtrees) - 1
	root := f.subtrees[last]
	for _, h := range slices.Backward(f.subtrees[:last]) {
		root = tlog.NodeHash(h, root)
	}
	return identifier.Hash(root)
}

// clone returns a frontier to try leaves on.
func (f *frontier) clone() frontier {
	return frontier{size: f.size, subtrees: slices.Clone(f.subtrees)}
}

// appendEntries adds the leaves of encoded entries.
func (f *frontier) appendEntries(payloads [][]byte) error {
	for _, p := range payloads {
		leaf, err := identifier.EntryLeaf(p)
		if err != nil {
			return fmt.Errorf("entry %d: %w", f.size, err)
		}
		f.append(tlog.RecordHash(leaf))
	}
	return nil
}
