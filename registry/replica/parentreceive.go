package replica

import "github.com/nameplate-id/nameplate/registry/identifier"

// Receive takes in a message of the stream. Where it brings entries, it returns a unit
// to be stored; units are stored in the order in which they were returned, and each
// is followed by [Parent.Stored] or [Parent.Dropped]. What does not belong to the
// session, or comes again, is dropped; what a child never says ends the stream.
func (p *Parent) Receive(m Message) *Unit {
	if p.phase == closed || p.phase == ended {
		return nil
	}
	switch m := m.(type) {
	case *Hello:
		// It opened the stream; another stream has another one.
	case *Entries:
		if p.current(m.Session) {
			return p.receiveEntries(m)
		}
	case *Advance:
		if p.current(m.Session) {
			return p.receiveAdvance(m)
		}
	case *Heartbeat:
		if p.current(m.Session) {
			p.receiveHeartbeat(m)
		}
	case *Fetch:
		if p.current(m.Session) {
			p.receiveFetch(m)
		}
	case *Refuse:
		if m.Nonce == p.hello.Nonce {
			p.receiveRefuse(m)
		}
	default:
		p.end(refuse(Malformed, "a child does not send %T", m))
	}
	return nil
}

// current reports whether a message belongs to the session.
func (p *Parent) current(s Session) bool {
	if p.phase != welcome || p.left.lacks(ruleSession, s == p.session) {
		return false
	}
	p.silence = 0
	return true
}

// receiveHeartbeat asks again for what was lost on the way.
func (p *Parent) receiveHeartbeat(m *Heartbeat) {
	p.tip, p.tipIsNews = m.Size, true
	if m.Sent > p.edge.size {
		p.nack = true
	}
	p.grantsSent = min(p.grantsSent, m.Grants)
	p.missing(m.Anchored, m.Rooted)
}

// receiveFetch takes note of what the child has lost. The newest request counts.
func (p *Parent) receiveFetch(m *Fetch) {
	if p.config.Policy == identifier.PolicyWitness {
		p.end(refuse(Loss, "this node is a witness of the child's log and has none of its entries"))
		return
	}
	if m.From >= p.stored {
		p.end(refuse(Malformed, "the child asks for entry %d back, the mirror holds %d", m.From, p.stored))
		return
	}
	p.returning, p.returnFrom = true, m.From
}

// receiveRefuse takes note of why the child ends the stream. Its evidence counts only
// when it is some.
func (p *Parent) receiveRefuse(m *Refuse) {
	r := &Refusal{Reason: m.Reason, Detail: m.Detail, Remote: true}
	held := [][]byte{p.checkpoint}
	if row, err := p.row(); err == nil {
		held = append(held, row.Checkpoint)
	}
	for _, checkpoint := range held {
		e := &Evidence{Node: p.config.Child, Log: p.config.Log, Held: checkpoint, Signed: m.Evidence, Root: m.Root, Proof: m.Proof}
		if _, err := e.Check(p.config.Verify); err == nil {
			r.Reason, r.Held, r.Signed, r.Evidence = Fork, e.Held, e.Signed, e
			break
		}
	}
	p.end(r)
}

// receiveEntries accepts what follows on the mirror and adds up to what the child
// signed. Nothing here looks into an entry further than its leaf.
func (p *Parent) receiveEntries(m *Entries) *Unit {
	octets := octetsIn(m.Payloads)
	end := m.Start + uint64(len(m.Payloads))
	switch {
	case p.config.Policy == identifier.PolicyWitness:
		p.end(refuse(Malformed, "this node is a witness of the log and takes in no entries: run the same release on both nodes"))
		return nil
	case len(m.Payloads) == 0 || len(m.Payloads) > MaxEntries || octets > MaxOctets || len(m.Checkpoint) > MaxCheckpoint || end < m.Start || end > maxLog:
		p.end(refuse(Malformed, "a message has 1 to %d entries, %d octets at most together, and a checkpoint of %d at most", MaxEntries, MaxOctets, MaxCheckpoint))
		return nil
	case end <= p.edge.size:
		p.receiveAgain(m, end)
		return nil
	case p.left.lacks(ruleGap, m.Start <= p.edge.size):
		p.nack = true
		return nil
	}
	size, root, err := p.config.Verify(m.Checkpoint, p.config.Log, p.config.Child)
	if err != nil || size != end {
		p.end(refuse(Malformed, "entries %d to %d do not end with a checkpoint of the child over them: size %d, %v", m.Start, end-1, size, err))
		return nil
	}
	u := &Unit{Start: p.edge.size, Payloads: m.Payloads, Checkpoint: m.Checkpoint, Root: root}
	if skip := p.edge.size - m.Start; m.Start < p.edge.size {
		u.Payloads = m.Payloads[skip:]
		octets = octetsIn(u.Payloads)
	}
	return p.accept(u, octets, m.Proof)
}

// accept takes in a unit that begins where the mirror ends, if it has room for its octets, if
// it adds up, and if it contradicts nothing that this node knows of the log.
func (p *Parent) accept(u *Unit, octets uint64, proof []identifier.Hash) *Unit {
	if p.left.lacks(ruleCredit, p.octets+octets <= p.allowed) {
		p.end(refuse(Malformed, "%d octets are on their way to the disk, and these are %d: the child was allowed %d", p.octets, octets, p.allowed))
		return nil
	}
	edge := p.edge.clone()
	if err := edge.appendEntries(u.Payloads); err != nil {
		p.end(refuse(Malformed, "%v", err))
		return nil
	}
	if p.left.lacks(ruleRoot, edge.root() == u.Root) {
		p.end(&Refusal{Reason: Mismatch, Held: p.checkpoint, Signed: u.Checkpoint,
			Detail: "the entries do not add up to the checkpoint that the child signed over them: its log is not the one that was mirrored, or it is damaged: run 'nameplate check' there"})
		return nil
	}
	if !p.keepsToFence(u, proof) {
		return nil
	}
	if p.edge.size == 0 && p.config.Begins != nil {
		if r := p.config.Begins(u.Payloads[0]); r != nil {
			p.end(r)
			return nil
		}
	}
	row, err := p.row()
	switch {
	case err != nil:
		p.end(refuse(Unavailable, "this node's own log cannot be read: %v", err))
		return nil
	case row.Size > p.edge.size && row.Size <= u.End() && p.contradicts(row, u, u.Checkpoint):
		return nil
	}
	p.units = append(p.units, held{end: u.End(), octets: octets, root: u.Root, checkpoint: u.Checkpoint, before: p.edge})
	p.edge, p.octets = edge, p.octets+octets
	p.pastFence()
	return u
}

// receiveAgain takes in entries that are all there already: an Ack was lost, or the
// message was doubled. It is where a second root for one size is noticed.
func (p *Parent) receiveAgain(m *Entries, end uint64) {
	p.ack = true
	if end != p.stored {
		return
	}
	size, root, err := p.config.Verify(m.Checkpoint, p.config.Log, p.config.Child)
	if err == nil && size == end && root != p.root {
		p.fork(m.Checkpoint, end, p.root)
	}
}
