package identifier

import (
	"encoding/binary"
	"fmt"
	"net/netip"
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
	// NoAgents forbids changes that a node signs on behalf of somebody whom it
	// authenticated in another way.
	NoAgents bool
	// Private refuses questions below this prefix alike, whether what is asked
	// for exists or not.
	Private bool
}

// Revoked reports whether the delegation takes a prefix back.
func (d *Delegation) Revoked() bool { return len(d.Keyset.Keys) == 0 }

// Keyset is a set of keys of which Threshold must sign.
type Keyset struct {
	// Version counts the keysets of a prefix, from 1, through all its epochs.
	Version   uint64
	Threshold int // 1 or more, at most len(Keys)
	Keys      []PublicKey
}

// KeysetChange replaces the keyset of a delegated prefix. It is signed by the
// keyset before it, or by who holds the prefix above.
type KeysetChange struct {
	Prefix Prefix
	Epoch  uint64 // of the delegation it belongs to
	Keyset Keyset
}

// Node is where a delegated prefix is answered.
type Node struct {
	// Name is one DNS label, the node's name below _ns in NS records.
	Name string
	Key  PublicKey
	// Addresses are where it answers, best first; 1 to 16.
	Addresses []Address
}

// Address is one place where a node answers.
type Address struct {
	// IP is what NS glue carries: an IPv4 or IPv6 address as [netip.Addr.String]
	// writes it, without a zone.
	IP string
	// Ports by protocol; 0 means that it does not speak it there.
	DNS, GRPC, HTTP, Handle uint16
}

// Flags of an encoded delegation.
const (
	delegationNoAgents = 1 << iota
	delegationPrivate
	delegationNode
	delegationMirrors
)

// AppendDelegation appends the encoding of a delegation, the payload of an
// envelope of type [DelegationType]:
//
//	format      u8       1
//	flags       u8       1 no agents, 2 private, 4 there is a node, 8 there are mirrors
//	prefix      text     at most 126 octets
//	epoch       u64
//	keyset      version u64, threshold u8, count u8 (at most 16), keys
//	node        when flagged: name text (at most 63), key, count u8 (1 to 16), addresses
//	mirrors     when flagged: count u8 (1 to 8), each as the node is
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
	if err := checkLimit(what, "the list of mirrors", len(d.Mirrors), 0, MaxMirrors); err != nil {
		return nil, err
	}
	b := append(dst, 1, flags)
	b = appendText(b, d.Prefix)
	b = binary.BigEndian.AppendUint64(b, d.Epoch)
	b, err := appendKeyset(b, what, &d.Keyset)
	if err == nil && d.Node != nil {
		b, err = appendNode(b, what, d.Node)
	}
	if err != nil || len(d.Mirrors) == 0 {
		return b, err
	}
	b = append(b, byte(len(d.Mirrors)))
	for i := range d.Mirrors {
		if b, err = appendNode(b, what, &d.Mirrors[i]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// ParseDelegation reads what [AppendDelegation] writes, and nothing else. The
// error is a [*FormatError].
func ParseDelegation(b []byte) (*Delegation, error) {
	c := cursor{what: "delegation", b: b}
	c.format(1)
	flags := c.u8()
	if flags >= delegationMirrors<<1 {
		c.fail(c.off-1, "the flags are 1, 2, 4 and 8")
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
	if err := c.end(); err != nil {
		return nil, err
	}
	return d, nil
}

// AppendKeysetChange appends the encoding of a change of keyset, the payload of an
// envelope of type [KeysetType]: format u8 (1), prefix, epoch and keyset as in
// [AppendDelegation].
func AppendKeysetChange(dst []byte, k *KeysetChange) ([]byte, error) {
	const what = "keyset"
	if err := checkLimit(what, "a prefix", len(k.Prefix), 0, MaxPrefix-1); err != nil {
		return nil, err
	}
	b := append(dst, 1)
	b = appendText(b, k.Prefix)
	b = binary.BigEndian.AppendUint64(b, k.Epoch)
	return appendKeyset(b, what, &k.Keyset)
}

// ParseKeysetChange reads what [AppendKeysetChange] writes, and nothing else. The
// error is a [*FormatError].
func ParseKeysetChange(b []byte) (*KeysetChange, error) {
	c := cursor{what: "keyset", b: b}
	c.format(1)
	k := &KeysetChange{Prefix: parsePrefixText(&c), Epoch: c.u64(), Keyset: parseKeyset(&c)}
	if err := c.end(); err != nil {
		return nil, err
	}
	return k, nil
}

func parsePrefixText(c *cursor) Prefix {
	return Prefix(c.text(MaxPrefix-1, "a prefix has at most 126 octets"))
}

func appendKey(b []byte, what string, k PublicKey) ([]byte, error) {
	if k.Type == 0 {
		return nil, &RuleError{What: what, Rule: "a key has a type", Mend: "give a whole key"}
	}
	if err := checkLimit(what, "a key", len(k.Raw), 1, maxKey); err != nil {
		return nil, err
	}
	return appendText(append(b, byte(k.Type)), k.Raw), nil
}

func parseKeyOctets(c *cursor) PublicKey {
	k := PublicKey{Type: KeyType(c.u8())}
	if k.Type == 0 {
		c.fail(c.off-1, "a key has a type")
	}
	k.Raw = string(c.text(maxKey, "a key has at most 4096 octets"))
	if k.Raw == "" {
		c.fail(c.off-1, "a key has octets")
	}
	return k
}

func appendKeyset(b []byte, what string, k *Keyset) ([]byte, error) {
	if err := checkLimit(what, "the keyset", len(k.Keys), 0, MaxKeys); err != nil {
		return nil, err
	}
	if k.Threshold < 0 || k.Threshold > MaxKeys {
		return nil, &RuleError{What: what, Rule: "a threshold is at most 16", Mend: "lower it to the number of keys or less"}
	}
	b = binary.BigEndian.AppendUint64(b, k.Version)
	b = append(b, byte(k.Threshold), byte(len(k.Keys)))
	var err error
	for _, key := range k.Keys {
		if b, err = appendKey(b, what, key); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func parseKeyset(c *cursor) Keyset {
	k := Keyset{Version: c.u64(), Threshold: int(c.u8())}
	if k.Threshold > MaxKeys {
		c.fail(c.off-1, "a threshold is at most 16")
	}
	n := int(c.u8())
	if n > MaxKeys {
		c.fail(c.off-1, "a keyset has at most 16 keys")
	}
	for i := 0; i < n && c.err == nil; i++ {
		k.Keys = append(k.Keys, parseKeyOctets(c))
	}
	return k
}

func appendNode(b []byte, what string, n *Node) ([]byte, error) {
	if err := checkLimit(what, "a node's name", len(n.Name), 0, maxSegment); err != nil {
		return nil, err
	}
	if err := checkLimit(what, "the list of addresses", len(n.Addresses), 1, MaxAddresses); err != nil {
		return nil, err
	}
	b, err := appendKey(appendText(b, n.Name), what, n.Key)
	if err != nil {
		return nil, err
	}
	b = append(b, byte(len(n.Addresses)))
	for _, a := range n.Addresses {
		ip, err := netip.ParseAddr(a.IP)
		if err != nil || ip.String() != a.IP || ip.Zone() != "" {
			return nil, badIP(what, a.IP)
		}
		b = append(b, byte(ip.BitLen()/8))
		b = append(b, ip.AsSlice()...)
		for _, port := range [...]uint16{a.DNS, a.GRPC, a.HTTP, a.Handle} {
			b = binary.BigEndian.AppendUint16(b, port)
		}
	}
	return b, nil
}

func parseNode(c *cursor) *Node {
	n := &Node{Name: string(c.text(maxSegment, "a node's name has at most 63 octets")), Key: parseKeyOctets(c)}
	count := int(c.u8())
	if count == 0 || count > MaxAddresses {
		c.fail(c.off-1, "a node has 1 to 16 addresses")
	}
	for i := 0; i < count && c.err == nil; i++ {
		size := int(c.u8())
		if size != 4 && size != 16 {
			c.fail(c.off-1, "an address has 4 or 16 octets")
		}
		ip, _ := netip.AddrFromSlice(c.octets(size))
		n.Addresses = append(n.Addresses, Address{IP: ip.String(), DNS: c.u16(), GRPC: c.u16(), HTTP: c.u16(), Handle: c.u16()})
	}
	return n
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

func badIP(what, ip string) error {
	return &RuleError{What: what, Rule: fmt.Sprintf("%q is not an IP address as netip writes it", ip), Mend: "write it like 192.0.2.1 or 2001:db8::1, without a zone"}
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
		if d.Keyset.Threshold != 0 || d.Node != nil || d.Mirrors != nil || d.NoAgents || d.Private {
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
		return nil
	}
	if err := d.Node.check(what); err != nil {
		return err
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

// Check returns an error when the change of keyset breaks a rule that can be
// judged without knowing the keyset before it.
func (k *KeysetChange) Check() error {
	what := "keyset of " + string(k.Prefix)
	if err := checkDelegable(what, k.Prefix); err != nil {
		return err
	}
	if k.Epoch == 0 {
		return &RuleError{What: what, Rule: "an epoch is 1 or more", Mend: "name the epoch of the delegation that it belongs to"}
	}
	if len(k.Keyset.Keys) == 0 {
		return &RuleError{What: what, Rule: "a keyset has 1 to 16 keys", Mend: "to take a prefix back, sign a delegation without keys"}
	}
	return k.Keyset.Check(what)
}

// Check returns an error when the keyset has no keys or too many, the same key
// twice, or a threshold that it cannot meet. what names it in the error.
func (k *Keyset) Check(what string) error {
	fail := func(rule, mend string) error { return &RuleError{What: what, Rule: rule, Mend: mend} }
	switch {
	case k.Version == 0:
		return fail("the version of a keyset is 1 or more", "give the first keyset of a prefix version 1")
	case len(k.Keys) == 0 || len(k.Keys) > MaxKeys:
		return fail("a keyset has 1 to 16 keys", "name fewer keys")
	case k.Threshold < 1 || k.Threshold > len(k.Keys):
		return fail("a threshold is 1 or more and at most the number of keys", fmt.Sprintf("set it to 1 to %d", len(k.Keys)))
	}
	for i, key := range k.Keys {
		if err := key.Check(); err != nil {
			return fmt.Errorf("%s: key %d: %w", what, i+1, err)
		}
		if containsKey(k.Keys[:i], key) {
			return fail(fmt.Sprintf("key %s is there twice", key.ID()), "name every key once")
		}
	}
	return nil
}

func (n *Node) check(what string) error {
	fail := func(rule, mend string) error { return &RuleError{What: what, Rule: rule, Mend: mend} }
	if !isLabel(n.Name) {
		return fail("a node's name is one DNS label of a to z, digits and inner hyphens, at most 63", "shorten or simplify it")
	}
	if err := n.Key.Check(); err != nil {
		return fmt.Errorf("%s: node %s: %w", what, n.Name, err)
	}
	if len(n.Addresses) == 0 || len(n.Addresses) > MaxAddresses {
		return fail("a node has 1 to 16 addresses", "name those that are nearest to its askers")
	}
	for i, a := range n.Addresses {
		ip, err := netip.ParseAddr(a.IP)
		switch {
		case err != nil || ip.Zone() != "" || ip.String() != a.IP:
			return badIP(what, a.IP)
		case ip.Is4In6():
			return fail(a.IP+" is an IPv4 address in IPv6 clothes", "write "+ip.Unmap().String())
		case ip.IsUnspecified() || ip.IsMulticast():
			return fail(a.IP+" is not the address of one host", "give the address at which others reach the node")
		case a.DNS == 0 && a.GRPC == 0 && a.HTTP == 0 && a.Handle == 0:
			return fail("an address has a port for at least one protocol", "name the port that "+a.IP+" answers on")
		}
		for _, before := range n.Addresses[:i] {
			if before == a {
				return fail("address "+a.IP+" is there twice", "name it once")
			}
		}
	}
	return nil
}
