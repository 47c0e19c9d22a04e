package dns_test

import (
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"
)

func value(typ, data string, ttl uint32) identifier.Value {
	return identifier.Value{Type: typ, Data: []byte(data), TTL: identifier.TTL{Seconds: ttl}, Permissions: identifier.DefaultPermissions}
}

func link(relation, uri string, ttl uint32) identifier.Value {
	v := value("URL", uri, ttl)
	v.Link = &identifier.Link{Relation: relation}
	return v
}

var (
	thisKey  = identifier.PublicKey{Type: identifier.Ed25519, Raw: strings.Repeat("\x01", 32)}
	childKey = identifier.PublicKey{Type: identifier.Ed25519, Raw: strings.Repeat("\x02", 32)}

	thisNode = identifier.Node{Name: "centre", Key: thisKey, Addresses: []identifier.Address{
		{IP: "192.0.2.1", DNS: 53, GRPC: 2640, HTTP: 8080, Handle: 2641}, {IP: "2001:db8::1", DNS: 53},
	}}
	childNode = identifier.Node{Name: "n1", Key: childKey, Addresses: []identifier.Address{
		{IP: "192.0.2.30", DNS: 5300, GRPC: 2640}, {IP: "2001:db8::30", DNS: 53, HTTP: 80},
	}}
)

const (
	hashedSuffix = "a serial number that is so long that its name would not fit, were it not for the hash; it goes on and on and on and on"
	threeLabels  = "a serial number in three labels: it has just more than seventy-eight octets in it, as can be seen"
)

// node is what a top-level node holds: records of every form, a delegation to
// another node and one that is private.
func node() *resolvertest.Store {
	keys := identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{thisKey}}
	s := &resolvertest.Store{Apexes: []identifier.Prefix{""}, Records: map[identifier.ID]*identifier.Record{}, Delegations: map[identifier.Prefix]*identifier.Delegation{
		"88.118":      {Prefix: "88.118", Epoch: 1, Keyset: keys},
		"88.30":       {Prefix: "88.30", Epoch: 1, Keyset: keys, Node: &childNode},
		"88.200":      {Prefix: "88.200", Epoch: 1, Keyset: keys, Private: true},
		"gs1.9.5.0.6": {Prefix: "gs1.9.5.0.6", Epoch: 1, Keyset: keys},
	}}
	main := link("gs1:pip", "https://maker.example/pump", 3600)
	main.Link.Default = true
	main.Link.Title, main.Link.Languages = "Pump", []string{"en", "de-CH"}
	s.Put("88.118.8/sn-42",
		link("gs1:certificationInfo", "https://maker.example/cert!1", 7200), main, link("gs1:dpp", "https://dpp.example/42", 60),
		value("DESC", "A pump; \"größer\" \\ 1", 300))
	s.Put("88.118.9", value("DESC", "The holder of a prefix", 86400))
	s.Put("88.118/8", link("", "https://maker.example/8", 86400))
	s.Put("88.118.8/größe 1", link("", "https://maker.example/g", 86400))
	s.Put("88.118.8/"+threeLabels, link("", "https://maker.example/3", 86400))
	s.Put("88.118.8/"+hashedSuffix, link("", "https://maker.example/h", 86400))
	s.Put("88.118.8/bare")
	s.Put("88.118.8/long", link("", "https://maker.example/"+strings.Repeat("x", 900), 86400))
	s.Put("88.118.8/many", func() (all []identifier.Value) {
		for range 300 {
			all = append(all, value("DESC", strings.Repeat("y", 250), 60))
		}
		return all
	}()...)
	hidden := value("HS_SECKEY", "secret", 86400)
	hidden.Permissions = identifier.AdminRead
	s.Put("88.118.8/hidden", hidden)
	s.Put("88.200.1/item", value("DESC", "secret", 86400))
	s.Put("gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/SN-42", link("gs1:pip", "https://maker.example/gtin", 86400))
	return s
}

func authority(s *resolvertest.Store) resolver.Resolver {
	return resolver.NewAuthority(s, resolver.Options{Node: thisKey})
}
