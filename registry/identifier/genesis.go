package identifier

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
)

// Genesis is entry 0 of every log.
type Genesis struct {
	Log    LogID
	Key    PublicKey // the node's
	Format uint32    // of the entries that follow
	// After says which log of the node this one continues; nil for a node's first.
	After *Predecessor
}

// Predecessor is the log that another one continues: its next incarnation.
type Predecessor struct {
	Log LogID
	Why Succession
	// Size is how many entries of that log the rest is about, and Held their root as
	// the level above holds them; zero where it held none.
	Size uint64
	Held Hash
	// Own is the root of the first Size entries as the node had them itself: another one
	// than Held where the log has forked, zero where it had fewer.
	Own Hash
	// Base is how many positions the node's logs have used up before this one, so that
	// what counts them goes on and never down.
	Base uint64
	// Before are further logs of the node that this one continues: those that Log continues,
	// and those that were joined with it. What stood in them stands in this one, was handed
	// over, or was reported to be lost. There are [MaxBefore] at most.
	Before []LogID
	// Whole says that there are none but Log and Before. A log that was begun by a release
	// that named Log alone does not say it.
	Whole bool
}

// MaxBefore is how many logs a genesis names beside the one that it continues.
const MaxBefore = 1024

// Continues reports whether a log is among those that are continued.
func (a *Predecessor) Continues(log LogID) bool {
	return a != nil && (a.Log == log || slices.Contains(a.Before, log))
}

// Continue says that further logs are continued as well. Log, and what is named already, is
// left out; what has no room any more too, and then Before is not all.
func (a *Predecessor) Continue(logs ...LogID) {
	for _, log := range logs {
		switch {
		case log == LogID{} || a.Continues(log):
		case len(a.Before) == MaxBefore:
			a.Whole = false
		default:
			a.Before = append(slices.Clip(a.Before), log)
		}
	}
}

// Succession says why a node began another log.
type Succession uint8

const (
	// AfterFork: two histories of the log were signed.
	AfterFork Succession = iota + 1
	// AfterLoss: entries that the level above has acknowledged are lost on both sides.
	AfterLoss
	// AfterRestore: a top-level node was restored, and what some other one alone holds of
	// its log cannot be known.
	AfterRestore
	// AfterBeginning: the node had begun another log, which the level above does not know.
	AfterBeginning
)

func (s Succession) String() string {
	names := [...]string{AfterFork: "fork", AfterLoss: "loss", AfterRestore: "restore", AfterBeginning: "other log"}
	if s == 0 || int(s) >= len(names) {
		return fmt.Sprintf("succession %d", uint8(s))
	}
	return names[s]
}

// LogFormat is the format of entries that this version writes.
const LogFormat = 1

// The formats of a genesis: that of a node's first log, that of one which continues
// another and names no more, and that of one which names all that it continues.
const (
	genesisFormat       = 1
	genesisAfterFormat  = 2
	genesisBeforeFormat = 3
)

// LogID names a log: 16 random octets drawn when it is created.
type LogID [16]byte

// String returns the name in lower-case hex.
func (id LogID) String() string { return hex.EncodeToString(id[:]) }

// AppendGenesis appends the encoding of a genesis, the payload of an envelope of
// type [GenesisType], which the node signs. Integers are big-endian.
//
//	format   u8   1; 2 for a log that continues another one; 3 where it names further ones
//	log      16
//	entries  u32  the format of the entries
//	key           as in [AppendDelegation]
//	of formats 2 and 3 also:
//	  after  16   the log that it continues
//	  why    u8   1 fork, 2 loss, 3 restore, 4 other log
//	  size   u64
//	  held   32
//	  own    32
//	  base   u64
//	of format 3 also:
//	  whole  u8   1 when after and before are all, else 0
//	  before u16  how many, 1,024 at most, each 16
func AppendGenesis(dst []byte, g *Genesis) ([]byte, error) {
	format := byte(genesisFormat)
	switch a := g.After; {
	case a != nil && (a.Whole || len(a.Before) > 0):
		format = genesisBeforeFormat
	case a != nil:
		format = genesisAfterFormat
	}
	b := append(dst, format)
	b = append(b, g.Log[:]...)
	b = binary.BigEndian.AppendUint32(b, g.Format)
	b, err := appendKey(b, "genesis", g.Key)
	if err != nil || g.After == nil {
		return b, err
	}
	a := g.After
	b = append(append(b, a.Log[:]...), byte(a.Why))
	b = binary.BigEndian.AppendUint64(b, a.Size)
	b = append(append(b, a.Held[:]...), a.Own[:]...)
	b = binary.BigEndian.AppendUint64(b, a.Base)
	if format != genesisBeforeFormat {
		return b, nil
	}
	if len(a.Before) > MaxBefore {
		return nil, fmt.Errorf("genesis: it names %d logs of before, and %d at most are named", len(a.Before), MaxBefore)
	}
	whole := byte(0)
	if a.Whole {
		whole = 1
	}
	b = binary.BigEndian.AppendUint16(append(b, whole), uint16(len(a.Before)))
	for _, log := range a.Before {
		b = append(b, log[:]...)
	}
	return b, nil
}

// ParseGenesis reads what [AppendGenesis] writes, and nothing else. The error is a
// [*FormatError].
func ParseGenesis(b []byte) (*Genesis, error) {
	c := cursor{what: "genesis", b: b}
	format := byte(genesisFormat)
	if len(b) > 0 && (b[0] == genesisAfterFormat || b[0] == genesisBeforeFormat) {
		format = b[0]
	}
	c.format(format)
	g := &Genesis{}
	c.fixed(g.Log[:])
	g.Format = c.u32()
	g.Key = parseKeyOctets(&c)
	if format != genesisFormat {
		a := &Predecessor{}
		c.fixed(a.Log[:])
		a.Why = Succession(c.u8())
		a.Size = c.u64()
		c.fixed(a.Held[:])
		c.fixed(a.Own[:])
		a.Base = c.u64()
		if format == genesisBeforeFormat {
			parseBefore(&c, a)
		}
		g.After = a
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	return g, nil
}

func parseBefore(c *cursor, a *Predecessor) {
	whole, count := c.u8(), int(c.u16())
	if whole > 1 || count > MaxBefore || whole == 0 && count == 0 {
		c.fail(c.off-3, fmt.Sprintf("a genesis of this format says with 1 or 0 whether it names all logs of before, and names %d at most beside the first", MaxBefore))
		return
	}
	a.Whole = whole == 1
	for range count {
		var log LogID
		c.fixed(log[:])
		a.Before = append(a.Before, log)
	}
}

// Check returns an error when the log has no id, its entries are of a format that
// this version does not know, the key cannot be one, or the log cannot be one that
// continues the other.
func (g *Genesis) Check() error {
	fail := func(rule, mend string) error {
		return &RuleError{What: "genesis", Rule: rule, Mend: mend}
	}
	switch {
	case g.Log == LogID{}:
		return fail("a log has an id that is not all zeros", "draw one at random")
	case g.Format != LogFormat:
		return fail(fmt.Sprintf("the entries are of format %d, known here is %d", g.Format, LogFormat), "use a newer version")
	}
	if err := g.Key.Check(); err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	switch a := g.After; {
	case a == nil:
	case a.Log == LogID{} || a.Continues(g.Log) || slices.Contains(a.Before, LogID{}):
		return fail("a log continues another one", "name that one")
	case a.Why == 0 || a.Why > AfterBeginning:
		return fail(fmt.Sprintf("reason %d for another log is not known here", a.Why), "use a newer version")
	case a.Why == AfterFork && a.Held == a.Own:
		return fail("a fork has two roots, and here they are the same", "name both histories")
	}
	return nil
}
