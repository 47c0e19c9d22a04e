package identifier

// The keys and qualifiers of the GS1 Barcode Syntax Dictionary (January 2026)
// that it marks dlpkey. A test reads the dictionary and compares.

// gs1Field is the format of the value of one application identifier: a filler
// zero where there is one, then digits whose last is a check digit where there
// are some, then the rest.
type gs1Field struct {
	ai, name string
	key      bool
	// filler says that a zero without meaning stands in front (8003).
	filler bool
	// head is how many of the digits come before the company prefix: an indicator or
	// extension digit.
	head int
	// digits are mandatory; 0 for none. The last of them is the check digit.
	digits int
	// What follows the digits has min to max characters of set.
	set      gs1Set
	min, max int
	rule     gs1Rule
	// qualifiers are those that a key allows, in their order.
	qualifiers []gs1Qualifier
	// required says that the key needs one of its qualifiers.
	required bool
}

// gs1Qualifier is a qualifier of a key. Qualifiers of different alternatives do
// not stand together.
type gs1Qualifier struct {
	alternative int
	*gs1Field
}

// gs1Set is a set of characters of the GS1 General Specifications, section 7.11.
type gs1Set uint8

const (
	numeric gs1Set = iota // 0 to 9
	cset82
	cset39
)

// gs1Rule is a rule about the value beyond length and characters.
type gs1Rule uint8

const (
	noRule          gs1Rule = iota
	pieceOfTotal            // two digits for the piece, two for how many there are
	checkPair               // ends in a check character pair
	noZeroPrefix            // does not begin with zero
	uniqueImporter          // a digit, two characters, an importer index
	maxGS1Value     = 48    // octets: more than any value has
	maxGS1Qualified = 3     // qualifiers of one key
)

var (
	gs1CPV      = &gs1Field{ai: "22", name: "consumer product variant", set: cset82, min: 1, max: 20}
	gs1Lot      = &gs1Field{ai: "10", name: "batch or lot", set: cset82, min: 1, max: 20}
	gs1Serial   = &gs1Field{ai: "21", name: "serial number", set: cset82, min: 1, max: 20}
	gs1TPX      = &gs1Field{ai: "235", name: "third-party controlled serial number", set: cset82, min: 1, max: 28}
	gs1Location = &gs1Field{ai: "254", name: "GLN extension", set: cset82, min: 1, max: 20}
	gs1UIC      = &gs1Field{ai: "7040", name: "unique identification code", set: cset82, min: 4, max: 4, rule: uniqueImporter}
	gs1Part     = &gs1Field{ai: "8011", name: "CPID serial number", set: numeric, min: 1, max: 12, rule: noZeroPrefix}
	gs1Service  = &gs1Field{ai: "8019", name: "service relation instance", set: numeric, min: 1, max: 10}
	gs1Payment  = &gs1Field{ai: "8020", name: "payment slip reference", set: cset82, min: 1, max: 25}
)

// gs1Keys are in the order of the dictionary. No application identifier begins
// with another, which is what lets a suffix begin with one and go on without a
// separator.
var gs1Keys = [...]gs1Field{
	{ai: "00", name: "SSCC", key: true, head: 1, digits: 18},
	{ai: "01", name: "GTIN", key: true, head: 1, digits: 14,
		qualifiers: []gs1Qualifier{{0, gs1CPV}, {0, gs1Lot}, {0, gs1Serial}, {1, gs1TPX}}},
	{ai: "253", name: "GDTI", key: true, digits: 13, set: cset82, max: 17},
	{ai: "255", name: "GCN", key: true, digits: 13, set: numeric, max: 12},
	{ai: "401", name: "GINC", key: true, set: cset82, min: 1, max: 30},
	{ai: "402", name: "GSIN", key: true, digits: 17},
	{ai: "414", name: "GLN", key: true, digits: 13,
		qualifiers: []gs1Qualifier{{0, gs1Location}, {1, gs1UIC}}},
	{ai: "415", name: "pay-to GLN", key: true, digits: 13, required: true,
		qualifiers: []gs1Qualifier{{0, gs1Payment}}},
	{ai: "417", name: "party GLN", key: true, digits: 13,
		qualifiers: []gs1Qualifier{{0, gs1UIC}}},
	{ai: "8003", name: "GRAI", key: true, filler: true, digits: 13, set: cset82, max: 16},
	{ai: "8004", name: "GIAI", key: true, set: cset82, min: 1, max: 30,
		qualifiers: []gs1Qualifier{{0, gs1UIC}}},
	{ai: "8006", name: "ITIP", key: true, head: 1, digits: 14, set: numeric, min: 4, max: 4, rule: pieceOfTotal,
		qualifiers: []gs1Qualifier{{0, gs1CPV}, {0, gs1Lot}, {0, gs1Serial}}},
	{ai: "8010", name: "CPID", key: true, set: cset39, min: 1, max: 30,
		qualifiers: []gs1Qualifier{{0, gs1Part}}},
	{ai: "8013", name: "GMN", key: true, set: cset82, min: 1, max: 25, rule: checkPair},
	{ai: "8017", name: "GSRN of a provider", key: true, digits: 18,
		qualifiers: []gs1Qualifier{{0, gs1Service}}},
	{ai: "8018", name: "GSRN of a recipient", key: true, digits: 18,
		qualifiers: []gs1Qualifier{{0, gs1Service}}},
}

// gs1Key returns the key with an application identifier; nil when it is none.
func gs1Key(ai string) *gs1Field {
	if len(ai) < 2 || len(ai) > 4 {
		return nil
	}
	for i := range gs1Keys {
		if gs1Keys[i].ai == ai {
			return &gs1Keys[i]
		}
	}
	return nil
}

// leadingGS1Key returns the key whose application identifier a text begins with;
// nil when there is none.
func leadingGS1Key(text string) *gs1Field {
	n := 0
	if text != "" {
		n = gs1AILength(text[0])
	}
	if n == 0 || len(text) < n {
		return nil
	}
	return gs1Key(text[:n])
}

// gs1AILength returns how many digits the application identifiers of keys have
// that begin with a digit; 0 when there is none.
func gs1AILength(first byte) int {
	switch first {
	case '0':
		return 2
	case '2', '4':
		return 3
	case '8':
		return 4
	}
	return 0
}

// qualifier returns the place of a qualifier among those of a key; -1 when it is
// none of them.
func (f *gs1Field) qualifier(ai string) int {
	for i := range f.qualifiers {
		if f.qualifiers[i].ai == ai {
			return i
		}
	}
	return -1
}

// isAI reports whether s looks like an application identifier.
func isAI(s string) bool { return 2 <= len(s) && len(s) <= 4 && isDigits(s) }

// gs1Attributes are the application identifiers that the dictionary permits as
// data attributes, from and to, without those of keys. They say more about a
// thing and do not name it.
var gs1Attributes = [...][2]string{
	{"02", "02"}, {"10", "13"}, {"15", "17"}, {"20", "20"}, {"240", "243"}, {"250", "251"}, {"30", "30"},
	{"3100", "3105"}, {"3110", "3115"}, {"3120", "3125"}, {"3130", "3135"}, {"3140", "3145"}, {"3150", "3155"}, {"3160", "3165"},
	{"3200", "3205"}, {"3210", "3215"}, {"3220", "3225"}, {"3230", "3235"}, {"3240", "3245"}, {"3250", "3255"}, {"3260", "3265"},
	{"3270", "3275"}, {"3280", "3285"}, {"3290", "3295"}, {"3300", "3305"}, {"3310", "3315"}, {"3320", "3325"}, {"3330", "3335"},
	{"3340", "3345"}, {"3350", "3355"}, {"3360", "3365"}, {"3370", "3375"}, {"3400", "3405"}, {"3410", "3415"}, {"3420", "3425"},
	{"3430", "3435"}, {"3440", "3445"}, {"3450", "3455"}, {"3460", "3465"}, {"3470", "3475"}, {"3480", "3485"}, {"3490", "3495"},
	{"3500", "3505"}, {"3510", "3515"}, {"3520", "3525"}, {"3530", "3535"}, {"3540", "3545"}, {"3550", "3555"}, {"3560", "3565"},
	{"3570", "3575"}, {"3600", "3605"}, {"3610", "3615"}, {"3620", "3625"}, {"3630", "3635"}, {"3640", "3645"}, {"3650", "3655"},
	{"3660", "3665"}, {"3670", "3675"}, {"3680", "3685"}, {"3690", "3695"}, {"37", "37"}, {"3900", "3943"}, {"3950", "3955"},
	{"400", "400"}, {"403", "403"}, {"410", "413"}, {"416", "416"}, {"420", "427"}, {"4300", "4326"}, {"4330", "4333"},
	{"7001", "7011"}, {"7020", "7023"}, {"7030", "7039"}, {"710", "717"}, {"7230", "7242"}, {"7250", "7259"}, {"8001", "8002"},
	{"8005", "8005"}, {"8007", "8009"}, {"8012", "8012"}, {"8026", "8026"}, {"8030", "8030"}, {"8110", "8112"}, {"90", "99"},
}

// isGS1Attribute reports whether an application identifier is permitted as a
// data attribute.
func isGS1Attribute(ai string) bool {
	for _, r := range gs1Attributes {
		if len(ai) == len(r[0]) && r[0] <= ai && ai <= r[1] {
			return true
		}
	}
	return false
}
