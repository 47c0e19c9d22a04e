package dns

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

const headerOctets = 12

// request is what a query message asks. It is read without the library, so that
// nothing is allocated for records that a query has no use for, and the name is
// kept as it was sent.
type request struct {
	id      uint16
	opcode  int
	desired bool // RD: recursion desired
	unheard bool // CD: checking disabled; repeated and otherwise ignored
	name    []byte
	rrtype  uint16
	class   uint16
	edns    *edns
}

// verdict is what becomes of a message before its question is looked at.
type verdict uint8

const (
	proceed verdict = iota
	drop            // no query at all: an answer could only start a loop
	broken          // FORMERR
	unknown         // NOTIMP
	newer           // BADVERS
	asking          // for a cookie and nothing else
)

// readRequest reads a message. For all verdicts but drop the id, the opcode and the
// flags are set; name, type and class from broken on only as far as they could be read.
func readRequest(msg []byte) (*request, verdict) {
	if len(msg) < headerOctets {
		return nil, drop
	}
	flags := binary.BigEndian.Uint16(msg[2:])
	if flags&(1<<15) != 0 {
		return nil, drop // a response: whoever sent it gets none
	}
	q := &request{
		id:      binary.BigEndian.Uint16(msg),
		opcode:  int(flags >> 11 & 0xf),
		desired: flags&(1<<8) != 0,
		unheard: flags&(1<<4) != 0,
	}
	if q.opcode != dns.OpcodeQuery {
		return q, unknown
	}
	questions := binary.BigEndian.Uint16(msg[4:])
	if questions > 1 {
		return q, broken // RFC 9619
	}
	at := headerOctets
	var name []byte
	var rrtype, class uint16
	if questions == 1 {
		if at = endOfName(msg, at, false); at < 0 || at+4 > len(msg) {
			return q, broken
		}
		name = msg[headerOctets:at]
		rrtype, class = binary.BigEndian.Uint16(msg[at:]), binary.BigEndian.Uint16(msg[at+2:])
		at += 4
	}
	records := int(binary.BigEndian.Uint16(msg[6:])) + int(binary.BigEndian.Uint16(msg[8:]))
	if at = q.readRecords(msg, at, records); at < 0 {
		return q, broken
	}
	if at != len(msg) || questions == 0 && (q.edns == nil || q.edns.cookie == nil || q.edns.version != 0 || records > 0) {
		return q, broken
	}
	if questions == 0 {
		return q, asking
	}
	q.name, q.rrtype, q.class = name, rrtype, class
	if q.edns != nil && q.edns.version != 0 {
		return q, newer
	}
	return q, proceed
}

// readRecords reads what stands behind the question, so many records before the additional
// ones, and returns where it ends; -1 when a rule is broken.
func (q *request) readRecords(msg []byte, at, records int) int {
	additional := int(binary.BigEndian.Uint16(msg[10:]))
	for i := range records + additional {
		rr, end := readRecord(msg, at)
		if end < 0 {
			return -1
		}
		at = end
		if rr.rrtype != dns.TypeOPT {
			continue
		}
		// RFC 6891, section 6.1.1: one, with the root for a name, in additional.
		if i < records || q.edns != nil || !rr.root {
			return -1
		}
		var ok bool
		if q.edns, ok = readEDNS(rr); !ok {
			return -1
		}
	}
	return at
}

// record is a resource record in a message, not looked into.
type record struct {
	root   bool // the owner is the root
	rrtype uint16
	class  uint16
	ttl    uint32
	data   []byte
}

// readRecord reads the record at an offset and returns where it ends; -1 when it
// is broken.
func readRecord(msg []byte, at int) (record, int) {
	end := endOfName(msg, at, true)
	if end < 0 || end+10 > len(msg) {
		return record{}, -1
	}
	r := record{
		root:   msg[at] == 0,
		rrtype: binary.BigEndian.Uint16(msg[end:]),
		class:  binary.BigEndian.Uint16(msg[end+2:]),
		ttl:    binary.BigEndian.Uint32(msg[end+4:]),
	}
	start := end + 10
	end = start + int(binary.BigEndian.Uint16(msg[end+8:]))
	if end > len(msg) {
		return record{}, -1
	}
	r.data = msg[start:end]
	return r, end
}

// endOfName returns where the name at an offset ends; -1 when it is broken. The
// name in a question is not compressed: there is nothing before it to point at.
func endOfName(msg []byte, at int, compressed bool) int {
	start := at
	for at < len(msg) {
		n := int(msg[at])
		switch {
		case n == 0:
			if at+1-start > maxName {
				return -1
			}
			return at + 1
		case n <= maxLabel:
			at += 1 + n
		case compressed && n >= 0xc0 && at+2 <= len(msg):
			return at + 2
		default:
			return -1
		}
	}
	return -1
}
