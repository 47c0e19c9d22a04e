package registry_test

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

func (p *pair) drawKeyset(t *rapid.T, version uint64) identifier.Keyset {
	k := identifier.Keyset{Version: version}
	for _, key := range p.pool {
		if rapid.Bool().Draw(t, "key") {
			k.Keys = append(k.Keys, key.Public())
		}
	}
	if len(k.Keys) == 0 {
		k.Keys = append(k.Keys, p.pool[0].Public())
	}
	k.Threshold = rapid.IntRange(1, len(k.Keys)).Draw(t, "threshold")
	return k
}

// drawSigners mostly returns those who may sign for a delegation.
func (p *pair) drawSigners(t *rapid.T, d *identifier.Delegation) []identifier.PrivateKey {
	if d == nil || d.Revoked() || rapid.IntRange(0, 19).Draw(t, "strangers") == 1 {
		return []identifier.PrivateKey{rapid.SampledFrom(p.pool[:]).Draw(t, "stranger")}
	}
	n := d.Keyset.Threshold
	if n > 1 && rapid.IntRange(0, 19).Draw(t, "one too few") == 1 {
		n--
	}
	var by []identifier.PrivateKey
	for _, k := range d.Keyset.Keys[:n] {
		by = append(by, p.keys[k])
	}
	return by
}

func describeRows(rows []identifier.Row) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, " %d %s v%d replaces %x", r.Op, r.ID, r.Version, r.Replaces[:2])
	}
	return b.String()
}

func randomOf(t *rapid.T) io.Reader {
	return bytes.NewReader(rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(t, "seeds"))
}

// drawHeld mostly returns a delegation in force.
func (p *pair) drawHeld(t *rapid.T) *identifier.Delegation {
	prefix := rapid.SampledFrom(append([]identifier.Prefix{""}, twinPrefixes...)).Draw(t, "held")
	if rapid.IntRange(0, 19).Draw(t, "whatever") == 1 {
		return grant(prefix, p.pool[0])
	}
	return p.of(prefix)
}

// drawRows returns rows at or below a prefix, in order; only good ones when good says so.
func (p *pair) drawRows(t *rapid.T, under identifier.Prefix, records map[identifier.ID]twinRecord, good bool) []identifier.Row {
	var rows []identifier.Row
	for _, id := range twinIDs {
		if !under.Covers(id.Prefix) || rapid.IntRange(0, 2).Draw(t, "this one") > 0 {
			continue
		}
		current := records[id]
		row := put(id, current.asRecord(id), link(fmt.Sprintf("https://x.example/%d", rapid.IntRange(0, 2).Draw(t, "value"))))
		sort := rapid.IntRange(0, 19).Draw(t, "sort")
		switch {
		case sort <= 2 && current.version > 0 && !current.withdrawn:
			row = withdraw(current.asRecord(id))
		case sort == 3 && current.version > 0: // the same again
			row = current.row
		case good:
		case sort == 4: // stale, or ahead
			row.Version++
			if row.Replaces == (identifier.Hash{}) {
				row.Replaces[0] = 1
			}
		case sort == 5 && row.Version > 1:
			row.Replaces[5] ^= 1
		case sort == 6 && current.version > 0: // version 1 again
			row.Version, row.Replaces = 1, identifier.Hash{}
		case (sort == 0 || sort == 7) && current.withdrawn:
			row.Op, row.Spelling, row.Values = identifier.Withdraw, "", nil
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b identifier.Row) int { return identifier.Compare(a.ID, b.ID) })
	return rows
}
