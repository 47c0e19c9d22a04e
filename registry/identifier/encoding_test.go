package identifier_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// The vectors of the encodings. What is in them was written by some version of
// these formats and must be read, and written, the same for ever: a file is never
// changed, only added to. A file's name says what it is, what it shows, and the
// verdict: header-agent.ok.hex, header-cut.refused.hex. Lines that begin with # say
// more: "key" what a stored form is stored under, "rule" part of the error.
const vectors = "../../testdata/vectors/encoding"

var update = flag.Bool("update", false, "write the vectors that are missing")

// recode reads an encoding and writes it again, of every kind there is. The key is
// that of the stored forms.
var recode = map[string]func(key, b []byte) ([]byte, error){
	"header": func(_, b []byte) ([]byte, error) {
		h, err := identifier.ParseHeader(b)
		if err != nil {
			return nil, err
		}
		return h.Append(nil)
	},
	"content": func(_, b []byte) ([]byte, error) {
		spelling, values, err := identifier.ParseContent(b)
		if err != nil {
			return nil, err
		}
		return identifier.AppendContent(nil, spelling, values)
	},
	"stored": func(key, b []byte) ([]byte, error) {
		s, err := identifier.CheckStored(key, b)
		if err != nil {
			return nil, err
		}
		r, err := s.Record(identifier.ID{})
		if err != nil {
			return nil, err
		}
		return identifier.AppendStored(nil, key, r, s.Position())
	},
	"storeddelegation": func(key, b []byte) ([]byte, error) {
		s, err := identifier.CheckStoredDelegation(key, b)
		if err != nil {
			return nil, err
		}
		d, err := s.Delegation()
		if err != nil {
			return nil, err
		}
		return identifier.AppendStoredDelegation(nil, key, d, s.Position(), s.Granted())
	},
	"entry": func(_, b []byte) ([]byte, error) {
		e, err := identifier.ParseEntry(b)
		if err != nil {
			return nil, err
		}
		return identifier.AppendEntry(nil, e)
	},
	"leaf": func(_, b []byte) ([]byte, error) {
		e, err := identifier.ParseLeaf(b)
		if err != nil {
			return nil, err
		}
		return identifier.AppendLeaf(nil, e), nil
	},
	"delegation": func(_, b []byte) ([]byte, error) {
		d, err := identifier.ParseDelegation(b)
		if err != nil {
			return nil, err
		}
		return identifier.AppendDelegation(nil, d)
	},
	"keyset": func(_, b []byte) ([]byte, error) {
		k, err := identifier.ParseKeysetChange(b)
		if err != nil {
			return nil, err
		}
		return identifier.AppendKeysetChange(nil, k)
	},
	"childrow": func(_, b []byte) ([]byte, error) {
		r, err := identifier.ParseChildRow(b)
		if err != nil {
			return nil, err
		}
		return r.Append(nil)
	},
	"childrenheader": func(_, b []byte) ([]byte, error) {
		h, err := identifier.ParseChildrenHeader(b)
		return h.Append(nil), err
	},
	"fence": func(_, b []byte) ([]byte, error) {
		f, err := identifier.ParseFence(b)
		if err != nil {
			return nil, err
		}
		return identifier.AppendFence(nil, f)
	},
	"origin": func(_, b []byte) ([]byte, error) {
		o, err := identifier.ParseOrigin(b)
		return o.Append(nil), err
	},
	"genesis": func(_, b []byte) ([]byte, error) {
		g, err := identifier.ParseGenesis(b)
		if err != nil {
			return nil, err
		}
		return identifier.AppendGenesis(nil, g)
	},
}

// sampleContent has everything that values can have.
func sampleContent() []identifier.Value {
	return []identifier.Value{
		{Index: 1, Type: "URL", Data: []byte("https://maker.example/p/42"), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions},
		{
			Index: 2, Type: "URL", Data: []byte("https://maker.example/dpp/42"),
			TTL: identifier.TTL{Seconds: 300}, Permissions: identifier.DefaultPermissions | identifier.PublicWrite,
			Timestamp: time.Date(2025, 6, 7, 8, 9, 10, 0, time.UTC),
			Link: &identifier.Link{
				Relation: "gs1:dpp", Title: "Größe 说明", Languages: []string{"en", "zh-Hans"}, MediaType: "text/html", Context: "any", Default: true,
			},
		},
		{Index: 100, Type: "HS_SITE", Data: []byte{0, 1, 255}, TTL: identifier.TTL{Absolute: true, Seconds: 86400}, Permissions: identifier.AdminRead},
		{Index: 1<<32 - 1, Type: "X", TTL: identifier.DefaultTTL, References: []identifier.Reference{{Handle: "10.1000/182", Index: 7}, {Handle: "0.NA/10", Index: 1<<32 - 1}}},
	}
}

// written returns what this version writes for every vector with the verdict ok.
func written(t *testing.T, key []byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	add := func(name string) func(b []byte, err error) {
		return func(b []byte, err error) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			out[name] = b
		}
	}
	add("content-empty")(identifier.AppendContent(nil, "", nil))
	add("content-link")(identifier.AppendContent(nil, "", link("https://maker.example/42")))
	add("content-everything")(identifier.AppendContent(nil, "hdl:88.118.8/SN-42", sampleContent()))

	agent := identifier.Header{Prefix: "88.118", Epoch: 1, KeysetVersion: 300, Rows: 1, Root: identifier.Hash{1, 2, 3}, Expiry: expiry, Agent: "300:0.NA/88.118", AgentMethod: "handle"}
	add("header-agent")(agent.Append(nil))
	e := sampleEntry(t)
	out["header-rows"] = e.Envelope.Payload
	out["leaf-change"] = identifier.AppendLeaf(nil, e)
	add("entry-change")(identifier.AppendEntry(nil, e))

	d := sampleDelegation(t)
	add("delegation-node")(identifier.AppendDelegation(nil, d))
	mirrored := sampleDelegation(t)
	mirrored.Mirrors = []identifier.Node{sampleMirror(t, "region-mirror"), sampleMirror(t, "top-mirror")}
	add("delegation-mirrors")(identifier.AppendDelegation(nil, mirrored))
	mirrored.Mirrors[1].HandleKey = sampleRSA()
	add("delegation-handlekeys")(identifier.AppendDelegation(nil, mirrored))
	add("delegation-revoked")(identifier.AppendDelegation(nil, &identifier.Delegation{Prefix: "88.118", Epoch: 2, Keyset: identifier.Keyset{Version: 2}}))
	k := identifier.KeysetChange{Prefix: "88.118", Epoch: 1, Keyset: identifier.Keyset{Version: 2, Threshold: 1, Keys: []identifier.PublicKey{newKey(t, 4).Public(), {Type: 200, Raw: "a kind to come"}}}}
	add("keyset-unknown-kind")(identifier.AppendKeysetChange(nil, &k))
	g := identifier.Genesis{Log: identifier.LogID{0xff, 15: 1}, Key: newKey(t, 3).Public(), Format: 1}
	add("genesis-first")(identifier.AppendGenesis(nil, &g))
	next := g
	next.Log, next.After = identifier.LogID{2}, &identifier.Predecessor{Log: g.Log, Why: identifier.AfterFork, Size: 5, Held: identifier.Hash{1}, Own: identifier.Hash{2}, Base: 7}
	add("genesis-next")(identifier.AppendGenesis(nil, &next))
	joined := *next.After
	joined.Whole = true
	joined.Continue(g.Log, identifier.LogID{3}, identifier.LogID{4})
	next.After = &joined
	add("genesis-joined")(identifier.AppendGenesis(nil, &next))
	for name, kind := range map[string]identifier.EntryKind{
		"genesis-first": identifier.EntryGenesis, "delegation-node": identifier.EntryDelegation,
		"keyset-unknown-kind": identifier.EntryKeyset, "delegation-revoked": identifier.EntryGrant,
	} {
		other := &identifier.Entry{Kind: kind, Time: time.UnixMilli(0), Envelope: identifier.Sign(kind.PayloadType(), out[name], newKey(t, 5))}
		add(fmt.Sprintf("entry-%s", name))(identifier.AppendEntry(nil, other))
	}
	add("fence-node")(identifier.AppendFence(nil, &identifier.Fence{Log: identifier.LogID{9}, Size: 4711, Root: identifier.Hash{1, 2}, Delegation: *d}))
	add("entry-fence-node")(identifier.AppendEntry(nil, &identifier.Entry{
		Kind: identifier.EntryFence, Time: time.UnixMilli(1700000000123), Envelope: identifier.Sign(identifier.FenceType, out["fence-node"], newKey(t, 3)),
	}))
	out["origin-first"] = identifier.Origin{Log: identifier.LogID{9}, Position: 4711}.Append(nil)
	add("entry-origin-first")(identifier.AppendEntry(nil, &identifier.Entry{
		Kind: identifier.EntryOrigin, Time: time.UnixMilli(1700000000123), Envelope: identifier.Sign(identifier.OriginType, out["origin-first"], newKey(t, 3)),
	}))
	children := sampleChildren(t)
	header, _, err := identifier.HashChildren(children)
	if err != nil {
		t.Fatal(err)
	}
	add("childrow-first")(children[0].Append(nil))
	out["childrenheader-three"] = header.Append(nil)
	add("entry-children-three")(identifier.AppendEntry(nil, &identifier.Entry{
		Kind: identifier.EntryChildren, Time: time.UnixMilli(1700000000123), Children: children,
		Envelope: identifier.Sign(identifier.ChildrenType, header.Append(nil), newKey(t, 3)),
	}))

	r := &identifier.Record{Version: 5, Time: time.UnixMilli(1700000000123), RowHash: identifier.Hash{9, 8, 7}, Spelling: "hdl:88.118.8/SN-42", Values: sampleContent()}
	add("stored-record")(identifier.AppendStored(nil, key, r, 77))
	add("stored-tombstone")(identifier.AppendStored(nil, key, &identifier.Record{Version: 6, Time: r.Time, RowHash: r.RowHash, Withdrawn: true}, 78))
	add("storeddelegation-node")(identifier.AppendStoredDelegation(nil, key, d, 3, 2))
	return out
}

// vectorKey is what the vectors of stored forms are stored under.
func vectorKey(t *testing.T) []byte {
	return identifier.AppendKey([]byte{0, 0, 0, 1}, newID(t, "88.118.8", "sn-42"))
}

// readVector returns a vector's notes and octets.
func readVector(t *testing.T, path string) (notes map[string]string, b []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	notes = map[string]string{}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if note, ok := strings.CutPrefix(line, "#"); ok {
			name, content, _ := strings.Cut(note, ":")
			notes[strings.TrimSpace(name)] = strings.TrimSpace(content)
			continue
		}
		digits.WriteString(strings.ReplaceAll(line, " ", ""))
	}
	if b, err = hex.DecodeString(digits.String()); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return notes, b
}

func writeVector(t *testing.T, path string, key, b []byte) {
	t.Helper()
	var text strings.Builder
	if key != nil {
		fmt.Fprintf(&text, "# key: %x\n", key)
	}
	for ; len(b) > 32; b = b[32:] {
		fmt.Fprintf(&text, "%x\n", b[:32])
	}
	fmt.Fprintf(&text, "%x\n", b)
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestVectorsAreWhatIsWritten(t *testing.T) {
	key := vectorKey(t)
	for name, b := range written(t, key) {
		path := filepath.Join(vectors, name+".ok.hex")
		if _, err := os.Stat(path); *update && errors.Is(err, os.ErrNotExist) {
			if !strings.HasPrefix(name, "stored") {
				key = nil
			}
			writeVector(t, path, key, b)
			key = vectorKey(t)
		}
		if _, want := readVector(t, path); !bytes.Equal(b, want) {
			t.Errorf("%s: wrote %x, want %x", name, b, want)
		}
	}
}

func TestVectorsAreRead(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(vectors, "*.hex"))
	if err != nil || len(files) < 80 {
		t.Fatalf("%d vectors, %v", len(files), err)
	}
	for _, path := range files {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			notes, b := readVector(t, path)
			kind, _, _ := strings.Cut(name, "-")
			key, err := hex.DecodeString(notes["key"])
			if err != nil || recode[kind] == nil {
				t.Fatalf("kind %q, key %v", kind, err)
			}
			again, err := recode[kind](key, b)
			switch {
			case strings.HasSuffix(name, ".ok.hex"):
				if err != nil || !bytes.Equal(again, b) {
					t.Errorf("got %x, %v, want %x", again, err, b)
				}
			case strings.HasSuffix(name, ".refused.hex"):
				if err == nil || notes["rule"] == "" || !strings.Contains(err.Error(), notes["rule"]) {
					t.Errorf("got %v, want %q", err, notes["rule"])
				}
			default:
				t.Error("the name has no verdict")
			}
		})
	}
}

// The change in the vectors keeps all rules and is signed by the vectors' keys.
func TestVectorOfChangeIsGood(t *testing.T) {
	_, b := readVector(t, filepath.Join(vectors, "entry-change.ok.hex"))
	e, err := identifier.ParseEntry(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.Change().Check(); err != nil {
		t.Error(err)
	}
	if got := e.Envelope.SignedBy([]identifier.PublicKey{newKey(t, 1).Public(), newKey(t, 2).Public()}); got != 2 {
		t.Errorf("signed by %d, want 2", got)
	}
}

// fuzzDecoder lets the fuzzer look for octets that are read but not written again
// in the same way. complete turns what the fuzzer makes into what is decoded.
func fuzzDecoder(f *testing.F, kind string, complete func(b []byte) []byte) {
	files, err := filepath.Glob(filepath.Join(vectors, kind+"-*.hex"))
	if err != nil || len(files) == 0 {
		f.Fatalf("%d seeds, %v", len(files), err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		var b []byte
		for line := range strings.Lines(string(text)) {
			if part, err := hex.DecodeString(strings.TrimSpace(line)); err == nil {
				b = append(b, part...)
			}
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if complete != nil {
			b = complete(b)
		}
		before := bytes.Clone(b)
		again, err := recode[kind](fuzzKey, b)
		if !bytes.Equal(b, before) {
			t.Fatal("what was decoded has been changed")
		}
		var format *identifier.FormatError
		var damage *identifier.DamageError
		if err != nil && !errors.As(err, &format) && !errors.As(err, &damage) {
			t.Fatalf("%x: %T %v: read, but cannot be written", b, err, err)
		}
		if err == nil && !bytes.Equal(again, b) {
			t.Fatalf("read %x, wrote %x", b, again)
		}
	})
}

var fuzzKey = []byte("key")

// resum makes the checksum of a stored form good, so that the fuzzer gets past it.
func resum(b []byte) []byte { return summed(fuzzKey, bytes.Clone(b[:max(0, len(b)-4)])) }

func FuzzHeader(f *testing.F)           { fuzzDecoder(f, "header", nil) }
func FuzzContent(f *testing.F)          { fuzzDecoder(f, "content", nil) }
func FuzzStored(f *testing.F)           { fuzzDecoder(f, "stored", resum) }
func FuzzStoredDelegation(f *testing.F) { fuzzDecoder(f, "storeddelegation", resum) }
func FuzzEntry(f *testing.F)            { fuzzDecoder(f, "entry", nil) }
func FuzzEnvelope(f *testing.F)         { fuzzDecoder(f, "leaf", nil) }
func FuzzDelegation(f *testing.F)       { fuzzDecoder(f, "delegation", nil) }
func FuzzKeysetChange(f *testing.F)     { fuzzDecoder(f, "keyset", nil) }
func FuzzChildRow(f *testing.F)         { fuzzDecoder(f, "childrow", nil) }
func FuzzOrigin(f *testing.F)           { fuzzDecoder(f, "origin", nil) }
func FuzzFence(f *testing.F)            { fuzzDecoder(f, "fence", nil) }
func FuzzChildrenHeader(f *testing.F)   { fuzzDecoder(f, "childrenheader", nil) }
func FuzzGenesis(f *testing.F)          { fuzzDecoder(f, "genesis", nil) }
