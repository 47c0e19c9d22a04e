package replica

import "github.com/nameplate-id/nameplate/registry/identifier"

// ChildConfig says whose log a [Child] sends, and to whom.
type ChildConfig struct {
	Signer Signer           // the child's node key
	ID     identifier.LogID // of the log that it sends
	Log    Log
	// Owner is the node key that the log is signed with; zero for the child's own.
	Owner  identifier.PublicKey
	Verify VerifyCheckpoint
	// Cosignature checks a cosignature below a checkpoint; nil for a child that takes no
	// receipts.
	Cosignature func(note []byte, by identifier.PublicKey) error
	// Parent is the node key that the parent must have; zero for whoever answers.
	Parent identifier.PublicKey
	// Kept is what this node has of the log, where it is another node's: a parent that wants
	// more than that gets nothing.
	Kept identifier.Policy
	// Octets is how many octets the payloads of a message have together, unless the
	// first entry alone has more; 0 for 256 KiB. Smaller messages let heartbeats
	// through in time on a slow line.
	Octets int
	// Acked returns how many entries a parent has ever acknowledged, as far as this
	// node remembers; nil for none. What [ChildStatus.Acked] tells is to be remembered.
	Acked func(parent identifier.PublicKey) uint64

	proves proves // how signatures are checked; nil as a rule
}

// proves reports whether a signature over a message is a key's. nil is as the key says;
// tests that play many histories have quicker keys.
type proves func(key identifier.PublicKey, message, signature []byte) bool

func (p proves) check(key identifier.PublicKey, message, signature []byte) bool {
	if p == nil {
		return key.Verify(message, signature)
	}
	return p(key, message, signature)
}

// Child is the child's side of the protocol, for one parent. It lives as long as the
// child does; streams come and go. It may not be used by several goroutines at once.
type Child struct {
	config ChildConfig
	size   uint64 // what is synced here

	phase     phase
	nonce     Nonce
	challenge *Challenge
	refusal   *Refusal // why the stream must end
	unsent    *Refuse  // what the parent is to be told of it

	session   Session
	parent    identifier.PublicKey
	parentLog identifier.LogID
	credit    uint64
	policy    identifier.Policy
	fence     Fence
	acked     uint64 // what the parent has on disk, as far as it has said
	ackedRoot identifier.Hash
	sent      uint64   // where the next Entries begin
	offered   uint64   // the largest end of any Entries of the session
	flights   []flight // sent and not acknowledged, in order
	under     uint64   // octets of all flights
	need      uint64   // octets of the entry at sent, once it did not fit
	heartbeat bool     // one is due
	silence   int      // ticks since something was heard
	grant     *Grant   // to be taken in
	grants    uint64   // taken in
	anchored  uint64   // entries that the parent acknowledges for anchoring
	receipts  []*Receipt
	kept      [2]uint64 // of how many entries the newest receipts are that are synced: any, rooted

	marked  bool     // entries may be missing here
	tip     []byte   // the checkpoint in the Hello
	edge    frontier // of the log, while entries come back
	unit    *Unit    // came back, and is to be appended
	fetch   bool     // more is to be asked for
	control          // what the parent has asked for
	lost    uint64   // what the parent has acknowledged once, when it has less now; else 0

	left rule
}

// phase is how far a stream has got.
type phase uint8

const (
	closed  phase = iota
	opened        // nothing came yet
	greeted       // Hello was sent, or received
	welcome       // Welcome was sent, or received
	ended         // refused
)

// flight is one Entries message under way.
type flight struct {
	end, octets uint64
	root        identifier.Hash // at end, if known
	known       bool
}

// missedTicks is how many ticks may pass without a word from the other side.
const missedTicks = 2

// NewChild returns the child's side, without a stream.
func NewChild(c ChildConfig) *Child {
	if c.Octets <= 0 || c.Octets > MaxOctets {
		c.Octets = 256 << 10
	}
	if c.Owner == (identifier.PublicKey{}) {
		c.Owner = c.Signer.Public()
	}
	return &Child{config: c}
}

// Grow tells how many entries are synced. It never goes down, except, before the Hello, for
// a log that is another node's: there it says how many may be sent ([Relay]). While entries
// come back it is [Child.Restored] that tells.
func (c *Child) Grow(size uint64) {
	if c.phase < greeted && c.config.Owner != c.config.Signer.Public() {
		c.size = size
		return
	}
	if c.phase != welcome || c.size >= c.acked {
		c.size = max(c.size, size)
	}
}

// Open begins a stream, in place of the one before it. The nonce is random and never
// used again.
func (c *Child) Open(nonce Nonce) {
	c.reset(opened)
	c.nonce = nonce
}

// Close ends the stream, which is gone.
func (c *Child) Close() {
	refusal := c.refusal
	c.reset(closed)
	c.refusal = refusal
}

// reset forgets the stream, except what the status goes on telling.
func (c *Child) reset(p phase) {
	*c = Child{
		config: c.config, size: c.size, left: c.left, phase: p, marked: c.marked, lost: c.lost,
		parent: c.parent, parentLog: c.parentLog, acked: c.acked, sent: c.acked, anchored: c.anchored, kept: c.kept,
	}
}

// Refusal returns why the stream must be closed, once there is nothing more to send;
// nil as long as it need not be. It keeps the answer after Close, until the next Open.
func (c *Child) Refusal() *Refusal { return c.refusal }

// Tick says that a heartbeat's time has passed.
func (c *Child) Tick() {
	if c.phase == closed || c.phase == ended {
		return
	}
	if c.silence++; c.silence > missedTicks {
		c.end(refuse(Silent, "nothing was heard from the parent for %d heartbeats", missedTicks))
		return
	}
	c.heartbeat = c.phase == welcome
	c.fetch = c.phase == welcome && c.size < c.acked && c.unit == nil
}

// Busy says that messages of the parent may be waiting to be received: its silence is
// not the parent's.
func (c *Child) Busy() { c.silence = 0 }

// end refuses to go on. The parent is told, except of its silence.
func (c *Child) end(r *Refusal) {
	c.phase, c.refusal, c.flights, c.grant, c.receipts, c.unit, c.fetch = ended, r, nil, nil, nil, nil, false
	if r.Reason != Silent && r.Reason != Drained && !r.Remote {
		c.unsent = &Refuse{Nonce: c.nonce, Reason: r.Reason, Detail: r.Detail, Evidence: r.Signed}
		if e := r.Evidence; e != nil {
			c.unsent.Root, c.unsent.Proof = e.Root, e.Proof
		}
	}
}

// Receive takes in a message. What does not belong to the stream, or comes again, is
// dropped; what is never said by a parent ends the stream.
func (c *Child) Receive(m Message) {
	if c.phase == closed || c.phase == ended {
		return
	}
	switch m := m.(type) {
	case *Challenge:
		c.receiveChallenge(m)
	case *Welcome:
		c.receiveWelcome(m)
	case *Ack:
		if c.current(m.Session) {
			c.receiveAck(m)
		}
	case *Nack:
		if c.current(m.Session) {
			c.receiveNack(m)
		}
	case *Cosigned:
		if c.current(m.Session) {
			c.receiveCosigned(m)
		}
	case *Grant:
		// One that is out of turn comes again: the heartbeat says which is next.
		if c.current(m.Session) && !c.marked && c.grant == nil && m.Number == c.grants {
			c.grant = m
		}
	case *Return:
		if c.current(m.Session) {
			c.receiveReturn(m)
		}
	case *Control:
		if c.current(m.Session) {
			c.receiveControl(m)
		}
	case *Refuse:
		if m.Nonce == c.nonce || m.Nonce == (Nonce{}) && c.phase == opened {
			c.receiveRefuse(m)
		}
	default:
		c.end(refuse(Malformed, "a parent does not send %T", m))
	}
}

// current reports whether a message belongs to the session.
func (c *Child) current(s Session) bool {
	if c.phase != welcome || c.left.lacks(ruleSession, s == c.session) {
		return false
	}
	c.silence = 0
	return true
}

// receiveAck takes note of what the parent has on disk.
func (c *Child) receiveAck(m *Ack) {
	if m.Size > c.offered {
		c.end(refuse(Malformed, "the parent acknowledges %d entries, and was sent %d", m.Size, c.offered))
		return
	}
	if m.Size < c.acked {
		return // overtaken by a later one, whose credit counts
	}
	root, err := c.rootAt(m.Size)
	if err != nil {
		c.end(refuse(Unavailable, "the child's log cannot be read: %v", err))
		return
	}
	if root != m.Root {
		c.end(refuse(Mismatch, "the parent has another root of the first %d entries than this log", m.Size))
		return
	}
	for len(c.flights) > 0 && c.flights[0].end <= m.Size {
		c.under -= c.flights[0].octets
		c.flights = c.flights[1:]
	}
	c.credit, c.acked, c.ackedRoot = m.Credit, m.Size, root
	if c.acked >= c.lost {
		c.lost = 0
	}
	c.anchored = max(c.anchored, min(m.Anchored, m.Size))
	if m.Credit > 0 {
		c.paused = "" // what says Resume was lost, or is on its way
	}
	if c.sent < c.acked {
		c.sent, c.need = c.acked, 0
	}
}

// rootAt returns the root of a size that was offered.
func (c *Child) rootAt(size uint64) (identifier.Hash, error) {
	if size == c.acked {
		return c.ackedRoot, nil
	}
	for _, f := range c.flights {
		if f.end == size && f.known {
			return f.root, nil
		}
	}
	// It was sent before a Nack, in other portions.
	return c.config.Log.Root(size)
}

// receiveNack goes back to what the parent lacks. What lies before it stays under
// way: the parent holds it, perhaps not yet on disk.
func (c *Child) receiveNack(m *Nack) {
	if m.Next < c.acked || m.Next >= c.sent {
		return // an old one
	}
	for n := len(c.flights); n > 0 && c.flights[n-1].end > m.Next; n-- {
		if n > 1 && c.flights[n-2].end >= m.Next || n == 1 && c.acked == m.Next {
			c.under -= c.flights[n-1].octets
			c.flights = c.flights[:n-1]
			continue
		}
		// Other portions were sent before, and the parent has taken in one of those.
		c.flights[n-1].end, c.flights[n-1].known = m.Next, false
	}
	c.sent, c.need = m.Next, 0
}

// Grant returns a grant that is to be taken in, nil for none. [Child.Granted] says
// that it was.
func (c *Child) Grant() *Grant { return c.grant }

// Granted says that the registry has dealt with the grant that [Child.Grant] returned.
// With taken false it comes again later.
func (c *Child) Granted(taken bool) {
	if c.grant != nil && taken {
		c.grants++
	}
	c.grant = nil
}

// ChildStatus is how far a child's log has got to its parent.
type ChildStatus struct {
	Parent    identifier.PublicKey // zero until it has said
	ParentLog identifier.LogID
	Connected bool
	// Synced is what the child has, Acked what the parent has on disk as far as it
	// has said in this session, Sent what was sent to it.
	Synced, Acked, Sent uint64
	// InFlight is how many octets of payloads were sent and not acknowledged, Credit
	// how many there may be.
	InFlight, Credit uint64
	// Anchored is how many entries the parent has acknowledged for anchoring.
	Anchored uint64
	// Policy is what the parent keeps of the log, while it is connected.
	Policy identifier.Policy
	// Lost is how many entries the parent acknowledged once, while it says that it has
	// fewer: it was restored. 0 when it has them.
	Lost uint64
	// Marked says that entries of this node's own log may be missing here.
	Marked bool
	// Paused is why the parent takes in no more for now; empty when it does.
	Paused  string
	Refusal *Refusal // why there is no session, where there was one or an attempt
}

// Status tells how far the child is.
func (c *Child) Status() ChildStatus {
	return ChildStatus{
		Parent: c.parent, ParentLog: c.parentLog, Connected: c.phase == welcome, Synced: c.size, Acked: c.acked,
		Sent: c.sent, InFlight: c.under, Credit: c.credit, Anchored: c.anchored, Policy: c.policy, Lost: c.lost, Marked: c.marked, Paused: c.paused, Refusal: c.refusal,
	}
}
