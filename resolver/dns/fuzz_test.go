package dns_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/nameplate-id/nameplate/resolver/dns"

	wire "github.com/miekg/dns"
)

// Whatever comes in a datagram: no panic; an answer belongs to the query and fits;
// in the zone there is no FORMERR and no REFUSED for a message that is whole.
func FuzzServeDatagram(f *testing.F) {
	s := newServer(f, authority(node()))
	for _, c := range []struct {
		name   string
		rrtype uint16
	}{
		{"sn-42._i.8.118.88.id.internal.", wire.TypeTXT}, {"_dpp.sn-42._i.8.118.88.id.internal.", wire.TypeURI},
		{"many._i.8.118.88.id.internal.", wire.TypeTXT}, {"id.internal.", wire.TypeSOA}, {"id.internal.", wire.TypeSVCB},
		{"x.30.88.id.internal.", wire.TypeA}, {"30.88.id.internal.", wire.TypeDS}, {"example.", wire.TypeNS},
		{"centre._ns.id.internal.", wire.TypeAAAA}, {"1.200.88.id.internal.", wire.TypeANY}, {"id.internal.", wire.TypeAXFR},
	} {
		m := query(f, c.name, c.rrtype)
		b, _ := m.Pack()
		f.Add(b)
		m.SetEdns0(4096, true)
		m.IsEdns0().Option = []wire.EDNS0{&wire.EDNS0_LOCAL{Code: 65353, Data: []byte{1}}}
		b, _ = m.Pack()
		f.Add(b)
		f.Add(b[:len(b)-7])
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		kept := slices.Clone(msg)
		b := dns.Answer(t.Context(), s, msg)
		if !bytes.Equal(msg, kept) {
			t.Fatal("the query was changed")
		}
		if b == nil {
			if len(msg) >= 12 && msg[2]&0x80 == 0 {
				t.Fatalf("%x: a query got no answer", msg)
			}
			return
		}
		reply := &wire.Msg{}
		if err := reply.Unpack(b); err != nil {
			t.Fatalf("%x: the answer %x does not unpack: %v", msg, b, err)
		}
		limit := 512
		asked := &wire.Msg{}
		if err := asked.Unpack(msg); err == nil {
			if opt := asked.IsEdns0(); opt != nil {
				limit = min(1232, max(512, int(opt.UDPSize())))
			}
		}
		if len(b) > limit || !reply.Response || reply.Id != binary.BigEndian.Uint16(msg) || reply.Opcode != int(msg[2]>>3&0xf) {
			t.Fatalf("%x: got %d octets, %v", msg, len(b), reply)
		}
		if len(reply.Question) == 1 && !bytes.HasPrefix(msg[12:], b[12:12+len(pack(t, reply.Question[0].Name))+4]) {
			t.Fatalf("%x: the question is not repeated as it was: %v", msg, reply)
		}
		if len(reply.Question) == 1 && reply.Question[0].Qclass == wire.ClassINET {
			q := reply.Question[0]
			_, err := defaultZone.Parse(pack(t, q.Name))
			inZone := wire.IsSubDomain("id.internal.", q.Name)
			transfer := q.Qtype == wire.TypeAXFR || q.Qtype == wire.TypeIXFR
			if inZone && !transfer && (reply.Rcode == wire.RcodeFormatError || reply.Rcode == wire.RcodeRefused || reply.Rcode == wire.RcodeServerFailure) {
				t.Fatalf("%v, parsed with %v: got %s", q, err, wire.RcodeToString[reply.Rcode])
			}
		}
	})
}
