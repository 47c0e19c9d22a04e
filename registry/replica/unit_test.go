package replica_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nameplate-id/nameplate/registry/replica"
)

func TestUnit(t *testing.T) {
	want := &replica.Unit{Start: 7, Payloads: [][]byte{{1}, {2, 3}}, Checkpoint: []byte("note")}
	b := replica.AppendUnit(nil, want)
	got, err := replica.ParseUnit(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for n := range b {
		if u, err := replica.ParseUnit(b[:n]); err == nil {
			t.Errorf("the first %d octets are read as %+v", n, u)
		}
	}
	if u, err := replica.ParseUnit(append(bytes.Clone(b), 0)); err == nil {
		t.Errorf("with an octet behind it is read as %+v", u)
	}
}

// What can be read is written again as the same octets.
func FuzzUnit(f *testing.F) {
	f.Add(replica.AppendUnit(nil, &replica.Unit{Start: 7, Payloads: [][]byte{{1}, {2, 3}}, Checkpoint: []byte("note")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if u, err := replica.ParseUnit(b); err == nil && !bytes.Equal(replica.AppendUnit(nil, u), b) {
			t.Errorf("%x is read as %+v and written as other octets", b, u)
		}
	})
}
