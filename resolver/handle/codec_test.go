package handle_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/resolver/handle"
)

// reread reads octets as a kind of thing, and writes again what was read.
var reread = map[string]func([]byte) ([]byte, error){
	"envelope": func(b []byte) ([]byte, error) {
		e, err := handle.ParseEnvelope(b)
		return e.Append(nil), err
	},
	"value": func(b []byte) ([]byte, error) {
		v, err := handle.ParseValue(b)
		return handle.AppendValue(nil, &v), err
	},
	"admin": func(b []byte) ([]byte, error) {
		a, err := handle.ParseAdmin(b)
		return a.Append(nil), err
	},
	"vlist": func(b []byte) ([]byte, error) {
		m, err := handle.ParseMembers(b)
		return m.Append(nil), err
	},
	"site": func(b []byte) ([]byte, error) {
		s, err := handle.ParseSite(b)
		if err != nil {
			return nil, err
		}
		return s.Append(nil), nil
	},
	"pubkey": func(b []byte) ([]byte, error) {
		k, err := handle.ParsePublicKey(b)
		if err != nil {
			return nil, err
		}
		return k.Append(nil), nil
	},
	"service": func(b []byte) ([]byte, error) {
		s, err := handle.ParseService(b)
		return []byte(s), err
	},
	"credential": func(b []byte) ([]byte, error) {
		k, err := handle.ParseCredential(b)
		return k.Append(nil), err
	},
	"message": rereadMessage,
}

// rereadMessage reads a message in one envelope, its body and its credential.
func rereadMessage(b []byte) ([]byte, error) {
	e, err := handle.ParseEnvelope(b)
	if err != nil {
		return nil, err
	}
	m, err := handle.ParseMessage(e, b[20:])
	if err != nil {
		return nil, err
	}
	digest, body, err := m.ParseBody()
	if err != nil {
		return nil, err
	}
	if len(m.Credential) > 0 {
		k, err := handle.ParseCredential(m.Credential)
		if err != nil {
			return nil, err
		}
		m.Credential = k.Append(nil)
	}
	var head []byte
	if digest.Type != 0 {
		head = append([]byte{byte(digest.Type)}, digest.Sum...)
	}
	m.Body = body.Append(head)
	return m.AppendStream(nil), nil
}

// A file of testdata/vectors/handle is named after the verdict, what it is, and what is
// special about it; it holds hex, and in a bad one a comment with a part of the rule.
type vector struct {
	name, kind string
	ok         bool
	octets     []byte
	rule       string
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	names, err := filepath.Glob("../../testdata/vectors/handle/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	var vectors []vector
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		v := vector{name: strings.TrimSuffix(filepath.Base(name), ".txt")}
		verdict, rest, _ := strings.Cut(v.name, "-")
		v.kind, _, _ = strings.Cut(rest, "-")
		v.ok = verdict == "ok"
		var digits strings.Builder
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if rule, ok := strings.CutPrefix(line, "# rule: "); ok {
				v.rule = rule
			} else if !strings.HasPrefix(line, "#") {
				digits.WriteString(line)
			}
		}
		if v.octets, err = hex.DecodeString(digits.String()); err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		if reread[v.kind] == nil || v.ok != (v.rule == "") {
			t.Fatalf("%s: nobody reads a %s, or it has no rule", v.name, v.kind)
		}
		vectors = append(vectors, v)
	}
	return vectors
}

func TestVectors(t *testing.T) {
	for _, v := range readVectors(t) {
		got, err := reread[v.kind](v.octets)
		if v.ok {
			if err != nil || !bytes.Equal(got, v.octets) {
				t.Errorf("%s: got %X, %v; want %X", v.name, got, err, v.octets)
			}
			continue
		}
		var e *handle.FormatError
		if !errors.As(err, &e) || !strings.Contains(e.Rule, v.rule) {
			t.Errorf("%s: got %v; want %q", v.name, err, v.rule)
		}
	}
}

// Every beginning of something good is refused, or is written again as it is.
func TestCut(t *testing.T) {
	for _, v := range readVectors(t) {
		if !v.ok {
			continue
		}
		for n := range v.octets {
			got, err := reread[v.kind](v.octets[:n])
			if err == nil && !bytes.Equal(got, v.octets[:n]) {
				t.Errorf("%s, %d octets of it: written again as %X", v.name, n, got)
			}
		}
	}
}

// Whatever is accepted is written again octet by octet.
func FuzzCodec(f *testing.F) {
	kinds := []string{"envelope", "value", "admin", "vlist", "site", "pubkey", "service", "credential", "message"}
	for _, v := range readVectors(f) {
		for i, kind := range kinds {
			if kind == v.kind {
				f.Add(uint8(i), v.octets)
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		name := kinds[int(kind)%len(kinds)]
		if name == "envelope" && len(b) > 20 {
			b = b[:20]
		}
		got, err := reread[name](b)
		if err != nil {
			return
		}
		if name == "message" {
			// A message may lack the length of its credential, and the envelope in front
			// of it may say that it is a fragment.
			again, err := rereadMessage(got)
			if err != nil || !bytes.Equal(again, got) {
				t.Errorf("%X: written as %X, and then as %X, %v", b, got, again, err)
			}
			return
		}
		if !bytes.Equal(got, b) {
			t.Errorf("%s %X: written again as %X", name, b, got)
		}
	})
}

func TestOldClients(t *testing.T) {
	for _, c := range []struct {
		code    handle.Code
		version handle.Version
		want    handle.Code
	}{
		{handle.ReadOnly, handle.Version{Major: 2, Minor: 4}, handle.PrefixReferral},
		{handle.ReadOnly, handle.Version{Major: 2, Minor: 5}, handle.ReadOnly},
		{handle.InvalidValue, handle.Version{Major: 2, Minor: 1}, handle.ValueExists},
		{handle.InvalidValue, handle.Version{Major: 3}, handle.InvalidValue},
		{handle.NotFound, handle.Version{Major: 2, Minor: 1}, handle.NotFound},
	} {
		if got := c.code.For(c.version); got != c.want {
			t.Errorf("%v for %v: got %v; want %v", c.code, c.version, got, c.want)
		}
	}
}
