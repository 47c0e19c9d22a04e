package replica

import (
	"fmt"
	"time"
)

// Reason says why a stream ended. The numbers are those of the wire.
type Reason uint8

const (
	// BadProtocol: the other side speaks another version.
	BadProtocol Reason = iota + 1
	// Malformed: a message breaks the protocol.
	Malformed
	// Unauthenticated: a signature does not verify.
	Unauthenticated
	// UnknownNode: no delegation of the parent names the child's node key.
	UnknownNode
	// OtherLog: the parent mirrors another log of this node.
	OtherLog
	// Behind: the child has fewer entries than the parent's mirror, and did not know.
	// It was restored from a backup, or lost what it had synced. It takes no changes
	// any more and opens another stream, on which it gets back what it lacks.
	Behind
	// Fork: the child signed two histories of its log.
	Fork
	// Mismatch: the entries do not add up to the checkpoint that came with them.
	Mismatch
	// Replaced: the child opened another stream.
	Replaced
	// Unavailable: the other side cannot go on now.
	Unavailable
	// Loss: the parent's own log says that there were more entries than both the mirror
	// and the child have.
	Loss
	// Succeeded: the child's log was continued as another one, or another one is held beside
	// it. The child was restored to a time before that, and takes no changes.
	Succeeded
	// Unproved: entries before a fence are not shown to be what the log had there.
	Unproved
	// Silent: nothing was heard for too long. It is never sent.
	Silent
	// Drained: the parent asked the child to end the stream, because it is being
	// stopped. It is never sent.
	Drained
)

func (r Reason) String() string {
	names := [...]string{
		BadProtocol: "protocol", Malformed: "malformed", Unauthenticated: "unauthenticated",
		UnknownNode: "unknown node", OtherLog: "other log", Behind: "behind", Fork: "fork",
		Mismatch: "mismatch", Replaced: "replaced", Unavailable: "unavailable", Loss: "loss", Succeeded: "succeeded", Unproved: "unproved", Silent: "silent", Drained: "drained",
	}
	if r == 0 || int(r) >= len(names) {
		return fmt.Sprintf("reason %d", uint8(r))
	}
	return names[r]
}

// Passing reports whether the same stream may do better in a moment, without anybody
// doing anything about it.
func (r Reason) Passing() bool {
	return r == Replaced || r == Unavailable || r == Silent || r == Behind || r == Drained || r == Unproved
}

// Refusal is the error that a stream ends with.
type Refusal struct {
	Reason Reason
	Detail string
	// Remote says that the other side refused.
	Remote bool
	// Held and Signed are two checkpoints of the child that contradict each other,
	// where the reason is Fork or Mismatch: the one that the mirror ends with, and
	// the other one. A Mismatch proves a fork only once the child cannot give a
	// consistency proof between the two.
	Held, Signed []byte
	// Evidence is that of a fork, which was checked; nil where the other side says
	// that there is one and shows nothing.
	Evidence *Evidence
	// After is how long to stay away, where the parent has asked for that; else 0.
	After time.Duration
}

func (r *Refusal) Error() string {
	by := "here"
	if r.Remote {
		by = "by the other node"
	}
	return fmt.Sprintf("replication refused %s (%s): %s", by, r.Reason, r.Detail)
}

func refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
