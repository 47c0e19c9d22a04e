package rpc_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	protobuf "google.golang.org/protobuf/proto"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/resolver/rpc"
)

// sameQuestions checks that octets are read as protobuf reads them.
func sameQuestions(t testing.TB, b []byte) (own bool) {
	t.Helper()
	var got, want proto.ResolveBatchRequest
	given := bytes.Clone(b)
	own, err := rpc.ReadQuestions(b, &got)
	clear(b) // whoever received them uses them again
	usual := protobuf.Unmarshal(given, &want)
	switch {
	case (err != nil) != (usual != nil):
		t.Fatalf("%x: got %v; want %v", given, err, usual)
	case own && err != nil:
		t.Fatalf("%x was read, and is refused: %v", given, err)
	case err == nil && !protobuf.Equal(&got, &want):
		t.Fatalf("%x: got %v; want %v", given, &got, &want)
	}
	return own
}

// octetsOf returns a message as it is sent.
func octetsOf(t testing.TB, m *proto.ResolveBatchRequest) []byte {
	t.Helper()
	b, err := protobuf.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Which messages are read without the usual way.
func TestQuestions(t *testing.T) {
	some := &proto.ResolveBatchRequest{Identifiers: []string{"88.1/a", "", "88.1/" + strings.Repeat("x", 2043), "88.1/größe"}}
	canonical := &proto.ResolveBatchRequest{Identifiers: some.Identifiers, Form: proto.Form_FORM_CANONICAL}
	selected := &proto.ResolveBatchRequest{Identifiers: some.Identifiers, Selection: &proto.Selection{Types: []string{"URL"}}}
	join := func(parts ...string) []byte { return []byte(strings.Join(parts, "")) }
	for name, c := range map[string]struct {
		octets []byte
		want   bool
	}{
		"identifiers":              {octetsOf(t, some), true},
		"with a form":              {octetsOf(t, canonical), true},
		"the form first":           {join("\x10\x01", "\x0a\x01a", "\x0a\x01b"), true},
		"two forms":                {join("\x10\x01", "\x0a\x01a", "\x10\x00"), true},
		"a form that is not known": {join("\x10\x81\x80\x80\x80\x80\x01"), true},
		"ten thousand":             {octetsOf(t, &proto.ResolveBatchRequest{Identifiers: slices.Repeat([]string{"88.1/a"}, 10_000)}), true},
		"many short ones":          {octetsOf(t, &proto.ResolveBatchRequest{Identifiers: append([]string{strings.Repeat("x", 100)}, make([]string, 20_000)...)}), true},
		"nothing":                  {nil, false},
		"a selection":              {octetsOf(t, selected), false},
		"a field not known":        {join("\x0a\x01a", "\x7a\x01x"), false},
		"another wire type":        {join("\x0a\x01a", "\x08\x01"), false},
		"no UTF-8":                 {join("\x0a\x01\xff"), false},
		"a rune in two":            {join("\x0a\x01\xc3", "\x0a\x01\xa9"), false},
		"cut in an identifier":     {join("\x0a\x05a"), false},
		"cut in a length":          {join("\x0a\x01a", "\x0a\x80"), false},
		"cut behind a tag":         {join("\x0a\x01a", "\x0a"), false},
		"a length that is too long": {
			join("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a"), false},
		"a length of eleven octets": {
			join("\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01a"), false},
	} {
		if got := sameQuestions(t, c.octets); got != c.want {
			t.Errorf("%s: got read %v; want %v", name, got, c.want)
		}
	}
}

// Messages of all sorts, some of whose octets were changed, are read as protobuf reads them.
func TestQuestionsAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	own := 0
	for range 20_000 {
		m := &proto.ResolveBatchRequest{Form: proto.Form(r.IntN(3))}
		for range r.IntN(5) {
			m.Identifiers = append(m.Identifiers, some(r, "", "88.1/a", "88.1/größe", strings.Repeat("y", r.IntN(300))))
		}
		if r.IntN(5) == 0 {
			m.Selection = &proto.Selection{Recursive: true}
		}
		b := octetsOf(t, m)
		for range some(r, 0, 0, 1, 2) {
			if len(b) == 0 {
				break
			}
			at := r.IntN(len(b))
			switch r.IntN(3) {
			case 0:
				b[at] ^= 1 << r.IntN(8)
			case 1:
				b = b[:at]
			case 2:
				b = slices.Insert(b, at, some[byte](r, 0x0a, 0x10, 0x80, 0xff, byte(r.Uint32())))
			}
		}
		if sameQuestions(t, b) {
			own++
		}
	}
	if own < 2_000 || own > 18_000 {
		t.Errorf("%d of 20,000 messages were read; want both ways taken, or nothing is tested", own)
	}
}

// Reading a message costs the same few allocations however many identifiers it has.
func TestQuestionsAllocations(t *testing.T) {
	b := octetsOf(t, &proto.ResolveBatchRequest{Identifiers: slices.Repeat([]string{"88.118.7/sn-0000000001"}, 1000), Form: proto.Form_FORM_CANONICAL})
	var m proto.ResolveBatchRequest
	got := testing.AllocsPerRun(100, func() {
		if _, err := rpc.ReadQuestions(b, &m); err != nil || len(m.Identifiers) != 1000 {
			t.Fatal(err)
		}
	})
	if got > 12 {
		t.Errorf("got %v allocations; want 12 at most", got)
	}
}

func FuzzQuestions(f *testing.F) {
	f.Add(octetsOf(f, &proto.ResolveBatchRequest{Identifiers: []string{"88.1/a", "88.1/größe"}, Form: proto.Form_FORM_CANONICAL}))
	f.Add(octetsOf(f, &proto.ResolveBatchRequest{Identifiers: []string{"88.1/a"}, Selection: &proto.Selection{Types: []string{"URL"}}}))
	f.Add([]byte("\x10\x01\x0a\x01a\x0a\x80"))
	f.Fuzz(func(t *testing.T, b []byte) { sameQuestions(t, bytes.Clone(b)) })
}
