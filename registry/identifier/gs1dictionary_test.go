package identifier_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// dictionaryEntry is an application identifier as the GS1 Barcode Syntax
// Dictionary has it.
type dictionaryEntry struct {
	ai         string
	components []string // such as N14,csum,gcppos2 or [X..17]
	attribute  bool     // flag ?
	key        bool     // dlpkey
	qualifiers [][]string
	required   string // req=, of keys
}

var aiRange = regexp.MustCompile(`^(\d{2,4})(?:-(\d{2,4}))?$`)

// readDictionary reads testdata/gs1-syntax-dictionary.txt, ranges taken apart.
func readDictionary(t testing.TB) map[string]dictionaryEntry {
	t.Helper()
	text, err := os.ReadFile("../../testdata/gs1-syntax-dictionary.txt")
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]dictionaryEntry{}
	for line := range strings.Lines(string(text)) {
		// A title begins with " # "; a bare # may occur in no other place.
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		bounds := aiRange.FindStringSubmatch(words[0])
		if bounds == nil {
			t.Fatalf("not an entry: %q", line)
		}
		var e dictionaryEntry
		words = words[1:]
		if strings.Trim(words[0], "*?") == "" {
			e.attribute = strings.Contains(words[0], "?")
			words = words[1:]
		}
		for _, word := range words {
			name, value, _ := strings.Cut(word, "=")
			switch {
			case name == "dlpkey":
				e.key = true
				for alternative := range strings.SplitSeq(value, "|") {
					if alternative != "" {
						e.qualifiers = append(e.qualifiers, strings.Split(alternative, ","))
					}
				}
			case name == "req":
				e.required = value
			case name == "ex":
			default:
				e.components = append(e.components, word)
			}
		}
		first, last := bounds[1], bounds[2]
		if last == "" {
			last = first
		}
		low, _ := strconv.Atoi(first)
		high, _ := strconv.Atoi(last)
		for n := low; n <= high; n++ {
			e.ai = fmt.Sprintf("%0*d", len(first), n)
			entries[e.ai] = e
		}
	}
	return entries
}

// The table in the code says what the dictionary says.
func TestGS1TableIsTheDictionary(t *testing.T) {
	dictionary := readDictionary(t)
	want := map[string]string{}
	for ai, e := range dictionary {
		if !e.key {
			continue
		}
		key := "dlpkey"
		var alternatives []string
		for _, q := range e.qualifiers {
			alternatives = append(alternatives, strings.Join(q, ","))
			for _, ai := range q {
				want[ai] = strings.Join(dictionary[ai].components, " ")
			}
		}
		if len(alternatives) > 0 {
			key += "=" + strings.Join(alternatives, "|")
		}
		spec := strings.Join(e.components, " ")
		if e.required != "" {
			spec += " req=" + e.required
		}
		want[ai] = spec + " " + key
	}
	got := identifier.GS1Table()
	if len(got) != len(want) || len(want) < 25 {
		t.Errorf("%d keys and qualifiers, want %d", len(got), len(want))
	}
	for ai, spec := range want {
		if got[ai] != spec {
			t.Errorf("(%s) is %q, want %q", ai, got[ai], spec)
		}
	}
}

// What is passed over in an element string is what the dictionary permits as a
// data attribute.
func TestGS1AttributesAreTheDictionarys(t *testing.T) {
	dictionary := readDictionary(t)
	for digits := 2; digits <= 4; digits++ {
		for n := range []int{2: 100, 3: 1000, 4: 10000}[digits] {
			ai := fmt.Sprintf("%0*d", digits, n)
			e := dictionary[ai]
			if got, want := identifier.IsGS1Attribute(ai), e.attribute && !e.key; got != want {
				t.Errorf("attribute %s: %v, want %v", ai, got, want)
			}
		}
	}
}

// No application identifier of a key begins with another's, on which the way back from
// a suffix rests.
func TestGS1KeysArePrefixFree(t *testing.T) {
	var keys []string
	for ai, e := range readDictionary(t) {
		if e.key {
			keys = append(keys, ai)
		}
	}
	slices.Sort(keys)
	for i := 1; i < len(keys); i++ {
		if strings.HasPrefix(keys[i], keys[i-1]) {
			t.Errorf("%s begins with %s", keys[i], keys[i-1])
		}
	}
}
