package dns

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"

	"github.com/miekg/dns"
)

// Records lends records as they are stored, so that a plain question is answered
// without making anything of them that would have to be collected again.
type Records interface {
	// Lend fills in loans and calls f once while the records can be read, or not at all.
	// A loan gets a record when a question about its identifier would be answered with
	// that here, by all values that all may read. In any other case it gets none, which
	// says nothing; unless it says Absent, and then that would be the answer. So it is with
	// one by hash, which then gets the key too. All that is lent
	// belongs to one moment. f returns how many questions it answered, as found and as
	// absent. It must not ask for anything else meanwhile.
	Lend(loans []identifier.Loan, f func() (found, absent int)) error
}

// plain answers plain questions: what is asked about an identifier that has a suffix, or
// its hash, in its name, found with all its values readable by all, or absent. It gives
// the octets that [Server.Datagram] would give, over TCP those of [Server.Stream], or none:
// everything else, whatever it is, is left to that. First all questions of a batch are read, then all records are
// lent, then all answers are written: what takes time is waiting for memory, and so it
// waits for all together. It allocates next to nothing and belongs to one goroutine.
type plain struct {
	zone    string // on the wire
	server  string // the name of this node where no grant gives one
	contact []byte // on the wire
	cookies *cookies
	stream  bool // what is answered comes over TCP
	folded  [maxName]byte
	n       int // questions of the batch that are plain so far
	asked   [batchSize]plainQuestion
	loans   [batchSize]identifier.Loan
	text    []byte // what the loans ask for
	room    [batchSize * 2 * (maxName + 1)]byte
	hashed  uint64 // answers about names that carry a hash
	values  plainValues
	// answers are written one behind the other; there is room for as many datagrams as are
	// in a batch.
	answers [batchSize * maxDatagram]byte
	written int
}

// newPlain returns what answers plain questions at a server, over UDP or TCP.
func (s *Server) newPlain(stream bool) *plain {
	p := &plain{zone: s.zone.wire, server: s.nodes[0].Name, cookies: s.cookies, stream: stream}
	var b [maxName]byte
	if n, err := dns.PackDomainName(s.contact, b[:], 0, nil, false); err == nil {
		p.contact = b[:n]
	}
	p.begin()
	return p
}

// plainQuestion is what there is to know about a plain question, beside the loan.
type plainQuestion struct {
	of     int // which message of the batch it is
	query  []byte
	end    int // of the question in the message
	rrtype uint16
	edns   bool
	secure bool // DO
	limit  int  // of the answer over UDP
	// cookie is that of the query, none without; baked what is answered to it.
	cookie []byte
	baked  [wholeCookie]byte
	// link are the octets of the link type that is asked for; none for all.
	link []byte
	// encoded says that the suffix was in base32hex.
	encoded bool
}

// begin forgets the batch before.
func (p *plain) begin() {
	clear(p.asked[:p.n])
	clear(p.loans[:p.n])
	p.n, p.text = 0, p.room[:0]
	p.hashed, p.written = 0, 0
}

// take reads the ith message of a batch and keeps it when it is a plain question. It
// reports whether that has a cookie: then bake has to be told where it came from.
func (p *plain) take(i int, query []byte) (cookie bool) {
	q := &p.asked[p.n]
	if !p.read(q, query) {
		return false
	}
	q.of, q.query = i, query
	p.n++
	return q.cookie != nil
}

// bake makes the cookie for the question that was kept last.
func (p *plain) bake(from netip.Addr) {
	q := &p.asked[p.n-1]
	q.baked, _ = p.cookies.answer(q.cookie, from)
}

// answer returns the answer to the ith of the questions that are kept; nil when there
// is more to it.
func (p *plain) answer(i int) []byte {
	q, loan := &p.asked[i], &p.loans[i]
	limit := min(q.limit, maxDatagram)
	if p.stream {
		limit = maxMessage
	}
	room := p.answers[p.written:]
	w := answerWriter{b: room[:0:min(limit, len(room))], q: q}
	switch {
	case loan.Stored != nil:
		if loan.Hash != nil && !isHashNamed(loan.Prefix, suffixOf(loan.Key)) {
			return nil // another form of a name that has room
		}
		if !p.values.read(loan.Stored, q.link) {
			return nil
		}
		p.found(&w, q, loan)
	case loan.Absent && !q.encoded:
		if !isWellFormed(loan) {
			return nil // the name says no more than that of the prefix
		}
		p.negative(&w, loan, dns.RcodeNameError, uint32(resolver.NegativeTTL/time.Second))
	default:
		return nil
	}
	answer := w.done()
	p.written += len(answer)
	if answer != nil && loan.Hash != nil {
		p.hashed++
	}
	return answer
}

// isWellFormed reports whether there can be what is not there.
func isWellFormed(loan *identifier.Loan) bool {
	var err error
	if loan.Hash != nil {
		_, err = identifier.ParsePrefix(string(loan.Prefix))
	} else {
		_, err = identifier.New(identifier.Prefix(loan.Prefix), string(suffixOf(loan.Key)))
	}
	return err == nil
}

// suffixOf returns the suffix in the key of an identifier that has one.
func suffixOf(key []byte) []byte { return key[bytes.LastIndexByte(key, 0)+2:] }

// found writes the records of the asked type.
func (p *plain) found(w *answerWriter, q *plainQuestion, loan *identifier.Loan) {
	var records int
	switch q.rrtype {
	case dns.TypeURI:
		records = p.values.uris(w)
	case dns.TypeNAPTR:
		records = p.values.naptrs(w)
	case dns.TypeTXT:
		records = p.values.texts(w, loan)
	}
	if records == 0 {
		p.negative(w, loan, dns.RcodeSuccess, p.values.lifetime())
	}
}

// read reads a message; false when it is not a plain question.
func (p *plain) read(q *plainQuestion, msg []byte) bool {
	if len(msg) < headerOctets || msg[2]&0xf8 != 0 { // QR and the opcode
		return false
	}
	// One question, nothing else but perhaps OPT.
	if binary.BigEndian.Uint32(msg[4:]) != 1<<16 || msg[8] != 0 || msg[9] != 0 || msg[10] != 0 || msg[11] > 1 {
		return false
	}
	end := p.readName(q, msg[headerOctets:])
	if end < 0 {
		return false
	}
	at := headerOctets + end
	if len(msg) < at+4 || binary.BigEndian.Uint16(msg[at+2:]) != dns.ClassINET {
		return false
	}
	// Of the types behind these some stand for several, or for none.
	if q.rrtype = binary.BigEndian.Uint16(msg[at:]); q.rrtype > maxPlainType && q.rrtype != dns.TypeURI || q.rrtype == dns.TypeOPT {
		return false
	}
	at += 4
	q.end, q.edns, q.secure, q.limit, q.cookie = at, msg[11] == 1, false, minDatagram, nil
	if !q.edns {
		return at == len(msg)
	}
	return q.readEDNS(msg[at:])
}

// readEDNS reads an OPT record (RFC 6891, section 6.1.2) that is all there is.
func (q *plainQuestion) readEDNS(b []byte) bool {
	const fixed = 11
	if len(b) < fixed || b[0] != 0 || binary.BigEndian.Uint16(b[1:]) != dns.TypeOPT || b[6] != 0 {
		return false
	}
	q.limit = min(max(minDatagram, int(binary.BigEndian.Uint16(b[3:]))), maxDatagram)
	q.secure = b[7]&0x80 != 0
	n := int(binary.BigEndian.Uint16(b[9:]))
	if b = b[fixed:]; n != len(b) {
		return false
	}
	for len(b) > 0 {
		if len(b) < 4 || binary.BigEndian.Uint16(b) == optionPlace {
			return false
		}
		if n = 4 + int(binary.BigEndian.Uint16(b[2:])); n > len(b) {
			return false
		}
		if binary.BigEndian.Uint16(b) == dns.EDNS0COOKIE {
			if q.cookie != nil || !isCookie(b[4:n]) {
				return false
			}
			q.cookie = b[4:n]
		}
		b = b[n:]
	}
	return true
}

// maxPlainType is the last type below those for questions (RFC 6895, section 3.1).
const maxPlainType = 127
