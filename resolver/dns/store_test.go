package dns_test

import (
	"context"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// store is a node's registry as a few maps.
type store struct {
	apexes      []identifier.Prefix
	delegations map[identifier.Prefix]*identifier.Delegation
	records     map[identifier.ID]*identifier.Record
	grant       *identifier.Delegation // by which it has its apex; nil at the root
}

func (s *store) Find(_ context.Context, id identifier.ID) (identifier.Finding, error) {
	f := identifier.Finding{Position: 1<<32 + 7, Log: identifier.LogID{1, 2, 3}, Grant: s.grant}
	for _, apex := range s.apexes {
		if apex.Covers(id.Prefix) && len(apex) >= len(f.Apex) {
			f.Apex, f.InZone = apex, true
		}
	}
	for p, ok := id.Prefix, true; ok && f.Apex.Covers(p) && f.Delegation == nil; p, ok = p.Parent() {
		f.Delegation = s.delegations[p]
	}
	f.Record = s.records[id]
	if id.IsPrefix() {
		for p := range s.delegations {
			f.Below = f.Below || id.Prefix.Covers(p)
		}
		for other := range s.records {
			f.Below = f.Below || other != id && id.Prefix.Covers(other.Prefix)
		}
	}
	return f, nil
}

func (s *store) FindHashed(ctx context.Context, p identifier.Prefix, hash identifier.Hash) (identifier.ID, identifier.Finding, error) {
	for id := range s.records {
		if id.Prefix == p && identifier.SuffixHash(id.Suffix) == hash {
			f, err := s.Find(ctx, id)
			return id, f, err
		}
	}
	f, err := s.Find(ctx, identifier.ID{Prefix: p})
	f.Record = nil
	return identifier.ID{Prefix: p}, f, err
}

func (s *store) put(canonical string, values ...identifier.Value) {
	id, err := identifier.ParseCanonical(canonical)
	if err != nil {
		panic(err)
	}
	for i := range values {
		values[i].Index = uint32(i + 1)
	}
	s.records[id] = &identifier.Record{ID: id, Spelling: canonical, Version: 3, Time: time.UnixMilli(1_793_872_800_250).UTC(), Values: values}
}

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
func node() *store {
	keys := identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{thisKey}}
	s := &store{apexes: []identifier.Prefix{""}, records: map[identifier.ID]*identifier.Record{}, delegations: map[identifier.Prefix]*identifier.Delegation{
		"88.118":      {Prefix: "88.118", Epoch: 1, Keyset: keys},
		"88.30":       {Prefix: "88.30", Epoch: 1, Keyset: keys, Node: &childNode},
		"88.200":      {Prefix: "88.200", Epoch: 1, Keyset: keys, Private: true},
		"gs1.9.5.0.6": {Prefix: "gs1.9.5.0.6", Epoch: 1, Keyset: keys},
	}}
	main := link("gs1:pip", "https://maker.example/pump", 3600)
	main.Link.Default = true
	main.Link.Title, main.Link.Languages = "Pump", []string{"en", "de-CH"}
	s.put("88.118.8/sn-42",
		link("gs1:certificationInfo", "https://maker.example/cert!1", 7200), main, link("gs1:dpp", "https://dpp.example/42", 60),
		value("DESC", "A pump; \"größer\" \\ 1", 300))
	s.put("88.118.9", value("DESC", "The holder of a prefix", 86400))
	s.put("88.118/8", link("", "https://maker.example/8", 86400))
	s.put("88.118.8/größe 1", link("", "https://maker.example/g", 86400))
	s.put("88.118.8/"+threeLabels, link("", "https://maker.example/3", 86400))
	s.put("88.118.8/"+hashedSuffix, link("", "https://maker.example/h", 86400))
	s.put("88.118.8/bare")
	s.put("88.118.8/long", link("", "https://maker.example/"+strings.Repeat("x", 900), 86400))
	s.put("88.118.8/many", func() (all []identifier.Value) {
		for range 300 {
			all = append(all, value("DESC", strings.Repeat("y", 250), 60))
		}
		return all
	}()...)
	hidden := value("HS_SECKEY", "secret", 86400)
	hidden.Permissions = identifier.AdminRead
	s.put("88.118.8/hidden", hidden)
	s.put("88.200.1/item", value("DESC", "secret", 86400))
	s.put("gs1.9.5.0.6.0.0.0.1.3.4.3.5/010/21/SN-42", link("gs1:pip", "https://maker.example/gtin", 86400))
	return s
}

func authority(s *store) resolver.Resolver {
	return resolver.NewAuthority(s, resolver.Options{Node: thisKey})
}
