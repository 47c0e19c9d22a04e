package identifier_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

var (
	gs1Keys = flag.Int("gs1keys", 20_000, "how many random GS1 keys to try")
	gs1Seed = flag.Uint64("gs1seed", 0, "seed of the random GS1 keys; 0 draws one")
)

// gs1Key is a random key as the dictionary allows it, and everything about it that
// the test knows without the code under test.
type gs1Key struct {
	pairs []gs1Pair // the key first
	// What the storage form is made of.
	head, prefix, rest string
}

type gs1Pair struct{ ai, value string }

const (
	cset82 = `!"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz`
	cset39 = `#-/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ`
	digits = `0123456789`
)

// gs1Generator draws keys of all kinds that the dictionary has.
type gs1Generator struct {
	*rand.Rand
	dictionary map[string]dictionaryEntry
	keys       []string
}

func newGS1Generator(t testing.TB, seed uint64) *gs1Generator {
	g := &gs1Generator{Rand: rand.New(rand.NewPCG(seed, 0)), dictionary: readDictionary(t)}
	for ai, e := range g.dictionary {
		if e.key {
			g.keys = append(g.keys, ai)
		}
	}
	slices.Sort(g.keys)
	return g
}

// chars draws n characters. Now and then they are all alike, or digits, so that
// edges come up.
func (g *gs1Generator) chars(set string, n int) string {
	switch g.IntN(8) {
	case 0:
		set = set[:1+g.IntN(len(set))]
		set = set[len(set)-1:]
	case 1:
		set = digits
	case 2:
		if set == cset82 {
			set = `%/2F5.()\`[:8]
		}
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = set[g.IntN(len(set))]
	}
	return string(b)
}

// length draws a length, the ends more often than the rest.
func (g *gs1Generator) length(low, high int) int {
	switch g.IntN(6) {
	case 0:
		return low
	case 1:
		return high
	}
	return low + g.IntN(high-low+1)
}

// value draws a value of the components of a dictionary entry.
func (g *gs1Generator) value(e dictionaryEntry) string {
	var value strings.Builder
	for _, component := range e.components {
		spec, optional := strings.CutPrefix(component, "[")
		if optional && g.IntN(3) == 0 {
			break
		}
		spec = strings.TrimSuffix(spec, "]")
		words := strings.Split(spec, ",")
		set := map[byte]string{'N': digits, 'X': cset82, 'Y': cset39}[spec[0]]
		low := 1
		count, variable := strings.CutPrefix(words[0][1:], "..")
		high, err := strconv.Atoi(count)
		if err != nil {
			panic("component " + component)
		}
		if !variable {
			low = high
		}
		part := g.chars(set, g.length(low, high))
		for _, linter := range words[1:] {
			part = g.mend(part, linter, high)
		}
		value.WriteString(part)
	}
	return value.String()
}

// mend changes a random part so that a linter lets it through.
func (g *gs1Generator) mend(part, linter string, high int) string {
	switch linter {
	case "zero":
		return "0"
	case "csum":
		return part[:len(part)-1] + modulo10(part[:len(part)-1])
	case "csumalpha":
		part = g.company() + part
		part = part[:min(len(part), high-2)]
		return part + modulo1021(part)
	case "gcppos1", "gcppos2":
		if strings.Trim(part[:min(len(part), 4)], digits) != "" || len(part) < 4 {
			part = g.company() + part
			part = part[:min(len(part), high)]
		}
		return part
	case "pieceoftotal":
		total := 1 + g.IntN(99)
		return fmt.Sprintf("%02d%02d", 1+g.IntN(total), total)
	case "nozeroprefix":
		if part[0] == '0' {
			return "1" + part[1:]
		}
		return part
	case "importeridx":
		return string((digits + "-_ABCXYZabcxyz")[g.IntN(22)])
	}
	panic("linter " + linter)
}

// company draws the digits of a company prefix.
func (g *gs1Generator) company() string {
	b := make([]byte, 4+g.IntN(11))
	for i := range b {
		b[i] = digits[g.IntN(10)]
	}
	return string(b)
}

// modulo10 is the check digit of GS1 keys.
func modulo10(s string) string {
	sum := 0
	for i := range len(s) {
		d := int(s[len(s)-1-i] - '0')
		if i%2 == 0 {
			d *= 3
		}
		sum += d
	}
	return strconv.Itoa((1000 - sum) % 10)
}

// modulo1021 is the check character pair of a GMN.
func modulo1021(s string) string {
	primes := []int{2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83}
	sum := 0
	for i := range len(s) {
		sum += strings.IndexByte(cset82, s[len(s)-1-i]) * primes[i]
	}
	sum %= 1021
	const set = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
	return set[sum/32:][:1] + set[sum%32:][:1]
}

// key draws a key of a kind, with qualifiers.
func (g *gs1Generator) key(ai string) gs1Key {
	e := g.dictionary[ai]
	value := g.value(e)
	k := gs1Key{pairs: []gs1Pair{{ai, value}}}
	if len(e.qualifiers) > 0 {
		for _, q := range e.qualifiers[g.IntN(len(e.qualifiers))] {
			if g.IntN(2) == 0 || e.required == q {
				k.pairs = append(k.pairs, gs1Pair{q, g.value(g.dictionary[q])})
			}
		}
	}
	// The storage form, as DESIGN words it.
	switch ai {
	case "00", "01", "8006":
		k.head, value = value[:1], value[1:]
	case "8003":
		value = value[1:]
	}
	switch ai {
	case "00", "8017", "8018":
		value = value[:len(value)-1]
	case "01":
		value = value[:12]
	case "402":
		value = value[:16]
	case "253", "255", "414", "415", "417", "8003", "8006":
		value = value[:12] + value[13:]
	}
	n := 0
	for n < 12 && n < len(value) && strings.IndexByte(digits, value[n]) >= 0 {
		n++
	}
	k.prefix, k.rest = value[:n], value[n:]
	return k
}

func (k gs1Key) canonical() string {
	escape := strings.NewReplacer("/", "%2F", "%", "%25").Replace
	text := "gs1." + strings.Join(strings.Split(k.prefix, ""), ".") + "/" + k.pairs[0].ai + k.head + escape(k.rest)
	for _, p := range k.pairs[1:] {
		text += "/" + p.ai + "/" + escape(p.value)
	}
	return text
}

func (k gs1Key) elements() string {
	text := ""
	for _, p := range k.pairs {
		text += "(" + p.ai + ")" + strings.ReplaceAll(p.value, "(", `\(`)
	}
	return text
}

// path writes the key as a Digital Link path. Escaping leaves something to chance.
func (k gs1Key) path(g *gs1Generator) string {
	text := ""
	for _, p := range k.pairs {
		text += "/" + p.ai + "/"
		for i := range len(p.value) {
			c := p.value[i]
			switch {
			case strings.IndexByte("/%#?", c) >= 0 || g.IntN(4) == 0:
				text += fmt.Sprintf([]string{"%%%02X", "%%%02x"}[g.IntN(2)], c)
			default:
				text += string(c)
			}
		}
	}
	return text
}

// decoded returns the pairs of a Digital Link path.
func decoded(t *testing.T, path string) (pairs []gs1Pair) {
	words := strings.Split(path, "/")[1:]
	for i := 0; i < len(words); i += 2 {
		value, err := url.PathUnescape(words[i+1])
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, gs1Pair{words[i], value})
	}
	return pairs
}

// Every key that the dictionary allows has one identifier, however it is written, and
// the identifier gives the key back. -gs1keys says how many are tried.
func TestRandomGS1Keys(t *testing.T) {
	seed := *gs1Seed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	g := newGS1Generator(t, seed)
	for i := range *gs1Keys {
		k := g.key(g.keys[i%len(g.keys)])
		checkGS1Key(t, g, k)
		if t.Failed() {
			t.Fatalf("after %d keys, with -gs1seed %d", i+1, seed)
		}
	}
}

func checkGS1Key(t *testing.T, g *gs1Generator, k gs1Key) {
	want := k.canonical()
	id, err := identifier.ParseCanonical(want)
	if err != nil || id.String() != want {
		t.Errorf("%s: canonical %s: %v", k.elements(), want, err)
		return
	}
	stem := []string{"", "/a", "/a/b/c", "/01/x"}[g.IntN(4)]
	path := k.path(g)
	spellings := []string{want, k.elements(), "gs1:" + path, "https://maker.example" + stem + path, "http://x:1" + path + "/?10=a#b"}
	if urn, ok := k.epc(g); ok {
		spellings = append(spellings, urn)
	}
	for _, text := range spellings {
		if got, err := identifier.Parse(text); err != nil || got != id {
			t.Errorf("%s is %s, %v; want %s", text, got, err, want)
		}
	}
	if got, ok, err := identifier.ParseDigitalLink(stem + path); !ok || err != nil || got != id {
		t.Errorf("path %s is %s, %v, %v; want %s", path, got, ok, err, want)
	}
	if got, err := identifier.ParseKey(identifier.AppendKey(nil, id)); err != nil || got != id {
		t.Errorf("key of %s is of %s, %v", want, got, err)
	}
	link, ok := id.DigitalLink()
	if pairs := decoded(t, link); !ok || !slices.Equal(pairs, k.pairs) {
		t.Errorf("%s links to %s, want %v", want, link, k.pairs)
	}
	if got, ok, err := identifier.ParseDigitalLink(link); !ok || err != nil || got != id {
		t.Errorf("link %s is %s, %v, %v; want %s", link, got, ok, err, want)
	}
	for _, text := range k.broken(g) {
		if got, err := identifier.Parse(text); err == nil {
			t.Errorf("%s is %s, want an error", text, got)
		}
	}
}

// broken writes the key with a rule broken.
func (k gs1Key) broken(g *gs1Generator) (texts []string) {
	change := func(p []gs1Pair) {
		texts = append(texts, gs1Key{pairs: p}.elements(), "https://maker.example"+gs1Key{pairs: p}.path(g))
	}
	if at, ok := map[string]int{"00": 17, "01": 13, "253": 12, "255": 12, "402": 16, "414": 12, "415": 12, "417": 12, "8003": 13, "8006": 13, "8017": 17, "8018": 17}[k.pairs[0].ai]; ok {
		p := slices.Clone(k.pairs)
		v := []byte(p[0].value)
		v[at] = '0' + (v[at]-'0'+1+byte(g.IntN(9)))%10
		p[0].value = string(v)
		change(p)
	}
	if len(k.pairs) > 2 {
		p := slices.Clone(k.pairs)
		p[1], p[2] = p[2], p[1]
		change(p)
	}
	if n := len(k.pairs); n > 1 {
		change(append(slices.Clone(k.pairs), k.pairs[n-1]))
	}
	change(append(slices.Clone(k.pairs), gs1Pair{"8014", "1"}))
	return texts
}

// epc writes the key as an EPC pure identity URN where it has one.
func (k gs1Key) epc(g *gs1Generator) (urn string, ok bool) {
	ai, digits := k.pairs[0].ai, k.prefix+k.rest
	n := 6 + g.IntN(7)
	if len(k.prefix) < n {
		return "", false
	}
	escape := strings.NewReplacer("%", "%25", "/", "%2F", "#", "%23", "<", "%3C", ">", "%3E", "?", "%3F", `"`, "%22", "&", "%26").Replace
	company := k.prefix[:n] + "."
	var qualifiers, serial string
	for _, p := range k.pairs[1:] {
		qualifiers += p.ai + " "
		serial = "." + escape(p.value)
	}
	switch ai + " " + qualifiers {
	case "00 ":
		return "urn:epc:id:sscc:" + company + k.head + digits[n:], true
	case "01 21 ":
		return "urn:epc:id:sgtin:" + company + k.head + digits[n:] + serial, true
	case "01 235 ":
		return "urn:epc:id:upui:" + company + k.head + digits[n:] + serial, true
	case "01 10 ":
		return "urn:epc:class:lgtin:" + company + k.head + digits[n:] + serial, true
	case "01 ":
		return "urn:epc:idpat:sgtin:" + company + k.head + digits[n:] + ".*", true
	case "253 ", "255 ", "8003 ":
		name := map[string]string{"253": "gdti:", "255": "sgcn:", "8003": "grai:"}[ai]
		if k.rest == "" {
			return "urn:epc:idpat:" + name + company + digits[n:12] + ".*", true
		}
		return "urn:epc:id:" + name + company + digits[n:12] + "." + escape(k.rest), true
	case "401 ", "8004 ":
		name := map[string]string{"401": "ginc:", "8004": "giai:"}[ai]
		return "urn:epc:id:" + name + company + escape(digits[n:]), true
	case "402 ":
		return "urn:epc:id:gsin:" + company + digits[n:], true
	case "414 ":
		return "urn:epc:id:sgln:" + company + digits[n:] + ".0", true
	case "414 254 ":
		return "urn:epc:id:sgln:" + company + digits[n:] + serial, serial != ".0"
	case "417 ":
		return "urn:epc:id:pgln:" + company + digits[n:], true
	case "8006 21 ":
		return "urn:epc:id:itip:" + company + k.head + digits[n:12] + "." + k.rest[:2] + "." + k.rest[2:] + serial, true
	case "8010 8011 ":
		return "urn:epc:id:cpi:" + company + escape(digits[n:]) + serial, true
	case "8017 ":
		return "urn:epc:id:gsrnp:" + company + digits[n:], true
	case "8018 ":
		return "urn:epc:id:gsrn:" + company + digits[n:], true
	}
	return "", false
}
