package replica

import (
	"encoding/binary"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Fence is a size and a root that the child once signed in a Hello, and that the parent
// has not got to yet. What the child sends up to there has to be what it had then: else it
// could name a size that it will not reach in years, and go on below that for as long with
// what is not taken behind it.
//
// So each Entries message up to there proves that it ends with the beginning of that log.
// A child that cannot, because it has lost what it had, is refused (Unproved), and
// what it says in the next Hello counts.
type Fence struct {
	Size uint64
	Root identifier.Hash
}

// append appends a fence as a Welcome signs it; nothing for none.
func (f Fence) append(b []byte) []byte {
	if f.Size == 0 {
		return b
	}
	return append(binary.BigEndian.AppendUint64(b, f.Size), f.Root[:]...)
}

// proves returns nil when a message that ends with so many entries, of this root, keeps to
// the fence.
func (f Fence) proves(end uint64, root identifier.Hash, proof []identifier.Hash) error {
	if end == f.Size && root == f.Root && len(proof) == 0 {
		return nil
	}
	return checkConsistency(proof, end, f.Size, root, f.Root)
}

// toFence returns how many entries may be sent at once from where the child is, and how
// to prove that they lead to the fence of the session.
func (c *Child) toFence(most uint64) uint64 {
	if c.sent < c.fence.Size {
		return min(most, c.fence.Size-c.sent)
	}
	return most
}

// prove returns the proof that the first end entries are the beginning of those that this
// node once said it had; none where it has not as many any more.
func (c *Child) prove(end uint64) ([]identifier.Hash, error) {
	if end >= c.fence.Size || c.fence.Size > c.size {
		return nil, nil
	}
	return c.config.Log.Prove(end, c.fence.Size)
}

// keepsToFence reports whether a message with a unit keeps to the fence of the session,
// and ends the stream when it does not, or when it reaches it and there is another one.
func (p *Parent) keepsToFence(u *Unit, proof []identifier.Hash) bool {
	if p.left == ruleFence || u.Start >= p.fence.Size {
		return true
	}
	if err := p.fence.proves(u.End(), u.Root, proof); err != nil {
		p.end(refuse(Unproved, "the log had %d entries once, and what comes is not shown to be the beginning of those: %v", p.fence.Size, err))
		return false
	}
	return true
}

// pastFence ends the stream when the mirror has got to the fence of the session and there
// is another one, of which the child has not heard.
func (p *Parent) pastFence() {
	if p.fence.Size == 0 || p.edge.size < p.fence.Size {
		return
	}
	if p.fence = p.nextFence(); p.fence.Size > 0 {
		p.end(refuse(Unavailable, "there is another fence in the log: connect again"))
	}
}

func (p *Parent) nextFence() Fence {
	if p.config.Fence == nil {
		return Fence{}
	}
	return p.config.Fence(p.edge.size)
}
