package dns

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"

	"github.com/miekg/dns"
)

// textWriter writes the character-strings of a TXT record: each a key and a text, over
// as many strings as they take. See [line.add].
type textWriter struct {
	*answerWriter
	start int // of the string, its length octet
}

// key begins a text.
func (t *textWriter) key(key string) {
	t.start = len(t.b)
	t.u8(0)
	t.string(key)
}

// octet continues it.
func (t *textWriter) octet(c byte) {
	if len(t.b)-t.start > maxString {
		t.close()
		t.start = len(t.b)
		t.u8(0)
		t.u8('+')
	}
	t.u8(c)
}

func (t *textWriter) string(s string) {
	for i := range len(s) {
		t.octet(s[i])
	}
}

func (t *textWriter) octets(b []byte) {
	for _, c := range b {
		t.octet(c)
	}
}

// close ends a string.
func (t *textWriter) close() {
	if !t.full {
		t.b[t.start] = uint8(len(t.b) - t.start - 1)
	}
}

// put writes a key with its text.
func (t *textWriter) put(key string, text []byte) {
	t.key(key)
	t.octets(text)
	t.close()
}

func (t *textWriter) number(key string, n uint64) {
	var b [20]byte
	t.put(key, strconv.AppendUint(b[:0], n, 10))
}

// texts writes what [records.texts] gives, and returns how many there are.
func (v *plainValues) texts(w *answerWriter, loan *identifier.Loan) int {
	n := v.asked
	other := v.standard >= 0 && !v.selected[v.standard] // the default link stands beside what was asked for
	if other {
		n++
	}
	w.begin(dns.RcodeSuccess, uint16(n+1), 0)
	ttl := v.smallest(func(i int) bool { return v.selected[i] || other && i == v.standard })
	if v.asked == 0 {
		ttl = min(ttl, v.lifetime())
	}
	v.head(w, loan, ttl, n)
	for i := range v.n {
		if v.selected[i] {
			v.line(w, "value=", ttl, &v.all[i])
		}
	}
	if other {
		v.line(w, "default=", ttl, &v.all[v.standard])
	}
	return n + 1
}

// head writes the record that tells about the identifier.
func (v *plainValues) head(w *answerWriter, loan *identifier.Loan, ttl uint32, others int) {
	stored := loan.Stored
	data := w.record(dns.TypeTXT, ttl)
	t := textWriter{answerWriter: w}
	t.put("nameplate=", []byte(textForm))
	t.key("id=")
	t.octets(loan.Prefix)
	t.octet('/')
	t.octets(suffixOf(loan.Key))
	t.close()
	t.number("version=", stored.Version())
	t.number("values=", uint64(others))
	var b [64]byte
	t.put("time=", stored.Time().AppendFormat(b[:0], timeMillis))
	if row := stored.RowHash(); row != (identifier.Hash{}) {
		t.put("row=", hex.AppendEncode(b[:0], row[:]))
	}
	if spelling := stored.Spelling(); len(spelling) > 0 {
		t.put("spelling=", spelling)
	}
	w.end(data)
}

// line writes the record of a value: see [valueLine].
func (v *plainValues) line(w *answerWriter, key string, ttl uint32, of *identifier.ValueView) {
	data := w.record(dns.TypeTXT, ttl)
	t := textWriter{answerWriter: w}
	t.number(key, uint64(of.Index))
	t.put("type=", of.Type)
	t.number("ttl=", uint64(of.TTL.Seconds))
	if of.Permissions != identifier.DefaultPermissions {
		t.key("permissions=")
		for bit := 3; bit >= 0; bit-- {
			t.octet('0' + uint8(of.Permissions)>>bit&1)
		}
		t.close()
	}
	if of.Timestamp != 0 {
		var b [64]byte
		t.put("time=", time.Unix(of.Timestamp, 0).UTC().AppendFormat(b[:0], time.RFC3339))
	}
	v.link(&t, of)
	var b [20]byte
	for handle, index := range of.References() {
		t.key("ref=")
		t.octets(strconv.AppendUint(b[:0], uint64(index), 10))
		t.octet(':')
		t.octets(handle)
		t.close()
	}
	t.put("data=", of.Data)
	w.end(data)
}

// link writes what a link has beside its target: see [addLink].
func (v *plainValues) link(t *textWriter, of *identifier.ValueView) {
	if !of.Link {
		return
	}
	any := false
	put := func(key string, text []byte) {
		if len(text) > 0 {
			t.put(key, text)
			any = true
		}
	}
	put("rel=", of.Relation)
	put("title=", of.Title)
	languages := 0
	for language := range of.Languages() {
		if languages++; languages == 1 {
			t.key("lang=")
		} else {
			t.octet(',')
		}
		t.octets(language)
	}
	if languages > 0 {
		t.close()
		any = true
	}
	put("media=", of.MediaType)
	put("context=", of.Context)
	switch {
	case of.Default:
		t.put("primary", nil)
	case !any:
		t.put("link", nil)
	}
}
