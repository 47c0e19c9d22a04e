package state_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/state"
)

var flips = flag.Int("flips", 300, "how many bits TestBitFlips flips")

// damageRows is how many records the file that is damaged holds, damageEnd the
// journal offset behind them.
const (
	damageRows = 4000
	damageEnd  = 100 * (damageRows + damageRows/4)
)

// damageFile makes a state with rows in every table, as it is after some time in
// use, and returns its octets and its records by key.
func damageFile(t *testing.T) ([]byte, map[string][]byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	s, err := state.Open(path, state.Options{Journal: journalID})
	if err != nil {
		t.Fatal(err)
	}
	stored := make(map[string][]byte)
	put := func(i int, version uint64, withdrawn bool) state.Mutation {
		id := identifier.ID{Prefix: "88.118", Suffix: fmt.Sprintf("sn-%d", i*7919%damageRows)}
		r := &identifier.Record{ID: id, Version: version, Time: time.UnixMilli(1), Withdrawn: withdrawn}
		if !withdrawn {
			r.Values = []identifier.Value{{Index: 1, Type: "DESC", Data: fmt.Appendf(nil, "number %d, version %d", i, version), Timestamp: time.Unix(1, 0)}}
		}
		key := identifier.AppendKey(nil, id)
		value, err := identifier.AppendStored(nil, key, r, version)
		if err != nil {
			t.Fatal(err)
		}
		stored[string(key)] = value
		return state.Mutation{Table: state.Records, Key: key, Value: value, Withdrawn: withdrawn}
	}
	for i := range damageRows {
		publish(t, s, put(i, 1, false), state.Mutation{Table: state.Tiles, Key: state.AppendTileKey(nil, 0, uint64(i/256)), Value: make([]byte, 32*(i%256+1))})
		if i%500 == 0 {
			apply(t, s)
		}
	}
	for i := range damageRows / 4 {
		publish(t, s, put(i, 2, i%2 == 0))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text, stored
}

// outcome is how a damaged file was found out.
type outcome string

const (
	atOpen    outcome = "refused by Open"
	byCheck   outcome = "found by Check"
	harmless  outcome = "of no effect"
	byReading outcome = "found by reading as well as by Check"
	// goneBack is what the loss of the newer meta page does: the state is the one
	// of the commit before, and the journal brings it forward again.
	goneBack outcome = "one commit older"
)

// try opens a damaged file, reads everything, writes to it and checks it.
func try(t *testing.T, path string, stored map[string][]byte) (outcome, error) {
	var damage *state.DamageError
	typed := func(err error) bool {
		var foreign *state.ForeignError
		return errors.As(err, &damage) || errors.As(err, &foreign)
	}
	s, err := state.Open(path, state.Options{Journal: journalID})
	if err != nil {
		if !typed(err) {
			return "", fmt.Errorf("Open: %w", err)
		}
		return atOpen, nil
	}
	defer s.Close()
	if s.Applied() < damageEnd {
		if err := s.Check(t.Context(), nil); s.Applied() == 0 || err != nil {
			return "", fmt.Errorf("the state is one of offset %d: %v", s.Applied(), err)
		}
		return goneBack, nil
	}
	seen := false
	for key, want := range stored {
		err := s.View(func(r *state.Reader) error {
			r.AnyWithPrefix(state.Records, 1, []byte(key))
			got := r.Get(state.Records, 1, []byte(key))
			_, err := identifier.CheckStored([]byte(key), got)
			if same := bytes.Equal(got, want); err == nil && !same {
				return fmt.Errorf("%q: a wrong value passes its own checksum", key)
			} else if !same {
				seen = true
			}
			return nil
		})
		if err != nil {
			if !errors.As(err, &damage) {
				return "", fmt.Errorf("View: %w", err)
			}
			seen = true
		}
	}
	checked := s.Check(t.Context(), func(table state.Table, _ uint32, r state.Row) error {
		if table != state.Records {
			return nil
		}
		_, err := identifier.CheckStored(r.Key, r.Value)
		return err
	})
	switch {
	case checked == nil && seen:
		return "", errors.New("Check finds nothing wrong with a file that lost something")
	case checked == nil:
		return harmless, nil
	}
	// Writing must end in an error or not, but end.
	at := s.Published()
	b := state.Batch{Log: 1, Position: s.Positions()[1] + 1, At: at, End: at + 1}
	for key := range stored {
		value := bytes.Clone(stored[key])
		value[8] += 5 // its version
		b.Mutations = append(b.Mutations, state.Mutation{Table: state.Records, Key: []byte(key), Value: value})
	}
	if err := s.Publish(t.Context(), b); err != nil {
		return "", fmt.Errorf("Publish: %w", err)
	}
	if err := s.Apply(); err != nil && !errors.As(err, &damage) {
		return "", fmt.Errorf("applying: %w", err)
	}
	if seen {
		return byReading, nil
	}
	return byCheck, nil
}

var native = binary.NativeEndian

// element returns where the i-th element of a page is.
func element(page uint64, i int) int { return int(page)*4096 + 16 + 16*i }

// Damage that bbolt would follow into the ground is found before it does.
func TestDirectedDamage(t *testing.T) {
	text, stored := damageFile(t)
	path := filepath.Join(t.TempDir(), "state.db")
	write := func(change func(text []byte, p state.Pages)) {
		damaged := bytes.Clone(text)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := state.PagesOf(path, state.Records)
		if err != nil {
			t.Fatal(err)
		}
		change(damaged, p)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range map[string]func(text []byte, p state.Pages){
		"a branch that leads to itself":    func(b []byte, p state.Pages) { native.PutUint64(b[element(p.Branches[0], 1)+8:], p.Branches[0]) },
		"a branch that leads past the end": func(b []byte, p state.Pages) { native.PutUint64(b[element(p.Branches[0], 1)+8:], 1<<40) },
		"a leaf that two branches lead to": func(b []byte, p state.Pages) { native.PutUint64(b[element(p.Branches[0], 1)+8:], p.Leaves[0]) },
		"a branch out of order": func(b []byte, p state.Pages) {
			at := element(p.Branches[0], 1)
			b[at+int(native.Uint32(b[at:]))] ^= 0xff
		},
		"a branch of 65,535 elements":        func(b []byte, p state.Pages) { native.PutUint16(b[int(p.Branches[0])*4096+10:], 0xffff) },
		"a branch of none":                   func(b []byte, p state.Pages) { native.PutUint16(b[int(p.Branches[0])*4096+10:], 0) },
		"a branch that is another page":      func(b []byte, p state.Pages) { b[int(p.Branches[0])*4096]++ },
		"a branch that is no branch":         func(b []byte, p state.Pages) { b[int(p.Branches[0])*4096+8] = 0x10 },
		"a free list with a page in use":     func(b []byte, p state.Pages) { native.PutUint64(b[element(p.Freelist, 0):], p.Leaves[3]) },
		"a free list with a page of a table": func(b []byte, p state.Pages) { native.PutUint64(b[element(p.Freelist, 0):], p.Branches[0]) },
		"a free list that is too long":       func(b []byte, p state.Pages) { native.PutUint16(b[int(p.Freelist)*4096+10:], 0xfffe) },
		"a free list that is none":           func(b []byte, p state.Pages) { b[int(p.Freelist)*4096+8] = 2 },
	} {
		write(change)
		if how, err := try(t, path, stored); how != atOpen || err != nil {
			t.Errorf("%s is %s, %v; want %s", name, how, err, atOpen)
		}
	}
}

// Leaves are not read by Open. Before a commit changes one, or one beside it, it is
// checked.
func TestDirectedDamageInLeaves(t *testing.T) {
	text, stored := damageFile(t)
	path := filepath.Join(t.TempDir(), "state.db")
	for name, change := range map[string]func(text []byte, leaf uint64){
		"a value of a gigabyte":       func(b []byte, leaf uint64) { b[element(leaf, 2)+15] ^= 0x40 },
		"a key of a gigabyte":         func(b []byte, leaf uint64) { b[element(leaf, 2)+11] ^= 0x40 },
		"a row that lies elsewhere":   func(b []byte, leaf uint64) { b[element(leaf, 2)+6] ^= 0x40 },
		"a leaf with many pages":      func(b []byte, leaf uint64) { native.PutUint32(b[int(leaf)*4096+12:], 1) },
		"a leaf of 65,535 rows":       func(b []byte, leaf uint64) { native.PutUint16(b[int(leaf)*4096+10:], 0xffff) },
		"a leaf that is another page": func(b []byte, leaf uint64) { b[int(leaf)*4096]++ },
		"a key out of order": func(b []byte, leaf uint64) {
			at := element(leaf, 2)
			b[at+int(native.Uint32(b[at+4:]))+5] ^= 0x80
		},
	} {
		for _, removing := range []bool{false, true} {
			damaged := bytes.Clone(text)
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			p, err := state.PagesOf(path, state.Records)
			if err != nil {
				t.Fatal(err)
			}
			leaf := p.Leaves[5]
			hit, beside := rowKey(damaged, leaf, 2), rowKey(damaged, leaf, 3)
			change(damaged, leaf)
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			var rows []state.Mutation
			for key := range stored {
				// bbolt is to meet the damaged row in passing: because it puts the
				// one beside it, or removes all others.
				if removing && key != hit || key == beside {
					rows = append(rows, state.Mutation{Table: state.Records, Key: []byte(key), Value: content(9, ""), Withdrawn: removing})
				}
			}
			applyToDamaged(t, fmt.Sprintf("%s, removing %v", name, removing), path, rows)
		}
	}
}

// rowKey returns the key of the i-th row of a leaf.
func rowKey(text []byte, leaf uint64, i int) string {
	at := element(leaf, i)
	key := text[at+int(native.Uint32(text[at+4:])):]
	return string(key[4:native.Uint32(text[at+8:])])
}

// applyToDamaged commits rows to a file in which they meet damage.
func applyToDamaged(t *testing.T, name, path string, rows []state.Mutation) {
	text, _ := os.ReadFile(path)
	index := filepath.Join(t.TempDir(), "state.index")
	s, err := state.Open(path, state.Options{Journal: journalID, Index: index})
	if err != nil {
		t.Fatalf("%s: Open: %v", name, err)
	}
	publish(t, s, rows...)
	var damage *state.DamageError
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := s.Apply(); !errors.As(err, &damage) {
		t.Errorf("%s: applying: %v, want a DamageError", name, err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 100<<20 {
		t.Errorf("%s: applying took %d octets of memory", name, took)
	}
	s.Close()
	if now, _ := os.ReadFile(path); !bytes.Equal(text, now) {
		t.Errorf("%s: the file has changed", name)
	}
	if maps, _ := os.ReadFile("/proc/self/maps"); bytes.Contains(maps, []byte(index)) {
		t.Errorf("%s: the index is still mapped", name)
	}
}

// Whichever bit of the file is wrong, the process lives, no value passes for
// right that is wrong, and what reading shows to be missing Check finds too.
func TestBitFlips(t *testing.T) {
	text, stored := damageFile(t)
	seed := rand.Uint64()
	t.Logf("seed %d, %d octets", seed, len(text))
	random := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "state.db")
	count := make(map[outcome]int)
	for range *flips {
		damaged := bytes.Clone(text)
		at, bit := random.IntN(len(text)), random.IntN(8)
		for bytes.Count(text[at&^63:at&^63+64], []byte{0}) == 64 { // nothing was written there
			at = random.IntN(len(text))
		}
		if random.IntN(4) == 0 { // the octets that carry the structure are few
			at = at &^ 4095 // the page's header and first elements
			at += random.IntN(256)
		}
		damaged[at] ^= 1 << bit
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		how, err := try(t, path, stored)
		if err != nil {
			t.Errorf("bit %d of octet %d (page %d, octet %d): %v", bit, at, at/4096, at%4096, err)
		}
		count[how]++
	}
	t.Logf("%v", count)
}

// The same with files that end too early.
func TestTruncations(t *testing.T) {
	text, stored := damageFile(t)
	random := rand.New(rand.NewPCG(1, 1))
	path := filepath.Join(t.TempDir(), "state.db")
	count := make(map[outcome]int)
	for range 40 {
		size := random.IntN(len(text))
		if err := os.WriteFile(path, text[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		how, err := try(t, path, stored)
		if err != nil {
			t.Errorf("cut at octet %d: %v", size, err)
		}
		count[how]++
	}
	t.Logf("%v", count)
}
