package handle

import (
	"encoding/binary"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// AdminPermissions is what an administrator may do.
type AdminPermissions uint16

// What an administrator may do. AdminDeletePrefix is not in DO-IRP 3, AdminListPrefixes
// only there.
const (
	AdminCreate AdminPermissions = 1 << iota
	AdminDelete
	AdminAddPrefix
	AdminDeletePrefix
	AdminModifyValue
	AdminRemoveValue
	AdminAddValue
	AdminModifyAdmin
	AdminRemoveAdmin
	AdminAddAdmin
	AdminRead
	AdminListHandles
	AdminListPrefixes
)

// Admin is the data of HS_ADMIN: who may do what.
type Admin struct {
	Permissions AdminPermissions
	Who         identifier.Reference
	// Legacy says that two octets follow that mean nothing: an old form.
	Legacy    bool
	LegacyEnd uint16
}

// Append appends the data.
func (a *Admin) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(a.Permissions))
	b = binary.BigEndian.AppendUint32(appendText(b, a.Who.Handle), a.Who.Index)
	if a.Legacy {
		b = binary.BigEndian.AppendUint16(b, a.LegacyEnd)
	}
	return b
}

// ParseAdmin reads the data of HS_ADMIN.
func ParseAdmin(b []byte) (Admin, error) {
	c := cursor{what: "HS_ADMIN", b: b}
	a := Admin{Permissions: AdminPermissions(c.u16()), Who: identifier.Reference{Handle: c.handle(), Index: c.u32()}}
	if c.left() == 2 {
		a.Legacy, a.LegacyEnd = true, c.u16()
	}
	if err := c.end(); err != nil {
		return Admin{}, err
	}
	return a, nil
}

// Members is the data of HS_VLIST: a group of administrators.
type Members []identifier.Reference

// Append appends the data.
func (m Members) Append(b []byte) []byte { return appendReferences(b, m) }

// ParseMembers reads the data of HS_VLIST.
func ParseMembers(b []byte) (Members, error) {
	c := cursor{what: "HS_VLIST", b: b}
	m := Members(c.references())
	if err := c.end(); err != nil {
		return nil, err
	}
	return m, nil
}

// ParseService reads the data of HS_SERV, HS_SERV.PREFIX or HS_ALIAS: a handle.
func ParseService(b []byte) (string, error) {
	c := cursor{what: "handle", b: b}
	switch {
	case len(b) == 0:
		c.fail(0, "a handle is not empty")
	case len(b) > MaxHandle:
		c.fail(0, "a handle has at most %d octets, not %d", MaxHandle, len(b))
	}
	return string(b), c.err
}

// PublicKey is the data of HS_PUBKEY.
type PublicKey struct {
	// Type is RSA_PUB_KEY, DSA_PUB_KEY, DH_PUB_KEY, or a type that is unknown here,
	// such as SM2_PUB_KEY.
	Type string
	// Parts are the numbers of a known type, two's complement: exponent and modulus;
	// q, p, g, y; y, p, g.
	Parts [][]byte
	// Raw is what follows the type of an unknown key.
	Raw []byte
}

// parts returns how many numbers a key has; 0 where the type is unknown.
func (k *PublicKey) parts() int {
	switch k.Type {
	case "RSA_PUB_KEY":
		return 2
	case "DSA_PUB_KEY":
		return 4
	case "DH_PUB_KEY":
		return 3
	}
	return 0
}

// Append appends the data.
func (k *PublicKey) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(appendText(b, k.Type), 0)
	for _, p := range k.Parts {
		b = appendText(b, p)
	}
	return append(b, k.Raw...)
}

// ParsePublicKey reads the data of HS_PUBKEY.
func ParsePublicKey(b []byte) (*PublicKey, error) {
	c := cursor{what: "HS_PUBKEY", b: b}
	k := &PublicKey{Type: c.text()}
	at := c.off
	if c.u16() != 0 {
		c.fail(at, "two zero octets follow the type")
	}
	for range k.parts() {
		k.Parts = append(k.Parts, c.octets())
	}
	if k.parts() == 0 {
		k.Raw = c.take(c.left())
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	return k, nil
}
