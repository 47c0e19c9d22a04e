package handle

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Records lends records as they are stored, so that a plain question is answered
// without making anything of them that would have to be collected again.
type Records interface {
	// Lend fills in loans and calls f once while the records can be read, or not at all.
	// A loan gets a record when a question about its identifier would be answered with
	// that here, by all values that all may read. In any other case it gets none, which
	// says nothing. All that is lent belongs to one moment. f returns how many questions
	// it answered, as found and as absent. It must not ask for anything else meanwhile.
	Lend(loans []identifier.Loan, f func() (found, absent int)) error
}

// plainFlags are the flags that a plain question may have. What the others ask for is
// not plain: a signature, encryption, more messages, what only Nameplate reads.
const plainFlags = FlagAuthoritative | FlagRecursive | FlagCacheCertify | FlagKeepOpen | FlagPublicOnly | FlagDigest |
	FlagOverwrite | FlagMint | FlagDoNotRefer | FlagPassIdentity | FlagTrustedQuery | FlagTrustedAnswer

// plain answers plain questions: a resolution as small as one datagram, of a handle that has an
// ASCII suffix below a Handle prefix and is found, all of whose values all may read,
// some of which are asked for and fit a datagram. It gives the octets that
// [Server.Answer] would give, or none: everything else, whatever it is, is left to that.
// First all questions of a batch are read, then all records are lent, then all answers
// are written. It allocates nothing and belongs to one goroutine.
type plain struct {
	serial  uint16
	expires uint32 // what answers say, in seconds since 1970
	n       int    // questions that are kept
	asked   []plainQuestion
	loans   []identifier.Loan
	room    []byte // for what the loans ask for
	text    []byte // of room, in use
	// without is a rule that a test leaves out, to see that another notices.
	without plainRule
}

// plainRule is one thing that a plain answer heeds.
type plainRule uint8

const (
	everyRule     plainRule = iota
	ruleFlags               // flags that ask for more are not plain
	ruleRecursion           // nor are requests that have passed too many servers
	ruleSerial              // nor those that go by other site information
	ruleLength              // nor bodies with something behind them
	ruleSchemes             // nor identifiers of other schemes
	ruleHidden              // nor records with a value that not all may read
	ruleSubtypes            // a type that ends in a dot stands for its subtypes
	ruleDigest              // what the digest is of
	ruleEcho                // the handle is repeated as it was asked
)

// plainText is how many octets the prefix and the key of a question have at most.
const plainText = 2*maxDatagram + 2

// newPlain returns room for so many questions at a time.
func newPlain(questions int) *plain {
	return &plain{
		asked: make([]plainQuestion, questions), loans: make([]identifier.Loan, questions),
		room: make([]byte, questions*plainText),
	}
}

// plainQuestion is what there is to know about a plain question. Its slices are parts
// of the message.
type plainQuestion struct {
	of        int // which of the messages it is
	envelope  Envelope
	flags     Flags
	recursion uint8
	signed    []byte // header and body
	handle    []byte
	indexes   []byte // as on the wire, without the count
	types     []byte // as on the wire, without the count
}

// begin forgets what was asked before, and says what answers say from now on.
func (p *plain) begin(serial uint16, now time.Time) {
	clear(p.asked[:p.n])
	clear(p.loans[:p.n])
	p.serial, p.expires = serial, uint32(now.Add(validity).Unix())
	p.n, p.text = 0, p.room[:0]
}

// take reads the ith message in its envelope and keeps it when it is a plain question.
func (p *plain) take(i int, message []byte) {
	if q := &p.asked[p.n]; p.read(q, message) {
		q.of = i
		p.n++
	}
}

// answer appends the answer to the ith of the questions that are kept to b, while that
// has room; nil when there is more to it.
func (p *plain) answer(b []byte, i int) []byte {
	if p.loans[i].Stored == nil {
		return nil
	}
	return p.asked[i].write(b, p.loans[i].Stored, p)
}

// read reads a message in its envelope; false when it is not a plain question.
func (p *plain) read(q *plainQuestion, message []byte) bool {
	if len(message) < envelopeOctets+headerOctets || len(message) > maxDatagram {
		return false
	}
	var err error
	if q.envelope, err = ParseEnvelope(message); err != nil {
		return false
	}
	e, b := &q.envelope, message[envelopeOctets:]
	if e.Compressed || e.Encrypted || e.Sequence != 0 || uint64(e.Length) != uint64(len(b)) {
		return false
	}
	q.flags, q.recursion = Flags(binary.BigEndian.Uint32(b[8:])), b[14]
	serial, body := binary.BigEndian.Uint16(b[12:]), binary.BigEndian.Uint32(b[20:])
	switch {
	case binary.BigEndian.Uint64(b) != uint64(OpResolution)<<32, // and the code is 0
		q.flags&^plainFlags != 0 && p.without != ruleFlags, q.recursion > maxRecursion && p.without != ruleRecursion,
		serial != NoSerial && serial != p.serial && p.without != ruleSerial,
		uint64(body) > uint64(len(b)-headerOctets):
		return false
	}
	q.signed = b[:headerOctets+int(body)]
	// Nothing follows, or a credential that nobody looks at.
	if rest := b[len(q.signed):]; len(rest) > 0 && (len(rest) < 4 || uint64(binary.BigEndian.Uint32(rest)) != uint64(len(rest)-4)) {
		return false
	}
	return q.readBody(q.signed[headerOctets:], p.without) && p.readHandle(q.handle)
}

// readBody reads handle, indexes and types; false when anything is wrong.
func (q *plainQuestion) readBody(b []byte, without plainRule) bool {
	var ok bool
	if q.handle, b, ok = cutText(b); !ok {
		return false
	}
	if len(b) < 4 {
		return false
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if b = b[4:]; 4*n > uint64(len(b)) {
		return false
	}
	q.indexes, b = b[:4*n], b[4*n:]
	if len(b) < 4 {
		return false
	}
	n = uint64(binary.BigEndian.Uint32(b))
	b = b[4:]
	q.types = b
	for ; n > 0; n-- {
		if _, b, ok = cutText(b); !ok {
			return false
		}
	}
	q.types = q.types[:len(q.types)-len(b)]
	return len(b) == 0 || without == ruleLength
}

// cutText cuts a string from the beginning of b.
func cutText(b []byte) (text, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if b = b[4:]; n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// readHandle makes a loan of the handle; false when it is of another scheme, a prefix,
// or might be none: one whose record is stored under the key is right, for the registry
// holds nothing else.
func (p *plain) readHandle(handle []byte) bool {
	slash := bytes.IndexByte(handle, '/')
	if slash < 1 || slash+1 == len(handle) {
		return false
	}
	prefix := p.text[len(p.text) : len(p.text)+slash]
	key := p.text[len(p.text)+slash : len(p.text)+slash+1+len(handle)]
	for i, c := range handle[:slash] {
		if c <= ' ' || c >= 0x7f {
			return false
		}
		c = lower(c)
		prefix[i] = c
		if c == '.' {
			c = 0
		}
		key[i] = c
	}
	if isSchemed(prefix) && p.without != ruleSchemes {
		return false
	}
	key[slash], key[slash+1] = 0, 1
	suffix := key[slash+2:]
	for i, c := range handle[slash+1:] {
		if c < ' ' || c >= 0x7f {
			return false
		}
		suffix[i] = lower(c)
	}
	p.loans[p.n].Prefix, p.loans[p.n].Key = prefix, key
	p.text = p.text[:len(p.text)+len(prefix)+len(key)]
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// isSchemed reports whether a prefix belongs to a scheme other than Handle, or is the
// one below which prefixes have their records.
func isSchemed(prefix []byte) bool {
	if string(prefix) == "0.na" {
		return true
	}
	first := prefix
	if dot := bytes.IndexByte(prefix, '.'); dot >= 0 {
		first = prefix[:dot]
	}
	switch len(first) {
	case 3, 4, 5, 8: // of those that have other rules
		return identifier.Prefix(first).Scheme() != identifier.Handle
	}
	return false
}

// write appends the whole answer to b while that has room; nil when it has not, or when
// there is anything about the values that is not plain.
func (q *plainQuestion) write(b []byte, stored identifier.Stored, p *plain) []byte {
	e := Envelope{
		Version: q.envelope.answer(), Suggested: own(q.envelope.Version),
		Session: q.envelope.Session, Request: q.envelope.Request,
	}
	begin := len(b)
	b = e.Append(b)
	b = binary.BigEndian.AppendUint32(b, uint32(OpResolution))
	b = binary.BigEndian.AppendUint32(b, uint32(Success))
	b = binary.BigEndian.AppendUint32(b, uint32(q.flags&answerFlags))
	b = binary.BigEndian.AppendUint16(b, p.serial)
	b = append(b, q.recursion, 0)
	b = binary.BigEndian.AppendUint32(b, p.expires)
	b = append(b, 0, 0, 0, 0) // the length of the body
	if q.flags&FlagDigest != 0 {
		of := q.signed
		if p.without == ruleDigest {
			of = of[headerOctets:]
		}
		sum := sha256.Sum256(of)
		b = append(append(b, byte(DigestSHA256)), sum[:]...)
	}
	if len(b)+4+len(q.handle)+4 > cap(b)-4 {
		return nil
	}
	b = appendText(b, q.handle)
	if p.without == ruleEcho {
		for i := len(b) - len(q.handle); i < len(b); i++ {
			b[i] = lower(b[i])
		}
	}
	counted := len(b)
	b = append(b, 0, 0, 0, 0) // how many values
	n := uint32(0)
	for v := range stored.Values() {
		if v.Permissions&identifier.PublicRead == 0 && p.without != ruleHidden {
			return nil
		}
		if !q.selects(&v, p.without) {
			continue
		}
		if n++; len(b)+plainLength(&v) > cap(b)-4 {
			return nil
		}
		b = appendView(b, &v)
	}
	if n == 0 {
		return nil
	}
	binary.BigEndian.PutUint32(b[counted:], n)
	binary.BigEndian.PutUint32(b[begin+envelopeOctets+20:], uint32(len(b)-begin-envelopeOctets-headerOctets))
	b = append(b, 0, 0, 0, 0) // the length of the credential
	binary.BigEndian.PutUint32(b[begin+16:], uint32(len(b)-begin-envelopeOctets))
	return b
}

// selects is [resolver.Query.Selects] for octets.
func (q *plainQuestion) selects(v *identifier.ValueView, without plainRule) bool {
	if len(q.indexes) == 0 && len(q.types) == 0 {
		return true
	}
	for b := q.indexes; len(b) > 0; b = b[4:] {
		if binary.BigEndian.Uint32(b) == v.Index {
			return true
		}
	}
	for b := q.types; len(b) > 0; {
		var asked []byte
		asked, b, _ = cutText(b)
		if string(asked) == string(v.Type) {
			return true
		}
		// "X." stands for X and every type that begins with "X.".
		n := len(asked) - 1
		if n > 0 && asked[n] == '.' && without != ruleSubtypes && (string(asked[:n]) == string(v.Type) || bytes.HasPrefix(v.Type, asked)) {
			return true
		}
	}
	return false
}

// plainLength returns how many octets appendView appends.
func plainLength(v *identifier.ValueView) int {
	n := minValue + len(v.Type) + len(v.Data)
	for handle := range v.References() {
		n += minReference + len(handle)
	}
	return n
}

// appendView is [AppendValue] for a value as it is stored.
func appendView(b []byte, v *identifier.ValueView) []byte {
	b = binary.BigEndian.AppendUint32(b, v.Index)
	b = binary.BigEndian.AppendUint32(b, uint32(v.Timestamp))
	absolute := byte(0)
	if v.TTL.Absolute {
		absolute = 1
	}
	b = append(b, absolute)
	b = binary.BigEndian.AppendUint32(b, v.TTL.Seconds)
	b = append(b, byte(v.Permissions))
	b = appendText(appendText(b, v.Type), v.Data)
	counted, n := len(b), uint32(0)
	b = append(b, 0, 0, 0, 0)
	for handle, index := range v.References() {
		b = binary.BigEndian.AppendUint32(appendText(b, handle), index)
		n++
	}
	binary.BigEndian.PutUint32(b[counted:], n)
	return b
}
