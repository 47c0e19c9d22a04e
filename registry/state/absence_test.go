package state_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/nameplate-id/nameplate/registry/state"
)

// checkRecord says whether a row is one that [record] makes: its value holds its key.
func checkRecord(_ state.Table, r state.Row) error {
	if len(r.Value) < 9 || !bytes.Equal(r.Value[9:], r.Key) {
		return errors.New("the row is not what was put")
	}
	return nil
}

// A row whose key has changed on the disk is not taken for one that never was, nor are
// those beside it: neither by Get, nor by Live, nor by AnyWithPrefix.
func TestChangedKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	options := state.Options{Journal: journalID, CheckRow: checkRecord}
	s, err := state.Open(path, options)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for i := range 300 {
		keys = append(keys, fmt.Sprintf("key-%04d", i))
		m := record(keys[i], 2) // not the octets of the log number
		m.Withdrawn = i%7 == 3
		publish(t, s, m)
	}
	apply(t, s)
	absent(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	trials, opened := 0, 0
	log := binary.BigEndian.AppendUint32(nil, 1)
	for _, i := range []int{0, 3, 50, 101, 150, 298, 299} {
		stored := append(bytes.Clone(log), keys[i]...)
		for bit := range 8 * len(stored) {
			damaged := bytes.Clone(sound)
			for from := 0; ; from++ {
				at := bytes.Index(damaged[from:], stored)
				if at < 0 {
					break
				}
				from += at
				damaged[from+bit/8] ^= 1 << (bit % 8)
			}
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			trials++
			s, err := state.Open(path, options)
			if err != nil {
				continue // found at once
			}
			opened++
			for _, k := range keys[max(0, i-2):min(len(keys), i+3)] {
				if got := noticed(s, k); got != "" {
					t.Errorf("bit %d of %s: %s", bit, keys[i], got)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if opened < trials/2 {
		t.Errorf("%d of %d damaged files could be opened, too few to learn from", opened, trials)
	}
}

// absent asks a sound state for what is not in it.
func absent(t *testing.T, s *state.Store) {
	t.Helper()
	err := s.View(func(r *state.Reader) error {
		for _, key := range []string{"", "a", "key-", "key-0150x", "key-0299x", "z"} {
			for _, log := range []uint32{0, 1, 2} {
				if r.Get(state.Records, log, []byte(key)) != nil || r.Live(state.Records, log, []byte(key)) != nil {
					t.Errorf("%q is there", key)
				}
			}
			if got := r.AnyWithPrefix(state.Records, 1, []byte(key)); got != (key == "" || key == "key-") {
				t.Errorf("any with prefix %q: %v", key, got)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// noticed returns what is wrong with the answers about a key that was put; an error is
// a right one.
func noticed(s *state.Store, key string) (wrong string) {
	var got, live []byte
	var any bool
	if s.View(func(r *state.Reader) error { got = bytes.Clone(r.Get(state.Records, 1, []byte(key))); return nil }) == nil && got == nil {
		return "Get finds nothing at " + key
	}
	var number int
	if _, err := fmt.Sscanf(key, "key-%d", &number); err != nil || number%7 == 3 {
		return "" // withdrawn
	}
	if s.View(func(r *state.Reader) error { live = bytes.Clone(r.Live(state.Records, 1, []byte(key))); return nil }) == nil && live == nil {
		return "Live finds nothing at " + key
	}
	if s.View(func(r *state.Reader) error { any = r.AnyWithPrefix(state.Records, 1, []byte(key)); return nil }) == nil && !any {
		return "AnyWithPrefix finds nothing at " + key
	}
	return ""
}
