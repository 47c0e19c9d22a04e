package registry_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
)

// Whatever says which log has which number is read as it is written, or refused.
func FuzzNumbering(f *testing.F) {
	head := append([]byte{1, 0, 0, 0, 7}, make([]byte, 16)...)
	key := append([]byte{1}, bytes.Repeat([]byte{5}, 32)...)
	again := slices.Concat([]byte{4}, head[1:], []byte{0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0}, key)
	for _, good := range [][]byte{slices.Concat(head, key), slices.Concat([]byte{3}, head[1:], []byte{1, 0}, key), again} {
		if _, err := registry.Renumber(good); err != nil {
			f.Fatalf("%x: %v", good, err)
		}
		f.Add(good)
	}
	for at, octet := range map[int]byte{0: 9, 24: 7, 34: 3} { // format, its own number, role
		bad := slices.Clone(again)
		bad[at] = octet
		if _, err := registry.Renumber(bad); err == nil {
			f.Errorf("%x is read", bad)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := registry.Renumber(b); err == nil && !bytes.Equal(got, b) {
			t.Errorf("%x is read, and written as %x", b, got)
		}
	})
}
