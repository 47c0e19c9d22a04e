package proto

import (
	"errors"
	"math"
	"net/netip"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// PrefixFromProto reads a prefix, which must be in its canonical form; the empty
// text is the root.
func PrefixFromProto(text string) (identifier.Prefix, error) {
	if text == "" {
		return "", nil
	}
	p, err := identifier.ParsePrefix(text)
	if err != nil {
		return "", err
	}
	if string(p) != text {
		return "", errors.New("a prefix has no capital letters: write it in lower case")
	}
	return p, nil
}

// IDFromProto reads a canonical text; the empty text is the root.
func IDFromProto(text string) (identifier.ID, error) {
	if text == "" {
		return identifier.ID{}, nil
	}
	return identifier.ParseCanonical(text)
}

// LogFromProto reads the id of a log; none stands for zeros.
func LogFromProto(b []byte) (identifier.LogID, error) {
	var id identifier.LogID
	err := setOctets("log", id[:], b)
	return id, err
}

// HashFromProto reads a hash; none stands for zeros. The error names the field.
func HashFromProto(field string, b []byte) (identifier.Hash, error) {
	var h identifier.Hash
	err := setOctets(field, h[:], b)
	return h, err
}

// HashToProto returns a hash as a message carries it.
func HashToProto(h identifier.Hash) []byte { return octetsOf(h[:]) }

// LogToProto returns the id of a log as a message carries it.
func LogToProto(id identifier.LogID) []byte { return octetsOf(id[:]) }

// DelegationToProto returns the message of a delegation; nil for nil.
func DelegationToProto(d *identifier.Delegation) *Delegation {
	if d == nil {
		return nil
	}
	m := &Delegation{
		Prefix:   string(d.Prefix),
		Epoch:    d.Epoch,
		Keyset:   keysetToProto(&d.Keyset),
		Node:     NodeToProto(d.Node),
		NoAgents: d.NoAgents,
		Private:  d.Private,
	}
	if d.Policy != identifier.PolicyMirror {
		m.Policy = d.Policy.String()
	}
	for i := range d.Mirrors {
		m.Mirrors = append(m.Mirrors, NodeToProto(&d.Mirrors[i]))
	}
	return m
}

// DelegationFromProto reads a delegation; nil for nil. It holds to the limits of
// [identifier.AppendDelegation]; [identifier.Delegation.Check] knows the rules.
func DelegationFromProto(m *Delegation) (*identifier.Delegation, error) {
	if m == nil {
		return nil, nil
	}
	d := &identifier.Delegation{Epoch: m.GetEpoch(), NoAgents: m.GetNoAgents(), Private: m.GetPrivate()}
	var err error
	if text := m.GetPolicy(); text != "" {
		if d.Policy, err = identifier.ParsePolicy(text); err != nil {
			return nil, within("policy", err)
		}
	}
	if d.Prefix, err = PrefixFromProto(m.GetPrefix()); err != nil {
		return nil, within("prefix", err)
	}
	if d.Keyset, err = keysetFromProto(m.GetKeyset()); err != nil {
		return nil, within("keyset", err)
	}
	if m.GetNode() != nil {
		if d.Node, err = NodeFromProto(m.GetNode()); err != nil {
			return nil, within("node", err)
		}
	}
	if err := checkCount("mirrors", len(m.GetMirrors()), identifier.MaxMirrors); err != nil {
		return nil, err
	}
	for i, x := range m.GetMirrors() {
		n, err := NodeFromProto(x)
		if err != nil {
			return nil, within(at("mirrors", i), err)
		}
		d.Mirrors = append(d.Mirrors, *n)
	}
	return d, nil
}

// KeyToProto returns the message of a key.
func KeyToProto(k identifier.PublicKey) *PublicKey {
	return &PublicKey{Type: uint32(k.Type), Key: []byte(k.Raw)}
}

// KeyFromProto reads a key. It does not look into it.
func KeyFromProto(m *PublicKey) (identifier.PublicKey, error) {
	if m.GetType() > math.MaxUint8 {
		return identifier.PublicKey{}, fault("type", "%d is more than 255", m.GetType())
	}
	return identifier.PublicKey{Type: identifier.KeyType(m.GetType()), Raw: string(m.GetKey())}, nil
}

func keysetToProto(k *identifier.Keyset) *Keyset {
	m := &Keyset{Version: k.Version, Threshold: uint32(max(0, k.Threshold))}
	for _, key := range k.Keys {
		m.Keys = append(m.Keys, KeyToProto(key))
	}
	if s := k.Suspect; s != nil {
		m.Suspect = &Suspicion{Log: LogToProto(s.Log), Since: s.Since}
	}
	return m
}

func keysetFromProto(m *Keyset) (identifier.Keyset, error) {
	if m.GetThreshold() > identifier.MaxKeys {
		return identifier.Keyset{}, fault("threshold", "%d is more than %d", m.GetThreshold(), identifier.MaxKeys)
	}
	if err := checkCount("keys", len(m.GetKeys()), identifier.MaxKeys); err != nil {
		return identifier.Keyset{}, err
	}
	k := identifier.Keyset{Version: m.GetVersion(), Threshold: int(m.GetThreshold())}
	for i, key := range m.GetKeys() {
		parsed, err := KeyFromProto(key)
		if err != nil {
			return identifier.Keyset{}, within(at("keys", i), err)
		}
		k.Keys = append(k.Keys, parsed)
	}
	if s := m.GetSuspect(); s != nil {
		log, err := LogFromProto(s.GetLog())
		if err != nil {
			return identifier.Keyset{}, within("suspect", err)
		}
		k.Suspect = &identifier.Suspicion{Log: log, Since: s.GetSince()}
	}
	return k, nil
}

// NodeToProto returns the message of a node; nil for nil.
func NodeToProto(n *identifier.Node) *Node {
	if n == nil {
		return nil
	}
	m := &Node{Name: n.Name, Key: KeyToProto(n.Key)}
	if n.HandleKey != (identifier.PublicKey{}) {
		m.HandleKey = KeyToProto(n.HandleKey)
	}
	for _, a := range n.Addresses {
		m.Addresses = append(m.Addresses, &Address{
			Ip: a.IP, Dns: uint32(a.DNS), Grpc: uint32(a.GRPC), Http: uint32(a.HTTP), Handle: uint32(a.Handle),
		})
	}
	return m
}

// NodeFromProto reads a node. It holds to the limits of [identifier.AppendDelegation].
func NodeFromProto(m *Node) (*identifier.Node, error) {
	if err := checkCount("addresses", len(m.GetAddresses()), identifier.MaxAddresses); err != nil {
		return nil, err
	}
	n := &identifier.Node{Name: m.GetName()}
	var err error
	if n.Key, err = KeyFromProto(m.GetKey()); err != nil {
		return nil, within("key", err)
	}
	if n.HandleKey, err = KeyFromProto(m.GetHandleKey()); err != nil {
		return nil, within("handle_key", err)
	}
	for i, a := range m.GetAddresses() {
		parsed, err := addressFromProto(a)
		if err != nil {
			return nil, within(at("addresses", i), err)
		}
		n.Addresses = append(n.Addresses, parsed)
	}
	return n, nil
}

func addressFromProto(m *Address) (identifier.Address, error) {
	ip, err := netip.ParseAddr(m.GetIp())
	if err != nil || ip.String() != m.GetIp() || ip.Zone() != "" {
		return identifier.Address{}, fault("ip", "%.40q is no IP address: write it like 192.0.2.1 or 2001:db8::1, without a zone", m.GetIp())
	}
	a := identifier.Address{IP: m.GetIp()}
	for _, port := range [...]struct {
		name string
		from uint32
		to   *uint16
	}{{"dns", m.GetDns(), &a.DNS}, {"grpc", m.GetGrpc(), &a.GRPC}, {"http", m.GetHttp(), &a.HTTP}, {"handle", m.GetHandle(), &a.Handle}} {
		if port.from > math.MaxUint16 {
			return identifier.Address{}, fault(port.name, "port %d is more than 65535", port.from)
		}
		*port.to = uint16(port.from)
	}
	return a, nil
}
