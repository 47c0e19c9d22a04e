package identifier_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"pgregory.net/rapid"
)

func TestContentRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spelling := drawText(t, "spelling", 0, 40)
		values := drawValues(t, false)
		b, err := identifier.AppendContent([]byte("before"), spelling, values)
		if err != nil {
			t.Fatal(err)
		}
		b = b[len("before"):]
		gotSpelling, got, err := identifier.ParseContent(b)
		if err != nil {
			t.Fatal(err)
		}
		if gotSpelling != spelling || !reflect.DeepEqual(got, values) {
			t.Fatalf("got %q %+v, want %q %+v", gotSpelling, got, spelling, values)
		}
		again, err := identifier.AppendContent(nil, gotSpelling, got)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("encoded again: %x, %v, want %x", again, err, b)
		}
	})
}

// What has been cut or has something behind it is refused.
func TestContentIsReadWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, err := identifier.AppendContent(nil, "x", drawValues(t, false))
		if err != nil {
			t.Fatal(err)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if _, _, err := identifier.ParseContent(b[:cut]); err == nil {
			t.Fatalf("accepted %d of %d octets", cut, len(b))
		}
		if _, _, err := identifier.ParseContent(append(b, 0)); err == nil {
			t.Fatal("accepted an octet behind the end")
		}
	})
}

// Values share nothing with what they were read from.
func TestParseContentCopies(t *testing.T) {
	b, err := identifier.AppendContent(nil, "", link("https://maker.example/42"))
	if err != nil {
		t.Fatal(err)
	}
	_, values, err := identifier.ParseContent(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if got := string(values[0].Data); got != "https://maker.example/42" || values[0].Type != "URL" {
		t.Errorf("got %q", got)
	}
}

func TestContentLimits(t *testing.T) {
	text := func(n int) string { return strings.Repeat("x", n) }
	one := func(change func(v *identifier.Value)) []identifier.Value {
		v := link("https://maker.example/")
		change(&v[0])
		return v
	}
	many := func(n int) []identifier.Value {
		values := make([]identifier.Value, n)
		for i := range values {
			values[i] = identifier.Value{Index: uint32(i + 1), Type: "X"}
		}
		return values
	}
	tests := []struct {
		name     string
		spelling string
		values   []identifier.Value
		ok       bool
	}{
		{"longest spelling", text(4096), nil, true},
		{"spelling", text(4097), nil, false},
		{"most values", "", many(2048), true},
		{"values", "", many(2049), false},
		{"index 0", "", one(func(v *identifier.Value) { v.Index = 0 }), false},
		{"highest index", "", one(func(v *identifier.Value) { v.Index = 1<<32 - 1 }), true},
		{"index twice", "", []identifier.Value{many(1)[0], many(1)[0]}, false},
		{"index order", "", []identifier.Value{many(2)[1], many(2)[0]}, false},
		{"no type", "", one(func(v *identifier.Value) { v.Type = "" }), false},
		{"longest type", "", one(func(v *identifier.Value) { v.Type = text(255) }), true},
		{"type", "", one(func(v *identifier.Value) { v.Type = text(256) }), false},
		{"longest data", "", one(func(v *identifier.Value) { v.Data = make([]byte, 65536) }), true},
		{"data", "", one(func(v *identifier.Value) { v.Data = make([]byte, 65537) }), false},
		{"permissions", "", one(func(v *identifier.Value) { v.Permissions = 16 }), false},
		{"timestamp before 1970", "", one(func(v *identifier.Value) { v.Timestamp = time.Unix(-1, 0) }), false},
		{"timestamp of zero", "", one(func(v *identifier.Value) { v.Timestamp = time.Unix(0, 0) }), false},
		{"last timestamp", "", one(func(v *identifier.Value) { v.Timestamp = time.Unix(lastSecond, 0) }), true},
		{"timestamp after 9999", "", one(func(v *identifier.Value) { v.Timestamp = time.Unix(lastSecond+1, 0) }), false},
		{"longest title", "", one(func(v *identifier.Value) { v.Link = &identifier.Link{Title: text(2048)} }), true},
		{"title", "", one(func(v *identifier.Value) { v.Link = &identifier.Link{Title: text(2049)} }), false},
		{"relation", "", one(func(v *identifier.Value) { v.Link = &identifier.Link{Relation: text(2049)} }), false},
		{"media type", "", one(func(v *identifier.Value) { v.Link = &identifier.Link{MediaType: text(2049)} }), false},
		{"context", "", one(func(v *identifier.Value) { v.Link = &identifier.Link{Context: text(2049)} }), false},
		{"languages", "", one(func(v *identifier.Value) { v.Link = &identifier.Link{Languages: make([]string, 33)} }), false},
		{"empty language", "", one(func(v *identifier.Value) { v.Link = &identifier.Link{Languages: []string{""}} }), false},
		{"long language", "", one(func(v *identifier.Value) { v.Link = &identifier.Link{Languages: []string{text(64)}} }), false},
		{"references", "", one(func(v *identifier.Value) { v.References = make([]identifier.Reference, 65) }), false},
		{"empty reference", "", one(func(v *identifier.Value) { v.References = make([]identifier.Reference, 1) }), false},
		{"long reference", "", one(func(v *identifier.Value) { v.References = []identifier.Reference{{Handle: text(2049)}} }), false},
		{"all too much", "", func() []identifier.Value {
			values := many(5)
			for i := range values {
				values[i].Data = make([]byte, 60000)
			}
			return values
		}(), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, err := identifier.AppendContent(nil, test.spelling, test.values)
			if (err == nil) != test.ok {
				t.Fatalf("got %v, want ok %v", err, test.ok)
			}
			if err != nil {
				var rule *identifier.RuleError
				if !errors.As(err, &rule) || rule.Mend == "" || len(err.Error()) > 300 {
					t.Errorf("error %T %q", err, err)
				}
				return
			}
			if _, _, err := identifier.ParseContent(b); err != nil {
				t.Errorf("read back: %v", err)
			}
		})
	}
}

// The rules of what a holder may write, as a change is checked for them.
func TestContentRules(t *testing.T) {
	one := func(change func(v *identifier.Value)) []identifier.Value {
		v := link("https://maker.example/")
		change(&v[0])
		return v
	}
	data := func(text string) []identifier.Value { return link(text) }
	typed := func(name string) []identifier.Value {
		return one(func(v *identifier.Value) { v.Type = name })
	}
	attributes := func(l identifier.Link) []identifier.Value {
		return one(func(v *identifier.Value) { v.Link = &l })
	}
	tests := []struct {
		name   string
		values []identifier.Value
		want   string // part of the error; none when the values are good
	}{
		{"no values", nil, ""},
		{"https", data("https://maker.example/p?q=1&r=%2F#f"), ""},
		{"IPv6", data("http://[2001:db8::1]:8080/"), ""},
		{"mailto", data("mailto:a@maker.example"), ""},
		{"scheme with plus", data("coap+tcp://maker.example"), ""},
		{"no scheme", data("maker.example/p"), "absolute URI"},
		{"relative", data("//maker.example/p"), "absolute URI"},
		{"scheme only", data("https:"), "absolute URI"},
		{"scheme that begins with a digit", data("1a:x"), "absolute URI"},
		{"empty URL", data(""), "absolute URI"},
		{"space", data("https://maker.example/a b"), "does not occur in a URI"},
		{"line break", data("https://maker.example/\r\nX: y"), "does not occur in a URI"},
		{"not ASCII", data("https://maker.example/ü"), "does not occur in a URI"},
		{"quote", data(`https://maker.example/"`), "does not occur in a URI"},
		{"half an escape", data("https://maker.example/%2"), "does not occur in a URI"},
		{"URL in small letters has no rules", one(func(v *identifier.Value) { v.Type, v.Data = "url", []byte("x y") }), ""},
		{"any data of another type", one(func(v *identifier.Value) { v.Type, v.Data = "HS_SITE", []byte{0, 255} }), ""},
		{"type with space", typed("A B"), "printable ASCII"},
		{"type with control", typed("A\x00"), "printable ASCII"},
		{"type not ASCII", typed("Ä"), "printable ASCII"},
		{"type that asks for subtypes", typed("LOC."), "end in a dot"},
		{"attributes of another type", one(func(v *identifier.Value) { v.Type, v.Link = "DESC", &identifier.Link{Title: "x"} }), "only a value of type URL"},
		{"full link", attributes(identifier.Link{Relation: "gs1:pip", Title: "Größe 说明", Languages: []string{"en", "zh-Hans-CN", "i-klingon", "x-a"}, MediaType: "application/ld+json; profile=x", Context: "any", Default: true}), ""},
		{"relation with space", attributes(identifier.Link{Relation: "gs1 pip"}), "link relation"},
		{"title with control", attributes(identifier.Link{Title: "a\tb"}), "title"},
		{"title not UTF-8", attributes(identifier.Link{Title: "a\xff"}), "title"},
		{"context with control", attributes(identifier.Link{Context: "a\x7f"}), "context"},
		{"media type without slash", attributes(identifier.Link{MediaType: "html"}), "media type"},
		{"media type with control", attributes(identifier.Link{MediaType: "text/html;\r\n"}), "media type"},
		{"language with underscore", attributes(identifier.Link{Languages: []string{"en_US"}}), "language tag"},
		{"language of one letter", attributes(identifier.Link{Languages: []string{"e"}}), "language tag"},
		{"language that begins with a digit", attributes(identifier.Link{Languages: []string{"1en"}}), "language tag"},
		{"language with empty subtag", attributes(identifier.Link{Languages: []string{"en-"}}), "language tag"},
		{"language with long subtag", attributes(identifier.Link{Languages: []string{"en-abcdefghi"}}), "language tag"},
		{"two defaults", append(attributes(identifier.Link{Default: true}), identifier.Value{Index: 7, Type: "URL", Data: []byte("a:b"), Link: &identifier.Link{Default: true}}), "one link at most is the default"},
		{"reference with control", one(func(v *identifier.Value) { v.References = []identifier.Reference{{Handle: "a\n"}} }), "reference"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := identifier.NextRow(newID(t, "88.118.8", "sn-42"), nil)
			r.Values = test.values
			err := r.Check("88.118")
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// Each octet that RFC 3986 lets occur in a URI may stand in one, and no other.
func TestOctetsOfURI(t *testing.T) {
	const may = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?#[]@!$&'()*+,;="
	for c := range 256 {
		values := link("x:" + string([]byte{byte(c)}))
		err := identifier.CheckValues(values)
		if got, want := err == nil, strings.IndexByte(may, byte(c)) >= 0; got != want {
			t.Errorf("octet %#x: got %v, want allowed: %v", c, err, want)
		}
	}
}

// A value that has nothing but type and data is read in a way of its own, up to the sizes
// that other values and lengths of more octets begin at.
func TestPlainValues(t *testing.T) {
	for _, index := range []uint32{1, 127, 128, 1<<32 - 129, 1<<32 - 2} {
		for _, kind := range []int{1, 127, 128, 255} {
			for _, data := range []int{0, 1, 127, 128, 16_383, 16_384, identifier.MaxValueData} {
				v := identifier.Value{
					Index: index, Type: strings.Repeat("T", kind), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions,
				}
				if data > 0 {
					v.Data = bytes.Repeat([]byte("d"), data)
				}
				next := v
				next.Index++
				values := []identifier.Value{v, next}
				b, err := identifier.AppendContent(nil, "", values)
				if err != nil {
					t.Fatal(err)
				}
				if _, got, err := identifier.ParseContent(b); err != nil || !reflect.DeepEqual(got, values) {
					t.Errorf("index %d, type of %d octets, data of %d: got %d values, %v", index, kind, data, len(got), err)
				}
			}
		}
	}
	for name, content := range map[string]string{
		"index 0":                             "\x01\x00\x01" + "\x00\x00\x01T\x01d",
		"index past the largest":              "\x01\x00\x02" + "\x00\xff\xff\xff\xff\x0f\x01T\x01d" + "\x00\x01\x01T\x01d",
		"no type":                             "\x01\x00\x01" + "\x00\x01\x00\x01d",
		"a length with an octet too many":     "\x01\x00\x01" + "\x00\x01\x01T\x81\x00d",
		"a length that is past the end":       "\x01\x00\x01" + "\x00\x01\x01T\x02d",
		"a long length that is past the end":  "\x01\x00\x01" + "\x00\x01\x01T\x82\x01d",
		"cut behind the type":                 "\x01\x00\x01" + "\x00\x01\x01T",
		"cut in a length":                     "\x01\x00\x01" + "\x00\x01\x01T\x81",
		"a type that is past the end":         "\x01\x00\x01" + "\x00\x01\x05Td",
		"more values than there are":          "\x01\x00\x02" + "\x00\x01\x01T\x01d",
		"a count with an octet too many":      "\x01\x00\x81\x00" + "\x00\x01\x01T\x01d",
		"a spelling with an octet too many":   "\x01\x80\x00\x01" + "\x00\x01\x01T\x01d",
		"something behind":                    "\x01\x00\x01" + "\x00\x01\x01T\x01dd",
		"nothing where the count should be":   "\x01\x00",
		"a format that is not known":          "\x02\x00\x01" + "\x00\x01\x01T\x01d",
		"data of more than the most, in two":  "\x01\x00\x01" + "\x00\x01\x01T\xff\x80d",
		"a length that goes on where it ends": "\x01\x00\x01" + "\x00\x01\x01T\x80\x80\x01d",
	} {
		if _, values, err := identifier.ParseContent([]byte(content)); err == nil {
			t.Errorf("%s: got %+v; want an error", name, values)
		}
	}
}
