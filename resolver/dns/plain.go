package dns

import (
	"encoding/binary"

	"github.com/nameplate-id/nameplate/registry/identifier"

	"github.com/miekg/dns"
)

// Records lends records as they are stored, so that a plain question is answered
// without making anything of them that would have to be collected again.
type Records interface {
	// Lend fills in loans and calls f once while the records can be read, or not at all.
	// A loan gets a record when a question about its identifier would be answered with
	// that here, by all values that all may read. In any other case it gets none, which
	// says nothing. All that is lent belongs to one moment. f returns how many questions
	// it answered. It must not ask for anything else meanwhile.
	Lend(loans []identifier.Loan, f func() (answered int)) error
}

// plain answers plain questions: the links (URI) of an identifier that has one plain
// label, that is found and all of whose values all may read. It gives the octets that
// [Server.Datagram] would give, or none: everything else, whatever it is, is left to
// that. First all questions of a batch are read, then all records are lent, then all
// answers are written: what takes time is waiting for memory, and so it waits for all
// together. It allocates nothing and belongs to one goroutine.
type plain struct {
	zone    string // on the wire
	folded  [maxName]byte
	n       int // questions of the batch that are plain so far
	asked   [batchSize]plainQuestion
	loans   [batchSize]identifier.Loan
	text    []byte // what the loans ask for
	room    [batchSize * 2 * (maxName + 1)]byte
	answers [batchSize][maxDatagram]byte
}

// plainQuestion is what there is to know about a plain question, beside its name.
type plainQuestion struct {
	of     int // which datagram of the batch it is
	query  []byte
	end    int // of the question in the message
	edns   bool
	secure bool // DO
	limit  int
}

// begin forgets the batch before.
func (p *plain) begin() {
	clear(p.asked[:p.n])
	clear(p.loans[:p.n])
	p.n, p.text = 0, p.room[:0]
}

// take reads the ith datagram of a batch and keeps it when it is a plain question.
func (p *plain) take(i int, query []byte) {
	q := &p.asked[p.n]
	if p.read(q, query) {
		q.of, q.query = i, query
		p.n++
	}
}

// answer returns the answer to the ith of the questions that are kept; nil when there
// is more to it.
func (p *plain) answer(i int) []byte {
	if p.loans[i].Stored == nil {
		return nil
	}
	q := &p.asked[i]
	return q.links(p.answers[i][:0:min(q.limit, maxDatagram)], q.query, p.loans[i].Stored)
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
	end := p.readName(msg[headerOctets:])
	if end < 0 {
		return false
	}
	at := headerOctets + end
	if len(msg) < at+4 || binary.BigEndian.Uint32(msg[at:]) != uint32(dns.TypeURI)<<16|dns.ClassINET {
		return false
	}
	at += 4
	q.end, q.edns, q.secure, q.limit = at, msg[11] == 1, false, minDatagram
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
		b = b[n:]
	}
	return true
}

// maxPlainLabels is how many labels the name of a plain question has at most. There
// are longer ones, and few of them.
const maxPlainLabels = 32

// labels are where the labels of a name begin, with room to look behind the last.
type labels struct {
	starts [maxPlainLabels + 1]uint8
	n      int
}

// fold copies the name at the beginning of b in lower case and returns where it ends;
// -1 when it is broken or has too many labels.
func (p *plain) fold(b []byte, l *labels) int {
	for end := 0; end < len(b) && end < maxName; l.n++ {
		n := int(b[end])
		if n == 0 {
			p.folded[end] = 0
			return end + 1
		}
		if n > maxLabel || l.n == maxPlainLabels || end+1+n >= maxName || end+1+n > len(b) {
			return -1
		}
		l.starts[l.n] = uint8(end)
		p.folded[end] = b[end]
		for at := end + 1; at <= end+n; at++ {
			c := b[at]
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			p.folded[at] = c
		}
		end += 1 + n
	}
	return -1
}

// readName reads <label>._i.<segments>.<zone> at the beginning of b into the next loan
// and returns where it ends; -1 when it is any other name, or might be: one whose
// record is stored under the key is right, for the registry holds nothing else.
func (p *plain) readName(b []byte) int {
	var l labels
	end := p.fold(b, &l)
	if end < 0 {
		return -1
	}
	name := p.folded[:end]
	zoneAt := end - len(p.zone)
	if zoneAt < 0 || string(name[zoneAt:]) != p.zone {
		return -1
	}
	for l.n > 0 && int(l.starts[l.n-1]) >= zoneAt {
		l.n--
	}
	// Suffix, marker, one segment at least; and the zone begins with a label.
	if l.n < 3 || int(l.starts[l.n]) != zoneAt {
		return -1
	}
	suffix := name[1 : 1+name[0]]
	if string(name[l.starts[1]:l.starts[2]]) != "\x02"+markPlain || !isPlainLabel(suffix) {
		return -1
	}
	// A prefix takes as much as its labels and a key no more than one octet beyond.
	at := len(p.text)
	prefix, key := p.text[at:at:at+zoneAt], p.text[at+zoneAt:at+zoneAt]
	for i := l.n - 1; i >= 2; i-- {
		segment := name[l.starts[i]+1 : l.starts[i+1]]
		if !isHostLabel(segment) {
			return -1
		}
		if len(prefix) > 0 {
			prefix = append(prefix, '.')
		}
		prefix, key = append(prefix, segment...), append(append(key, segment...), 0)
	}
	// Suffix and marker with their lengths, and a prefix that takes one more than its
	// text: what does not fit has a hash for a name.
	if len(suffix)+1+len("_")+len(markPlain)+len(prefix)+1 > maxBelow {
		return -1
	}
	key = append(append(key, 1), suffix...)
	p.loans[p.n].Prefix, p.loans[p.n].Key = prefix, key
	p.text = p.text[:at+zoneAt+len(key)]
	return end
}

// isPlainLabel is [identifier.PlainNamed] for octets.
func isPlainLabel(b []byte) bool {
	return isHostLabel(b) && !(len(b) >= 4 && b[2] == '-' && b[3] == '-')
}

// linkSet is what there is to know about the links of a record before they are written.
type linkSet struct {
	first  uint32 // the index of the default link
	count  int
	octets int // of their records
	ttl    uint32
}

const (
	plainOwner = "\xc0\x0c" // the name in the question
	// beforeTarget is what a URI record has before its target.
	beforeTarget = len(plainOwner) + 10 + 4
)

// readLinks looks at the values of a record; false when there is no link, or
// anything about them that is not plain.
func readLinks(stored identifier.Stored) (linkSet, bool) {
	set := linkSet{ttl: maxTTL}
	marked := false
	for v := range stored.Values() {
		if v.Permissions&identifier.PublicRead == 0 {
			return set, false
		}
		if !isURL(&v) {
			continue
		}
		if set.first == 0 || v.Link && v.Default && !marked {
			set.first, marked = v.Index, v.Link && v.Default
		}
		if len(v.Data) == 0 {
			continue
		}
		if v.TTL.Absolute {
			return set, false
		}
		set.ttl = min(set.ttl, v.TTL.Seconds)
		set.count++
		set.octets += beforeTarget + len(v.Data)
	}
	return set, set.count > 0
}

func isURL(v *identifier.ValueView) bool { return string(v.Type) == "URL" }

// links appends the whole answer to b while that has room; nil when it has not, or
// when there is anything about the values that is not plain.
func (q *plainQuestion) links(b, query []byte, stored identifier.Stored) []byte {
	set, ok := readLinks(stored)
	octets := q.end + set.octets
	if q.edns {
		octets += len(optPlain)
	}
	if !ok || octets > cap(b) {
		return nil
	}
	b = append(b, query[:q.end]...)
	b[2] = 0x84 | query[2]&0x01 // a response, AA, and RD as it was
	b[3] = query[3] & 0x10      // CD as it was
	binary.BigEndian.PutUint16(b[6:], uint16(set.count))
	priority := uint16(0)
	for _, preferred := range [...]bool{true, false} {
		for v := range stored.Values() {
			if !isURL(&v) || len(v.Data) == 0 || (v.Index == set.first) != preferred {
				continue
			}
			priority++
			b = append(b, plainOwner...)
			b = binary.BigEndian.AppendUint16(b, dns.TypeURI)
			b = binary.BigEndian.AppendUint16(b, dns.ClassINET)
			b = binary.BigEndian.AppendUint32(b, set.ttl)
			b = binary.BigEndian.AppendUint16(b, uint16(4+len(v.Data)))
			b = binary.BigEndian.AppendUint16(b, priority)
			b = append(b, 0, 1) // the weight
			b = append(b, v.Data...)
		}
	}
	if q.edns {
		b = append(b, optPlain...)
		if q.secure {
			b[len(b)-4] |= 0x80
		}
	}
	return b
}

// optPlain is an OPT record with our size and nothing else.
const optPlain = "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"
