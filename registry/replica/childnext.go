package replica

import "github.com/nameplate-id/nameplate/registry/identifier"

// Next returns what is to be sent now, nil for nothing. Whoever drives the child asks
// again after everything that it has told it, and after each message once that is
// sent: so a parent that is slow to read holds up nothing but its own stream, and
// nothing is made ready before there is room for it.
func (c *Child) Next() Message {
	if m := c.unsent; m != nil {
		c.unsent = nil
		return m
	}
	switch c.phase {
	case opened:
		if c.challenge != nil {
			return c.hello()
		}
	case welcome:
		if c.drained() {
			return nil
		}
		if c.heartbeat {
			c.heartbeat = false
			return &Heartbeat{Session: c.session, Sent: c.sent, Size: c.size, Grants: c.grants, Anchored: c.kept[0], Rooted: c.kept[1]}
		}
		if c.fetch {
			c.fetch = false
			return &Fetch{Session: c.session, From: c.size}
		}
		if c.left.lacks(ruleWitness, c.policy != identifier.PolicyWitness) {
			return c.advance()
		}
		return c.entries()
	}
	return nil
}

func (c *Child) hello() Message {
	tip, _, err := c.config.Log.SignCheckpoint(c.size)
	if err != nil {
		return c.unreadable(err)
	}
	m := &Hello{
		Protocol: Protocol, Node: c.config.Signer.Public(), Log: c.config.ID, Owner: c.config.Owner, Tip: tip, Nonce: c.nonce,
		Acked: c.known(c.challenge.Parent),
	}
	c.tip = tip
	m.Signature = c.config.Signer.Sign(m.Signed(c.challenge))
	c.phase = greeted
	return m
}

// entries returns the next portion of the log for which there is credit.
func (c *Child) entries() Message {
	if c.left.lacks(ruleMarked, !c.marked) || c.holdsBack() || c.sent >= c.size || c.under+max(c.need, 1) > c.credit && c.left != ruleCredit {
		return nil
	}
	room := c.config.Octets
	if c.left != ruleCredit {
		room = int(min(uint64(room), c.credit-c.under))
	}
	payloads, err := c.config.Log.Entries(c.sent, int(c.toFence(min(MaxEntries, c.size-c.sent))), room)
	if err != nil {
		return c.unreadable(err)
	}
	if c.left.lacks(rulePointer, c.policy != identifier.PolicyPointer) {
		if payloads, err = seal(payloads, room); err != nil {
			return c.unreadable(err)
		}
	}
	octets := octetsIn(payloads)
	if c.left.lacks(ruleCredit, c.under+octets <= c.credit) {
		c.need = octets // the first entry alone; not read again before it fits
		return nil
	}
	end := c.sent + uint64(len(payloads))
	note, root, err := c.config.Log.SignCheckpoint(end)
	if err != nil {
		return c.unreadable(err)
	}
	proof, err := c.prove(end)
	if err != nil {
		return c.unreadable(err)
	}
	m := &Entries{Session: c.session, Start: c.sent, Payloads: payloads, Checkpoint: note, Proof: proof}
	c.flights = append(c.flights, flight{end: end, octets: octets, root: root, known: true})
	c.under += octets
	c.sent, c.offered, c.need = end, max(c.offered, end), 0
	return m
}

// unreadable ends the stream because the child's own log cannot be read; the parent
// is told that much and no more.
func (c *Child) unreadable(err error) Message {
	c.end(refuse(Unavailable, "the child's log cannot be read: %v", err))
	c.unsent = nil
	return &Refuse{Nonce: c.nonce, Reason: Unavailable, Detail: "the child cannot read its own log now"}
}

// seal takes out of entries what a parent that keeps pointers does not get. A small row
// may grow by it: so of those that came some may not fit any more.
func seal(payloads [][]byte, room int) ([][]byte, error) {
	var sealed [][]byte
	total := 0
	for _, p := range payloads {
		s, err := identifier.SealEntry(p)
		if err != nil {
			return nil, err
		}
		if total += len(s); total > room && len(sealed) > 0 {
			break
		}
		sealed = append(sealed, s)
	}
	return sealed, nil
}
