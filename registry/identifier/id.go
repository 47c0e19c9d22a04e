package identifier

// ID is an identifier in its canonical form. IDs made by [New] and the Parse
// functions are valid; two are equal when == says so.
type ID struct {
	Prefix Prefix
	// Suffix is what the holder of the prefix named; empty when the identifier is
	// the prefix itself.
	Suffix string
}

// MaxID is how many octets the canonical text of an identifier may have.
const MaxID = 2048

// String returns the canonical text: prefix, slash, suffix; the prefix alone
// when the suffix is empty.
func (id ID) String() string {
	if id.Suffix == "" {
		return string(id.Prefix)
	}
	return string(id.Prefix) + "/" + id.Suffix
}

// IsPrefix reports whether the identifier is a prefix itself.
func (id ID) IsPrefix() bool { return id.Suffix == "" }
