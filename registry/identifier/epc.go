package identifier

import "strings"

// epcForm is how an EPC pure identity URI writes a GS1 key (EPC Tag Data Standard
// 2.0, section 6): the company prefix, which has 6 to 12 digits, and the rest of the key
// with a dot between them and without check digit; then what the form adds.
type epcForm struct {
	name, ai string
	// digits are those of company prefix and reference together; 0 when the
	// reference may have letters and any length.
	digits int
	// lead says that the first digit of the reference stands in front of the company
	// prefix: the indicator or extension digit.
	lead bool
	// parts is how many parts there are, with dots between them.
	parts int
	// qualifier is what the last part is; "" when it belongs to the key.
	qualifier string
}

var epcForms = [...]epcForm{
	{"sgtin", "01", 13, true, 3, "21"},
	{"sscc", "00", 17, true, 2, ""},
	{"sgln", "414", 12, false, 3, "254"},
	{"grai", "8003", 12, false, 3, ""},
	{"giai", "8004", 0, false, 2, ""},
	{"gsrn", "8018", 17, false, 2, ""},
	{"gsrnp", "8017", 17, false, 2, ""},
	{"gdti", "253", 12, false, 3, ""},
	{"cpi", "8010", 0, false, 3, "8011"},
	{"sgcn", "255", 12, false, 3, ""},
	{"ginc", "401", 0, false, 2, ""},
	{"gsin", "402", 16, false, 2, ""},
	{"itip", "8006", 13, true, 5, "21"},
	{"upui", "01", 13, true, 3, "235"},
	{"pgln", "417", 12, false, 2, ""},
}

// epcClass is the one class-level form: a GTIN and a lot.
var epcClass = epcForm{"lgtin", "01", 13, true, 3, "10"}

// parseEPC reads what stands behind urn:epc:. Pure identities (id:) and the class
// lgtin name a key with its serial or lot; a pattern (idpat:) with * for the
// serial names the key alone, as it does in EPCIS events. Tag and raw URIs
// say what is written on a chip, and are refused.
func parseEPC(text string) (ID, error) {
	kind, rest, _ := strings.Cut(text, ":")
	name, body, ok := strings.Cut(rest, ":")
	kind, name = asciiLower(kind), asciiLower(name)
	var form *epcForm
	switch kind {
	case "id", "idpat":
		for i := range epcForms {
			if epcForms[i].name == name {
				form = &epcForms[i]
			}
		}
	case "class":
		if name == epcClass.name {
			form = &epcClass
		}
	default:
		return ID{}, fail(text, 0, "the EPC URNs that name a GS1 key begin with urn:epc:id:, urn:epc:class: or urn:epc:idpat:", "translate it to a pure identity URI")
	}
	if form == nil || !ok {
		return ID{}, fail(text, min(len(kind)+1, len(text)), "this EPC scheme is not the form of a GS1 key", "use sgtin, sscc, sgln, grai, giai, gsrn, gsrnp, gdti, cpi, sgcn, ginc, gsin, itip, upui or pgln with id, or lgtin with class")
	}
	at := len(kind) + 1 + len(name) + 1
	id, err := form.parse(body, kind == "idpat")
	return id, rebase(err, text, at)
}

// parse reads the parts of a URI of the form.
func (f *epcForm) parse(body string, pattern bool) (ID, error) {
	var parts [5]string
	var at [5]int
	rest, more := body, true
	for i := 0; i < f.parts; i++ {
		if !more {
			return ID{}, fail(body, len(body), f.name+" has more parts, with dots between them", "write company prefix, reference and what follows")
		}
		at[i] = len(body) - len(rest)
		if i == f.parts-1 {
			parts[i] = rest // dots may be part of it
			break
		}
		parts[i], rest, more = strings.Cut(rest, ".")
	}
	company, reference := parts[0], parts[1]
	if !isDigits(company) || len(company) < 6 || len(company) > 12 {
		return ID{}, fail(body, 0, "the company prefix in an EPC URN has 6 to 12 digits", "write it with its leading zeros")
	}
	last := f.parts - 1
	if pattern {
		if f.parts == 2 || parts[last] != "*" || strings.IndexByte(body, '*') != len(body)-1 {
			return ID{}, fail(body, 0, "of the EPC patterns only those with * for the serial, and there alone, name a GS1 key", "write the number of everything else")
		}
		parts[last] = ""
	}
	if f.digits > 0 {
		if !isDigits(company+reference) || len(company)+len(reference) != f.digits || f.lead && reference == "" {
			return ID{}, fail(body, at[1], "company prefix and reference of "+f.name+" do not have the right number of digits together", "write both with their leading zeros and without check digit")
		}
	}
	return f.id(body, company, parts[1:f.parts], at[1:f.parts], pattern)
}

// id makes the identifier of checked parts.
func (f *epcForm) id(body, company string, parts []string, at []int, pattern bool) (ID, error) {
	key := gs1Key(f.ai)
	value := company + parts[0]
	if f.lead {
		value = parts[0][:1] + company + parts[0][1:]
	}
	if f.digits > 0 {
		value += string(checkDigit(value))
	}
	if key.filler {
		value = "0" + value
	}
	if f.digits == 0 { // the reference may have escapes
		text, bad := unescape(parts[0])
		if bad >= 0 {
			return ID{}, fail(body, at[0]+bad, ruleEscape, mendEscape)
		}
		value = company + text
	}
	last := len(parts) - 1
	if last > 1 { // an ITIP
		piece, total := parts[1], parts[2]
		if len(piece) != 2 || len(total) != 2 {
			return ID{}, fail(body, at[1], "piece and total of itip have two digits each", "write them with leading zeros")
		}
		value += piece + total
	}
	serial, bad := unescape(parts[last])
	if bad >= 0 {
		return ID{}, fail(body, at[last]+bad, ruleEscape, mendEscape)
	}
	if last > 0 && !pattern && serial == "" {
		return ID{}, fail(body, at[last], "the last part of "+f.name+" is not empty", "write the serial, or use a pattern with * for it")
	}
	g := gs1Values{key: gs1Value{field: key, text: value, at: at[last]}}
	switch {
	case last == 0 || pattern:
	case f.qualifier == "":
		g.key.text += serial
	case f.name == "sgln" && serial == "0": // a place without extension
	default:
		v := gs1Value{text: serial, raw: parts[last], escape: '%', at: at[last]}
		if err := g.add(body, v, f.qualifier, at[last]); err != nil {
			return ID{}, err
		}
	}
	return g.id(body)
}
