package replica

import (
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

func (c *Child) receiveChallenge(m *Challenge) {
	if c.phase != opened || c.challenge != nil {
		return
	}
	if pin := c.config.Parent; pin != (identifier.PublicKey{}) && m.Parent != pin {
		c.end(refuse(UnknownNode, "the parent should have node key %s, and has %s: look at its address, or at the key", pin, m.Parent))
		return
	}
	c.challenge, c.silence = m, 0
}

// receiveWelcome begins a session where the mirror ends, if it is the beginning of
// the child's log.
func (c *Child) receiveWelcome(m *Welcome) {
	own := c.config.Owner
	if c.phase != greeted || c.left.lacks(ruleNonce, m.Nonce == c.nonce) || m.Parent != c.challenge.Parent ||
		!c.config.proves.check(m.Parent, m.Signed(own, c.config.ID), m.Signature) {
		return // of another stream, or of nobody
	}
	if m.Policy < c.config.Kept {
		c.end(refuse(Unavailable, "the other node wants the log as %v, and here it is kept as %v: until it is kept otherwise it is not sent", m.Policy, c.config.Kept))
		return
	}
	size, root := uint64(0), emptyRoot
	if len(m.Checkpoint) > 0 {
		var err error
		if size, root, err = c.config.Verify(m.Checkpoint, c.config.ID, own); err != nil {
			c.end(refuse(Malformed, "the parent's mirror ends with what this node did not sign: %v", err))
			return
		}
		if r := c.compare(size, root, m.Checkpoint); r != nil {
			c.end(r)
			return
		}
	}
	c.phase, c.silence = welcome, 0
	c.session, c.parent, c.parentLog, c.credit, c.policy, c.fence = m.Session, m.Parent, m.ParentLog, m.Credit, m.Policy, m.Fence
	c.acked, c.ackedRoot, c.sent, c.offered = size, root, size, size
	c.heartbeat = true // tells the parent how far the child is
	c.lost = 0
	if known := c.known(m.Parent); known > max(size, m.Held) {
		c.lost = known
	}
}

// known returns how many entries a parent has ever acknowledged.
func (c *Child) known(parent identifier.PublicKey) uint64 {
	if c.config.Acked == nil {
		return 0
	}
	return c.config.Acked(parent)
}

// compare compares the mirror with the child's own log.
func (c *Child) compare(size uint64, root identifier.Hash, held []byte) *Refusal {
	if size > c.size {
		return c.behind(size, held)
	}
	own, err := c.config.Log.Root(size)
	if err != nil {
		return refuse(Unavailable, "the child's log cannot be read: %v", err)
	}
	if own == root {
		return nil
	}
	r := &Refusal{Reason: Fork, Held: held,
		Detail: fmt.Sprintf("the first %d entries of this log are not those that the parent holds, and both are signed by this node's key: the log was restored and written to, or the node runs twice", size)}
	// The parent must be able to show both.
	if r.Evidence, err = c.contradiction(held, size, own); err != nil {
		return refuse(Unavailable, "the child's log cannot be read: %v", err)
	}
	r.Signed = r.Evidence.Signed
	return r
}
