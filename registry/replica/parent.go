package replica

import (
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// DefaultWindow is how many octets of a child's entries a parent holds in memory, on
// their way to the disk, unless told otherwise.
const DefaultWindow = 4 << 20

// ParentConfig says whose mirror a [Parent] keeps.
type ParentConfig struct {
	Signer Signer               // the parent's node key
	ID     identifier.LogID     // of the parent's own log
	Child  identifier.PublicKey // the node key that the child's log is signed with
	Log    identifier.LogID     // of the child's log
	Verify VerifyCheckpoint
	// Policy is what is kept of the log.
	Policy identifier.Policy
	// History is what the mirror holds.
	History History
	// Row returns the largest row of the child in the parent's own log; nil, or a Row of
	// no entries, for none. An error ends the stream.
	Row func() (Row, error)
	// Held returns how many entries of the log are kept by another policy, which counts until
	// this one has as many; nil, or 0, for none.
	Held func() uint64
	// Begins returns why a log is not mirrored that begins with this entry; nil for every
	// log. It is asked before the first unit of an empty mirror is stored.
	Begins func(payload []byte) *Refusal
	// Fence returns the first fence in the log behind so many entries; nil, or a zero one,
	// for none. What it returns for a size changes only before Open.
	Fence func(size uint64) Fence
	// Window is the credit of the child, in octets; 0 for [DefaultWindow]. It is
	// MaxOctets at least.
	Window uint64
}

// Parent is the parent's side of the protocol, for one child's log. It lives as long
// as the parent does; streams come and go, and what one of them brought may still be
// on its way to the disk when the next one begins. It may not be used by several
// goroutines at once.
type Parent struct {
	config ParentConfig

	stored     uint64 // how many entries are on disk
	root       identifier.Hash
	checkpoint []byte   // that the stored entries end with
	edge       frontier // of the stored entries and all that are on their way
	units      []held   // on their way to the disk, in order
	octets     uint64   // of the payloads of all units
	credit     uint64
	grants     []identifier.Envelope

	phase   phase
	hello   *Hello
	session Session
	refusal *Refusal // why the stream must end
	unsent  *Refuse  // what the child is to be told of it

	allowed    uint64 // the most credit of the session
	silence    int    // ticks since something was heard
	ack, nack  bool   // to be sent
	grantsSent uint64
	anchored   uint64     // that the child may take as held above
	receipts   [2]receipt // the newest: any, and one that leads to a top-level node
	tip        uint64     // how many entries the child has
	tipIsNews  bool
	tipRoot    identifier.Hash
	lost       uint64 // how many entries were acknowledged once, when there are fewer now; else 0
	returning  bool   // the child asks for entries
	returnFrom uint64 // from which position on
	orders
	fence Fence // the next one that the child was told of
	begin Row   // with which a witness begins that was restored and has nothing; else of size 0

	left rule
}

// held is a unit on its way to the disk.
type held struct {
	end, octets uint64
	root        identifier.Hash
	checkpoint  []byte
	before      frontier // of what precedes it
}

// NewParent returns the parent's side for a child whose mirror stands as it says. The
// error says that the mirror does not add up to its checkpoint.
func NewParent(c ParentConfig, m Mirror) (*Parent, error) {
	if c.Window == 0 {
		c.Window = DefaultWindow
	}
	c.Window = max(c.Window, MaxOctets)
	p := &Parent{config: c, stored: m.Size, credit: c.Window, root: emptyRoot}
	var err error
	if c.Policy == identifier.PolicyWitness {
		p.edge = frontier{size: m.Size}
	} else if p.edge, err = newFrontier(m.Size, m.Subtrees); err != nil {
		return nil, fmt.Errorf("mirror of log %s: %w", c.Log, err)
	}
	if m.Size == 0 && len(m.Checkpoint) == 0 {
		return p, nil
	}
	size, root, err := c.Verify(m.Checkpoint, c.Log, c.Child)
	if err != nil {
		return nil, fmt.Errorf("mirror of log %s: %w", c.Log, err)
	}
	if c.Policy == identifier.PolicyWitness {
		p.edge.known = &root
	}
	if size != m.Size || root != p.edge.root() {
		return nil, fmt.Errorf("mirror of log %s: %d entries with root %x, its checkpoint says %d with root %x: it has been changed", c.Log, m.Size, p.edge.root(), size, root)
	}
	p.root, p.checkpoint = root, m.Checkpoint
	return p, nil
}

// Open begins a stream with a Hello that [CheckHello] let pass, in place of the
// stream before it. The session is random and never used again. The child is welcomed
// once everything that the last stream brought is on disk, or given up.
func (p *Parent) Open(m *Hello, s Session) {
	p.reset(greeted)
	p.hello, p.session = m, s
	size, root, err := p.config.Verify(m.Tip, p.config.Log, p.config.Child)
	switch {
	case m.Owner != p.config.Child || m.Log != p.config.Log:
		p.end(refuse(OtherLog, "this is the mirror of log %s of node %s", p.config.Log, p.config.Child))
	case err != nil:
		p.end(refuse(Malformed, "the child did not sign the checkpoint in its Hello: %v", err))
	default:
		p.tip, p.tipRoot, p.tipIsNews = size, root, true
		p.lost = 0
		if m.Acked > max(p.edge.size, p.held()) {
			p.lost = m.Acked
		}
	}
}

// Close ends the stream, which is gone. What it brought stays on its way to the disk.
func (p *Parent) Close() {
	refusal := p.refusal
	p.reset(closed)
	p.refusal = refusal
}

// reset forgets the stream, except what the status goes on telling.
func (p *Parent) reset(to phase) {
	p.phase, p.hello, p.session, p.refusal, p.unsent = to, nil, Session{}, nil, nil
	p.allowed, p.silence, p.ack, p.nack, p.grantsSent, p.returning = 0, 0, false, false, 0, false
	p.told, p.drain, p.begin = "", nil, Row{}
	p.missing(0, 0)
}

// Refuse ends the stream for a reason that the registry has.
func (p *Parent) Refuse(r *Refusal) {
	if p.phase != closed && p.phase != ended {
		p.end(r)
	}
}

// Refusal returns why the stream must be closed, once there is nothing more to send;
// nil as long as it need not be. It keeps the answer after Close, until the next Open.
func (p *Parent) Refusal() *Refusal { return p.refusal }

// Credit changes how many octets the child may have under way: 0 stops it, which
// takes effect once it has heard of it; anything else is raised to MaxOctets.
func (p *Parent) Credit(octets uint64) {
	if octets > 0 {
		octets = max(octets, MaxOctets)
	}
	p.credit, p.ack = octets, true
}

// Offer adds grants for the child to take in, behind those that were added before.
func (p *Parent) Offer(grants ...identifier.Envelope) { p.grants = append(p.grants, grants...) }

// Offered returns how many grants were added.
func (p *Parent) Offered() uint64 { return uint64(len(p.grants)) }

// Tick says that a heartbeat's time has passed.
func (p *Parent) Tick() {
	if p.phase == closed || p.phase == ended {
		return
	}
	if p.silence++; p.silence > missedTicks {
		p.end(refuse(Silent, "nothing was heard from the child for %d heartbeats", missedTicks))
		return
	}
	p.ack, p.told = true, ""
}

// Busy says that messages of the child may be waiting to be received: its silence is
// not the child's.
func (p *Parent) Busy() { p.silence = 0 }

// Tip returns how many entries the child has, when it has said so since the last call.
func (p *Parent) Tip() (size uint64, news bool) {
	news, p.tipIsNews = p.tipIsNews, false
	return p.tip, news
}

// end refuses to go on. The child is told, except of its silence.
func (p *Parent) end(r *Refusal) {
	p.phase, p.refusal = ended, r
	if r.Reason != Silent && !r.Remote {
		p.unsent = &Refuse{Reason: r.Reason, Detail: r.Detail}
		if e := r.Evidence; e != nil {
			p.unsent.Evidence, p.unsent.Root, p.unsent.Proof, p.unsent.Signed = e.Held, e.Root, e.Proof, e.Signed
		}
		if p.hello != nil {
			p.unsent.Nonce = p.hello.Nonce
		}
	}
}

// Stored says that the oldest unit that Receive returned, and that Stored has not been
// called for, is synced with all of its entries and its checkpoint.
func (p *Parent) Stored() {
	u := p.units[0]
	p.units, p.octets = p.units[1:], p.octets-u.octets
	p.stored, p.root, p.checkpoint, p.ack = u.end, u.root, u.checkpoint, true
	if p.stored >= p.lost {
		p.lost = 0
	}
}

// Dropped says that the newest unit that Receive returned will not be stored. The
// stream that brought it ends.
func (p *Parent) Dropped() {
	last := len(p.units) - 1
	p.edge, p.octets = p.units[last].before, p.octets-p.units[last].octets
	p.units = p.units[:last]
	if p.phase == welcome {
		p.end(refuse(Unavailable, "the parent cannot store entries now"))
	}
}

// Next returns what is to be sent now, nil for nothing. Whoever drives the parent asks
// again after everything that it has told it, and after each message once that is
// sent: so a child that is slow to read costs no memory.
func (p *Parent) Next() Message {
	if m := p.unsent; m != nil {
		p.unsent = nil
		return m
	}
	switch {
	case p.phase == greeted && len(p.units) == 0:
		return p.welcome()
	case p.phase != welcome:
		return nil
	case p.nack:
		p.nack = false
		return &Nack{Session: p.session, Next: p.edge.size}
	case p.ack:
		p.ack = false
		p.allowed = max(p.allowed, p.allowance())
		m := &Ack{Session: p.session, Size: p.stored, Root: p.root, Credit: p.allowance(), Anchored: min(p.anchored, p.stored)}
		if p.left == ruleSync {
			m.Size, m.Root = p.edge.size, p.edge.root()
		}
		return m
	case p.drain != nil || p.paused != p.told:
		return p.order()
	case p.returning:
		p.returning = false
		return p.giveBack()
	case p.receipts[1].due:
		return p.cosigned(1)
	case p.receipts[0].due:
		return p.cosigned(0)
	case p.grantsSent < uint64(len(p.grants)):
		m := &Grant{Session: p.session, Number: p.grantsSent, Envelope: p.grants[p.grantsSent]}
		p.grantsSent++
		return m
	}
	return nil
}

func (p *Parent) held() uint64 {
	if p.config.Held == nil {
		return 0
	}
	return p.config.Held()
}

// giveBack returns the unit that the child asked for.
func (p *Parent) giveBack() Message {
	u, err := p.config.History.Unit(p.returnFrom)
	if err != nil {
		return p.unreadable(err)
	}
	return &Return{Session: p.session, Start: u.Start, Payloads: u.Payloads, Checkpoint: u.Checkpoint}
}

// unreadable ends the stream because the mirror cannot be read; the child is told that
// much and no more.
func (p *Parent) unreadable(err error) Message {
	p.end(refuse(Unavailable, "the mirror cannot be read: %v", err))
	p.unsent.Detail = "the parent cannot read its mirror now"
	return p.Next()
}

// fork ends the stream because the child signed a checkpoint of size entries, and the
// mirror has another root of as many.
func (p *Parent) fork(signed []byte, size uint64, root identifier.Hash) {
	r := &Refusal{Reason: Fork, Held: p.checkpoint, Signed: signed,
		Detail: fmt.Sprintf("the child signed two histories of its first %d entries: its log was restored and written to, or the node runs twice", size)}
	r.Evidence = &Evidence{Node: p.config.Child, Log: p.config.Log, Held: p.checkpoint, Signed: signed}
	if size < p.stored {
		proof, err := p.config.History.Prove(size, p.stored)
		if err != nil {
			p.unreadable(err)
			return
		}
		r.Evidence.Root, r.Evidence.Proof = root, proof
	}
	p.end(r)
}

// ParentStatus is how far a mirror has got.
type ParentStatus struct {
	Child     identifier.PublicKey
	Log       identifier.LogID
	Connected bool
	// Stored is how many entries are on disk, Root their root. Accepted counts those
	// on their way to the disk too, which are InFlight octets.
	Stored, Accepted, InFlight uint64
	Root                       identifier.Hash
	// Tip is how many entries the child has, as far as it has said since the start.
	Tip    uint64
	Credit uint64
	// Lost is how many entries this node acknowledged once, as the child says, while
	// it holds fewer: it was restored. 0 when it holds them.
	Lost uint64
	// Paused is why the child is asked to wait; empty when it is not.
	Paused  string
	Refusal *Refusal // why there is no session, where there was one or an attempt
}

// Status tells how far the mirror is.
func (p *Parent) Status() ParentStatus {
	return ParentStatus{
		Child: p.config.Child, Log: p.config.Log, Connected: p.phase == welcome, Stored: p.stored, Accepted: p.edge.size,
		InFlight: p.octets, Root: p.root, Tip: max(p.tip, p.stored), Credit: p.allowance(), Paused: p.paused, Lost: p.lost, Refusal: p.refusal,
	}
}
