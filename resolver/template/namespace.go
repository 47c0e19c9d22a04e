package template

import "strings"

// Namespace is what an HS_NAMESPACE value says, as far as it is about templates and
// locations. It does not change and may be used concurrently.
type Namespace struct {
	delimiter string
	delimited bool       // without a delimiter it is only there to be referred to
	templates []*element // in the order of the value
	foldCase  bool
	locations string
}

// Templates reports whether there is a template that is for whole prefixes.
func (n *Namespace) Templates() bool { return n.delimited && len(n.templates) > 0 }

// Locations returns the handle of a service whose 10320/loc values say of everything below
// the prefix where else it is; "" for none.
func (n *Namespace) Locations() string { return n.locations }

// Delimiter returns what cuts a suffix into base and extension.
func (n *Namespace) Delimiter() string { return n.delimiter }

// Split cuts a suffix into base and extension; false when no template is for it.
func (n *Namespace) Split(suffix string) (base, extension string, ok bool) {
	switch {
	case !n.Templates() || suffix == "":
		return "", "", false
	case n.delimiter == "":
		return "", suffix, true
	}
	at := strings.Index(suffix, n.delimiter)
	if n.foldCase {
		at = strings.Index(lower(suffix), lower(n.delimiter))
	}
	if at <= 0 || at+len(n.delimiter) == len(suffix) {
		return "", "", false
	}
	return suffix[:at], suffix[at+len(n.delimiter):], true
}

// lower folds the ASCII letters, octet by octet.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
