package identifier

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Limits of a delegation.
const (
	MaxKeys      = 16 // keys of a keyset
	MaxAddresses = 16 // addresses of a node
	MaxMirrors   = 8  // nodes with a copy of its log
)

// Delegation says who holds a prefix and which node answers for it. It is
// signed by who holds the prefix above and logged there.
type Delegation struct {
	Prefix Prefix
	// Epoch counts the delegations of this prefix, from 1; one that does not
	// follow on the last is refused.
	Epoch uint64
	// Keyset are the holder's keys. Without keys the delegation is revoked: the
	// prefix falls back to who holds the one above.
	Keyset Keyset
	// Node is the node that answers for the prefix and everything below it, whatever
	// was delegated below before; nil when the delegating node does itself.
	Node *Node
	// Mirrors are nodes that answer from a copy of that node's log: as a rule the one
	// that delegates. At most 8, each with a name of its own. Over DNS and Handle they
	// answer so at these addresses without being asked to, over gRPC and HTTP when the
	// question says that a mirror will do. They are part of what is signed, so that
	// whoever knows the delegation, from above, from below or from a copy, names the
	// same nodes.
	Mirrors []Node
	// Policy says what the delegating node keeps of that node's log. Where several
	// delegations name one node, the one that keeps most counts. Another one than that by
	// which the log is kept has it taken in anew.
	Policy Policy
	// NoAgents forbids changes that a node signs on behalf of somebody whom it
	// authenticated in another way.
	NoAgents bool
	// Private refuses questions below this prefix alike, whether what is asked
	// for exists or not.
	Private bool
}

// Revoked reports whether the delegation takes a prefix back.
func (d *Delegation) Revoked() bool { return len(d.Keyset.Keys) == 0 }

// Accepts reports whether a change may name this epoch and keyset version while the
// delegation is in force. It may name the keyset before the present one: then too the
// keys of the present one must have signed it. So keys are replaced without a gap: with a
// keyset that has the old and the new ones, and then with one that has the new ones
// alone. An agent's change names the present one.
func (d *Delegation) Accepts(h Header) bool {
	if d.Epoch != h.Epoch {
		return false
	}
	return d.Keyset.Version == h.KeysetVersion || h.Agent == "" && h.KeysetVersion > 0 && d.Keyset.Version == h.KeysetVersion+1
}

// Flags of an encoded delegation.
const (
	delegationNoAgents = 1 << iota
	delegationPrivate
	delegationNode
	delegationMirrors
	delegationHandleKeys
	delegationSuspect
	delegationPolicy
)

// AppendDelegation appends the encoding of a delegation, the payload of an
// envelope of type [DelegationType]:
//
//	format      u8       1
//	flags       u8       1 no agents, 2 private, 4 there is a node, 8 there are mirrors,
//	                     16 there are Handle keys, 32 there is a suspicion,
//	                     64 there is a policy
//	prefix      text     at most 126 octets
//	epoch       u64
//	keyset      version u64, threshold u8, count u8 (at most 16), keys
//	node        when flagged: name text (at most 63), key, count u8 (1 to 16), addresses
//	mirrors     when flagged: count u8 (1 to 8), each as the node is
//	handle keys when flagged: one for the node and one for each mirror, a key or u8 0 for
//	                     none; not all of them none
//	suspicion   when flagged: log 16 octets, since u64
//	policy      when flagged: u8, 1 pointer, 2 witness
//
// A key is its type u8 (not 0) and a text of 1 to 4,096 octets. An address is its
// size u8 (4 or 16), as many octets, and the ports for DNS, gRPC, HTTP and Handle,
// each u16. The error names the limit that is passed; [Delegation.Check] knows the
// rules.
func AppendDelegation(dst []byte, d *Delegation) ([]byte, error) {
	const what = "delegation"
	if err := checkLimit(what, "a prefix", len(d.Prefix), 0, MaxPrefix-1); err != nil {
		return nil, err
	}
	var flags uint8
	if d.NoAgents {
		flags |= delegationNoAgents
	}
	if d.Private {
		flags |= delegationPrivate
	}
	if d.Node != nil {
		flags |= delegationNode
	}
	if len(d.Mirrors) > 0 {
		flags |= delegationMirrors
	}
	keyed := slices.ContainsFunc(d.nodes(), func(n *Node) bool { return n.HandleKey != PublicKey{} })
	if keyed {
		flags |= delegationHandleKeys
	}
	if err := checkLimit(what, "the list of mirrors", len(d.Mirrors), 0, MaxMirrors); err != nil {
		return nil, err
	}
	if d.Keyset.Suspect != nil {
		flags |= delegationSuspect
	}
	if d.Policy != PolicyMirror {
		flags |= delegationPolicy
	}
	b := append(dst, 1, flags)
	b = appendText(b, d.Prefix)
	b = binary.BigEndian.AppendUint64(b, d.Epoch)
	b, err := appendKeyset(b, what, &d.Keyset)
	if err == nil && d.Node != nil {
		b, err = appendNode(b, what, d.Node)
	}
	if err != nil {
		return b, err
	}
	if len(d.Mirrors) > 0 {
		b = append(b, byte(len(d.Mirrors)))
	}
	for i := range d.Mirrors {
		if b, err = appendNode(b, what, &d.Mirrors[i]); err != nil {
			return nil, err
		}
	}
	if keyed {
		b, err = appendHandleKeys(b, what, d)
	}
	b = appendSuspicion(b, d.Keyset.Suspect)
	if d.Policy != PolicyMirror {
		b = append(b, byte(d.Policy))
	}
	return b, err
}

// ParseDelegation reads what [AppendDelegation] writes, and nothing else. The
// error is a [*FormatError].
func ParseDelegation(b []byte) (*Delegation, error) {
	c := cursor{what: "delegation", b: b}
	c.format(1)
	flags := c.u8()
	if flags&(delegationPolicy<<1) != 0 {
		c.fail(c.off-1, "the flags are 1, 2, 4, 8, 16, 32 and 64")
	}
	d := &Delegation{
		NoAgents: flags&delegationNoAgents != 0,
		Private:  flags&delegationPrivate != 0,
		Prefix:   parsePrefixText(&c),
		Epoch:    c.u64(),
		Keyset:   parseKeyset(&c),
	}
	if flags&delegationNode != 0 {
		d.Node = parseNode(&c)
	}
	if flags&delegationMirrors != 0 {
		d.Mirrors = parseMirrors(&c)
	}
	if flags&delegationHandleKeys != 0 {
		parseHandleKeys(&c, d)
	}
	if flags&delegationSuspect != 0 {
		d.Keyset.Suspect = parseSuspicion(&c)
	}
	if flags&delegationPolicy != 0 {
		if d.Policy = Policy(c.u8()); d.Policy != PolicyPointer && d.Policy != PolicyWitness {
			c.fail(c.off-1, fmt.Sprintf("policy %d is unknown here: use a newer version", d.Policy))
		}
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	return d, nil
}

func parsePrefixText(c *cursor) Prefix {
	return Prefix(c.text(MaxPrefix-1, "a prefix has at most 126 octets"))
}

func parseMirrors(c *cursor) []Node {
	count := int(c.u8())
	if count == 0 || count > MaxMirrors {
		c.fail(c.off-1, "a delegation that names mirrors names 1 to 8")
	}
	var mirrors []Node
	for i := 0; i < count && c.err == nil; i++ {
		mirrors = append(mirrors, *parseNode(c))
	}
	return mirrors
}

// Check returns an error when the delegation breaks a rule that can be judged
// without knowing what is delegated already.
func (d *Delegation) Check() error {
	what := "delegation of " + string(d.Prefix)
	if err := checkDelegable(what, d.Prefix); err != nil {
		return err
	}
	if d.Epoch == 0 {
		return &RuleError{What: what, Rule: "an epoch is 1 or more", Mend: "give the first delegation of a prefix epoch 1"}
	}
	if d.Revoked() {
		if d.Keyset.Threshold != 0 || d.Node != nil || d.Mirrors != nil || d.Policy != PolicyMirror || d.NoAgents || d.Private {
			return &RuleError{What: what, Rule: "a delegation without keys takes the prefix back and says nothing else", Mend: "give it keys, or leave out threshold, node, mirrors and flags"}
		}
		return nil
	}
	if err := d.Keyset.Check(what); err != nil {
		return err
	}
	return d.checkNodes(what)
}

// checkNodes checks the node and its mirrors.
func (d *Delegation) checkNodes(what string) error {
	fail := func(rule, mend string) error { return &RuleError{What: what, Rule: rule, Mend: mend} }
	if d.Node == nil {
		if len(d.Mirrors) > 0 {
			return fail("mirrors are of another node's log, and none is named", "name the node, or leave the mirrors out")
		}
		if d.Policy != PolicyMirror {
			return fail("a policy is about another node's log, and none is named", "name the node, or leave the policy out")
		}
		return nil
	}
	if err := d.Node.check(what); err != nil {
		return err
	}
	if d.Policy != PolicyMirror && len(d.Mirrors) > 0 {
		return fail(fmt.Sprintf("of a log that is kept as %v nobody has a copy to answer from", d.Policy), "leave the mirrors out, or have it mirrored")
	}
	if len(d.Mirrors) > MaxMirrors {
		return fail("a node has at most 8 mirrors", "name those that are most often there")
	}
	names := []string{d.Node.Name}
	for i := range d.Mirrors {
		m := &d.Mirrors[i]
		if err := m.check(what); err != nil {
			return fmt.Errorf("mirror %d: %w", i+1, err)
		}
		if slices.Contains(names, m.Name) {
			return fail(fmt.Sprintf("two nodes are called %q", m.Name), "give every mirror a name of its own, such as "+d.Node.Name+"-mirror")
		}
		names = append(names, m.Name)
	}
	return nil
}
