package state_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nameplate-id/nameplate/registry/state"
)

// twin is what a state should hold, as plain maps.
type twin struct {
	rows      map[rowName]rowContent
	positions map[uint32]uint64
	runs      map[uint32][]run
	end       uint64
}

type rowName struct {
	table state.Table
	log   uint32
	key   string
}

type rowContent struct {
	value     string
	withdrawn bool
}

type run struct{ position, at uint64 }

func newTwin() *twin {
	return &twin{rows: make(map[rowName]rowContent), positions: make(map[uint32]uint64), runs: make(map[uint32][]run)}
}

// twinOf is the twin of a journal.
func twinOf(batches []state.Batch) *twin {
	w := newTwin()
	for _, b := range batches {
		w.apply(b)
	}
	return w
}

func versionOf(value string) uint64 { return binary.BigEndian.Uint64([]byte(value[1:9])) }

func versioned(t state.Table) bool { return t == state.Records || t == state.Delegations }

func (w *twin) apply(b state.Batch) {
	for _, m := range b.Mutations {
		name := rowName{m.Table, b.Log, string(m.Key)}
		old, had := w.rows[name]
		switch {
		case versioned(m.Table) && had && versionOf(old.value) >= versionOf(string(m.Value)):
		case m.Value == nil:
			delete(w.rows, name)
		default:
			w.rows[name] = rowContent{string(m.Value), m.Withdrawn}
		}
	}
	position := w.positions[b.Log]
	if b.Position > position {
		kept := w.runs[b.Log]
		if n := len(kept); n == 0 || position-kept[n-1].position >= 256 || b.At-kept[n-1].at >= 64<<10 {
			w.runs[b.Log] = append(kept, run{position, b.At})
		}
	}
	w.positions[b.Log] = b.Position
	w.end = b.End
}

func (w *twin) anyWithPrefix(t state.Table, log uint32, prefix string) bool {
	for name, content := range w.rows {
		if name.table == t && name.log == log && strings.HasPrefix(name.key, prefix) && !content.withdrawn {
			return true
		}
	}
	return false
}

// run returns the nearest run at or before a position.
func (w *twin) run(log uint32, position uint64) (run, bool) {
	kept := w.runs[log]
	for i := len(kept) - 1; i >= 0; i-- {
		if kept[i].position <= position {
			return kept[i], true
		}
	}
	return run{}, false
}

// names returns the rows of a table and log in the order of keys.
func (w *twin) names(t state.Table, log uint32) []rowName {
	names := slices.DeleteFunc(slices.Collect(maps.Keys(w.rows)), func(n rowName) bool { return n.table != t || n.log != log })
	slices.SortFunc(names, func(a, b rowName) int { return strings.Compare(a.key, b.key) })
	return names
}

// totals returns what the rows of a log add up to, but for the digests.
func (w *twin) totals(log uint32) state.Totals {
	var t state.Totals
	for name, content := range w.rows {
		switch {
		case name.log != log:
		case name.table == state.Records && content.withdrawn:
			t.Withdrawn++
		case name.table == state.Records:
			t.Live++
		case name.table == state.Delegations && content.withdrawn:
			t.Revoked++
		case name.table == state.Delegations:
			t.Delegations++
		}
	}
	return t
}

// What the tests write: few enough keys that they meet often.
var (
	twinTables = []state.Table{state.Records, state.Delegations, state.Hashed, state.Tiles, state.Notes}
	twinLogs   = []uint32{0, 1, 1<<32 - 1}
	twinKeys   = []string{"", "a\x00", "a\x00\x01s", "a\x00\x01t", "a\x00b\x00", "a\x00b\x00\x01s", "ab\x00", "ab\x00\x01s", "b\x00\x01\xc3\xa9", "b\x00\x01" + strings.Repeat("l", 300), "\xff\xff"}
	// twinPrefixes are asked for with AnyWithPrefix.
	twinPrefixes = []string{"", "a", "a\x00", "a\x00\x01", "a\x00b\x00", "ab\x00", "b\x00", "c", "\xff", "\xff\xff\xff"}
)

// compareView compares everything that a reader finds with a twin.
func compareView(r *state.Reader, w *twin) error {
	for _, log := range twinLogs {
		if got, want := r.Position(log), w.positions[log]; got != want {
			return fmt.Errorf("Position(%d) = %d, want %d", log, got, want)
		}
		for _, position := range []uint64{0, 1, 255, 256, w.positions[log] / 2, w.positions[log], 1 << 62} {
			want, known := w.run(log, position)
			if at, first, ok := r.Run(log, position); ok != known || at != want.at || first != want.position {
				return fmt.Errorf("Run(%d, %d) = %d, %d, %v, want %+v, %v", log, position, at, first, ok, want, known)
			}
		}
		for _, t := range twinTables {
			for _, key := range twinKeys {
				want, there := w.rows[rowName{t, log, key}]
				if got := r.Get(t, log, []byte(key)); there != (got != nil) || string(got) != want.value {
					return fmt.Errorf("Get(%v, %d, %q) = %.20q, want %.20q", t, log, key, got, want.value)
				}
				if got := r.Live(t, log, []byte(key)); (there && !want.withdrawn) != (got != nil) || got != nil && string(got) != want.value {
					return fmt.Errorf("Live(%v, %d, %q) = %.20q, want %.20q, withdrawn %v", t, log, key, got, want.value, want.withdrawn)
				}
				wanted := []state.Wanted{{Log: log, Key: []byte(key)}}
				if r.LiveAll(wanted); t == state.Records && string(wanted[0].Value) != string(r.Live(t, log, []byte(key))) {
					return fmt.Errorf("LiveAll(%d, %q) = %.20q, want what Live gives", log, key, wanted[0].Value)
				}
			}
			for _, prefix := range twinPrefixes {
				if got, want := r.AnyWithPrefix(t, log, []byte(prefix)), w.anyWithPrefix(t, log, prefix); got != want {
					return fmt.Errorf("AnyWithPrefix(%v, %d, %q) = %v, want %v", t, log, prefix, got, want)
				}
			}
		}
	}
	return nil
}

// content makes a value with a version.
func content(version uint64, text string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{1}, version), text...)
}

// sameRow compares a row of a scan with the twin's.
func sameRow(got state.Row, name rowName, want rowContent) bool {
	return bytes.Equal(got.Key, []byte(name.key)) && bytes.Equal(got.Value, []byte(want.value)) && got.Withdrawn == want.withdrawn
}
