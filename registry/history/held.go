package history

import (
	"context"
	"errors"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Upper is where a node's own log is mirrored: its parent, or another top-level node.
type Upper interface {
	// Mirrored returns what is held of the log that counts there, with the unit that has the
	// entry at a position. The error wraps [ErrNotMirrored] when nothing is held.
	Mirrored(ctx context.Context, position uint64) (Held, error)
	// Of is the same of another log of the node, which need not be the one that counts there.
	Of(log identifier.LogID) Upper
}

// ErrNotMirrored says that no log of a node is mirrored where it was looked for.
var ErrNotMirrored = errors.New("no log of this node is mirrored there")

// Held is what is held of the log of a node that counts. Size is 0 where nothing is
// left of it but the row.
type Held struct {
	Log  identifier.LogID
	Size uint64
	// Row is how many entries the largest row of the log says that were held once.
	Row  uint64
	Unit *replica.Unit // with the entry that was asked for; nil when there is none
	// Policy is what is kept of it. Where that is not whole entries there is no Unit, but the
	// newest Checkpoint, and Base, which is what the genesis says. Where nothing but the row is
	// left, Base is how many positions are known to have been used up before.
	Policy     identifier.Policy
	Checkpoint []byte
	Base       uint64
	// Apart are logs of the node that the one which counts does not contain. Of those that
	// are held [Upper.Of] tells. What those had that are lost is counted in Base. There are
	// [identifier.MaxBefore] of either at most, as many as a genesis names: of those that are
	// lost the newest, the last one that a row was logged of first.
	Apart replica.Unjoined
}

// rootBehind returns the root in the checkpoint of the unit that came, if it has an entry of a
// log and the node whose log that is has signed it. Whether the entries add up to that is
// another question.
func (held *Held) rootBehind(log identifier.LogID, node identifier.PublicKey, position uint64) (identifier.Hash, error) {
	u := held.Unit
	if u == nil || held.Log != log || position < u.Start || position >= u.End() {
		return identifier.Hash{}, fmt.Errorf("entry %d of log %s is not what came from above", position, log)
	}
	size, root, err := journal.VerifyCheckpoint(u.Checkpoint, log, node)
	if err == nil && size != u.End() {
		err = fmt.Errorf("the checkpoint behind entry %d is over %d", u.End()-1, size)
	}
	return root, err
}
