package dns

import "github.com/nameplate-id/nameplate/registry/identifier"

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

// readName reads [<link type>.]<suffix or hash>.<marker>.<segments>.<zone> at the beginning of
// b into the next loan and returns where it ends; -1 when it is any other name, or might
// be: one whose record is stored under the key is right, for the registry holds nothing
// else.
func (p *plain) readName(q *plainQuestion, b []byte) int {
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
	// What is in the key of a prefix takes as many octets as its labels, the suffix less
	// than its own; the prefix as text has one less, and a link type less than its label.
	at := len(p.text)
	prefix, key := p.text[at:at:at+zoneAt], p.text[at+zoneAt:at+zoneAt]
	mark := l.n - 1
	for ; mark > 0; mark-- {
		segment := name[l.starts[mark]+1 : l.starts[mark+1]]
		if segment[0] == '_' {
			break
		}
		if !isHostLabel(segment) {
			return -1
		}
		if len(prefix) > 0 {
			prefix = append(prefix, '.')
		}
		prefix, key = append(prefix, segment...), append(append(key, segment...), 0)
	}
	if len(prefix) == 0 || mark == 0 {
		return -1
	}
	link := readLink(name, mark)
	first := 0
	if link != nil {
		first = 1
	}
	q.link, q.encoded = nil, false
	// What does not fit has a hash for a name.
	if int(l.starts[mark])-int(l.starts[first])+len("_")+len(markPlain)+len(prefix)+1 > maxBelow {
		return -1
	}
	key, hash := q.readSuffix(key, name, &l, first, mark)
	if key == nil {
		return -1
	}
	loan := &p.loans[p.n]
	loan.Prefix, loan.Key, loan.Hash = prefix, key, hash
	p.text = p.text[:at+zoneAt+len(key)+len(hash)]
	if link != nil {
		start := len(p.text)
		p.text = append(p.text, link...)
		q.link = p.text[start:]
	}
	return end
}

// readSuffix adds the suffix that the labels from first up to the marker spell to the key of
// a prefix, or returns the hash of it, which is written behind the key; nil when they may
// spell anything else.
func (q *plainQuestion) readSuffix(prefix, name []byte, l *labels, first, mark int) (key, hash []byte) {
	switch string(name[l.starts[mark]:l.starts[mark+1]]) {
	case "\x02" + markPlain:
		suffix := name[l.starts[first]+1 : l.starts[mark]]
		if mark-first != 1 || !isPlainLabel(suffix) {
			return nil, nil
		}
		return identifier.AppendSuffixKey(prefix, suffix), nil
	case "\x02" + markHashed:
		end := len(prefix)
		if key = decodeHash(prefix, name[l.starts[first]+1:l.starts[mark]]); key == nil || mark-first != 1 {
			return nil, nil
		}
		return key[:end:end], key[end:]
	case "\x02" + markEncoded:
		q.encoded = true
		return decodeSuffix(prefix, name, l.starts[first:mark+1]), nil
	}
	return nil, nil
}

// readLink returns the name of the link type that may stand in front of everything
// where the marker is a label further behind.
func readLink(name []byte, mark int) []byte {
	label := name[1 : 1+name[0]]
	if mark < 2 || label[0] != '_' || len(label) > maxLinkLabel || !isHostLabel(label[1:]) {
		return nil
	}
	switch string(label) {
	case markPlain, markEncoded, markHashed, markServers:
		return nil
	}
	return label[1:]
}

// decodeSuffix appends to the key of a prefix what makes it that of a suffix which stands in
// labels in base32hex; nil when they are not its name. starts are where they begin, and
// where the last ends.
func decodeSuffix(key, name []byte, starts []uint8) []byte {
	var text [maxName]byte
	n := 0
	for i := range len(starts) - 1 {
		label := name[starts[i]+1 : starts[i+1]]
		if i > 0 && len(label) != maxLabel {
			return nil // only the first is not full
		}
		n += copy(text[n:], label)
	}
	key = identifier.AppendSuffixKey(key, nil)
	at := len(key)
	key, ok := appendDecoded(key, text[:n])
	if !ok || isPlainLabel(key[at:]) {
		return nil
	}
	return key
}

// decodeHash appends the hash that a label is in base32hex; nil when it is none.
func decodeHash(b, label []byte) []byte {
	if len(label) != encoding.EncodedLen(len(identifier.Hash{})) {
		return nil
	}
	if b, ok := appendDecoded(b, label); ok {
		return b
	}
	return nil
}

// appendDecoded appends what a text is in [encoding], which would allocate; false when
// it is not what that makes of any octets.
func appendDecoded(b, text []byte) (_ []byte, ok bool) {
	bits, n := uint(0), 0
	for _, c := range text {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'v':
			c -= 'a' - 10
		default:
			return b, false
		}
		bits = bits<<5 | uint(c)
		if n += 5; n >= 8 {
			n -= 8
			b = append(b, byte(bits>>n))
			bits &= 1<<n - 1
		}
	}
	// What is left over is less than a character, and nothing.
	return b, n < 5 && bits == 0
}

// isHashNamed is [identifier.HashNamed] for octets.
func isHashNamed(prefix, suffix []byte) bool {
	n := len(suffix) + 1
	if !isPlainLabel(suffix) {
		n = encoding.EncodedLen(len(suffix))
		n += (n + maxLabel - 1) / maxLabel
	}
	return n+len("_")+len(markPlain)+len(prefix)+1 > maxBelow
}

// isPlainLabel is [identifier.PlainNamed] for octets.
func isPlainLabel(b []byte) bool {
	return isHostLabel(b) && !(len(b) >= 4 && b[2] == '-' && b[3] == '-')
}
