package identifier_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

// drawSpelling draws a spelling of an identifier of any scheme, nearly always a
// good one. Alphabets are small so that equal ones and neighbours come up.
func drawSpelling(t *rapid.T, name string) string {
	segments := rapid.StringMatching(`[0-3a-c]([0-3a-c-]{0,2}[0-3a-c])?(\.[0-3a-c]{1,2}){0,3}`)
	suffix := rapid.OneOf(
		rapid.StringMatching(`[0-2a-cA-C/. -]{1,4}`),
		rapid.StringN(1, 6, -1),
		rapid.StringOfN(rapid.RuneFrom([]rune("aAeEjJ\u030C\u0308\u0323\u0344\u212A\u212B\u00C5\u1100\u1161\u11A8\u0958/")), 1, 8, -1),
		rapid.StringOfN(rapid.RuneFrom([]rune("ab-")), 60, 140, -1),
	)
	spelling := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) string {
			return "hdl:" + segments.Draw(t, "prefix") + "/" + suffix.Draw(t, "suffix")
		}),
		rapid.Map(segments, func(s string) string { return "hdl:" + s }),
		rapid.StringMatching(`[0-2]\.[0-3]?[0-9](\.(0|[1-3][0-3]{0,2})){0,3}`),
		rapid.StringMatching(`https?://[a-cA-C]\.[a-cä](\.[a-c]){0,2}(:)?(/[a-cA-C0-2%&/~.]{0,4})?(\?[a-c=]{0,2})?`),
		rapid.StringMatching(`did:[a-c0-2]:[a-cA-C0-2.:_-]{0,4}[a-c]`),
		rapid.StringMatching(`\((8004|401)\)[0-2]{4,14}[a-cA-C/%-]{0,4}`),
		rapid.StringMatching(`\(8004\)[0-2]{4}[ab/%](\(7040\)1[ab/][a%][a-c])?`),
		rapid.SampledFrom([]string{"(01)09506000134352", "(01)09506000134352(21)a", "(01)19506000134359(21)a", "(8003)00614141123452a", "(8003)00614141123452", "gs1", "gs1.0", "gs1.0.1", "oid", "oid.1", "web", "web.a", "did", "did.a"}),
	)
	return spelling.Draw(t, name)
}

func drawID(t *rapid.T, name string) identifier.ID {
	for {
		if id, err := identifier.Parse(drawSpelling(t, name)); err == nil {
			return id
		}
	}
}

// guessed reports whether Parse takes a canonical text for something else: a Handle prefix
// by itself that looks like a GTIN or an OID.
func guessed(id identifier.ID) bool {
	text := id.String()
	if id.Scheme() != identifier.Handle || !id.IsPrefix() || strings.Trim(text, "0123456789.") != "" {
		return false
	}
	return len(text) >= 2 && text[0] <= '2' && text[1] == '.' || !strings.Contains(text, ".") && slices.Contains([]int{8, 12, 13, 14}, len(text))
}

// checkID checks what holds for every valid identifier.
func checkID(t interface{ Fatalf(string, ...any) }, id identifier.ID) {
	text := id.String()
	if len(text) > identifier.MaxID || !utf8.ValidString(text) || !norm.NFC.IsNormalString(text) {
		t.Fatalf("%q is too long or not NFC", text)
	}
	if got, err := identifier.ParseCanonical(text); err != nil || got != id {
		t.Fatalf("canonical %q is %q, %v", text, got, err)
	}
	if got, err := identifier.New(id.Prefix, id.Suffix); err != nil || got != id {
		t.Fatalf("made anew, %q is %q, %v", text, got, err)
	}
	if got, err := identifier.ParseKey(identifier.AppendKey(nil, id)); err != nil || got != id {
		t.Fatalf("key of %q is of %q, %v", text, got, err)
	}
	if got, err := identifier.Parse("HDL:" + text); err != nil || got != id {
		t.Fatalf("as a handle %q is %q, %v", text, got, err)
	}
	if got, err := identifier.Parse(text); !guessed(id) && (err != nil || got != id) {
		t.Fatalf("%q is %q, %v", text, got, err)
	}
	for p, ok := id.Prefix, true; ok && p != ""; p, ok = p.Parent() {
		if _, err := identifier.New(p, ""); err != nil {
			t.Fatalf("%q is not a prefix above %q: %v", p, text, err)
		}
		if got, err := identifier.ParsePrefix(strings.ToUpper(string(p))); err != nil || got != p {
			t.Fatalf("prefix %q is %q, %v", p, got, err)
		}
	}
	if path, ok := id.DigitalLink(); ok {
		got, isLink, err := identifier.ParseDigitalLink(path)
		if !isLink || err != nil || got != id {
			t.Fatalf("%q links to %q, which is %q, %v, %v", text, path, got, isLink, err)
		}
	} else if id.Scheme() == identifier.GS1 && !id.IsPrefix() {
		t.Fatalf("%q has no Digital Link", text)
	}
}

func TestCanonicalTextRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkID(t, drawID(t, "id")) })
}

// Different identifiers have different texts and different keys, and the order of keys
// is that of Compare.
func TestKeysAreOrderedLikeIdentifiers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawID(t, "a"), drawID(t, "b")
		keyA, keyB := identifier.AppendKey(nil, a), identifier.AppendKey(nil, b)
		if (a == b) != (a.String() == b.String()) || (a == b) != bytes.Equal(keyA, keyB) {
			t.Fatalf("%q and %q have keys %q and %q", a, b, keyA, keyB)
		}
		if got, want := identifier.Compare(a, b), bytes.Compare(keyA, keyB); got != want {
			t.Fatalf("%q and %q compare as %d, their keys as %d", a, b, got, want)
		}
	})
}

// Covering goes by segment, and everything that a prefix covers has its key in front.
func TestCoversBySegment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawID(t, "a"), drawID(t, "b")
		p, q := a.Prefix.Segments(), b.Prefix.Segments()
		want := len(p) <= len(q) && slices.Equal(p, q[:len(p)])
		if got := a.Prefix.Covers(b.Prefix); got != want {
			t.Fatalf("%q covers %q: %v", a.Prefix, b.Prefix, got)
		}
		front := identifier.AppendPrefixKey(nil, a.Prefix)
		if got := bytes.HasPrefix(identifier.AppendKey(nil, b), front); got != want {
			t.Fatalf("the key of %q begins with that of %q: %v", b, a.Prefix, got)
		}
		if a.Prefix.Depth() != len(p) || strings.Join(p, ".") != a.Prefix.String() {
			t.Fatalf("%q has depth %d and segments %q", a.Prefix, a.Prefix.Depth(), p)
		}
		if !identifier.Prefix("").Covers(a.Prefix) {
			t.Fatalf("the root does not cover %q", a.Prefix)
		}
	})
}

// However Unicode writes the same letters, and in whichever case ASCII has them,
// a handle is the same.
func TestHandleSpellingsAreOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := "88.118/" + rapid.StringOfN(rapid.OneOf(
			rapid.Rune(),
			rapid.RuneFrom([]rune("aAjJhH\u030C\u0308\u0323\u0331\u0344\u212A\u212B\u00C5")),
		), 1, 10, -1).Draw(t, "suffix")
		id, err := identifier.Parse(text)
		if err != nil {
			t.Skip(err)
		}
		checkID(t, id)
		upper := strings.Map(func(r rune) rune {
			if 'a' <= r && r <= 'z' {
				return r - 'a' + 'A'
			}
			return r
		}, norm.NFC.String(text))
		for _, other := range []string{norm.NFC.String(text), norm.NFD.String(text), upper} {
			if got, err := identifier.Parse(other); err != nil || got != id {
				t.Fatalf("%+q is %+q, %v; %+q is %+q", text, id, nil, other, got)
			}
		}
	})
}

// The arithmetic of DNS names, spelled out: labels are counted one by one.
func TestHashNamed(t *testing.T) {
	wire := func(labels ...string) (octets int) {
		for _, l := range labels {
			octets += 1 + len(l)
		}
		return octets
	}
	rapid.Check(t, func(t *rapid.T) {
		segments := rapid.SliceOfN(rapid.StringMatching(`[a-c]{1,40}`), 1, 3).Draw(t, "segments")
		suffix := rapid.OneOf(rapid.StringMatching(`[a-c-]{0,70}`), rapid.StringMatching(`[a-c /]{0,120}`)).Draw(t, "suffix")
		id, err := identifier.New(identifier.Prefix(strings.Join(segments, ".")), suffix)
		if err != nil {
			t.Skip(err)
		}
		var labels []string
		if identifier.PlainNamed(suffix) {
			labels = []string{suffix}
		} else {
			bits := len(suffix) * 8
			for left := (bits + 4) / 5; left > 0; left -= 63 {
				labels = append(labels, strings.Repeat("x", min(left, 63)))
			}
		}
		octets := wire(segments...) + wire(labels...) + wire("_b")
		if got, want := identifier.HashNamed(id), suffix != "" && octets > 183; got != want {
			t.Fatalf("%q takes %d octets; hash named: %v", id, octets, got)
		}
		hashed := wire(segments...) + wire(strings.Repeat("x", 52)) + wire("_h")
		if hashed > 183 {
			t.Fatalf("the hash form of %q takes %d octets", id, hashed)
		}
	})
	for suffix, want := range map[string]bool{"": false, "a": true, "a-b": true, "-a": false, "a-": false, "ab--c": false, "a--b": true, "ab-": false, "_i": false, "A": false, "a.b": false, "ä": false, strings.Repeat("a", 63): true, strings.Repeat("a", 64): false} {
		if got := identifier.PlainNamed(suffix); got != want {
			t.Errorf("%q is plain: %v", suffix, got)
		}
	}
}

func TestCompareIsByteOrderAtEdges(t *testing.T) {
	texts := []string{"88", "88/a", "88/b", "88.1", "88.1/a", "88.1.0", "88.11", "88-1", "88-1.0", "880", "880/0", "88a"}
	for _, a := range texts {
		for _, b := range texts {
			x, y := mustParse(t, a), mustParse(t, b)
			if got, want := identifier.Compare(x, y), bytes.Compare(identifier.AppendKey(nil, x), identifier.AppendKey(nil, y)); got != want {
				t.Errorf("%s and %s compare as %d, their keys as %d", a, b, got, want)
			}
		}
	}
}

func mustParse(t *testing.T, text string) identifier.ID {
	t.Helper()
	id, err := identifier.ParseCanonical(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Lengths are checked before anything is read, and a very long text is not kept
// by its error.
func TestLongTextsAreRefusedUnread(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	_, parseErr := identifier.Parse(long)
	_, canonicalErr := identifier.ParseCanonical("88/" + long)
	_, prefixErr := identifier.ParsePrefix(long)
	_, newErr := identifier.New("88", long)
	_, keyErr := identifier.ParseKey([]byte("88\x00\x01" + long))
	for _, err := range []error{parseErr, canonicalErr, prefixErr, newErr, keyErr} {
		e, ok := err.(*identifier.SyntaxError)
		if !ok || len(e.Input) > 100 || !strings.Contains(e.Rule, "at most") {
			t.Errorf("%v", err)
		}
	}
	if _, ok, err := identifier.ParseDigitalLink("/01/09506000134352/21/" + long); ok || err != nil {
		t.Errorf("a path of a megabyte is a Digital Link: %v", err)
	}
	// Composing may shorten a spelling that is too long as it stands.
	if id, err := identifier.Parse("88/" + strings.Repeat("e\u0301", 1022)); err != nil || len(id.String()) != 2047 {
		t.Errorf("%d octets, %v; want 2047", len(id.String()), err)
	}
	if _, err := identifier.Parse("88/" + strings.Repeat("\u0958", 600)); err == nil {
		t.Error("a spelling that decomposes to more than 2048 octets is let through")
	}
}

// What is not too long as it is spelt may be too long as canonical text.
func TestCanonicalTextIsLimited(t *testing.T) {
	long := strings.Repeat("x", 2100)
	for _, text := range []string{"88.118/" + long, "https://maker.example/" + long, "did:key:" + long, "web.example.maker//" + long, "did.key/" + long} {
		_, err := identifier.Parse(text)
		if e, ok := err.(*identifier.SyntaxError); !ok || !strings.Contains(e.Rule, "2048") {
			t.Errorf("%.30s…: %v", text, err)
		}
	}
	for _, text := range []string{"web.a//" + long[:2041], "did.a/" + long[:2042], "88.11/" + long[:2042]} {
		if id, err := identifier.Parse(text); err != nil || len(id.String()) != identifier.MaxID {
			t.Errorf("%.30s…: %d octets, %v", text, len(id.String()), err)
		}
		if _, err := identifier.Parse(text + "x"); err == nil {
			t.Errorf("%.30s…: one octet more is let through", text)
		}
	}
}

func TestRoot(t *testing.T) {
	root := identifier.Prefix("")
	if parent, ok := root.Parent(); ok || parent != "" || root.Segments() != nil || root.Depth() != 0 {
		t.Errorf("the root has parent %q, segments %q, depth %d", parent, root.Segments(), root.Depth())
	}
	if parent, ok := identifier.Prefix("88").Parent(); !ok || parent != root {
		t.Errorf("88 has parent %q, %v", parent, ok)
	}
	if key := identifier.AppendPrefixKey([]byte("x"), root); string(key) != "x" {
		t.Errorf("the root has key %q", key)
	}
	// It is nobody's identifier.
	if id, err := identifier.New(root, ""); err == nil {
		t.Errorf("the root is the identifier %q", id)
	}
}

func TestSuffixHash(t *testing.T) {
	// The example of FIPS 180-4.
	want := "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if got := identifier.SuffixHash("abc"); hex.EncodeToString(got[:]) != want {
		t.Errorf("hash of abc is %x", got)
	}
}

func TestParseKeyRefusesEverythingElse(t *testing.T) {
	for _, key := range []string{"", "88", "\x00", "88\x00\x01", "\x01x", "88\x01x", "88.1\x00", "88\x00.\x00", "88\x00\x00", "88\x00x", "88\x00\x01x\x01", "88\x00\x01x\x00", "88\x00\x01X", "A\x00", "0.na\x00\x01x", "0\x00na\x00\x01x", "gs1\x00\x01x", "88\x00\x01\xff", "88/x\x00", "88\x00\x02x"} {
		if id, err := identifier.ParseKey([]byte(key)); err == nil {
			t.Errorf("key %q is of %q, want an error", key, id)
		} else if e := err.(*identifier.SyntaxError); e.Input != key || e.Offset > len(key) {
			t.Errorf("key %q: %v", key, err)
		}
	}
}

func TestSchemeOfIdentifiers(t *testing.T) {
	for text, want := range map[string]identifier.Scheme{
		"88.118/x": identifier.Handle, "gs1": identifier.GS1, "gs1.9": identifier.GS1, "gs10.9": identifier.Handle, "oid.1": identifier.OID,
		"web.example//": identifier.Web, "did.web/x": identifier.DID, "didx": identifier.Handle, "ecode-1": identifier.Handle, "1.gs1": identifier.Handle,
	} {
		if got := mustParse(t, text).Scheme(); got != want {
			t.Errorf("%s is of scheme %s, want %s", text, got, want)
		}
	}
	if got := identifier.Prefix("nodes.a").Scheme(); got != identifier.Reserved {
		t.Errorf("nodes.a is of scheme %s", got)
	}
}
