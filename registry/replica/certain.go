package replica

import (
	"bytes"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// A node that was restored, and has healed its own log, holds of each child's log what its
// backup held. What the largest row says that the mirror agrees with is the child's log:
// the level above holds the row. What lies beyond may be of a history that was given up
// since, by a child that was restored as well; or it may be the only copy of what the child
// has lost. So it is not certain, and the child decides, when it comes:
//
//   - It has no more than the mirror, and what it has is there: it gets the rest back
//     ([Greeted], Keep).
//   - It has no more than the mirror, and something else: the mirror is cut ([Greeted],
//     Drop).
//   - It has more. The mirror is taken to end with what is certain, the child sends from
//     there on, and what it sends is compared ([Resent]).
//
// Until then nothing of it is anchored or sent to others.

// Verdict is what becomes of the entries of a mirror that are not certain.
type Verdict uint8

const (
	Ask  Verdict = iota // the child sends them again
	Keep                // they are of the child's log
	Drop                // they are not
)

// Cut returns what is certain of a mirror whose node was restored and has healed its own
// log: the entries of the largest row that the mirror agrees with, none when there is no
// such row. astray says that a larger row contradicts the mirror: then it is cut at once.
// The row may end inside of a unit: the mirror then ends with the row's checkpoint. rows
// are those of the child in the parent's own log, the mirror has size entries.
func Cut(rows []Row, size uint64, h History) (kept Row, astray bool, err error) {
	var c Cutting
	for _, row := range rows {
		if err := c.Weigh(row, size, h); err != nil {
			return Row{}, false, err
		}
	}
	kept, astray = c.Found()
	return kept, astray, nil
}

// Cutting is [Cut] row by row, in any order. Where the largest row that the mirror can be
// compared with agrees with it, the others change nothing.
type Cutting struct {
	kept    Row
	largest uint64 // of the rows that were compared
}

// Weigh compares one more row with the mirror, which has size entries.
func (c *Cutting) Weigh(row Row, size uint64, h History) error {
	if row.Size > size || row.Size <= c.kept.Size {
		return nil
	}
	root, err := h.Root(row.Size)
	if err != nil {
		return err
	}
	c.largest = max(c.largest, row.Size)
	if root == row.Root {
		c.kept = row
	}
	return nil
}

// Found returns what is certain by the rows that were weighed, and whether a larger one
// contradicts the mirror.
func (c *Cutting) Found() (kept Row, astray bool) { return c.kept, c.largest > c.kept.Size }

// Greeted returns what becomes of a mirror of size entries, of which those of a row are
// certain, when the child says Hello with a checkpoint over tip entries. What contradicts
// the row is no matter of the rest: it is a fork, and shown as one.
func Greeted(certain Row, size uint64, h History, tip uint64, root identifier.Hash) (Verdict, error) {
	switch {
	case tip > size:
		return Ask, nil
	case tip <= certain.Size:
		return Keep, nil
	}
	held, err := h.Root(tip)
	switch {
	case err != nil:
		return Ask, err
	case held == root:
		return Keep, nil
	}
	return Drop, nil
}

// Resent compares entries that the child sends again with what the mirror has from their
// first one on. rest is what follows on the mirror; nil for nothing.
func Resent(size uint64, h History, u *Unit) (v Verdict, rest *Unit, err error) {
	for at := u.Start; at < min(u.End(), size); {
		held, err := h.Unit(at)
		if err != nil {
			return Ask, nil, err
		}
		for ; at < min(u.End(), held.End(), size); at++ {
			have, err := identifier.EntryLeaf(held.Payloads[at-held.Start])
			if err != nil {
				return Ask, nil, err
			}
			sent, err := identifier.EntryLeaf(u.Payloads[at-u.Start])
			if err != nil {
				return Ask, nil, err
			}
			if !bytes.Equal(have, sent) {
				return Drop, nil, nil
			}
		}
	}
	if u.End() <= size {
		return Keep, nil, nil
	}
	skip := size - min(size, u.Start)
	return Keep, &Unit{Start: u.Start + skip, Payloads: u.Payloads[skip:], Checkpoint: u.Checkpoint, Root: u.Root}, nil
}

// CutUnit returns the part of a unit that a mirror keeps which ends with a row; the unit
// itself when all of it is kept.
func CutUnit(u *Unit, kept Row) *Unit {
	if u.End() <= kept.Size {
		return u
	}
	return &Unit{Start: u.Start, Payloads: u.Payloads[:kept.Size-u.Start], Checkpoint: kept.Checkpoint, Root: kept.Root}
}
