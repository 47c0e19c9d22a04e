package replica

import "github.com/nameplate-id/nameplate/registry/identifier"

// welcome answers the Hello, when the mirror is the beginning of what the child has, or
// the child's log the beginning of the mirror, as far as two checkpoints and the mirror
// tell.
func (p *Parent) welcome() Message {
	row, err := p.row()
	if err == nil {
		err = p.adopt(row)
	}
	if err != nil {
		return p.unreadable(err)
	}
	if p.left.lacks(ruleRow, max(p.tip, p.stored) >= row.Size) {
		p.end(refuse(Loss, "this node has logged that the child's log had %d entries; the mirror holds %d and the child has %d: entries that were acknowledged are lost on both. Restore a newer backup of either node; when there is none, stop the child and run 'nameplate fork resolve' there, which goes on with what is left", row.Size, p.stored, p.tip))
		return p.Next()
	}
	if p.tip <= p.stored && p.tip > 0 {
		root := p.root
		switch {
		case p.tip < p.stored && p.config.Policy == identifier.PolicyWitness:
			if p.witnessed() {
				return p.Next()
			}
			root = p.tipRoot
		case p.tip < p.stored:
			root, err = p.config.History.Root(p.tip)
		}
		switch {
		case err != nil:
			return p.unreadable(err)
		case p.left.lacks(rulePrefix, p.tipRoot == root):
			p.fork(p.hello.Tip, p.tip, root)
			return p.Next()
		}
	}
	if p.left.lacks(rulePointer, p.config.Policy == identifier.PolicyMirror || p.tip >= p.stored) {
		p.end(refuse(Loss, "this node has the %d entries of the child's log as %s and cannot give them back, and the child has %d: restore a newer backup of it; when there is none, stop it and run 'nameplate fork resolve' there, which goes on with what is left", p.stored, keptAs(p.config.Policy), p.tip))
		return p.Next()
	}
	p.phase, p.allowed, p.fence = welcome, p.allowance(), p.nextFence()
	if p.begin.Size > 0 {
		p.fence = Fence{p.begin.Size, p.begin.Root}
	}
	m := &Welcome{
		Parent: p.config.Signer.Public(), ParentLog: p.config.ID, Session: p.session, Nonce: p.hello.Nonce,
		Checkpoint: p.checkpoint, Credit: p.allowance(), Policy: p.config.Policy, Fence: p.fence, Held: p.held(),
	}
	m.Signature = p.config.Signer.Sign(m.Signed(p.config.Child, p.config.Log))
	return m
}

// keptAs says of what is kept of a log what it is.
func keptAs(policy identifier.Policy) string {
	if policy == identifier.PolicyWitness {
		return "checkpoints alone"
	}
	return policy.String() + "s"
}

func (p *Parent) row() (Row, error) {
	if p.config.Row == nil {
		return Row{}, nil
	}
	return p.config.Row()
}
