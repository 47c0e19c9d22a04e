package replica_test

import (
	"golang.org/x/mod/sumdb/tlog"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// forest is what the protocol is for: five top-level nodes that mirror one another and
// one another's children, nodes below some of them, leaves below those. Both sides of
// every stream, what may be cosigned, how far a relay may go, and what a node may do at all
// are the production code. What is played are disks, the network, and what a registry does
// with what the machines tell it.
type forest struct {
	nodes   []*member // the top first
	logs    []*incarnation
	tops    []*member
	links   []*link
	down    []*link // those of a child to its parent
	left    replica.Rule
	large   bool
	drawn   uint64
	origin  *place
	entries map[string]*entry // by payload
	// untold says that a node was put back once without a word: it may write anew what
	// was anchored, and is to be caught.
	untold   bool
	forks    bool // one is often put back without a word
	restored int  // how often one was put back
	happened map[event]int
	wrong    error // what two nodes do not agree on

	signed   map[signedAt]*place // checkpoints that a node has signed
	cosigned map[cosignature]identifier.Hash
	verdicts map[judgedAt]bool
	// forgotten has the children who were given what only their parent knew, and forgot
	// when it was restored: what rests on that nobody can judge as before.
	forgotten map[byte]bool
	handed    map[*entry]bool // to their holders, by what was registered first
}

type signedAt struct {
	node byte
	size uint64
	root identifier.Hash
}

type cosignature struct {
	by, log byte
	size    uint64
}

type judgedAt struct {
	node  byte
	entry *place
}

// topNodes is how many top-level nodes there are.
const topNodes = 5

// newForest makes one with so many nodes in the middle, and so many leaves below them.
func newForest(middle, leaves int, left replica.Rule) *forest {
	f := &forest{
		left: left, origin: beginning(), entries: map[string]*entry{}, signed: map[signedAt]*place{},
		cosigned: map[cosignature]identifier.Hash{}, verdicts: map[judgedAt]bool{}, happened: map[event]int{}, forgotten: map[byte]bool{}, handed: map[*entry]bool{},
	}
	for i := range topNodes + middle + leaves {
		m := &member{f: f, number: byte(i + 1), key: quickKey(i + 1)}
		m.incarnation = f.newLog(m, nil)
		switch {
		case i < topNodes:
			f.tops = append(f.tops, m)
		case i < topNodes+middle:
			m.above = f.tops[i-topNodes]
		default:
			m.above = f.nodes[topNodes+(i-topNodes)%middle]
		}
		f.nodes = append(f.nodes, m)
		if m.above != nil {
			m.above.below = append(m.above.below, m)
		}
	}
	for _, m := range f.tops {
		for _, peer := range f.tops {
			if peer != m {
				m.peers = append(m.peers, peer)
			}
		}
	}
	f.connectAll()
	for _, m := range f.nodes {
		m.start()
		m.add(&entry{genesis: m.incarnation})
		for _, c := range m.below {
			m.add(&entry{given: &given{child: c.number, epoch: 1}})
		}
		m.sync()
	}
	return f
}

// newLog returns an empty log of a node.
func (f *forest) newLog(m *member, after *identifier.Predecessor) *incarnation {
	i := &incarnation{
		log: byte(len(f.logs) + 1), owner: m, after: after, truth: f.origin, told: f.origin, anchored: map[uint64]identifier.Hash{}, receipts: map[uint64]*place{},
	}
	i.id = replicatest.LogID(i.log)
	f.logs = append(f.logs, i)
	return i
}

// connectAll makes the links of all nodes.
func (f *forest) connectAll() {
	add := func(from, to, owner *member) {
		l := &link{from: from, to: to, owner: owner}
		from.links, f.links = append(from.links, l), append(f.links, l)
		if from.above == to {
			f.down = append(f.down, l)
		}
	}
	for _, m := range f.nodes {
		if m.above != nil {
			add(m, m.above, m)
		}
		for _, peer := range m.peers {
			add(m, peer, m)
			for _, c := range m.below {
				add(m, peer, c)
			}
		}
	}
}

func (f *forest) draw() uint64 { f.drawn++; return f.drawn }

func (f *forest) node(number byte) *member { return f.nodes[number-1] }

// entryOf returns the entry that a payload is.
func (f *forest) entryOf(payload []byte) *entry {
	if e := f.entries[string(payload)]; e != nil {
		return e
	}
	e := &entry{}
	f.fill(e, payload)
	return e
}

func (f *forest) fill(e *entry, payload []byte) {
	leaf, err := identifier.EntryLeaf(payload)
	if err != nil {
		panic(err)
	}
	e.payload, e.leaf = payload, tlog.RecordHash(leaf)
	f.entries[string(payload)] = e
}
