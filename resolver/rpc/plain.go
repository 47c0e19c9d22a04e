package rpc

import (
	"strings"
	"unicode/utf8"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
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

// isPlain reports whether questions may be plain: about all values, where records are lent.
func (s *Server) isPlain(selection *resolver.Query) bool {
	return s.options.Records != nil && len(selection.Types) == 0 && len(selection.Indexes) == 0 && selection.Relation == ""
}

// pieceSize is how many identifiers make a piece.
func (s *Server) pieceSize(selection *resolver.Query) int {
	if s.isPlain(selection) {
		return lentSize
	}
	return pieceSize
}

// answerPlain answers the plain questions among those about identifiers: in canonical
// text, or what is nearly that, with a suffix, found, all of whose values all may read,
// for a time that no clock tells. It writes the octets that [room.add] would write, or
// none: everything else, whatever it is, is left to that. First all texts are read, then
// all records are lent, then all answers are written: what takes time is waiting for
// memory, and so it waits for all together.
func (r *room) answerPlain(records Records, identifiers []string, form proto.Form) {
	n := 0
	r.text = r.text[:0]
	for i, text := range identifiers {
		if r.read(n, text, form) {
			r.asked[n] = i
			n++
		}
	}
	if n == 0 {
		return
	}
	defer func() {
		clear(r.loans[:n])
		clear(r.texts[:n])
	}()
	// When nothing is lent, whoever is asked next says why.
	_ = records.Lend(r.loans[:n], func() (found, _ int) {
		for k := range n {
			from := len(r.octets)
			// Large records wait to be sent in smaller pieces.
			if r.loans[k].Stored == nil || from > responseSize {
				continue
			}
			if b, ok := appendPlain(r.octets, r.texts[k], &r.loans[k]); ok {
				r.octets, r.results[r.asked[k]] = b, place{from, len(b)}
				found++
			}
		}
		return found, 0
	})
}

// read makes the nth loan of a text; false when it cannot be plain.
func (r *room) read(n int, text string, form proto.Form) (ok bool) {
	r.text, r.texts[n], ok = readPlain(r.text, &r.loans[n], text, form)
	return ok
}

// readPlain makes a loan of a text, whose octets it appends to b, and returns the text
// as it is canonically; false when it is no identifier with a suffix, or might be none:
// one whose record is stored under the key is right, for the registry holds nothing else.
func readPlain(b []byte, loan *identifier.Loan, text string, form proto.Form) (_, canonical []byte, ok bool) {
	slash := strings.IndexByte(text, '/')
	if slash < 1 || slash+1 == len(text) || len(text) > identifier.MaxID {
		return b, nil, false
	}
	for i := range slash {
		if c := text[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-') {
			return b, nil, false
		}
	}
	fold := false
	switch form {
	case proto.Form_FORM_CANONICAL:
	case proto.Form_FORM_UNSPECIFIED:
		fold = identifier.Prefix(text[:slash]).Scheme() == identifier.Handle
	default:
		return b, nil, false
	}
	at := len(b)
	b = append(b, text...)
	suffix := b[at+slash+1:]
	for i, c := range suffix {
		switch {
		case fold && c >= utf8.RuneSelf:
			return b, nil, false // might have to be composed
		case fold && 'A' <= c && c <= 'Z':
			suffix[i] = c + 'a' - 'A'
		}
	}
	end := len(b)
	canonical = b[at:end:end]
	b = identifier.AppendSuffixKey(identifier.AppendPrefixKey(b, canonical[:slash]), suffix)
	loan.Prefix, loan.Key = canonical[:slash:slash], b[end:len(b):len(b)]
	return b, canonical, true
}
