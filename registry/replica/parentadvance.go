package replica

import "github.com/nameplate-id/nameplate/registry/identifier"

// receiveAdvance accepts a checkpoint that is proved to follow on the one that is here. The
// child has one under way at a time, so another size than that one is no news, or the
// answer to a Nack is on its way.
func (p *Parent) receiveAdvance(m *Advance) *Unit {
	if p.config.Policy != identifier.PolicyWitness {
		p.end(refuse(Malformed, "entries are kept here, and not checkpoints alone"))
		return nil
	}
	if len(m.Proof) > MaxProof || len(m.Checkpoint) > MaxCheckpoint || len(m.First) > MaxOctets || m.Old > maxLog || (m.Old == 0) != (len(m.First) > 0) {
		p.end(refuse(Malformed, "a proof has %d hashes at most and a checkpoint %d octets, and the first entry of a log comes with its first checkpoint alone", MaxProof, MaxCheckpoint))
		return nil
	}
	size, root, err := p.config.Verify(m.Checkpoint, p.config.Log, p.config.Child)
	switch {
	case err != nil || size <= m.Old || size > maxLog:
		p.end(refuse(Malformed, "the child did not sign a checkpoint of more than %d entries: size %d, %v", m.Old, size, err))
		return nil
	case size <= p.edge.size:
		p.ack = true
		if size == p.stored && root != p.root {
			p.fork(m.Checkpoint, size, p.root)
		}
		return nil
	case m.Old != p.edge.size:
		p.nack = true
		return nil
	}
	if m.Old == 0 && !p.beginsAtRow(m.Checkpoint, size, root) {
		return nil
	}
	u := &Unit{Start: m.Old, Checkpoint: m.Checkpoint, Root: root, Size: size, Proof: m.Proof}
	if m.Old == 0 {
		u.Payloads = [][]byte{m.First}
	}
	octets := m.octets()
	if p.left.lacks(ruleCredit, p.octets+octets <= p.allowed) {
		p.end(refuse(Malformed, "%d octets are on their way to the disk, and these are %d: the child was allowed %d", p.octets, octets, p.allowed))
		return nil
	}
	if r := p.unproved(u, m.Root, root); r != nil {
		p.end(r)
		return nil
	}
	if u.Start == 0 && p.config.Begins != nil {
		if r := p.config.Begins(m.First); r != nil {
			p.end(r)
			return nil
		}
	}
	p.units = append(p.units, held{end: size, octets: octets, root: root, checkpoint: m.Checkpoint, before: p.edge})
	p.edge, p.octets = frontier{size: size, known: &root}, p.octets+octets
	return u
}

// unproved returns why a unit does not follow on what is here; nil when it does. old is
// the root that the child says the first entries have. Where that is another one than the
// child signed, and the proof is one all the same, it is the evidence of a fork.
func (p *Parent) unproved(u *Unit, old, root identifier.Hash) *Refusal {
	err := u.Follows(p.edge.root(), root)
	if !p.left.lacks(ruleAdvance, err == nil) {
		return nil
	}
	held := p.checkpoint
	if n := len(p.units); n > 0 {
		held = p.units[n-1].checkpoint
	}
	r := refuse(Mismatch, "nothing proves that the checkpoint of %d entries follows on the one of %d, %v: the child's log is not the one that was witnessed, or it is damaged: run 'nameplate check' there", u.Size, u.Start, err)
	r.Held, r.Signed = held, u.Checkpoint
	if u.Start > 0 && old != p.edge.root() {
		e := &Evidence{Node: p.config.Child, Log: p.config.Log, Held: held, Signed: u.Checkpoint, Root: old, Proof: u.Proof}
		if _, err := e.Check(p.config.Verify); err == nil {
			r.Reason, r.Evidence = Fork, e
			r.Detail = "the child signed another history than the one that was witnessed, and proved it: its log was restored and written to, or the node runs twice"
		}
	}
	return r
}

// adopt lets a witness go on from the row in this node's own log, when that is larger than
// what is stored here: it was restored, and what the row says was proved before it was
// logged. One that has nothing of the log begins with it: it needs the first entry, which
// says that the log counts, and the child shows that in front of the row's other entries.
func (p *Parent) adopt(row Row) error {
	if p.config.Policy != identifier.PolicyWitness || row.Size <= p.stored || !p.left.lacks(ruleRow, false) {
		return nil
	}
	size, root, err := p.config.Verify(row.Checkpoint, p.config.Log, p.config.Child)
	if err != nil {
		return err
	}
	if p.stored == 0 && p.tip >= size {
		p.begin = row
		return nil
	}
	p.stored, p.root, p.checkpoint, p.edge = size, root, row.Checkpoint, frontier{size: size, known: &root}
	if p.stored >= p.lost {
		p.lost = 0
	}
	return nil
}

// beginsAtRow reports whether the first checkpoint of a log is the one in the row with which
// this node begins, if it does, and ends the stream when it is not.
func (p *Parent) beginsAtRow(signed []byte, size uint64, root identifier.Hash) bool {
	row := p.begin
	switch {
	case row.Size == 0 || size == row.Size && root == row.Root:
		return true
	case size == row.Size:
		r := refuse(Fork, "the child signed two histories of its first %d entries: its log was restored and written to, or the node runs twice", size)
		r.Held, r.Signed = row.Checkpoint, signed
		r.Evidence = &Evidence{Node: p.config.Child, Log: p.config.Log, Held: row.Checkpoint, Signed: signed}
		p.end(r)
	default:
		p.end(refuse(Malformed, "this node has logged what the first %d entries of the child are, and its first checkpoint covers %d: it should cover those; run the same release on both nodes", row.Size, size))
	}
	return false
}

// witnessed ends the stream when the child has signed another root of fewer entries than
// are witnessed, as far as a checkpoint of that size was kept. It reports whether it has.
func (p *Parent) witnessed() bool {
	u, err := p.config.History.Unit(p.tip - 1)
	if err != nil || u.End() != p.tip {
		return false // nothing of that size is here: the child is told that it lacks entries
	}
	_, root, err := p.config.Verify(u.Checkpoint, p.config.Log, p.config.Child)
	if err != nil || root == p.tipRoot {
		return false
	}
	r := refuse(Fork, "the child signed two histories of its first %d entries: its log was restored and written to, or the node runs twice", p.tip)
	r.Held, r.Signed = u.Checkpoint, p.hello.Tip
	r.Evidence = &Evidence{Node: p.config.Child, Log: p.config.Log, Held: u.Checkpoint, Signed: p.hello.Tip}
	p.end(r)
	return true
}
