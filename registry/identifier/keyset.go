package identifier

import (
	"encoding/binary"
	"fmt"
)

// Keyset is a set of keys of which Threshold must sign.
type Keyset struct {
	// Version counts the keysets of a prefix, from 1, through all its epochs.
	Version   uint64
	Threshold int // 1 or more, at most len(Keys)
	Keys      []PublicKey
	// Suspect says from where on what was signed before this keyset is not to be
	// trusted; nil when all of it is.
	Suspect *Suspicion
}

// Suspicion says that a key was in the wrong hands: what the log of the node that
// answers for the prefix holds from a position on, up to the entry that says so, may not
// be the holder's. It stays in the log and in the records, and is told as suspect.
type Suspicion struct {
	Log   LogID // positions of another log are not meant
	Since uint64
}

// KeysetChange replaces the keyset of a delegated prefix. It is signed by the
// keyset before it, or by who holds the prefix above.
type KeysetChange struct {
	Prefix Prefix
	Epoch  uint64 // of the delegation it belongs to
	Keyset Keyset
}

// AppendKeysetChange appends the encoding of a change of keyset, the payload of an
// envelope of type [KeysetType]: format u8 (1), prefix, epoch and keyset as in
// [AppendDelegation]; with format 2 a suspicion follows, log (16 octets) and since (u64).
func AppendKeysetChange(dst []byte, k *KeysetChange) ([]byte, error) {
	const what = "keyset"
	if err := checkLimit(what, "a prefix", len(k.Prefix), 0, MaxPrefix-1); err != nil {
		return nil, err
	}
	format := byte(1)
	if k.Keyset.Suspect != nil {
		format = 2
	}
	b := append(dst, format)
	b = appendText(b, k.Prefix)
	b = binary.BigEndian.AppendUint64(b, k.Epoch)
	b, err := appendKeyset(b, what, &k.Keyset)
	return appendSuspicion(b, k.Keyset.Suspect), err
}

func appendSuspicion(b []byte, s *Suspicion) []byte {
	if s == nil {
		return b
	}
	return binary.BigEndian.AppendUint64(append(b, s.Log[:]...), s.Since)
}

func parseSuspicion(c *cursor) *Suspicion {
	s := &Suspicion{}
	c.fixed(s.Log[:])
	s.Since = c.u64()
	return s
}

// ParseKeysetChange reads what [AppendKeysetChange] writes, and nothing else. The
// error is a [*FormatError].
func ParseKeysetChange(b []byte) (*KeysetChange, error) {
	c := cursor{what: "keyset", b: b}
	suspected := len(b) > 0 && b[0] == 2
	if suspected {
		c.format(2)
	} else {
		c.format(1)
	}
	k := &KeysetChange{Prefix: parsePrefixText(&c), Epoch: c.u64(), Keyset: parseKeyset(&c)}
	if suspected {
		k.Keyset.Suspect = parseSuspicion(&c)
	}
	if err := c.end(); err != nil {
		return nil, err
	}
	return k, nil
}

func appendKey(b []byte, what string, k PublicKey) ([]byte, error) {
	if k.Type == 0 {
		return nil, &RuleError{What: what, Rule: "a key has a type", Mend: "give a whole key"}
	}
	if err := checkLimit(what, "a key", len(k.Raw), 1, maxKey); err != nil {
		return nil, err
	}
	return appendText(append(b, byte(k.Type)), k.Raw), nil
}

func parseKeyOctets(c *cursor) PublicKey {
	k := PublicKey{Type: KeyType(c.u8())}
	if k.Type == 0 {
		c.fail(c.off-1, "a key has a type")
	}
	k.Raw = string(c.text(maxKey, "a key has at most 4096 octets"))
	if k.Raw == "" {
		c.fail(c.off-1, "a key has octets")
	}
	return k
}

func appendKeyset(b []byte, what string, k *Keyset) ([]byte, error) {
	if err := checkLimit(what, "the keyset", len(k.Keys), 0, MaxKeys); err != nil {
		return nil, err
	}
	if k.Threshold < 0 || k.Threshold > MaxKeys {
		return nil, &RuleError{What: what, Rule: "a threshold is at most 16", Mend: "lower it to the number of keys or less"}
	}
	b = binary.BigEndian.AppendUint64(b, k.Version)
	b = append(b, byte(k.Threshold), byte(len(k.Keys)))
	var err error
	for _, key := range k.Keys {
		if b, err = appendKey(b, what, key); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func parseKeyset(c *cursor) Keyset {
	k := Keyset{Version: c.u64(), Threshold: int(c.u8())}
	if k.Threshold > MaxKeys {
		c.fail(c.off-1, "a threshold is at most 16")
	}
	n := int(c.u8())
	if n > MaxKeys {
		c.fail(c.off-1, "a keyset has at most 16 keys")
	}
	for i := 0; i < n && c.err == nil; i++ {
		k.Keys = append(k.Keys, parseKeyOctets(c))
	}
	return k
}

// Check returns an error when the change of keyset breaks a rule that can be
// judged without knowing the keyset before it.
func (k *KeysetChange) Check() error {
	what := "keyset of " + string(k.Prefix)
	if err := checkDelegable(what, k.Prefix); err != nil {
		return err
	}
	if k.Epoch == 0 {
		return &RuleError{What: what, Rule: "an epoch is 1 or more", Mend: "name the epoch of the delegation that it belongs to"}
	}
	if len(k.Keyset.Keys) == 0 {
		return &RuleError{What: what, Rule: "a keyset has 1 to 16 keys", Mend: "to take a prefix back, sign a delegation without keys"}
	}
	return k.Keyset.Check(what)
}

// Check returns an error when the keyset has no keys or too many, the same key
// twice, or a threshold that it cannot meet. what names it in the error.
func (k *Keyset) Check(what string) error {
	fail := func(rule, mend string) error { return &RuleError{What: what, Rule: rule, Mend: mend} }
	switch {
	case k.Version == 0:
		return fail("the version of a keyset is 1 or more", "give the first keyset of a prefix version 1")
	case len(k.Keys) == 0 || len(k.Keys) > MaxKeys:
		return fail("a keyset has 1 to 16 keys", "name fewer keys")
	case k.Threshold < 1 || k.Threshold > len(k.Keys):
		return fail("a threshold is 1 or more and at most the number of keys", "set it to how many must sign, and name as many keys at least")
	}
	for i, key := range k.Keys {
		if err := key.Check(); err != nil {
			return fmt.Errorf("%s: key %d: %w", what, i+1, err)
		}
		if key.Type == RSA {
			return fail(fmt.Sprintf("key %d is an RSA key, which signs Handle answers and nothing else", i+1), "name an Ed25519 key")
		}
		if containsKey(k.Keys[:i], key) {
			return fail(fmt.Sprintf("key %s is there twice", key.ID()), "name every key once")
		}
	}
	return nil
}
