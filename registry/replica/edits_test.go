package replica_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// edit changes a history: an octet of an entry, an entry for another one, two entries in
// the other order, some left out, one twice, or the end cut off. It never returns what it
// was given.
func edit(payloads [][]byte, pick pick) [][]byte {
	edited := slices.Clone(payloads)
	at := pick(len(edited))
	switch pick(6) {
	case 0:
		edited[at] = bytes.Clone(edited[at])
		edited[at][pick(len(edited[at]))] ^= 1 << pick(8)
	case 1:
		edited[at] = replicatest.Entry(uint64(1_000_000+pick(1_000_000)), 0)
	case 2:
		other := pick(len(edited))
		if other == at {
			other = (at + 1) % len(edited)
		}
		edited[at], edited[other] = edited[other], edited[at]
	case 3:
		edited = slices.Delete(edited, at, at+1+pick(len(edited)-at))
	case 4:
		edited = slices.Insert(edited, at, edited[pick(len(edited))])
	default:
		edited = edited[:at]
	}
	return edited
}

// edits is how many changes of a history are tried.
const edits = 10_000

// Whatever is done to the history of a child or of its mirror, the checkpoints that the
// child has signed tell, and nothing else is asked: on its way up, on the parent's disk
// when it starts, and on its way back.
func TestHistoryEdits(t *testing.T) {
	const entries = 40
	log := replicatest.NewLog(1)
	for i := range uint64(entries) {
		log.Append(replicatest.Entry(i, 0))
	}
	log.Sync()
	signed, _, err := log.SignCheckpoint(entries)
	must(t, err)
	h := &edited{log: log, signed: signed}
	pick := seeded(1)
	for i := range edits {
		payloads := edit(log.Payloads(), pick)
		for place, takes := range map[string]func(*testing.T, [][]byte) bool{"on its way up": h.up, "on the disk": h.found, "on its way back": h.back} {
			if takes(t, payloads) {
				t.Fatalf("edit %d is not noticed %s", i, place)
			}
		}
	}
	// The control of what comes back: without the rule, what does not add up is taken.
	h.left = replica.RuleReturn
	changed := slices.Clone(log.Payloads())
	changed[3] = replicatest.Entry(1_000_000, 0)
	if !h.back(t, changed) {
		t.Error("without the rule, an entry that was changed does not come back")
	}
	h.left = 0
	// Unchanged, it is taken everywhere.
	for place, takes := range map[string]func(*testing.T, [][]byte) bool{"on its way up": h.up, "on the disk": h.found, "on its way back": h.back} {
		if !takes(t, log.Payloads()) {
			t.Errorf("what nobody has changed is not taken %s", place)
		}
	}
}

// edited is a history whose end was signed, and what takes it in.
type edited struct {
	log    *replicatest.Log
	signed []byte
	left   replica.Rule
}

func (h *edited) parent(m replica.Mirror) (*replica.Parent, error) {
	return replica.NewParent(replica.ParentConfig{
		Signer: replicatest.NodeKey(200), ID: replicatest.LogID(200), Child: h.log.Key.Public(), Log: h.log.ID,
		Verify: replicatest.VerifyCheckpoint,
	}, m)
}

// up sends the entries to a parent that holds nothing, and reports whether it takes them.
func (h *edited) up(t *testing.T, payloads [][]byte) bool {
	p, err := h.parent(replica.Mirror{})
	must(t, err)
	p.Open(&replica.Hello{Node: h.log.Key.Public(), Owner: h.log.Key.Public(), Log: h.log.ID, Tip: h.signed}, replica.Session{1})
	p.Next()
	return p.Receive(&replica.Entries{Session: replica.Session{1}, Payloads: payloads, Checkpoint: h.signed}) != nil
}

// found lets a parent find the entries on its disk.
func (h *edited) found(t *testing.T, payloads [][]byte) bool {
	for _, b := range payloads {
		if _, err := identifier.EntryLeaf(b); err != nil {
			return false
		}
	}
	_, err := h.parent(replica.Mirror{Checkpoint: h.signed, Size: uint64(len(payloads)), Subtrees: replicatest.Subtrees(payloads)})
	return err == nil
}

// back gives the entries to a child that has lost all of them.
func (h *edited) back(t *testing.T, payloads [][]byte) bool {
	lost := replicatest.NewLog(1)
	parent := replicatest.NodeKey(200)
	c := replica.NewChild(replica.ChildConfig{Signer: lost.Key, ID: lost.ID, Log: lost, Verify: replicatest.VerifyCheckpoint})
	c.LeaveOut(h.left)
	c.Mark()
	c.Open(replica.Nonce{1})
	c.Receive(&replica.Challenge{Parent: parent.Public()})
	if _, ok := c.Next().(*replica.Hello); !ok {
		t.Fatal("the child says no Hello")
	}
	w := &replica.Welcome{Parent: parent.Public(), Session: replica.Session{1}, Nonce: replica.Nonce{1}, Checkpoint: h.signed}
	w.Signature = parent.Sign(w.Signed(lost.Key.Public(), lost.ID))
	c.Receive(w)
	c.Receive(&replica.Return{Session: replica.Session{1}, Payloads: payloads, Checkpoint: h.signed})
	return c.Returned() != nil
}
