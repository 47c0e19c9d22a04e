package identifier

import "fmt"

// Policy says what the node that delegates a prefix keeps of the log of the node that
// answers for it.
type Policy uint8

const (
	// PolicyMirror: whole entries. The parent answers when the child is away, and gives
	// the child back what it has lost.
	PolicyMirror Policy = iota
	// PolicyPointer: entries whose rows have neither values nor the seed of their salts
	// ([SealEntry]). The parent knows what is registered, can judge and prove it, and
	// cosigns it; it answers with a referral alone, and cannot give anything back.
	PolicyPointer
)

func (p Policy) String() string {
	switch p {
	case PolicyMirror:
		return "mirror"
	case PolicyPointer:
		return "pointer"
	}
	return fmt.Sprintf("policy %d", uint8(p))
}

// ParsePolicy reads what [Policy.String] writes.
func ParsePolicy(text string) (Policy, error) {
	for p := PolicyMirror; p <= PolicyPointer; p++ {
		if p.String() == text {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%q is no policy: write mirror or pointer", text)
}
