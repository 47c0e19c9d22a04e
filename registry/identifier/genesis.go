package identifier

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Genesis is entry 0 of every log.
type Genesis struct {
	Log    LogID
	Key    PublicKey // the node's
	Format uint32    // of the entries that follow
}

// LogFormat is the format of entries that this version writes.
const LogFormat = 1

// LogID names a log: 16 random octets drawn when it is created.
type LogID [16]byte

// String returns the name in lower-case hex.
func (id LogID) String() string { return hex.EncodeToString(id[:]) }

// AppendGenesis appends the encoding of a genesis, the payload of an envelope of
// type [GenesisType], which the node signs: format u8 (1), log id 16 octets, the
// format of the entries u32, the node's key as in [AppendDelegation].
func AppendGenesis(dst []byte, g *Genesis) ([]byte, error) {
	b := append(dst, 1)
	b = append(b, g.Log[:]...)
	b = binary.BigEndian.AppendUint32(b, g.Format)
	return appendKey(b, "genesis", g.Key)
}

// ParseGenesis reads what [AppendGenesis] writes, and nothing else. The error is a
// [*FormatError].
func ParseGenesis(b []byte) (*Genesis, error) {
	c := cursor{what: "genesis", b: b}
	c.format(1)
	g := &Genesis{}
	c.fixed(g.Log[:])
	g.Format = c.u32()
	g.Key = parseKeyOctets(&c)
	if err := c.end(); err != nil {
		return nil, err
	}
	return g, nil
}

// Check returns an error when the log has no id, its entries are of a format that
// this version does not know, or the key cannot be one.
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
	return nil
}
