package identifier_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"pgregory.net/rapid"
)

func drawRecord(t *rapid.T) *identifier.Record {
	r := &identifier.Record{
		ID:        identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"},
		Version:   rapid.Uint64Min(1).Draw(t, "version"),
		Time:      drawMillisecond(t, "time"),
		Withdrawn: rapid.Bool().Draw(t, "withdrawn"),
		RowHash:   drawHash(t, "row hash"),
	}
	if !r.Withdrawn {
		r.Spelling = drawText(t, "spelling", 1, 40)
		r.Values = drawValues(t, false)
	}
	return r
}

func TestStoredRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := drawOctets(t, "key", 1, 60)
		r := drawRecord(t)
		position := rapid.Uint64().Draw(t, "position")
		b, err := identifier.AppendStored([]byte("before"), key, r, position)
		if err != nil {
			t.Fatal(err)
		}
		s, err := identifier.CheckStored(key, b[len("before"):])
		if err != nil {
			t.Fatal(err)
		}
		if s.Version() != r.Version || s.Position() != position || !s.Time().Equal(r.Time) || s.Withdrawn() != r.Withdrawn || s.RowHash() != r.RowHash {
			t.Fatalf("got version %d, position %d, time %v, withdrawn %v, row hash %x", s.Version(), s.Position(), s.Time(), s.Withdrawn(), s.RowHash())
		}
		// The state compares these octets without knowing the format.
		if got := binary.BigEndian.Uint64(s[1:9]); got != r.Version {
			t.Fatalf("octets 1 to 9 say version %d", got)
		}
		got, err := s.Record(r.ID)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("got %+v, %v, want %+v", got, err, r)
		}
		if string(s.Spelling()) != r.Spelling || s.Len() != len(r.Values) {
			t.Fatalf("spelling %q, %d values", s.Spelling(), s.Len())
		}
		i := 0
		for v := range s.Values() {
			if got := v.Value(); !reflect.DeepEqual(got, r.Values[i]) {
				t.Fatalf("value %d: got %+v, want %+v", i, got, r.Values[i])
			}
			i++
		}
		if i != len(r.Values) {
			t.Fatalf("%d values, want %d", i, len(r.Values))
		}
	})
}

// Whatever bit of the key or of the stored octets flips, and wherever they are
// cut, is found; so are several flips at once, and two values that were swapped.
func TestDamageIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := drawOctets(t, "key", 1, 60)
		b, err := identifier.AppendStored(nil, key, drawRecord(t), 7)
		if err != nil {
			t.Fatal(err)
		}
		wantDamage := func(what string, key, b []byte) {
			_, err := identifier.CheckStored(key, b)
			var damage *identifier.DamageError
			if !errors.As(err, &damage) || !bytes.Equal(damage.Key, key) {
				t.Fatalf("%s: got %v, want a DamageError", what, err)
			}
		}
		for i := range 8 * len(b) {
			b[i/8] ^= 1 << (i % 8)
			wantDamage("bit of the value", key, b)
			b[i/8] ^= 1 << (i % 8)
		}
		for i := range 8 * len(key) {
			key[i/8] ^= 1 << (i % 8)
			wantDamage("bit of the key", key, b)
			key[i/8] ^= 1 << (i % 8)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		wantDamage("cut", key, b[:cut])
		wantDamage("zeroed", key, make([]byte, len(b)))
		wantDamage("other key", append([]byte("x"), key...), b)
		if _, err := identifier.CheckStored(key, b); err != nil {
			t.Fatalf("not damaged: %v", err)
		}
	})
}

func TestStoredDelegationRoundTripAndDamage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := drawOctets(t, "key", 1, 60)
		d := drawDelegation(t)
		granted := rapid.Uint64Range(0, 1<<40).Draw(t, "granted")
		position := granted + rapid.Uint64Range(0, 1<<40).Draw(t, "since")
		b, err := identifier.AppendStoredDelegation(nil, key, d, position, granted)
		if err != nil {
			t.Fatal(err)
		}
		s, err := identifier.CheckStoredDelegation(key, b)
		if err != nil {
			t.Fatal(err)
		}
		if got := binary.BigEndian.Uint64(s[1:9]); s.Position() != position || s.Granted() != granted || got != position {
			t.Fatalf("position %d, granted %d, version %d", s.Position(), s.Granted(), got)
		}
		if got, err := s.Delegation(); err != nil || !reflect.DeepEqual(got, d) {
			t.Fatalf("got %+v, %v, want %+v", got, err, d)
		}
		var damage *identifier.DamageError
		for i := range 8 * len(b) {
			b[i/8] ^= 1 << (i % 8)
			if _, err := identifier.CheckStoredDelegation(key, b); !errors.As(err, &damage) {
				t.Fatalf("bit %d: got %v", i, err)
			}
			b[i/8] ^= 1 << (i % 8)
		}
		key[0] ^= 1
		if _, err := identifier.CheckStoredDelegation(key, b); !errors.As(err, &damage) {
			t.Fatalf("other key: got %v", err)
		}
	})
}

func TestNewerStoredFormatIsNotDamage(t *testing.T) {
	key := []byte("key")
	for _, check := range []func(key, b []byte) error{
		func(key, b []byte) error { _, err := identifier.CheckStored(key, b); return err },
		func(key, b []byte) error { _, err := identifier.CheckStoredDelegation(key, b); return err },
	} {
		err := check(key, summed(key, []byte{2, 0, 0, 0, 0, 0, 0, 0, 1, 42}))
		var format *identifier.FormatError
		if !errors.As(err, &format) || format.Offset != 0 {
			t.Errorf("got %v, want a FormatError at octet 0", err)
		}
	}
}

func TestAppendStoredRefuses(t *testing.T) {
	good := identifier.Record{ID: newID(t, "88.118.8", "sn-42"), Version: 1, Time: time.UnixMilli(0)}
	for name, harm := range map[string]func(r *identifier.Record){
		"version 0":   func(r *identifier.Record) { r.Version = 0 },
		"no time":     func(r *identifier.Record) { r.Time = time.Time{} },
		"late time":   func(r *identifier.Record) { r.Time = time.Unix(lastSecond+1, 0) },
		"value index": func(r *identifier.Record) { r.Values = make([]identifier.Value, 1) },
	} {
		r := good
		harm(&r)
		if _, err := identifier.AppendStored(nil, nil, &r, 0); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := identifier.AppendStored(nil, nil, &good, 0); err != nil {
		t.Error(err)
	}
	if _, err := identifier.AppendStoredDelegation(nil, nil, &identifier.Delegation{}, 1, 2); err == nil {
		t.Error("a delegation granted after it was changed: no error")
	}
}

// A spelling that is the canonical text takes no room, and comes back.
func TestCanonicalSpelling(t *testing.T) {
	for _, id := range []identifier.ID{newID(t, "88.118.8", "sn-42"), newID(t, "88.118.8", "")} {
		r := &identifier.Record{ID: id, Version: 1, Time: time.UnixMilli(0).UTC(), Spelling: id.String()}
		b, err := identifier.AppendStored(nil, nil, r, 0)
		if err != nil {
			t.Fatal(err)
		}
		s, err := identifier.CheckStored(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Spelling()) != 0 {
			t.Errorf("%s: stored spelling %q", id, s.Spelling())
		}
		if got, err := s.Record(id); err != nil || got.Spelling != id.String() {
			t.Errorf("%s: spelling %q, %v", id, got.Spelling, err)
		}
	}
}

func TestSameContent(t *testing.T) {
	row := identifier.NextRow(newID(t, "88.118.8", "sn-42"), nil)
	row.Values = link("https://maker.example/42")
	record := &identifier.Record{ID: row.ID, Version: 1, Time: time.UnixMilli(5), RowHash: identifier.Hash{9}, Values: row.Values, Spelling: row.ID.String()}
	stored := func(r *identifier.Record) identifier.Stored {
		b, err := identifier.AppendStored(nil, nil, r, 3)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	tombstone := &identifier.Record{ID: row.ID, Version: 2, Time: time.UnixMilli(5), Withdrawn: true}
	withdraw := identifier.NextRow(row.ID, record)
	withdraw.Op = identifier.Withdraw
	change := func(harm func(r *identifier.Row)) identifier.Row {
		r := row
		harm(&r)
		return r
	}
	tests := []struct {
		name string
		row  identifier.Row
		s    identifier.Stored
		want bool
	}{
		{"same", row, stored(record), true},
		{"spelled out", change(func(r *identifier.Row) { r.Spelling = r.ID.String() }), stored(record), true},
		{"other spelling", change(func(r *identifier.Row) { r.Spelling = "hdl:88.118.8/SN-42" }), stored(record), false},
		{"other version", change(func(r *identifier.Row) { r.Version = 2 }), stored(record), false},
		{"other values", change(func(r *identifier.Row) { r.Values = link("https://maker.example/43") }), stored(record), false},
		{"values that cannot be", change(func(r *identifier.Row) { r.Values = make([]identifier.Value, 1) }), stored(record), false},
		{"withdrawn", withdraw, stored(tombstone), true},
		{"withdrawn before", withdraw, stored(record), false},
		{"put over a tombstone", change(func(r *identifier.Row) { r.Version = 2 }), stored(tombstone), false},
	}
	for _, test := range tests {
		if got := test.s.SameContent(&test.row); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestReadingStoredDoesNotAllocate(t *testing.T) {
	key := identifier.AppendKey(nil, newID(t, "88.118.8", "sn-42"))
	values := link("https://maker.example/42")
	values[0].Link = &identifier.Link{Relation: "gs1:pip", Title: "x", Languages: []string{"en", "de"}, Default: true}
	values = append(values, identifier.Value{Index: 2, Type: "DESC", Data: []byte("x"), References: []identifier.Reference{{Handle: "10.1000/1", Index: 1}}})
	b, err := identifier.AppendStored(nil, key, &identifier.Record{Version: 1, Time: time.UnixMilli(5), Spelling: "SN-42", Values: values}, 3)
	if err != nil {
		t.Fatal(err)
	}
	octets := 0
	allocations := testing.AllocsPerRun(100, func() {
		s, err := identifier.CheckStored(key, b)
		if err != nil || s.Version() != 1 || s.Withdrawn() || s.Position() != 3 || s.Time().IsZero() || s.RowHash() != (identifier.Hash{}) || s.Len() != 2 {
			t.Fail()
		}
		octets += len(s.Spelling())
		for v := range s.Values() {
			octets += len(v.Type) + len(v.Data) + len(v.Relation)
			for language := range v.Languages() {
				octets += len(language)
			}
			for handle := range v.References() {
				octets += len(handle)
			}
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
	if octets == 0 {
		t.Error("nothing was read")
	}
}

// An identifier with one link of about a hundred octets must stay small: the
// disk, the cache and the sync all pay for every octet.
func TestSizes(t *testing.T) {
	id := newID(t, "88.118.8", "model-4711-sn-000042")
	key := identifier.AppendKey([]byte{0, 0, 0, 1}, id)
	row := identifier.NextRow(id, nil)
	row.Values = link("https://maker.example/products/model-4711/serial/000042?source=nameplate&lang=en#documents-and-more")
	stored, err := identifier.AppendStored(nil, key, &identifier.Record{ID: id, Version: 1, Time: time.UnixMilli(5), Values: row.Values}, 3)
	if err != nil {
		t.Fatal(err)
	}
	logged, err := row.Size()
	if err != nil {
		t.Fatal(err)
	}
	if data := len(row.Values[0].Data); len(stored) > 70+data || logged > 45+data {
		t.Errorf("%d octets of data take %d in the state and %d in the log", data, len(stored), logged)
	}
}

func BenchmarkCheckStored(b *testing.B) {
	key := []byte("\x00\x00\x00\x0188\x00118\x008\x00\x01sn-42")
	stored, err := identifier.AppendStored(nil, key, &identifier.Record{Version: 1, Time: time.UnixMilli(5), Values: link("https://maker.example/products/model-4711/serial/000042?source=nameplate&lang=en")}, 3)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s, err := identifier.CheckStored(key, stored)
		if err != nil {
			b.Fatal(err)
		}
		for v := range s.Values() {
			if len(v.Data) == 0 {
				b.Fatal("no data")
			}
		}
	}
}
