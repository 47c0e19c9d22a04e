package dns

import (
	"bytes"
	"encoding/binary"

	"github.com/nameplate-id/nameplate/registry/identifier"

	"github.com/miekg/dns"
)

// answerWriter writes an answer. What does not fit makes it full, and then there is no
// answer.
type answerWriter struct {
	b    []byte
	q    *plainQuestion
	full bool
}

// add appends octets.
func (w *answerWriter) add(b []byte) {
	if w.full = w.full || len(w.b)+len(b) > cap(w.b); !w.full {
		w.b = append(w.b, b...)
	}
}

func (w *answerWriter) text(s string) {
	if w.full = w.full || len(w.b)+len(s) > cap(w.b); !w.full {
		w.b = append(w.b, s...)
	}
}

func (w *answerWriter) u8(v uint8) {
	if w.full = w.full || len(w.b)+1 > cap(w.b); !w.full {
		w.b = append(w.b, v)
	}
}

func (w *answerWriter) u16(v uint16) {
	if w.full = w.full || len(w.b)+2 > cap(w.b); !w.full {
		w.b = binary.BigEndian.AppendUint16(w.b, v)
	}
}

func (w *answerWriter) u32(v uint32) {
	if w.full = w.full || len(w.b)+4 > cap(w.b); !w.full {
		w.b = binary.BigEndian.AppendUint32(w.b, v)
	}
}

// begin writes header and question.
func (w *answerWriter) begin(rcode uint8, answers, authority uint16) {
	q := w.q
	w.add(q.query[:q.end])
	if w.full {
		return
	}
	w.b[2] = 0x84 | q.query[2]&0x01  // a response, AA, and RD as it was
	w.b[3] = q.query[3]&0x10 | rcode // CD as it was
	binary.BigEndian.PutUint16(w.b[6:], answers)
	binary.BigEndian.PutUint16(w.b[8:], authority)
}

// record begins a record at the name in the question and returns where its data begins.
func (w *answerWriter) record(rrtype uint16, ttl uint32) int {
	w.u16(0xc000 | headerOctets)
	w.u16(rrtype)
	w.u16(dns.ClassINET)
	w.u32(ttl)
	w.u16(0) // the length, when it is known
	return len(w.b)
}

// end writes the length of a record's data.
func (w *answerWriter) end(data int) {
	if !w.full {
		binary.BigEndian.PutUint16(w.b[data-2:], uint16(len(w.b)-data))
	}
}

// done ends the message.
func (w *answerWriter) done() []byte {
	opt := len(w.b)
	if w.q.edns {
		w.text(optPlain)
	}
	if w.q.cookie != nil {
		w.u16(dns.EDNS0COOKIE)
		w.u16(wholeCookie)
		w.add(w.q.baked[:])
	}
	if w.full {
		return nil
	}
	if w.q.secure {
		w.b[opt+7] |= 0x80
	}
	if w.q.cookie != nil {
		binary.BigEndian.PutUint16(w.b[opt+len(optPlain)-2:], 4+wholeCookie)
	}
	return w.b
}

// optPlain is an OPT record with our size and nothing else.
const optPlain = "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"

// negative writes an answer without records, with the SOA of the zone: see
// [Server.soa]. Names in it are compressed as the library does it, which compares them
// with the letters as they were sent.
func (p *plain) negative(w *answerWriter, loan *identifier.Loan, rcode uint8, ttl uint32) {
	w.begin(rcode, 0, 1)
	name := w.q.query[headerOctets : w.q.end-4]
	apex := len(name) - len(p.zone)
	if loan.Apex != "" {
		apex -= len(loan.Apex) + 1 // a length for each segment, where the text has dots between
	}
	w.u16(0xc000 | uint16(headerOctets+apex))
	w.u16(dns.TypeSOA)
	w.u16(dns.ClassINET)
	w.u32(min(ttl, soaMinimum))
	w.u16(0)
	data := len(w.b)
	server := p.server
	if loan.Grant != nil {
		server = loan.Grant.Node.Name
	}
	if !isHostLabel(server) {
		server = unnamed
	}
	w.u8(uint8(len(server)))
	w.text(server)
	w.u8(uint8(len(markServers)))
	w.text(markServers)
	w.u16(0xc000 | uint16(headerOctets+apex))
	p.mailbox(w, name)
	w.u32(uint32(loan.Position))
	w.u32(soaRefresh)
	w.u32(soaRetry)
	w.u32(soaExpire)
	w.u32(soaMinimum)
	w.end(data)
}

// mailbox writes the contact, its end as a pointer to where the question has the same.
func (p *plain) mailbox(w *answerWriter, name []byte) {
	if len(p.contact) == 0 || bytes.Contains(p.contact, []byte("\x03"+markServers)) {
		w.full = true // it may lie below the name of a server
		return
	}
	for rest := p.contact; ; rest = rest[1+rest[0]:] {
		if rest[0] == 0 {
			w.u8(0)
			return
		}
		if at := len(name) - len(rest); at >= 0 && bytes.Equal(name[at:], rest) && isLabelStart(name, at) {
			w.u16(0xc000 | uint16(headerOctets+at))
			return
		}
		w.add(rest[:1+rest[0]])
	}
}

// isLabelStart reports whether a label of a name begins at an offset.
func isLabelStart(name []byte, offset int) bool {
	at := 0
	for at < offset {
		at += 1 + int(name[at])
	}
	return at == offset
}
