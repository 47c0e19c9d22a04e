package journal_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// A cosignature as tlog-cosignature/v1 describes it, checked here without the code
// that made it.
func TestCosign(t *testing.T) {
	key, log := checkpointParties(t)
	parent, err := identifier.NewPrivateKey(bytes.NewReader(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := os.ReadFile("../../testdata/vectors/checkpoint/ok-plain.txt")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1679315147, 0)
	got, err := journal.Cosign(plain, log, key.Public(), at, parent)
	if err != nil {
		t.Fatal(err)
	}
	line, ok := strings.CutPrefix(string(got), string(plain))
	if !ok {
		t.Fatalf("%q does not begin with the checkpoint", got)
	}
	fields := strings.Fields(line)
	name := journal.CosignerName(parent.Public())
	if len(fields) != 3 || fields[0] != "—" || fields[1] != name {
		t.Fatalf("got line %q", line)
	}
	raw, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil || len(raw) != 4+8+64 {
		t.Fatalf("got %d octets, %v", len(raw), err)
	}
	id := sha256.Sum256([]byte(name + "\n\x04" + parent.Public().Raw))
	text, _, _ := strings.Cut(string(plain), "\n\n")
	signed := fmt.Sprintf("cosignature/v1\ntime 1679315147\n%s\n", text)
	if !bytes.Equal(raw[:4], id[:4]) || binary.BigEndian.Uint64(raw[4:]) != 1679315147 ||
		!ed25519.Verify(ed25519.PublicKey(parent.Public().Raw), []byte(signed), raw[12:]) {
		t.Errorf("the line is %x", raw)
	}
	if when, err := journal.VerifyCosignature(got, parent.Public()); err != nil || !when.Equal(at) {
		t.Errorf("got time %v, %v", when, err)
	}
	if _, _, err := journal.VerifyCheckpoint(got, log, key.Public()); err != nil {
		t.Errorf("the checkpoint: %v", err)
	}
}

func TestVerifyCosignatureRefuses(t *testing.T) {
	key, log := checkpointParties(t)
	parent, err := identifier.NewPrivateKey(bytes.NewReader(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := os.ReadFile("../../testdata/vectors/checkpoint/ok-plain.txt")
	if err != nil {
		t.Fatal(err)
	}
	good, err := journal.Cosign(plain, log, key.Public(), time.Unix(1, 0), parent)
	if err != nil {
		t.Fatal(err)
	}
	for name, note := range map[string][]byte{
		"no cosignature":  plain,
		"another size":    bytes.Replace(good, []byte("20852163"), []byte("20852164"), 1),
		"nothing":         nil,
		"cut":             good[:len(good)-20],
		"of another node": good,
	} {
		by := parent.Public()
		if name == "of another node" {
			by = key.Public()
		}
		if when, err := journal.VerifyCosignature(note, by); err == nil {
			t.Errorf("%s: cosigned at %v", name, when)
		}
	}
	// The time is signed as well.
	lines := strings.Split(strings.TrimSuffix(string(good), "\n"), "\n")
	last := strings.Fields(lines[len(lines)-1])
	raw, _ := base64.StdEncoding.DecodeString(last[2])
	raw[11]++
	lines[len(lines)-1] = "— " + last[1] + " " + base64.StdEncoding.EncodeToString(raw)
	if when, err := journal.VerifyCosignature([]byte(strings.Join(lines, "\n")+"\n"), parent.Public()); err == nil {
		t.Errorf("another time passes: %v", when)
	}
	if _, err := journal.Cosign(plain, log, parent.Public(), time.Unix(1, 0), parent); err == nil {
		t.Error("a checkpoint of another key is cosigned")
	}
}

// The checkpoint that a row of a child stands for is the one that was signed.
func TestAssembleCheckpoint(t *testing.T) {
	key, log := checkpointParties(t)
	for name, whole := range map[string]bool{"ok-plain": true, "ok-cosigned": false, "ok-extension": false} {
		note, err := os.ReadFile("../../testdata/vectors/checkpoint/" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		size, root, err := journal.VerifyCheckpoint(note, log, key.Public())
		if err != nil {
			t.Fatal(err)
		}
		signature, err := journal.CheckpointSignature(note, log, key.Public())
		if err != nil {
			t.Fatal(err)
		}
		got, err := journal.AssembleCheckpoint(size, root, log, key.Public(), signature)
		if name == "ok-extension" {
			if err == nil {
				t.Errorf("%s: assembled as %q, without what else was signed", name, got)
			}
			continue
		}
		if err != nil || bytes.Equal(got, note) != whole || !bytes.HasPrefix(note, got) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if _, err := journal.AssembleCheckpoint(size+1, root, log, key.Public(), signature); err == nil {
			t.Errorf("%s: another size passes", name)
		}
	}
}
