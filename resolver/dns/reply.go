package dns

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// reply is an answer before it is a message.
type reply struct {
	rcode         int
	authoritative bool
	recursive     bool // RA
	answer        []dns.RR
	authority     []dns.RR
	additional    []dns.RR
	// aside is good to know and left out first when there is no room: of authority
	// and of additional.
	asideAuthority, aside []dns.RR
	explanations          []*dns.EDNS0_EDE
	place                 *dns.EDNS0_LOCAL
	// overloaded says that there is no answer but that there is too much to do.
	overloaded bool
}

// explained adds an extended error; a code below zero is none.
func (r *reply) explained(code int, text string) *reply {
	if code >= 0 {
		r.explanations = append(r.explanations, explain(code, text))
	}
	return r
}

// shrink is how much of a reply is given up so that it fits.
type shrink uint8

const (
	whole       shrink = iota
	withoutSide        // without what is only good to know
	withoutText        // and without texts of extended errors
	truncated          // with no records at all and TC: ask over TCP
)

// pack makes the message. It has at most limit octets, which are 512 or more: then
// there is always room for header, question and an OPT record.
func (r *reply) pack(q *request, text string, limit int) []byte {
	for give := whole; give <= truncated; give++ {
		if give == withoutSide && q.edns.ours() {
			continue // our client comes back over TCP for it
		}
		if b, err := r.message(q, text, give).Pack(); err == nil && len(b) <= limit {
			return b
		}
	}
	return header(q, dns.RcodeServerFailure)
}

// askOverTCP makes a message that is truncated though there may be room: all that a
// node with too much to do says.
func (r *reply) askOverTCP(q *request, text string) []byte {
	b, err := r.message(q, text, truncated).Pack()
	if err != nil {
		return header(q, dns.RcodeServerFailure)
	}
	return b
}

func (r *reply) message(q *request, text string, give shrink) *dns.Msg {
	m := &dns.Msg{Compress: true}
	m.Id, m.Opcode, m.Response, m.Rcode = q.id, q.opcode, true, r.rcode
	m.RecursionDesired, m.CheckingDisabled, m.Authoritative = q.desired, q.unheard, r.authoritative
	m.RecursionAvailable = r.recursive
	m.Question = []dns.Question{{Name: text, Qtype: q.rrtype, Qclass: q.class}}
	if give == truncated {
		m.Truncated = true
	} else {
		m.Answer, m.Ns, m.Extra = r.answer, r.authority, r.additional
	}
	if give == whole {
		m.Ns = append(m.Ns[:len(m.Ns):len(m.Ns)], r.asideAuthority...)
		m.Extra = append(m.Extra[:len(m.Extra):len(m.Extra)], r.aside...)
	}
	if q.edns == nil {
		return m
	}
	var options []dns.EDNS0
	for _, e := range r.explanations {
		if give >= withoutText {
			e = &dns.EDNS0_EDE{InfoCode: e.InfoCode}
		}
		options = append(options, e)
	}
	if r.place != nil && q.edns.ours() {
		options = append(options, r.place)
	}
	m.Extra = append(m.Extra[:len(m.Extra):len(m.Extra)], optRecord(q.edns, options))
	return m
}

// header is an answer that is nothing but a header.
func header(q *request, rcode int) []byte {
	flags := uint16(1)<<15 | uint16(q.opcode)<<11 | uint16(rcode)
	if q.desired {
		flags |= 1 << 8
	}
	if q.unheard {
		flags |= 1 << 4
	}
	b := make([]byte, headerOctets)
	binary.BigEndian.PutUint16(b, q.id)
	binary.BigEndian.PutUint16(b[2:], flags)
	return b
}
