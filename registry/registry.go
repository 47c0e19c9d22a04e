// Package registry holds what may be written at a node, by whom, and what the node
// holds.
//
// A change comes in signed. It is checked by itself, its signatures are checked
// against the keyset of the delegation that it names, and one sequencer judges its
// rows against everything before it: the state, the overlay, and the rows that wait
// for their sync. It is logged whole or not at all. The journal syncs it together
// with whatever else waits; from then on it is acknowledged, readers see it, and
// the state takes it over when it gets to it.
//
// The journal is the truth. What is told to anybody, even that a row was there
// already, has been synced before. What the state holds is derived from the journal
// and can be rebuilt from it at any time; it may be behind, and starting a node is
// reading what it has not taken over yet. Reading again what was taken over already
// changes nothing, so nothing needs to be remembered across a crash but the offset
// that the state commits with its rows.
//
// Who holds a prefix is data in the log too: delegations and keysets are entries,
// signed by who holds what lies above. At a node without a parent the second entry is
// a grant of the root to the node's own key, signed by itself.
//
// A node's folder has a lock, the node's key, the journal and the state. One process
// uses it at a time.
package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nameplate-id/nameplate/registry/folder"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/state"
)

// Config says how a registry is opened.
type Config struct {
	// Folder is the node's data folder; it is created when it is not there.
	Folder string
	// Anchor is a file on another volume that keeps the newest checkpoint, so that a
	// folder restored from an old backup is noticed; empty for none. Only a node
	// without a parent needs one.
	Anchor string
	// Parent is the node key of the parent; zero for none. A node with a parent
	// answers for what the parent grants it, a node without one for the root.
	Parent identifier.PublicKey
	// Peers are the node keys of the other top-level nodes; none at any other node, and at
	// one that is alone. They mirror this node's log and those of its children, as this
	// node does theirs.
	Peers []identifier.PublicKey
	// Reserve is how many octets of the volume stay free: with less, neither changes nor
	// entries of children are taken in. 0 is what [Reserve] says, less than that none.
	Reserve int64
	// Grace is how long a child may take, from when it was told of a grant, until that is in
	// its log as far as it is mirrored here; 0 for 15 seconds. See [Mirror.Fence].
	Grace time.Duration
	// Log is told of what an operator should know.
	Log *slog.Logger
	// Bare logs nothing of its own at the start, not even what a log begins with: for who
	// reads a folder, or fills it, and does not know whether the node has a parent.
	Bare bool

	// What follows is for tests, which bring their own file system, sizes, hooks and
	// pace. CheckpointEvery is how often a growing log gets a checkpoint; 0 for a
	// second. Hook is called at the points that the Hook constants name; nil for none.
	Journal journal.Options
	State   state.Options
	// Volume tells of the room on the disk; nil for what the system says. Clock is the
	// node's clock, which entries carry and by which changes expire; nil for the system's.
	CheckpointEvery time.Duration
	Hook            func(point string)
	Volume          Volume
	Clock           func() time.Time

	// after and rows are what a log begins with that continues another one.
	after *identifier.Predecessor
	rows  []identifier.ChildRow

	left rule // by a test
}

// Points of Config.Hook.
const (
	HookSigned     = "registry.checkpoint.signed" // a checkpoint, before it is appended
	HookCheckpoint = "registry.checkpoint.synced" // it is synced, before anybody sees it
	HookAnchor     = "registry.checkpoint.anchor" // before the anchor is replaced
	HookChildren   = "registry.children.signed"   // rows of children, before they are appended
	HookCosigned   = "registry.children.cosigned" // a child's checkpoint, before it is sent
	HookReceipt    = "registry.receipt.checked"   // a receipt, before it is appended
)

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.CheckpointEvery <= 0 {
		c.CheckpointEvery = time.Second
	}
	if c.Grace <= 0 {
		c.Grace = defaultGrace
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Volume == nil {
		c.Volume = volume
	}
	if c.Hook == nil {
		c.Hook = func(string) {}
	}
	return c
}

// Registry is a node's registry. Its methods may be called concurrently.
type Registry struct {
	*ledger       // what readers see of the node's own log
	logs    *logs // that, and the mirrors of the children's
	anchors *anchoring

	config    Config
	folder    *folder.Folder
	key       identifier.PrivateKey
	journal   *journal.Journal
	sequencer *sequencer
	disk      *diskWatch

	opened       time.Time
	after        *identifier.Predecessor // the log that this one continues; nil for none
	resolution   *Resolution             // what became of the log that this one continues; nil for none
	recovery     recovery
	settled      bool                   // nobody holds another log that could be adopted
	restored     atomic.Bool            // from a backup, and nobody was asked yet
	marked       atomic.Pointer[string] // why entries may be missing in the node's own log; nil when none are
	lendings     sync.Pool              // of *lending, from call to call
	stopApplying func()

	failOnce sync.Once
	failed   chan struct{} // closed when nothing can be promised any more
	failErr  error
}

// diskEvery is how often the room on the disk is measured.
const diskEvery = time.Second

// recovery is how far a top-level node has got that was restored.
type recovery struct {
	mu      sync.Mutex
	machine *replica.Recovery
}

// roomWait is for how long a change may wait for room before it is told that the
// node is overloaded.
const roomWait = 5 * time.Second

// Run signs checkpoints and watches the journal and the state. It returns nil when
// ctx ends, or an error when nothing can be promised any more: then the process must
// end. Call it once, and Close after it.
func (r *Registry) Run(ctx context.Context) error {
	ticker := time.NewTicker(r.config.CheckpointEvery)
	defer ticker.Stop()
	measure := time.NewTicker(diskEvery)
	defer measure.Stop()
	for {
		select {
		case <-measure.C:
			r.watchDisk()
		case <-r.journal.Failed():
			r.fail(fmt.Errorf("journal: %w", r.journal.Err()))
		case <-r.failed:
			return r.failErr
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := r.logChildren(ctx); err != nil {
				r.config.Log.Warn("the children's checkpoints are not logged", "error", err)
			}
			if err := r.signCheckpoint(ctx); err != nil {
				r.config.Log.Warn("no checkpoint", "error", err)
			}
		case <-r.anchors.wake:
			r.anchors.pass()
		}
	}
}

// Close signs a last checkpoint, closes journal and state, and lets go of the
// folder. Nothing may be called after it; what still waits is synced and answered.
func (r *Registry) Close() error {
	var err error
	if r.failure() == nil {
		err = r.signCheckpoint(context.Background())
	}
	if failure := r.journal.Close(); failure != nil {
		r.fail(fmt.Errorf("journal: %w", failure)) // whoever waits must not wait for ever
		err = errors.Join(err, failure)
	}
	r.stopApplying()
	return errors.Join(err, r.state.Close(), r.folder.Close())
}

// fail records that nothing can be promised any more and tells everybody who waits.
func (r *Registry) fail(err error) {
	r.failOnce.Do(func() {
		r.failErr = err
		close(r.failed)
	})
}

// awaitSync waits until synced is closed, which a callback of the journal does.
// The error is why it never may be, or that of ctx.
func (r *Registry) awaitSync(ctx context.Context, synced <-chan struct{}) error {
	select {
	case <-synced:
		return nil
	case <-r.journal.Failed():
		r.fail(fmt.Errorf("journal: %w", r.journal.Err()))
		return r.failErr
	case <-r.failed:
		return r.failErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *Registry) failure() error {
	select {
	case <-r.failed:
		return r.failErr
	default:
		return nil
	}
}

// writable returns an error when no changes are taken.
func (r *Registry) writable() error {
	if err := r.failure(); err != nil {
		return ending(err)
	}
	if why := r.ReadOnly(); why != "" {
		return refuse(ReadOnly, "%s", why)
	}
	return nil
}

// room waits until a change can be taken without growing memory.
func (r *Registry) room(ctx context.Context, octets int) error {
	ctx, cancel := context.WithTimeout(ctx, roomWait)
	defer cancel()
	err := r.state.WaitRoom(ctx)
	if err == nil {
		err = r.journal.Wait(ctx, octets)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, journal.ErrFull):
		return &Error{Kind: Overloaded, Detail: diskFull, Err: err}
	case errors.Is(err, state.ErrFull), ctx.Err() != nil:
		return &Error{Kind: Overloaded, Detail: "there is no room for the change now: send it again later", Err: err}
	}
	return ending(err)
}

const diskFull = "the disk is full: free some space, then send it again"

// ending is the answer of a node whose journal or state has failed, or is closed.
func ending(err error) *Error {
	return &Error{Kind: Unavailable, Detail: "the node is ending: send it again when it is back", Err: err}
}

// Key returns the node's public key.
func (r *Registry) Key() identifier.PublicKey { return r.key.Public() }

// NodeKey reads the key of the node in a folder. The folder may be in use.
func NodeKey(path string) (identifier.PrivateKey, error) { return folder.NodeKey(path) }

// LogID returns the id of the node's own log.
func (r *Registry) LogID() identifier.LogID { return r.log }

// elsewhere reports whether another node answers for the delegation.
func (l *ledger) elsewhere(d *identifier.Delegation) bool {
	return d.Node != nil && d.Node.Key != l.node
}
