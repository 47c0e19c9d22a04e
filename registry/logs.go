package registry

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/state"
)

// logs are all logs that a journal holds: the node's own, and the mirrors of its
// children's. A frame goes to its log in the order of the journal, whether it is fresh
// from its sync, read again at a start, or read by a check.
type logs struct {
	own *ledger

	numbering sync.Mutex // held while a log gets its number

	mu     sync.RWMutex
	byNode map[identifier.PublicKey]*mirror
	next   uint32 // the number of the next child's log

	peerLogs []*mirror // never changed, but replaced
}

func newLogs(own *ledger) *logs {
	return &logs{own: own, byNode: make(map[identifier.PublicKey]*mirror), next: ownLog + 1}
}

// mirrorNote is what the notes begin with that say which child's log has which
// number; the number follows, four octets.
const mirrorNote = "mirror/"

func mirrorNoteName(number uint32) string {
	return string(binary.BigEndian.AppendUint32([]byte(mirrorNote), number))
}

// load reads what the state holds of every log.
func (l *logs) load() error {
	if err := l.own.loadState(); err != nil {
		return err
	}
	for row, err := range l.own.state.Ascend(context.Background(), state.Notes, ownLog, []byte(mirrorNote)) {
		if err != nil {
			return doubt(err)
		}
		if !bytes.HasPrefix(row.Key, []byte(mirrorNote)) {
			break
		}
		value, err := summed(row.Key, row.Value)
		if err != nil {
			return doubt(err)
		}
		n, err := parseNumbering(value)
		if err != nil {
			return doubt(err)
		}
		if err := l.open(n); err != nil {
			return fmt.Errorf("mirror of log %s: %w", n.log, err)
		}
	}
	return nil
}

// replay takes one frame in.
func (l *logs) replay(f journal.Located) error {
	switch {
	case f.Kind == journal.KindQuarantine:
		return l.setAside(f)
	case f.Kind == journal.KindSession:
		return l.number(f.Payload, f.At, f.End)
	case f.Log == ownLog:
		return l.own.replayFrame(f)
	case f.Kind == journal.KindMirrored:
		m := l.numbered(f.Log)
		if m == nil {
			return fmt.Errorf("frame of log %d: nothing says whose log that is", f.Log)
		}
		return m.takeFrame(f)
	}
	return fmt.Errorf("frame of kind %q of log %d: only a mirror's units belong to another log", f.Kind, f.Log)
}

// setAside takes in that a log is in quarantine.
func (l *logs) setAside(f journal.Located) error {
	if f.Log == ownLog {
		return l.own.setAside(f.Payload, f.At, f.End)
	}
	m := l.numbered(f.Log)
	if m == nil {
		return fmt.Errorf("quarantine of log %d: nothing says whose log that is", f.Log)
	}
	return m.setAside(f.Payload, f.At, f.End)
}

// number takes in which child's log has which number from here on.
func (l *logs) number(payload []byte, at, end journal.Offset) error {
	n, err := parseNumbering(payload)
	if err != nil {
		return err
	}
	err = l.own.state.Publish(context.Background(), state.Batch{
		Log: ownLog, Position: l.own.published.Load(), At: uint64(at), End: uint64(end),
		Mutations: []state.Mutation{noteMutation(mirrorNoteName(n.number), payload)},
	})
	if err != nil {
		return err
	}
	return l.open(n)
}

// open makes the mirror of a log known, with what the state holds of it.
func (l *logs) open(n numbering) error {
	own := l.own
	if n.role == roleRelay {
		via := l.of(n.via)
		if via == nil {
			return fmt.Errorf("it is sent by node %s, whose own log is not here", n.via)
		}
		own = via.ledger
	}
	m := newMirror(n, own)
	if err := m.load(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byNode[n.node] = m
	if n.role == rolePeer {
		l.peerLogs = append(slices.Clip(l.peerLogs), m)
	}
	l.next = max(l.next, n.number+1)
	return nil
}

// nextNumber returns the number for a new log.
func (l *logs) nextNumber() uint32 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.next
}

// of returns the mirror of the log of a node; nil when there is none.
func (l *logs) of(node identifier.PublicKey) *mirror {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.byNode[node]
}

// numbered returns the mirror with a number; nil when there is none.
func (l *logs) numbered(number uint32) *mirror {
	for _, m := range l.mirrors() {
		if m.number == number {
			return m
		}
	}
	return nil
}

// peers returns the mirrors of the other top-level nodes' own logs, in the order in which
// they came.
func (l *logs) peers() []*mirror {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.peerLogs
}

// mirrors returns all mirrors.
func (l *logs) mirrors() []*mirror {
	l.mu.RLock()
	defer l.mu.RUnlock()
	list := make([]*mirror, 0, len(l.byNode))
	for _, m := range l.byNode {
		list = append(list, m)
	}
	return list
}

// role says what a log that is mirrored here is to this node.
type role uint8

const (
	roleChild role = iota // that of a child
	rolePeer              // that of another top-level node
	roleRelay             // that of a child of another top-level node, which sends it
)

func (r role) String() string {
	switch r {
	case rolePeer:
		return "peer"
	case roleRelay:
		return "relayed"
	}
	return "child"
}

// numbering gives a log that is mirrored here its number. It is the payload of a session
// frame:
//
//	format  u8   1 for a child's log, 2 for one that another top-level node sends
//	number  u32  1 or more
//	log     16
//	role    u8   of format 2 only: 1 the top-level node's own, 2 a child's of it
//	via     of role 2 only, the top-level node's key: type u8, size u16, octets
//	type    u8   of the node key that the log is signed with
//	key          to the end
type numbering struct {
	number uint32
	log    identifier.LogID
	role   role
	via    identifier.PublicKey // the node that sends it; zero when it is its own
	node   identifier.PublicKey
}

const (
	numberingFormat      = 1
	numberingPeersFormat = 2
	numberingHead        = 1 + 4 + 16
	maxKeyOctets         = 8 << 10
)

func (n numbering) append(dst []byte) []byte {
	format := byte(numberingFormat)
	if n.role != roleChild {
		format = numberingPeersFormat
	}
	dst = append(dst, format)
	dst = binary.BigEndian.AppendUint32(dst, n.number)
	dst = append(dst, n.log[:]...)
	if n.role != roleChild {
		dst = append(dst, byte(n.role))
	}
	if n.role == roleRelay {
		dst = append(dst, byte(n.via.Type))
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(n.via.Raw)))
		dst = append(dst, n.via.Raw...)
	}
	dst = append(dst, byte(n.node.Type))
	return append(dst, n.node.Raw...)
}

// errNumbering says that a numbering is not as it should be.
var errNumbering = fmt.Errorf("the number of a log is not of format %d or %d: use a newer release", numberingFormat, numberingPeersFormat)

func parseNumbering(b []byte) (numbering, error) {
	if len(b) <= numberingHead || len(b) > numberingHead+2*maxKeyOctets || b[0] != numberingFormat && b[0] != numberingPeersFormat {
		return numbering{}, errNumbering
	}
	n := numbering{number: binary.BigEndian.Uint32(b[1:]), log: identifier.LogID(b[5:numberingHead])}
	rest := b[numberingHead:]
	if b[0] == numberingPeersFormat {
		n.role, rest = role(rest[0]), rest[1:]
		if n.role != rolePeer && n.role != roleRelay {
			return numbering{}, errNumbering
		}
	}
	if n.role == roleRelay {
		if len(rest) < 3 || len(rest) < 3+int(binary.BigEndian.Uint16(rest[1:])) {
			return numbering{}, errNumbering
		}
		size := int(binary.BigEndian.Uint16(rest[1:]))
		n.via = identifier.PublicKey{Type: identifier.KeyType(rest[0]), Raw: string(rest[3 : 3+size])}
		rest = rest[3+size:]
		if err := n.via.Check(); err != nil {
			return numbering{}, err
		}
	}
	if len(rest) < 2 || len(rest) > 1+maxKeyOctets {
		return numbering{}, errNumbering
	}
	n.node = identifier.PublicKey{Type: identifier.KeyType(rest[0]), Raw: string(rest[1:])}
	if n.number == ownLog {
		return numbering{}, fmt.Errorf("a mirrored log has the number %d, which is the node's own", ownLog)
	}
	return n, n.node.Check()
}
