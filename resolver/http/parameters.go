package http

import (
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// Names of the parameters of /resolve.
const (
	paramType          = "type"
	paramIndex         = "index"
	paramRelation      = "relation"
	paramRecursive     = "recursive"
	paramAuthoritative = "authoritative"
	paramMirror        = "mirror"
	paramForm          = "form"
	paramHash          = "hash"
	paramAs            = "as"
)

// asPage is the value of as that wants a page for people; json is the other.
const asPage = "page"

// maxSelected is how many types, and how many indexes, one question may name.
const maxSelected = 256

// writeQuery writes the path and the parameters of a question.
func writeQuery(q *resolver.Query) string {
	var b strings.Builder
	b.WriteString(resolvePath(q.ID))
	add := func(name, value string) {
		b.WriteString("&" + name + "=" + url.QueryEscape(value))
	}
	for _, t := range q.Types {
		add(paramType, t)
	}
	for _, i := range q.Indexes {
		add(paramIndex, strconv.FormatUint(uint64(i), 10))
	}
	if q.Relation != "" {
		add(paramRelation, q.Relation)
	}
	add(paramRecursive, strconv.FormatBool(q.Recursive))
	if q.Authoritative {
		add(paramAuthoritative, "true")
	}
	if q.Mirror {
		add(paramMirror, "true")
	}
	if q.SuffixHash != nil {
		add(paramHash, hex.EncodeToString(q.SuffixHash[:]))
	}
	return b.String()
}

// readQuery reads the text and the parameters of a question. The error says what
// is wrong with them.
func readQuery(text, rawQuery string) (resolver.Query, error) {
	q := resolver.Query{Recursive: true}
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return q, fmt.Errorf("the parameters cannot be read: join them with &, and escape what is not a letter or digit; a ? of the identifier is written %%3F")
	}
	canonical := false
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := readParameter(&q, &canonical, name, values[name]); err != nil {
			return q, err
		}
	}
	switch {
	case q.SuffixHash != nil || canonical && text == "":
		// A hash stands below a prefix, and the root is one.
		if text != "" {
			q.ID.Prefix, err = identifier.ParsePrefix(text)
		}
	case canonical:
		q.ID, err = identifier.ParseCanonical(text)
	default:
		q.ID, err = identifier.Parse(text)
	}
	return q, err
}

func readParameter(q *resolver.Query, canonical *bool, name string, values []string) error {
	if name != paramType && name != paramIndex && len(values) != 1 {
		return fmt.Errorf("the parameter %.40q stands there once: leave out the others", name)
	}
	if len(values) > maxSelected {
		return fmt.Errorf("the parameter %s stands there at most %d times: ask twice", name, maxSelected)
	}
	var err error
	switch first := values[0]; name {
	case paramType:
		for _, t := range values {
			if t == "" || len(t) > identifier.MaxTypeName+1 {
				return fmt.Errorf("a type has 1 to %d octets: name one, such as URL", identifier.MaxTypeName)
			}
		}
		q.Types = values
	case paramIndex:
		for _, text := range values {
			i, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				return fmt.Errorf("index %.40q is not a number up to 4294967295: leave it out or mend it", text)
			}
			q.Indexes = append(q.Indexes, uint32(i))
		}
	case paramRelation:
		if len(first) > identifier.MaxLinkText {
			return fmt.Errorf("a relation has at most %d octets: shorten it", identifier.MaxLinkText)
		}
		q.Relation = first
	case paramRecursive:
		q.Recursive, err = readBool(name, first)
	case paramAuthoritative:
		q.Authoritative, err = readBool(name, first)
	case paramMirror:
		q.Mirror, err = readBool(name, first)
	case paramForm:
		if *canonical = first == "canonical"; !*canonical && first != "any" {
			return fmt.Errorf("form is any or canonical, not %.40q: leave it out to have any spelling read", first)
		}
	case paramAs:
		if first != asPage && first != "json" {
			return fmt.Errorf("as is json or page, not %.40q: leave it out to have JSON", first)
		}
	case paramHash:
		hash, err := hex.DecodeString(first)
		if err != nil || len(hash) != len(identifier.Hash{}) {
			return fmt.Errorf("hash is 64 hexadecimal digits: write the SHA-256 of the suffix so")
		}
		q.SuffixHash = (*identifier.Hash)(hash)
	default:
		return fmt.Errorf("there is no parameter %.40q: there are type, index, relation, recursive, authoritative, mirror, form, hash and as; a ? of the identifier is written %%3F", name)
	}
	return err
}

func readBool(name, text string) (bool, error) {
	switch text {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, fmt.Errorf("%s is true or false, not %.40q: write one of them", name, text)
}

// rawParameter returns the first value of a parameter in a query string whose
// parameters are joined with & or ; (ISO/IEC 18975 allows both).
func rawParameter(rawQuery, name string) (string, error) {
	for part := range strings.FieldsFuncSeq(rawQuery, func(r rune) bool { return r == '&' || r == ';' }) {
		key, value, _ := strings.Cut(part, "=")
		if key != name {
			continue
		}
		text, err := url.QueryUnescape(value)
		if err != nil {
			return "", fmt.Errorf("the parameter %s has a percent sign that is not in front of two hexadecimal digits: write %%25 for the percent sign itself", name)
		}
		return text, nil
	}
	return "", nil
}
