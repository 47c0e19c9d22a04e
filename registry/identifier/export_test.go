package identifier

import (
	"fmt"
	"strings"
)

// GS1Table writes the table of keys and qualifiers in the notation of the GS1
// Barcode Syntax Dictionary: application identifier to specification and attributes.
func GS1Table() map[string]string {
	table := map[string]string{}
	for i := range gs1Keys {
		table[gs1Keys[i].ai] = gs1Keys[i].dictionary()
		for _, q := range gs1Keys[i].qualifiers {
			table[q.ai] = q.dictionary()
		}
	}
	return table
}

// IsGS1Attribute tells whether an application identifier is passed over in
// element strings.
func IsGS1Attribute(ai string) bool { return isGS1Attribute(ai) }

func (f *gs1Field) dictionary() string {
	var parts []string
	if f.filler {
		parts = append(parts, "N1,zero")
	}
	company := ""
	if f.key {
		company = fmt.Sprintf(",gcppos%d", f.head+1)
	}
	if f.digits > 0 {
		parts = append(parts, fmt.Sprintf("N%d,csum%s", f.digits, company))
		company = ""
	}
	if f.rule == uniqueImporter {
		parts = append(parts, "N1 X1 X1 X1,importeridx")
	} else if f.max > 0 {
		rest := string("NXY"[f.set])
		if f.min < f.max {
			rest += ".."
		}
		rest += fmt.Sprint(f.max)
		if f.min == 0 {
			rest = "[" + rest + "]"
		}
		parts = append(parts, rest+map[gs1Rule]string{pieceOfTotal: ",pieceoftotal", checkPair: ",csumalpha", noZeroPrefix: ",nozeroprefix"}[f.rule]+company)
	}
	if f.required {
		parts = append(parts, "req="+f.qualifiers[0].ai)
	}
	if f.key {
		key := "dlpkey"
		for i, q := range f.qualifiers {
			switch {
			case i == 0:
				key += "="
			case q.alternative != f.qualifiers[i-1].alternative:
				key += "|"
			default:
				key += ","
			}
			key += q.ai
		}
		parts = append(parts, key)
	}
	return strings.Join(parts, " ")
}
