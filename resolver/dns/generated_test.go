package dns_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"
)

// wirename returns a name on the wire as text.
func wirename(b []byte) string {
	name, _, err := wire.UnpackDomainName(b, 0)
	if err != nil {
		panic(err)
	}
	return name
}

// some returns one of the given.
func some[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// generated returns a store with random records, and the names of most.
func generated(r *rand.Rand) (*resolvertest.Store, [][]byte) {
	s := node()
	if r.IntN(3) == 0 { // below another node
		s.Apexes = []identifier.Prefix{"88"}
		s.Grant = &identifier.Delegation{Prefix: "88", Epoch: 1, Node: &identifier.Node{Name: some(r, "region", "not one label"), Key: thisKey}}
	}
	s.Delegations["88.40"] = &identifier.Delegation{Prefix: "88.40", Epoch: 2} // revoked
	s.Delegations["88.41"] = &identifier.Delegation{Prefix: "88.41", Epoch: 1, Keyset: s.Delegations["88.118"].Keyset, Node: &identifier.Node{Name: "self", Key: thisKey}}
	prefixes := []identifier.Prefix{"88.118", "88.118", "88.118.8", "88.118.8", "88.41", "5", "6.7", "88.30", "88.200", "88.200.1", "88.40.1", "88.41", "5", "a-b.c.1.2.3.4.5.6.7.8.9", identifier.Prefix(strings.Repeat("x", 60) + "." + strings.Repeat("y", 60)), "oid.1.2", "web.example.maker"}
	var names [][]byte
	for i := range 300 {
		p := some(r, prefixes...)
		suffix := some(r, fmt.Sprint(i), fmt.Sprint(i), fmt.Sprintf("sn-%d", i), fmt.Sprintf("sn-%d", i), strings.Repeat("z", 1+r.IntN(63)), "a b", "xn--a", fmt.Sprintf("-%d", i), fmt.Sprintf("%d%s", i, strings.Repeat("é", 20+r.IntN(300))))
		id, err := identifier.New(p, suffix)
		if err != nil {
			continue
		}
		var values []identifier.Value
		for range some(r, 0, 1, 1, 1, 1, 1, 2, 3, 6, 18) {
			v := value(some(r, "URL", "URL", "URL", "URL", "URL", "URL", "URL", "URL", "URL", "DESC", "URL2"), some(r, "https://maker.example/"+strings.Repeat("p", r.IntN(120)), "https://maker.example/"+fmt.Sprint(i), "https://maker.example/?q="+fmt.Sprint(i), "https://maker.example/#"+fmt.Sprint(i), `a\b"c\\`, "", "ö\x00"), some[uint32](r, 0, 60, 3600, 1<<31, 1<<32-1))
			if r.IntN(3) == 0 {
				v.Link = &identifier.Link{Relation: some(r, "gs1:pip", "gs1:dpp", "GS1:DPP", "about", "dpp", "", "https://ref.gs1.org/voc/dpp", "gs1:ſ", "gs1:i", "gs1:certificationInfo"), Default: r.IntN(3) == 0}
				if r.IntN(3) == 0 {
					v.Link.Title, v.Link.MediaType, v.Link.Context = some(r, "", "Pump", strings.Repeat("ü", r.IntN(200))), some(r, "", "text/html"), some(r, "", "c")
					v.Link.Languages = some(r, nil, []string{"en"}, []string{"en", "de-CH", "ja"})
				}
			}
			if r.IntN(6) == 0 {
				v.Timestamp = time.Unix(r.Int64N(1<<32), 0).UTC()
				v.References = some(r, nil, []identifier.Reference{{Handle: "88.118/8", Index: 5}})
			}
			if r.IntN(20) == 0 {
				v.Permissions = some(r, identifier.AdminRead, identifier.PublicRead)
			}
			if r.IntN(20) == 0 {
				v.TTL = identifier.TTL{Absolute: true, Seconds: some[uint32](r, 1, 1<<32-1)}
			}
			values = append(values, v)
		}
		s.Put(id.String(), values...)
		if r.IntN(5) == 0 {
			s.Records[id].Spelling = "hdl:" + id.String()
			s.Records[id].RowHash = identifier.Hash{byte(i), 1}
		}
		s.Records[id].Withdrawn = r.IntN(20) == 0
		name := defaultZone.AppendName(nil, id)
		names = append(names, name)
		if r.IntN(20) == 0 { // perhaps another form of a name that has room
			names = append(names, defaultZone.AppendHashedName(nil, id.Prefix, identifier.SuffixHash(id.Suffix)))
		}
		switch r.IntN(6) {
		case 0: // one that is not there, perhaps not even well formed
			absent := slices.Clone(name)
			absent[1+r.IntN(int(absent[0]))] = some[byte](r, 'q', '7', '-', '_', 0xe4)
			names = append(names, absent)
		case 1, 2:
			if link := some(r, "\x04_dpp", "\x04_pip", "\x06_about", "\x02_i", "\x01_", "\x12_certificationinfo", "\x05_none"); len(link)+len(name) <= 255 {
				names = append(names, append([]byte(link), name...))
			}
		}
	}
	for _, other := range []string{"absent._i.8.118.88.id.internal.", "id.internal.", "_i.8.118.88.id.internal.", "example.", ".", "x._ns.id.internal.", "8.118.88.id.internal.", "_dpp.sn-42._i.8.118.88.id.internal."} {
		b := make([]byte, 300)
		n, err := wire.PackDomainName(other, b, 0, nil, false)
		if err != nil {
			panic(err)
		}
		names = append(names, b[:n])
	}
	return s, names
}

// generate returns a question, whole and mostly a plain one.
func generate(r *rand.Rand, names [][]byte) []byte {
	b := []byte{byte(r.Uint32()), byte(r.Uint32()), some[byte](r, 0, 0, 1, 1, 3, 4), some[byte](r, 0, 0, 0x10, 0x20, 0xff), 0, 1, 0, 0, 0, 0, 0, 0}
	name := slices.Clone(some(r, names...))
	for i, c := range name {
		if r.IntN(8) == 0 && 'a' <= c && c <= 'z' {
			name[i] = c - 'a' + 'A'
		}
	}
	b = append(b, name...)
	b = binary.BigEndian.AppendUint16(b, some[uint16](r, 256, 256, 256, 256, 256, 16, 16, 16, 35, 35, 35, 255, 6, 1, 28, 43, 64, 2, 41, 250, 127, 128))
	b = binary.BigEndian.AppendUint16(b, some[uint16](r, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 255, 3))
	if r.IntN(2) == 0 {
		return b
	}
	b[11] = 1
	b = append(b, 0, 0, 41)
	b = binary.BigEndian.AppendUint16(b, some[uint16](r, 0, 511, 512, 700, 1232, 1400, 4096, 65535))
	b = append(b, some[byte](r, 0, 0, 0, 1), some[byte](r, 0, 0, 0, 0, 0, 1), some[byte](r, 0, 0x80, 0xff), some[byte](r, 0, 0, 1))
	var options []byte
	for range some(r, 0, 0, 1, 2) {
		code, n := some[uint16](r, 3, 3, 10, 10, 12, 12, 65353), r.IntN(9)
		if code == 10 {
			n = some(r, n, 8, 8, 8, 16, 24, 24, 40, 41)
		}
		options = binary.BigEndian.AppendUint16(options, code)
		options = binary.BigEndian.AppendUint16(options, uint16(n))
		option := make([]byte, n)
		if n > 8 {
			option[8] = byte(r.IntN(3)) // the version of a cookie
		}
		options = append(options, option...)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(options)))
	return append(b, options...)
}

// mutate breaks a message, or makes another of it.
func mutate(r *rand.Rand, b []byte) []byte {
	for range some(r, 1, 1, 1, 2, 4) {
		if len(b) == 0 {
			return b
		}
		at := r.IntN(len(b))
		if r.IntN(3) == 0 {
			at = min(at, r.IntN(4)) // id and flags, which need not break anything
		}
		switch r.IntN(5) {
		case 0:
			b[at] ^= 1 << r.IntN(8)
		case 1:
			b[at] = some[byte](r, 0, 1, 0xff, 0xc0, 63, 64, '_', 'I', byte(r.Uint32()))
		case 2:
			b = b[:at]
		case 3:
			b = slices.Insert(b, at, byte(r.Uint32()))
		case 4:
			b = slices.Delete(b, at, at+1)
		}
	}
	return b
}
