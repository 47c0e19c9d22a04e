package identifier

import "strings"

// GS1 keys (GS1 General Specifications; GS1 Barcode Syntax Dictionary; GS1 Digital
// Link: URI Syntax). What is stored is made of the value of a key in four steps:
//
//	GTIN 09506000134352, serial 42     SSCC 106141411234567897     GIAI 95011015-X/1
//	1. drop the check digit and the filler zero of 8003; a GMN keeps its pair
//	   0950600013435                   10614141123456789           95011015-X/1
//	2. take the head: the indicator or extension digit of 00, 01 and 8006
//	   0, 950600013435                 1, 0614141123456789         95011015-X/1
//	3. the next digits, at most 12 and at least 4, are the segments of the prefix
//	   gs1.9.5.0.6.0.0.0.1.3.4.3.5     gs1.0.6.1.4.1.4.1.1.2.3.4.5 gs1.9.5.0.1.1.0.1.5
//	4. application identifier, head and what remains are the suffix; then come the
//	   qualifiers. / and % in values become %2F and %25
//	   010/21/42                       0016789                     8004-X%2F1
//
// Whoever holds a company prefix of any length can so be delegated it. The way
// back is unambiguous: no key's application identifier begins with another's;
// keys with a check digit always have 12 digits in the prefix and a fixed number
// in the suffix, so that an optional serial (253, 255, 8003) begins at a fixed
// place; the other keys (401, 8004, 8010, 8013) have less than 12 digits in the
// prefix only where no digit follows; and the escapes leave no slash in a value.

const (
	gs1Root = "gs1"
	// gs1PrefixDigits is how many digits of a key the prefix takes at most.
	gs1PrefixDigits = 12
	// maxGS1Text is more than any canonical text of a GS1 key takes.
	maxGS1Text = 512
)

// gs1Value is the value of one application identifier in an input.
type gs1Value struct {
	field *gs1Field
	// text is the value itself, without escapes.
	text string
	// raw is how the input writes it, with escapes that begin with the octet escape (0
	// for none); at is where.
	raw    string
	escape byte
	at     int
	// padded counts the zeros in front of text that raw does not have.
	padded int
}

// offset returns where in the input an octet of the value stands.
func (v *gs1Value) offset(octet int) int {
	i := 0
	for n := v.padded; n < octet && i < len(v.raw); n++ {
		switch {
		case v.escape == '%' && isEscape(v.raw[i:]):
			i += 3
		case v.escape == '\\' && v.raw[i] == '\\':
			i += 2
		default:
			i++
		}
	}
	return v.at + min(i, len(v.raw))
}

// gs1Values are a key and its qualifiers as an input has them.
type gs1Values struct {
	key        gs1Value
	qualifiers [maxGS1Qualified]gs1Value
	n          int // qualifiers in use
}

// add appends a qualifier after the key; it checks that the key allows it there.
func (g *gs1Values) add(input string, v gs1Value, ai string, at int) error {
	key := g.key.field
	i := key.qualifier(ai)
	if i < 0 {
		return fail(input, at, ai+" is no qualifier of "+key.what(), key.mendQualifiers())
	}
	if g.n > 0 {
		last := key.qualifier(g.qualifiers[g.n-1].field.ai)
		q, r := &key.qualifiers[last], &key.qualifiers[i]
		switch {
		case last == i:
			return fail(input, at, r.what()+" stands once", "leave out one of the two")
		case q.alternative != r.alternative:
			return fail(input, at, r.what()+" does not stand together with "+q.what(), "leave out one of the two")
		case last > i:
			return fail(input, at, r.what()+" comes before "+q.what(), "change their order")
		}
	}
	v.field = key.qualifiers[i].gs1Field
	g.qualifiers[g.n] = v
	g.n++
	return nil
}

// mendQualifiers says which qualifiers a key allows.
func (f *gs1Field) mendQualifiers() string {
	if len(f.qualifiers) == 0 {
		return "leave it out: this key has none"
	}
	var b strings.Builder
	b.WriteString("leave it out: this key has ")
	for i, q := range f.qualifiers {
		switch {
		case i == 0:
		case q.alternative != f.qualifiers[i-1].alternative:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(q.ai)
	}
	return b.String()
}

// check checks every value and that a required qualifier is there.
func (g *gs1Values) check(input string) error {
	if at, rule, mend := g.key.field.check(g.key.text); rule != "" {
		return fail(input, g.key.offset(at), rule, mend)
	}
	for i := range g.qualifiers[:g.n] {
		v := &g.qualifiers[i]
		if at, rule, mend := v.field.check(v.text); rule != "" {
			return fail(input, v.offset(at), rule, mend)
		}
	}
	if key := g.key.field; key.required && g.n == 0 {
		return fail(input, g.key.at+len(g.key.raw), key.what()+" needs "+key.qualifiers[0].what(), "write it behind the key")
	}
	return nil
}

// id checks everything and makes the identifier.
func (g *gs1Values) id(input string) (ID, error) {
	if err := g.check(input); err != nil {
		return ID{}, err
	}
	var buf [maxGS1Text]byte
	b := append(buf[:0], gs1Root...)
	key, value := g.key.field, g.key.text
	if key.filler {
		value = value[1:]
	}
	head := value[:key.head]
	value = value[key.head:]
	n := gs1PrefixDigits
	if key.digits == 0 {
		n = leadingDigits(value, gs1PrefixDigits)
	}
	for i := 0; i < n; i++ {
		b = append(b, '.', value[i])
	}
	end := len(b)
	b = append(b, '/')
	b = append(b, key.ai...)
	b = append(b, head...)
	if key.digits > 0 {
		check := key.digits - key.head - 1
		b = append(b, value[n:check]...)
		n = check + 1
	}
	b = appendGS1Escaped(b, value[n:])
	for i := range g.qualifiers[:g.n] {
		q := &g.qualifiers[i]
		b = append(b, '/')
		b = append(b, q.field.ai...)
		b = append(b, '/')
		b = appendGS1Escaped(b, q.text)
	}
	text := string(b) // one string for both parts
	return ID{Prefix(text[:end]), text[end+1:]}, nil
}

// appendGS1Escaped appends a value as a suffix holds it.
func appendGS1Escaped(dst []byte, value string) []byte {
	for i := 0; i < len(value); i++ {
		switch c := value[i]; c {
		case '/':
			dst = append(dst, "%2F"...)
		case '%':
			dst = append(dst, "%25"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// parseGS1 reads what stands behind gs1: an element string, a Digital Link URI or
// path, an EPC URN, the digits of a GTIN, or a canonical text.
func parseGS1(text string) (ID, error) {
	switch {
	case text == "":
	case text[0] == '(':
		return parseElements(text)
	case isDigits(text):
		return parseGTIN(text)
	case len(text) > 4 && strings.EqualFold(text[:4], "gs1."):
		return parseHandle(text)
	case len(text) > 8 && strings.EqualFold(text[:8], "urn:epc:"):
		id, err := parseEPC(text[8:])
		return id, rebase(err, text, 8)
	default:
		path, at := text, 0
		if scheme, authority, rest := splitURL(text); scheme != "" {
			path, at = urlPath(rest), len(scheme)+len(authority)
		}
		if id, ok, err := ParseDigitalLink(path); ok {
			if err != nil {
				return ID{}, rebase(err, text, at)
			}
			return id, nil
		}
	}
	return ID{}, fail(text, 0, "a GS1 identifier is an element string, a Digital Link whose path ends in a key, an EPC URN or a GTIN", "write one of them, such as (01)09506000134352(21)42")
}

// parseGTIN reads the digits of a GTIN-8, -12, -13 or -14.
func parseGTIN(text string) (ID, error) {
	if !isGTINLength(len(text)) {
		return ID{}, fail(text, len(text), "a GTIN has 8, 12, 13 or 14 digits", "write them all, with leading zeros and the check digit")
	}
	g := gs1Values{key: gs1Value{field: gs1Key("01"), text: text, raw: text}}
	g.key.pad()
	return g.id(text)
}

func isGTINLength(n int) bool { return n == 8 || n == 12 || n == 13 || n == 14 }

// pad brings a shorter GTIN to 14 digits.
func (v *gs1Value) pad() {
	v.padded = 14 - len(v.text)
	v.text = "000000"[:v.padded] + v.text
}

// checkGS1Prefix checks a prefix whose first segment is gs1.
func checkGS1Prefix(text string) error {
	digits := 0
	for i := len(gs1Root); i < len(text); i += 2 {
		if i+2 < len(text) && text[i+2] != '.' || !isDigit(text[i+1]) {
			return fail(text, i+1, "every segment below gs1 is one digit", "write a dot between the digits")
		}
		if digits++; digits > gs1PrefixDigits {
			return fail(text, i, "a prefix below gs1 has at most 12 digits", "write the digits that follow in the suffix")
		}
	}
	return nil
}

// GS1Warning returns what is doubtful about a GS1 identifier that is well formed:
// a GTIN from a range that GS1 leaves to shops and companies for their own use
// is not unique in the world. It returns "" for everything else.
//
// The ranges are GTIN-8 that begin with 0 or 2, and GTIN-12 and GTIN-13 with the GS1
// prefixes 02, 04 and 20 to 29 (GS1 General Specifications, section 1.4).
func GS1Warning(id ID) string {
	if !strings.HasPrefix(id.Suffix, "01") && !strings.HasPrefix(id.Suffix, "8006") || id.Scheme() != GS1 {
		return ""
	}
	g, err := splitGS1(id.Prefix, id.Suffix)
	if err != nil {
		return ""
	}
	switch gtin := g.key.text[:14]; {
	case gtin[1:6] == "00000":
		if gtin[6] == '0' || gtin[6] == '2' {
			return "GTIN-8 " + gtin[6:] + " begins with " + gtin[6:7] + ": this range is for use inside a company and not unique in the world"
		}
	case gtin[1] == '2', gtin[1:3] == "02", gtin[1:3] == "04":
		return "GTIN " + gtin + " has the GS1 prefix " + gtin[1:4] + ": this range is for restricted circulation and not unique in the world"
	}
	return ""
}
