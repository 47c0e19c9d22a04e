package journal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// What the vectors in testdata/vectors/checkpoint are made with: the first key of
// RFC 8032, section 7.1, and the log id 00 01 02 … 0f.
func checkpointParties(t testing.TB) (identifier.PrivateKey, identifier.LogID) {
	seed, err := hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
	if err != nil {
		t.Fatal(err)
	}
	key, err := identifier.NewPrivateKey(bytes.NewReader(seed))
	if err != nil {
		t.Fatal(err)
	}
	var log identifier.LogID
	for i := range log {
		log[i] = byte(i)
	}
	return key, log
}

func TestCheckpointVectors(t *testing.T) {
	key, log := checkpointParties(t)
	names, err := filepath.Glob("../../testdata/vectors/checkpoint/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		verdict, _, _ := strings.Cut(filepath.Base(name), "-")
		size, root, err := journal.VerifyCheckpoint(text, log, key.Public())
		switch {
		case verdict == "bad":
			if err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: got error %v, want one on one line", name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		default:
			lines := strings.Split(string(text), "\n")
			if strconv.FormatUint(size, 10) != lines[1] || base64.StdEncoding.EncodeToString(root[:]) != lines[2] {
				t.Errorf("%s: got size %d and root %x", name, size, root)
			}
		}
	}
}

func TestSignCheckpoint(t *testing.T) {
	key, log := checkpointParties(t)
	want, err := os.ReadFile("../../testdata/vectors/checkpoint/ok-plain.txt")
	if err != nil {
		t.Fatal(err)
	}
	size, root, err := journal.VerifyCheckpoint(want, log, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	got, err := journal.SignCheckpoint(size, root, log, key)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %q, error %v, want %q", got, err, want)
	}
	// Other people's tools know the key by this text.
	text, err := journal.VerifierKey(log, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(text)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := note.Open(got, note.VerifierList(verifier)); err != nil || len(n.Sigs) != 1 {
		t.Errorf("package note opens it with %s: error %v", text, err)
	}
}

func TestCheckpointRefusals(t *testing.T) {
	key, log := checkpointParties(t)
	good, err := journal.SignCheckpoint(1, identifier.Hash{}, log, key)
	if err != nil {
		t.Fatal(err)
	}
	other := identifier.PublicKey{Type: 77, Raw: key.Public().Raw}
	short := identifier.PublicKey{Type: identifier.Ed25519, Raw: "short"}
	for name, err := range map[string]error{
		"no key":              second(journal.SignCheckpoint(1, identifier.Hash{}, log, identifier.PrivateKey{})),
		"unknown type of key": third(journal.VerifyCheckpoint(good, log, other)),
		"short key":           third(journal.VerifyCheckpoint(good, log, short)),
		"another log":         third(journal.VerifyCheckpoint(good, identifier.LogID{1}, key.Public())),
		"too long":            third(journal.VerifyCheckpoint(append(good, make([]byte, journal.MaxCheckpoint)...), log, key.Public())),
		"text of a short key": second(journal.VerifierKey(log, short)),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func third[A, B any](_ A, _ B, err error) error { return err }

func FuzzVerifyCheckpoint(f *testing.F) {
	key, log := checkpointParties(f)
	names, _ := filepath.Glob("../../testdata/vectors/checkpoint/*.txt")
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil {
			f.Add(text)
		}
	}
	good, err := os.ReadFile("../../testdata/vectors/checkpoint/ok-plain.txt")
	if err != nil {
		f.Fatal(err)
	}
	text, _, _ := bytes.Cut(good, []byte("\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, err := journal.VerifyCheckpoint(b, log, key.Public())
		// Nobody signs anything here, so only the texts signed before are good.
		if err == nil && !bytes.HasPrefix(b, text) && !bytes.HasPrefix(b, []byte(journal.Origin(log)+"\n18446744073709551615\n")) && !bytes.HasPrefix(b, []byte(journal.Origin(log)+"\n0\n")) {
			t.Errorf("a text that nobody signed was accepted: %q", b)
		}
	})
}
