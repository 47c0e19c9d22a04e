package replica_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// twoHistories returns evidence: a mirror of held entries, and a checkpoint over signed
// entries of a log that left it after the first common ones.
func twoHistories(t testing.TB, common, held, signed int) *replica.Evidence {
	t.Helper()
	a, b := replicatest.NewLog(1), replicatest.NewLog(1)
	for i := range max(held, signed) {
		number := uint64(i)
		a.Append(replicatest.Entry(number, 0))
		if i >= common {
			number += 1000
		}
		b.Append(replicatest.Entry(number, 0))
	}
	a.Sync()
	b.Sync()
	e := &replica.Evidence{Node: a.Key.Public(), Log: a.ID}
	var err error
	if e.Held, _, err = a.SignCheckpoint(uint64(held)); err != nil {
		t.Fatal(err)
	}
	if e.Signed, _, err = b.SignCheckpoint(uint64(signed)); err != nil {
		t.Fatal(err)
	}
	if held == signed {
		return e
	}
	larger, smaller, size := a, uint64(signed), held
	if signed > held {
		larger, smaller, size = b, uint64(held), signed
	}
	if e.Root, err = larger.Root(smaller); err != nil {
		t.Fatal(err)
	}
	if e.Proof, err = replicatest.Prove(larger.Payloads()[:size], smaller); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEvidence(t *testing.T) {
	for common := range 6 {
		for held := common + 1; held < 12; held++ {
			for signed := common + 1; signed < 12; signed++ {
				e := twoHistories(t, common, held, signed)
				d, err := e.Check(replicatest.VerifyCheckpoint)
				if err != nil || d.Size != uint64(min(held, signed)) || d.Held == d.Signed ||
					d.HeldSize != uint64(held) || d.SignedSize != uint64(signed) {
					t.Fatalf("%d in common, %d held, %d signed: got %+v, %v", common, held, signed, d, err)
				}
			}
		}
	}
}

// What does not contradict itself, or is not all there, is no evidence.
func TestNoEvidence(t *testing.T) {
	for name, e := range map[string]*replica.Evidence{
		"one history":               twoHistories(t, 9, 9, 5),
		"one history, one size":     twoHistories(t, 9, 9, 9),
		"one history, longer there": twoHistories(t, 9, 5, 9),
		"another key":               changed(twoHistories(t, 3, 9, 5), func(e *replica.Evidence) { e.Node = replicatest.NodeKey(2).Public() }),
		"another log":               changed(twoHistories(t, 3, 9, 5), func(e *replica.Evidence) { e.Log[0]++ }),
		"another root":              changed(twoHistories(t, 3, 9, 5), func(e *replica.Evidence) { e.Root[0]++ }),
		"another proof":             changed(twoHistories(t, 3, 9, 5), func(e *replica.Evidence) { e.Proof[0][0]++ }),
		"no proof":                  changed(twoHistories(t, 3, 9, 5), func(e *replica.Evidence) { e.Proof = nil }),
		"a proof too many":          changed(twoHistories(t, 3, 9, 9), func(e *replica.Evidence) { e.Proof = make([]identifier.Hash, 1) }),
		"one checkpoint":            changed(twoHistories(t, 3, 9, 5), func(e *replica.Evidence) { e.Signed = nil }),
		"the same twice":            changed(twoHistories(t, 3, 9, 9), func(e *replica.Evidence) { e.Signed = e.Held }),
	} {
		if d, err := e.Check(replicatest.VerifyCheckpoint); err == nil {
			t.Errorf("%s: it shows %+v", name, d)
		}
	}
}

func changed(e *replica.Evidence, change func(*replica.Evidence)) *replica.Evidence {
	change(e)
	return e
}

func TestEvidenceEncoding(t *testing.T) {
	for _, want := range []*replica.Evidence{twoHistories(t, 3, 9, 5), twoHistories(t, 3, 9, 9)} {
		b := replica.AppendEvidence(nil, want)
		got, err := replica.ParseEvidence(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		for n := range b {
			if e, err := replica.ParseEvidence(b[:n]); err == nil {
				t.Errorf("the first %d octets are read as %+v", n, e)
			}
		}
		if _, err := replica.ParseEvidence(append(bytes.Clone(b), 0)); err == nil {
			t.Error("it is read with an octet behind it")
		}
	}
}

// What can be read is written again as the same octets.
func FuzzEvidence(f *testing.F) {
	f.Add(replica.AppendEvidence(nil, twoHistories(f, 3, 9, 5)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := replica.ParseEvidence(b); err == nil && !bytes.Equal(replica.AppendEvidence(nil, e), b) {
			t.Errorf("%x is read as %+v and written as other octets", b, e)
		}
	})
}
