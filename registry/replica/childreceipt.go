package replica

import "fmt"

// receiveCosigned takes note of a receipt, to be stored. It must be for the child's own
// log and lead up from the parent: a parent that cosigns another root than the log's has
// another log in its hands.
func (c *Child) receiveCosigned(m *Cosigned) {
	if c.config.Cosignature == nil || c.marked {
		return // the heartbeat asks for it again when the log is whole
	}
	r := m.Receipt
	v := Verifier{Checkpoint: c.config.Verify, Cosignature: c.config.Cosignature}
	size, root, err := r.Check(v, c.config.ID, c.config.Owner)
	switch {
	case err != nil:
		c.end(refuse(Malformed, "the parent sent a receipt that does not hold: %v", err))
		return
	case r.Cosigner != c.parent:
		c.end(refuse(Malformed, "the parent sent a receipt that node %s has cosigned", r.Cosigner))
		return
	case size > c.size:
		c.end(refuse(Malformed, "the parent sent a receipt for %d entries, and this log has %d", size, c.size))
		return
	}
	own, err := c.config.Log.Root(size)
	if err != nil {
		c.end(refuse(Unavailable, "the child's log cannot be read: %v", err))
		return
	}
	if own != root {
		c.contradicted(r.Note, size)
		return
	}
	if size <= c.kept[0] && (!r.Top || size <= c.kept[1]) {
		return
	}
	if len(c.receipts) == maxReceipts {
		c.receipts = c.receipts[1:] // the heartbeat asks for it again
	}
	c.receipts = append(c.receipts, r)
}

// contradicted ends the stream because the parent has cosigned what this node once signed,
// and its log is another one. The parent has it from a time before it was restored, or
// this node was: entries that would show the same may never get there.
func (c *Child) contradicted(held []byte, size uint64) {
	r := &Refusal{Reason: Fork, Held: held,
		Detail: fmt.Sprintf("the parent cosigned a checkpoint of the first %d entries with this node's signature that is not one of this log: the log was restored and written to, or the node runs twice", size)}
	own, err := c.config.Log.Root(size)
	if err == nil {
		r.Evidence, err = c.contradiction(held, size, own)
	}
	if err != nil {
		c.end(refuse(Unavailable, "the child's log cannot be read: %v", err))
		return
	}
	r.Signed = r.Evidence.Signed
	c.end(r)
}

// maxReceipts is how many receipts wait to be stored.
const maxReceipts = 4

// Receipt returns a receipt that is to be stored, nil for none, and takes it off.
// [Child.Keep] says that it was. One that is not stored comes again.
func (c *Child) Receipt() *Receipt {
	if len(c.receipts) == 0 {
		return nil
	}
	r := c.receipts[0]
	c.receipts = c.receipts[1:]
	return r
}

// Keep tells for how many entries the newest receipts are that the child has synced: any,
// and those that lead to a top-level node.
func (c *Child) Keep(anchored, rooted uint64) { c.kept = [2]uint64{anchored, rooted} }
