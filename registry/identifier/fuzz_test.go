package identifier_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// seed gives a fuzz target the inputs of the vectors, those with a text in front
// without it.
func seed(f *testing.F, front string) {
	for _, v := range readVectors(f) {
		if text, ok := strings.CutPrefix(v.cells[0], front); ok {
			f.Add(text)
		}
	}
}

// checkParsed checks what holds whatever was parsed: an identifier is valid, and an
// error is a SyntaxError about the text.
func checkParsed(t *testing.T, text string, id identifier.ID, err error) {
	t.Helper()
	if err == nil {
		checkID(t, id)
		return
	}
	e, ok := err.(*identifier.SyntaxError)
	if !ok || id != (identifier.ID{}) || e.Rule == "" || e.Mend == "" || e.Offset < 0 {
		t.Fatalf("%q is %q, %#v", text, id, err)
	}
	if len(text) <= identifier.MaxText && (e.Input != text || e.Offset > len(text)) {
		t.Fatalf("%q: the error speaks of %q, octet %d", text, e.Input, e.Offset)
	}
	if strings.ContainsAny(err.Error(), "\r\n") {
		t.Fatalf("%q: the message has more than one line: %v", text, err)
	}
}

func FuzzParse(f *testing.F) {
	seed(f, "")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := identifier.Parse(text)
		checkParsed(t, text, id, err)
	})
}

func FuzzParseCanonical(f *testing.F) {
	seed(f, "")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := identifier.ParseCanonical(text)
		checkParsed(t, text, id, err)
		if err == nil && id.String() != text {
			t.Fatalf("%q is %q", text, id)
		}
	})
}

func FuzzParsePrefix(f *testing.F) {
	seed(f, "")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := identifier.ParsePrefix(text)
		checkParsed(t, text, identifier.ID{Prefix: p}, err)
		if err == nil && !strings.EqualFold(text, string(p)) {
			t.Fatalf("%q is %q", text, p)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	for _, v := range readVectors(f) {
		if id, err := identifier.Parse(v.cells[0]); err == nil {
			f.Add(identifier.AppendKey(nil, id))
		}
	}
	for _, length := range []int{identifier.MaxID, identifier.MaxID + 1, identifier.MaxID + 2, identifier.MaxText, identifier.MaxText + 1} {
		f.Add([]byte("88\x00\x01" + strings.Repeat("x", length-4)))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		id, err := identifier.ParseKey(key)
		checkParsed(t, string(key), id, err)
		if err == nil && string(identifier.AppendKey(nil, id)) != string(key) {
			t.Fatalf("key %q is of %q", key, id)
		}
	})
}

func FuzzDigitalLink(f *testing.F) {
	seed(f, "https://id.gs1.org")
	seed(f, "https://maker.example")
	f.Fuzz(func(t *testing.T, path string) {
		id, ok, err := identifier.ParseDigitalLink(path)
		if !ok {
			if err != nil || id != (identifier.ID{}) {
				t.Fatalf("%q is no link and %q, %v", path, id, err)
			}
			return
		}
		checkParsed(t, path, id, err)
		if err == nil && id.Scheme() != identifier.GS1 {
			t.Fatalf("%q is %q", path, id)
		}
	})
}

func FuzzElementString(f *testing.F) {
	seed(f, "(")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := identifier.Parse("(" + text)
		checkParsed(t, "("+text, id, err)
		if err == nil && (id.Scheme() != identifier.GS1 || id.IsPrefix()) {
			t.Fatalf("(%q is %q", text, id)
		}
	})
}

func FuzzEPC(f *testing.F) {
	seed(f, "urn:epc:")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := identifier.Parse("urn:epc:" + text)
		checkParsed(t, "urn:epc:"+text, id, err)
		if err == nil && (id.Scheme() != identifier.GS1 || id.IsPrefix()) {
			t.Fatalf("%q is %q", text, id)
		}
	})
}

func FuzzOID(f *testing.F) {
	seed(f, "oid:")
	seed(f, "urn:oid:")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := identifier.Parse("oid:" + text)
		checkParsed(t, "oid:"+text, id, err)
		if err == nil && id.String() != "oid."+text {
			t.Fatalf("%q is %q", text, id)
		}
	})
}

// What is a web identifier is also a URL to the standard library, with the same
// path and query.
func FuzzWeb(f *testing.F) {
	seed(f, "https://")
	seed(f, "web:https://")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := identifier.Parse("web:https://" + text)
		checkParsed(t, "web:https://"+text, id, err)
		if err != nil {
			return
		}
		u, err := url.Parse("https://" + text)
		if err != nil {
			t.Fatalf("%q is %q, but no URL: %v", text, id, err)
		}
		path := u.EscapedPath()
		if u.RawPath != "" {
			path = u.RawPath
		}
		if path == "" {
			path = "/"
		}
		if u.RawQuery != "" || u.ForceQuery {
			path += "?" + u.RawQuery
		}
		if want, err := url.PathUnescape(id.Suffix); err == nil {
			if got, err := url.PathUnescape(path); err != nil || got != want {
				t.Fatalf("%q is %q, as a URL it has %q", text, id, path)
			}
		}
	})
}

func FuzzDID(f *testing.F) {
	seed(f, "did:")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := identifier.Parse("did:" + text)
		checkParsed(t, "did:"+text, id, err)
		if err == nil && "did:"+strings.TrimPrefix(strings.Replace(id.String(), "/", ":", 1), "did.") != "did:"+text {
			t.Fatalf("%q is %q", text, id)
		}
	})
}
