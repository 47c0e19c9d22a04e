package handle

import (
	"encoding/binary"
	"net/netip"
)

// Site is the data of HS_SITE, HS_SITE.6 and HS_SITE.PREFIX: servers that answer for
// a prefix between them.
type Site struct {
	Format  uint16 // 1
	Version Version
	// Serial is raised when the site changes.
	Serial uint16
	// Primary says that changes are taken here, MultiPrimary that others take them too.
	Primary, MultiPrimary bool
	// Other are the flags that have no name.
	Other uint8
	// Hash says which part of a handle decides which server it is at.
	Hash       HashOption
	Filter     string
	Attributes []Attribute
	Servers    []SiteServer
}

// HashOption is the part of a handle that is hashed.
type HashOption uint8

// The parts of a handle.
const (
	HashPrefix HashOption = iota
	HashSuffix
	HashWhole
)

// Attribute is a name and a value.
type Attribute struct{ Name, Value string }

// SiteServer is one server of a site.
type SiteServer struct {
	ID uint32
	// Address is IPv6, or IPv4 written in the last four octets, the others zero.
	Address    [16]byte
	Key        []byte // as in HS_PUBKEY; empty for none
	Interfaces []Interface
}

// Interface is a way to ask a server.
type Interface struct {
	Kind     uint8 // 1 for administration, 2 for questions, 3 for both
	Protocol Transport
	Port     uint32
}

// Transport is how an interface is asked.
type Transport uint8

// The transports.
const (
	UDP Transport = iota
	TCP
	HTTP
	HTTPS
)

const (
	sitePrimary      = 0x80
	siteMultiPrimary = 0x40
	siteNamed        = sitePrimary | siteMultiPrimary

	siteFormat     = 1
	maxServers     = 256
	maxAttributes  = 256
	minServer      = 4 + 16 + 4 + 4
	minInterface   = 6
	maxInterfaces  = 64
	interfaceBoth  = 3
	interfaceQuery = 2
)

// IP returns the server's address.
func (s *SiteServer) IP() netip.Addr {
	a := netip.AddrFrom16(s.Address)
	if b := s.Address; [12]byte(b[:12]) == ([12]byte{}) && a != netip.IPv6Loopback() {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a.Unmap()
}

// addressOf returns an address as a site has it.
func addressOf(ip netip.Addr) [16]byte {
	ip = ip.Unmap()
	if !ip.Is4() {
		return ip.As16()
	}
	var b [16]byte
	four := ip.As4()
	copy(b[12:], four[:])
	return b
}

// Append appends the site.
func (s *Site) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, s.Format)
	b = binary.BigEndian.AppendUint16(append(b, s.Version.Major, s.Version.Minor), s.Serial)
	flags := s.Other &^ siteNamed
	if s.Primary {
		flags |= sitePrimary
	}
	if s.MultiPrimary {
		flags |= siteMultiPrimary
	}
	b = appendText(append(b, flags, byte(s.Hash)), s.Filter)
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.Attributes)))
	for _, a := range s.Attributes {
		b = appendText(appendText(b, a.Name), a.Value)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.Servers)))
	for i := range s.Servers {
		server := &s.Servers[i]
		b = append(binary.BigEndian.AppendUint32(b, server.ID), server.Address[:]...)
		b = appendText(b, server.Key)
		b = binary.BigEndian.AppendUint32(b, uint32(len(server.Interfaces)))
		for _, f := range server.Interfaces {
			b = binary.BigEndian.AppendUint32(append(b, f.Kind, byte(f.Protocol)), f.Port)
		}
	}
	return b
}

// ParseSite reads a site.
func ParseSite(b []byte) (*Site, error) {
	c := cursor{what: "HS_SITE", b: b}
	s := c.site()
	if err := c.end(); err != nil {
		return nil, err
	}
	return s, nil
}

func (c *cursor) site() *Site {
	at := c.off
	s := &Site{Format: c.u16()}
	if s.Format != siteFormat {
		c.fail(at, "the format of a site is 1, not %d", s.Format)
	}
	s.Version, s.Serial = Version{c.u8(), c.u8()}, c.u16()
	flags := c.u8()
	s.Primary, s.MultiPrimary, s.Other = flags&sitePrimary != 0, flags&siteMultiPrimary != 0, flags&^siteNamed
	at = c.off
	if s.Hash = HashOption(c.u8()); s.Hash > HashWhole {
		c.fail(at, "the part that is hashed is 0, 1 or 2, not %d", s.Hash)
	}
	s.Filter = c.text()
	for range c.count(8, maxAttributes) {
		s.Attributes = append(s.Attributes, Attribute{c.text(), c.text()})
	}
	for range c.count(minServer, maxServers) {
		s.Servers = append(s.Servers, c.server())
	}
	return s
}

func (c *cursor) server() SiteServer {
	s := SiteServer{ID: c.u32()}
	copy(s.Address[:], c.take(16))
	s.Key = c.octets()
	for range c.count(minInterface, maxInterfaces) {
		at := c.off
		f := Interface{Kind: c.u8(), Protocol: Transport(c.u8()), Port: c.u32()}
		if c.err == nil && f.Port > 65535 {
			c.fail(at+2, "a port is at most 65535, not %d", f.Port)
		}
		s.Interfaces = append(s.Interfaces, f)
	}
	return s
}
