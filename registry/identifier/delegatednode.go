package identifier

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Node is where a delegated prefix is answered.
type Node struct {
	// Name is one DNS label, the node's name below _ns in NS records.
	Name string
	Key  PublicKey
	// HandleKey is the RSA key with which it signs its Handle answers, so that whoever
	// comes from above can check them: the node's own key is of a kind that Handle does
	// not know. The zero key for none.
	HandleKey PublicKey
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

// appendHandleKeys appends the Handle keys of the nodes of a delegation.
func appendHandleKeys(b []byte, what string, d *Delegation) ([]byte, error) {
	var err error
	for _, n := range d.nodes() {
		if n.HandleKey == (PublicKey{}) {
			b = append(b, 0)
		} else if b, err = appendKey(b, what, n.HandleKey); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func parseHandleKeys(c *cursor, d *Delegation) {
	some, at := false, c.off
	for _, n := range d.nodes() {
		if c.err == nil && c.off < len(c.b) && c.b[c.off] == 0 {
			c.u8()
			continue
		}
		n.HandleKey, some = parseKeyOctets(c), true
	}
	if !some {
		c.fail(at, "a delegation that names Handle keys names at least one")
	}
}

// nodes returns the node and its mirrors, to be changed.
func (d *Delegation) nodes() []*Node {
	var all []*Node
	if d.Node != nil {
		all = append(all, d.Node)
	}
	for i := range d.Mirrors {
		all = append(all, &d.Mirrors[i])
	}
	return all
}

func badIP(what, ip string) error {
	return &RuleError{What: what, Rule: fmt.Sprintf("%q is not an IP address as netip writes it", ip), Mend: "write it like 192.0.2.1 or 2001:db8::1, without a zone"}
}

func (n *Node) check(what string) error {
	fail := func(rule, mend string) error { return &RuleError{What: what, Rule: rule, Mend: mend} }
	if !isLabel(n.Name) {
		return fail("a node's name is one DNS label of a to z, digits and inner hyphens, at most 63", "shorten or simplify it")
	}
	if err := n.Key.Check(); err != nil {
		return fmt.Errorf("%s: node %s: %w", what, n.Name, err)
	}
	if n.Key.Type == RSA {
		return fail("a node's key is not an RSA key, which signs Handle answers and nothing else", "name its Ed25519 key, and this one as its Handle key")
	}
	if k := n.HandleKey; k != (PublicKey{}) {
		if k.Type != RSA {
			return fail("a Handle key is an RSA key", "copy what nameplate handle key shows at node "+n.Name)
		}
		if err := k.Check(); err != nil {
			return fmt.Errorf("%s: Handle key of node %s: %w", what, n.Name, err)
		}
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
