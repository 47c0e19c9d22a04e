package replica_test

import (
	"fmt"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// What a relay may send, asked again and again: how much it has, how long this node's own
// log is, what the other has of that.
func TestRelay(t *testing.T) {
	r := &replica.Relay{}
	for i, c := range []struct {
		have, own, acked, want uint64
		why                    string
	}{
		{10, 5, 0, 0, "nothing is known of the other"},
		{12, 7, 4, 0, "what it has may rest on what the other lacks"},
		{14, 9, 5, 10, "the other has what the first ten rest on"},
		{14, 9, 5, 10, "and not what the rest does"},
		{20, 9, 9, 20, "the other has everything"},
		{20, 9, 6, 0, "the other was restored"},
		{20, 9, 8, 0, "it has not got back yet what these rest on"},
		{20, 11, 9, 20, "now it has"},
	} {
		if got := r.May(c.have, c.own, c.acked); got != c.want {
			t.Errorf("step %d, %s: got %d, want %d", i, c.why, got, c.want)
		}
	}
}

// relayedLog is a log as another node has it, which has one checkpoint of it.
type relayedLog struct {
	*replicatest.Log
	signed uint64
}

func (l relayedLog) SignCheckpoint(size uint64) ([]byte, identifier.Hash, error) {
	if size != l.signed {
		return nil, identifier.Hash{}, fmt.Errorf("the node has signed one at %d", l.signed)
	}
	return l.Log.SignCheckpoint(size)
}

// heldLogOf is a mirror that is not asked for anything.
type heldLogOf struct{ replica.History }

// A node has signed ten entries of one history and eight of another one, and two top-level
// nodes have one each. Both learn of it, and can show it: the first proves what its ten say
// of eight.
func TestForkOfARelayedLog(t *testing.T) {
	here, there := replicatest.NewLog(1), replicatest.NewLog(1)
	for i := range uint64(10) {
		here.Append(replicatest.Entry(i, 0))
		if i < 8 {
			there.Append(replicatest.Entry(i+i/5*100, 0))
		}
	}
	here.Sync()
	there.Sync()
	sender, receiver, owner := replicatest.NodeKey(210), replicatest.NodeKey(211), here.Key.Public()
	child := replica.NewChild(replica.ChildConfig{Signer: sender, ID: here.ID, Owner: owner, Log: relayedLog{here, 10}, Verify: replicatest.VerifyCheckpoint})
	checkpoint, _, err := there.SignCheckpoint(8)
	must(t, err)
	parent, err := replica.NewParent(replica.ParentConfig{
		Signer: receiver, ID: replicatest.LogID(211), Child: owner, Log: here.ID, Verify: replicatest.VerifyCheckpoint, History: heldLogOf{},
	}, replica.Mirror{Checkpoint: checkpoint, Size: 8, Subtrees: replicatest.Subtrees(there.Payloads())})
	must(t, err)
	child.Grow(10)
	child.Open(replica.Nonce{1})
	challenge := &replica.Challenge{Nonce: replica.Nonce{2}, Parent: receiver.Public()}
	child.Receive(challenge)
	hello := child.Next().(*replica.Hello)
	if r := replica.CheckHello(hello, challenge); r != nil {
		t.Fatal(r)
	}
	parent.Open(hello, replica.Session{3})
	child.Receive(parent.Next())
	parent.Receive(child.Next())
	for side, r := range map[string]*replica.Refusal{"sender": child.Refusal(), "receiver": parent.Refusal()} {
		if r == nil || r.Duty() != replica.SetAside {
			t.Errorf("the %s: got %v, want a fork with evidence", side, r)
			continue
		}
		if d, err := r.Evidence.Check(replicatest.VerifyCheckpoint); err != nil || r.Evidence.Node != owner || d.Size != 8 {
			t.Errorf("the %s: evidence against %s of %d entries, %v", side, r.Evidence.Node, d.Size, err)
		}
	}
}
