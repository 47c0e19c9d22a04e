package identifier

import "strings"

// parseElements reads a GS1 element string with its application identifiers in
// parentheses, as it is printed below a barcode: (01)09506000134352(21)42. The key
// stands first, its qualifiers follow in their order. Data attributes such as an
// expiry date say nothing about which thing it is and are passed over, as the query of
// a Digital Link is. A parenthesis that belongs to a value and would begin an
// application identifier is written \(.
func parseElements(text string) (ID, error) {
	var g gs1Values
	for at := 0; at < len(text); {
		ai, value, next, err := cutElement(text, at)
		if err != nil {
			return ID{}, err
		}
		switch key := gs1Key(ai); {
		case g.key.field == nil && key == nil:
			return ID{}, fail(text, at, "an element string begins with a key", "write the key first, such as (01) for a GTIN")
		case g.key.field == nil:
			value.field = key
			g.key = value
		case key != nil:
			return ID{}, fail(text, at, "an element string has one key", "leave out "+key.what()+", or write it alone")
		case g.key.field.qualifier(ai) < 0 && isGS1Attribute(ai):
			if bad := badCSET82(value.text); bad >= 0 {
				return ID{}, fail(text, value.offset(bad), "a value has "+cset82.describe()+" only", "leave out or replace the character")
			}
		default:
			if err := g.add(text, value, ai, at+1); err != nil {
				return ID{}, err
			}
		}
		at = next
	}
	return g.id(text)
}

// cutElement reads the element that begins at an offset: an application identifier
// in parentheses and its value, up to the next parenthesis.
func cutElement(text string, at int) (ai string, value gs1Value, next int, err error) {
	end := strings.IndexByte(text[at:], ')')
	if text[at] != '(' || end < 0 || !isAI(text[at+1:at+end]) {
		return "", value, 0, fail(text, at, "an application identifier is 2 to 4 digits in parentheses", `write it so, or \( for a parenthesis in a value`)
	}
	ai = text[at+1 : at+end]
	begin := at + end + 1
	next = begin
	escaped := false
	for ; next < len(text) && text[next] != '('; next++ {
		if text[next] != '\\' {
			continue
		}
		if next+1 == len(text) || text[next+1] != '(' {
			return "", value, 0, fail(text, next, `a backslash stands in front of a parenthesis that opens`, "leave it out")
		}
		escaped = true
		next++
	}
	raw := text[begin:next]
	value = gs1Value{text: raw, raw: raw, at: begin}
	if escaped {
		value.text, value.escape = strings.ReplaceAll(raw, `\(`, "("), '\\'
	}
	return ai, value, next, nil
}

// badCSET82 returns where a text has a character that is not in character set 82;
// -1 when it has none.
func badCSET82(text string) int {
	for i := 0; i < len(text); i++ {
		if cset82Value(text[i]) < 0 {
			return i
		}
	}
	return -1
}
