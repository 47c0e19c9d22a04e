package registry_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// The prefixes and identifiers that TestTwin knows: some are each other's beginnings,
// as segments or only as strings.
var (
	twinPrefixes = []identifier.Prefix{"88", "88.1", "88.11", "88.1.8", "99"}
	twinIDs      = []identifier.ID{
		{Prefix: "88", Suffix: "a"}, {Prefix: "88.1"}, {Prefix: "88.1", Suffix: "a"}, {Prefix: "88.1", Suffix: strings.Repeat("a long one ", 20)},
		{Prefix: "88.1.8", Suffix: "a"}, {Prefix: "88.1.8.7", Suffix: "a/b"}, {Prefix: "88.11", Suffix: "a"}, {Prefix: "88.11.8", Suffix: "a"},
		{Prefix: "88.118", Suffix: "a"}, {Prefix: "99", Suffix: "b"}, {Prefix: "77", Suffix: "a"},
	}
)

// twin is what a registry should hold, as plainly as possible.
type twin struct {
	pool        [4]identifier.PrivateKey
	keys        map[identifier.PublicKey]identifier.PrivateKey
	entries     int
	delegations map[identifier.Prefix]*identifier.Delegation // revoked ones too
	delegatedAt map[identifier.Prefix]uint64
	records     map[identifier.ID]twinRecord
}

// twinRecord is the newest version of an identifier.
type twinRecord struct {
	version   uint64
	withdrawn bool
	hash      identifier.Hash
	row       identifier.Row // that made it
	position  uint64
}

func (r twinRecord) asRecord(id identifier.ID) *identifier.Record {
	if r.version == 0 {
		return nil
	}
	return &identifier.Record{ID: id, Version: r.version, RowHash: r.hash}
}

func newTwin() *twin {
	w := &twin{
		keys:        make(map[identifier.PublicKey]identifier.PrivateKey),
		delegations: make(map[identifier.Prefix]*identifier.Delegation),
		delegatedAt: make(map[identifier.Prefix]uint64),
		records:     make(map[identifier.ID]twinRecord),
	}
	for i := range w.pool {
		key, err := identifier.NewPrivateKey(bytes.NewReader(bytes.Repeat([]byte{byte(i + 1)}, 32)))
		if err != nil {
			panic(err)
		}
		w.pool[i] = key
		w.keys[key.Public()] = key
	}
	return w
}

func (w *twin) clone() *twin {
	c := *w
	c.delegations, c.delegatedAt, c.records = maps.Clone(w.delegations), maps.Clone(w.delegatedAt), maps.Clone(w.records)
	return &c
}

// outcome is how a request should end: refused in a way, or logged at a position.
type outcome struct {
	kind      registry.Kind // 0 for taken
	duplicate bool
	position  uint64
	rows      []registry.RowError
}

// of returns the longest delegation that covers a prefix, but for what lies below one
// that names another node.
func (w *twin) of(p identifier.Prefix) *identifier.Delegation {
	best := w.delegations[""]
	for q, d := range w.delegations {
		if !q.Covers(p) || d.Revoked() {
			continue
		}
		if away := d.Node != nil; away && (best.Node == nil || len(q) < len(best.Prefix)) || !away && best.Node == nil && len(q) > len(best.Prefix) {
			best = d
		}
	}
	return best
}

// above returns who holds what lies above a prefix; nil for the root.
func (w *twin) above(p identifier.Prefix) *identifier.Delegation {
	parent, ok := p.Parent()
	if !ok {
		return nil
	}
	return w.of(parent)
}

func enough(d *identifier.Delegation, by []identifier.PrivateKey) bool {
	n := 0
	for _, k := range d.Keyset.Keys {
		if slices.ContainsFunc(by, func(b identifier.PrivateKey) bool { return b.Public() == k }) {
			n++
		}
	}
	return n >= d.Keyset.Threshold
}

// delegate does what a delegation says, or a change of keyset.
func (w *twin) delegate(d *identifier.Delegation, keysetOnly bool, by []identifier.PrivateKey) outcome {
	current := w.delegations[d.Prefix]
	if keysetOnly && (current == nil || current.Revoked()) {
		return outcome{kind: registry.Denied}
	}
	if current != nil && sameEncoded(current, d) {
		return outcome{duplicate: true, position: w.delegatedAt[d.Prefix]}
	}
	epoch, version := uint64(0), uint64(0)
	if current != nil {
		epoch, version = current.Epoch, current.Keyset.Version
	}
	if !keysetOnly {
		epoch++
	}
	if d.Epoch != epoch || d.Keyset.Version != version+1 {
		return outcome{kind: registry.Conflict}
	}
	if !keysetOnly || !enough(current, by) {
		above := w.above(d.Prefix)
		switch {
		case above == nil, above.Node != nil:
			return outcome{kind: registry.Denied}
		case !enough(above, by):
			return outcome{kind: registry.Unauthenticated}
		}
	}
	w.delegations[d.Prefix], w.delegatedAt[d.Prefix] = d, uint64(w.entries)
	w.entries++
	return outcome{position: uint64(w.entries - 1)}
}

// register does what a change says, all of it or nothing.
func (w *twin) register(c *identifier.Change, by []identifier.PrivateKey) outcome {
	h, hashes, err := c.Check()
	if err != nil {
		panic(err)
	}
	d := w.delegations[h.Prefix]
	switch {
	case d == nil || d.Revoked() || w.of(h.Prefix) != d || d.Node != nil || d.Epoch != h.Epoch || !d.Accepts(h):
		return outcome{kind: registry.Denied}
	case !enough(d, by) && d.Keyset.Version != h.KeysetVersion:
		return outcome{kind: registry.Denied}
	case !enough(d, by):
		return outcome{kind: registry.Unauthenticated}
	}
	var foreign, bad []registry.RowError
	there := make([]bool, len(c.Rows))
	newest := uint64(0)
	for i, row := range c.Rows {
		if w.of(row.ID.Prefix) != d {
			foreign = append(foreign, registry.RowError{Row: i, ID: row.ID})
		}
		current := w.records[row.ID]
		switch {
		case row.Version == current.version && sameRow(row, current.row):
			there[i] = true
			newest = max(newest, current.position)
		case row.Version != current.version+1 || row.Replaces != current.hash || row.Op == identifier.Withdraw && current.withdrawn:
			bad = append(bad, registry.RowError{Row: i, ID: row.ID, Version: current.version, RowHash: current.hash})
		}
	}
	switch {
	case foreign != nil:
		return outcome{kind: registry.Denied, rows: foreign}
	case bad != nil:
		return outcome{kind: registry.Conflict, rows: bad}
	case !slices.Contains(there, false):
		return outcome{duplicate: true, position: newest}
	}
	for i, row := range c.Rows {
		if !there[i] {
			w.records[row.ID] = twinRecord{
				version: row.Version, withdrawn: row.Op == identifier.Withdraw, hash: hashes[i], row: row, position: uint64(w.entries),
			}
		}
	}
	w.entries++
	return outcome{position: uint64(w.entries - 1)}
}

func sameRow(a, b identifier.Row) bool {
	if a.Op != b.Op || a.Op == identifier.Withdraw {
		return a.Op == b.Op
	}
	return string(a.Values[0].Data) == string(b.Values[0].Data)
}

// below reports whether something exists at or below a prefix.
func (w *twin) below(p identifier.Prefix) bool {
	for id, r := range w.records {
		if p.Covers(id.Prefix) && !r.withdrawn {
			// The record of the prefix itself is the answer, and not below it.
			if self := w.records[identifier.ID{Prefix: p}]; self.version == 0 || self.withdrawn {
				return true
			}
		}
	}
	for q, d := range w.delegations {
		if q != "" && p.Covers(q) && !d.Revoked() {
			if self := w.records[identifier.ID{Prefix: p}]; self.version == 0 || self.withdrawn {
				return true
			}
		}
	}
	return false
}

// count returns the figures of the status.
func (w *twin) count() (live, withdrawn, delegations uint64) {
	for _, r := range w.records {
		if r.withdrawn {
			withdrawn++
		} else {
			live++
		}
	}
	for p, d := range w.delegations {
		if p != "" && !d.Revoked() {
			delegations++
		}
	}
	return live, withdrawn, delegations
}

// exported returns what an export gives.
func (w *twin) exported() []string {
	ids := slices.SortedFunc(maps.Keys(w.records), identifier.Compare)
	var lines []string
	for _, id := range ids {
		if r := w.records[id]; !r.withdrawn && w.of(id.Prefix).Node == nil {
			lines = append(lines, fmt.Sprintf("%s %d %s", id, r.version, r.row.Values[0].Data))
		}
	}
	return lines
}
