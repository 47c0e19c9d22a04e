package rpc

import (
	"context"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/history"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// Mirrors is a parent's registry as children's logs are kept in it. Its methods may be
// called concurrently.
type Mirrors interface {
	// Mirror returns where the log of a child is kept, and makes room for it when
	// it is new. It is called for every Hello whose signature is good, before the
	// child is told anything. node is whose log it is, via who sends it: another key only
	// where a top-level node sends the log of a child. size is how many entries the sender
	// says that it has.
	//
	// An error that is a [*replica.Refusal] is told to the child: UnknownNode when no
	// delegation that is in force names the node key, OtherLog when there is a mirror
	// of another log of this node. Any other error is logged here, and the child told
	// to try again.
	//
	// For one log it returns the same Mirror, or one that stands for the same, as
	// long as the process lives. What is stored comes through it alone.
	Mirror(ctx context.Context, log identifier.LogID, node, via identifier.PublicKey, size uint64) (Mirror, error)
	// Mirrored returns what is mirrored of a log of a node, of all zeros for the one that
	// counts, and the unit with the entry at a position. asker is the node itself, or who has
	// sent its log. An error that is a [*replica.Refusal] is told to the asker: UnknownNode
	// when there is none, or it is not the asker's to see.
	Mirrored(asker, node identifier.PublicKey, log identifier.LogID, position uint64) (history.Held, error)
}

// Mirror is one child's log as its parent keeps it. Append and Open are not called
// concurrently; the others may be.
type Mirror interface {
	// Begins returns why the log may not begin with an entry; nil when it may. It is asked
	// before the first unit of a log of which nothing is here.
	Begins(payload []byte) *replica.Refusal
	// Settle is told what the sender says in its Hello: a checkpoint over so many entries,
	// with this root. It comes before Open and anything else that the Hello leads to, and
	// may change what is stored. The generation is another one than before when what is
	// stored is not what Open returned and Append added: then Open is called again.
	Settle(ctx context.Context, tip uint64, root identifier.Hash) (generation uint64, err error)
	// Policy returns what is kept of the log; it never changes.
	Policy() identifier.Policy
	// Held returns how many entries of the log are kept by another policy, which counts until
	// this one has as many; 0 for none.
	Held() uint64
	// Open returns what is on disk. It is called once for a generation, before the first
	// Append.
	Open() (replica.Mirror, error)
	// Append queues a unit to be stored and returns; while there is no room (the
	// journal or the state is busy, the disk is full) it waits, until ctx ends. Units
	// come in order, each beginning where the last one ended. When all of a unit is
	// synced, synced is called: once, in the order of the units, from any goroutine.
	// It returns quickly, and takes a lock that nobody holds while calling Append.
	// When Append returns an error, synced is never called, nothing of the unit is
	// stored, and the next unit begins where this one did.
	//
	// What a unit says is for the registry to judge, entry by entry, and never a
	// reason to refuse it: see package replica.
	Append(ctx context.Context, u *replica.Unit, synced func()) error
	// History is for comparing with what the child has, and for giving it back. Its
	// methods may be called concurrently, also with Append and while a lock is held
	// that synced takes: they wait for nothing but the disk.
	replica.History
	// Row returns the largest row of the child's log in this node's own log; one of no
	// entries when there is none. It may be called like those of History.
	Row() (replica.Row, error)
	// Grants returns the signed delegations and keysets that make the child answer
	// for its prefixes, from number from on, in the order in which they are to be
	// taken in; and a channel that is closed when there are more. The numbers stay
	// as they are as long as the process lives: a changed delegation is appended.
	Grants(from uint64) ([]identifier.Envelope, <-chan struct{})
	// Anchoring returns what the child is to be told of how far its log is held above, and
	// a channel that is closed when there is more.
	Anchoring() (registry.Anchoring, <-chan struct{})
	// Paused returns why no more is to be sent for now, and a channel that is closed when
	// that changes; "" when more may be sent.
	Paused() (why string, changed <-chan struct{})
	// SetAside returns why the log is not taken in any more, with the evidence that two
	// histories of it were signed; nil when it is. Somebody else may have brought that.
	SetAside() *replica.Refusal
	// Heard says that the child has told just now how many entries it has synced.
	// A mirror with as many is as old as the last such call.
	Heard(size uint64)
	// Fence is told of every Hello, with the size and the root of its checkpoint, before
	// anything of its stream is stored. What is logged for it is synced at return. The
	// error is why no stream is opened.
	Fence(ctx context.Context, size uint64, root identifier.Hash) error
	// Fenced returns the first fence in the log behind so many entries; a zero one for none.
	Fenced(size uint64) replica.Fence
	// Unproved says that a stream was refused because it did not keep to a fence.
	Unproved()
	// Overdue returns why the child has to say Hello again; "" when it need not.
	Overdue() string
	// Regressed tells that the child was acknowledged so many entries, which the mirror
	// does not hold.
	Regressed(acknowledged uint64)
	// Refused tells of a refusal that has to do with what the child signed (Fork,
	// Mismatch). Where it has evidence, that is kept at return, and the log set aside.
	Refused(*replica.Refusal)
}

// Source is a child's registry as its parent gets to know it. Its methods may be
// called concurrently.
type Source interface {
	replica.Log
	// LogID returns the id of the node's own log.
	LogID() identifier.LogID
	// Growth returns how many entries of the log are synced, and a channel that is
	// closed when there are more.
	Growth() (size uint64, grew <-chan struct{})
	// AcceptGrant takes in a delegation or keyset that was signed above: it judges
	// it, logs it in the node's own log and returns after the sync. One that is there
	// already is no error. After a [*registry.Error] of kind Overloaded, ReadOnly or
	// Unavailable the grant comes again later; after any other error it is logged and
	// passed over.
	AcceptGrant(context.Context, identifier.Envelope) error
	// Acked returns how many entries a parent has ever acknowledged, as far as this
	// node remembers, and Acknowledged that it has so many on disk now.
	Acked(parent identifier.PublicKey) uint64
	Acknowledged(parent identifier.PublicKey, size uint64)
	// Ended says that the stream has ended: until the next one what the parent has is not
	// known. It returns at once.
	Ended()
	// Marked returns why entries of the log may be missing here; "" when none are.
	// Until Heal is called the node takes no changes.
	Marked() string
	// Mark makes it so. At return nothing is under way to the log any more, and what
	// Growth tells changes by TakeBack alone.
	Mark(ctx context.Context, why string) error
	// TakeBack appends a unit that the parent gave back, behind what is there. It is
	// synced and in force at return.
	TakeBack(context.Context, *replica.Unit) error
	// Heal says that nothing is missing any more of what the other node holds. It reports
	// whether changes are taken again: where several nodes have to say so, it is not yet.
	Heal() (healed bool, err error)
	// Again ends the process's work with the log, if that has nothing in it or was restored:
	// the other node holds another log of this node, and it may have to be adopted. It reports
	// whether it does.
	Again() bool
	// Forked tells of evidence that this node has signed two histories of its log. It
	// is kept at return, and the node takes no changes any more.
	Forked(context.Context, *replica.Evidence) error
	// AcceptReceipt stores a receipt for the log and returns after the sync. Where it
	// cannot, the receipt comes again.
	AcceptReceipt(context.Context, *replica.Receipt) error
	// Receipts returns for how many entries the newest receipts are that are stored: any,
	// and one that leads to a top-level node.
	Receipts() (anchored, rooted uint64)
	// Anchored says that the parent acknowledges so many entries for anchoring. It returns
	// at once.
	Anchored(size uint64)
}
