package identifier

import "fmt"

// Policy says what the node that delegates a prefix keeps of the log of the node that
// answers for it. The smaller one keeps more.
type Policy uint8

const (
	// PolicyMirror: whole entries. The parent answers when the child is away, and gives
	// the child back what it has lost.
	PolicyMirror Policy = iota
	// PolicyPointer: entries whose rows have neither values nor the seed of their salts
	// ([SealEntry]). The parent knows what is registered, can judge and prove it, and
	// cosigns it; it answers with a referral alone, and cannot give anything back.
	PolicyPointer
	// PolicyWitness: checkpoints alone, each proved to follow on the one before. The
	// parent knows how much is logged and nothing of what; it notices a history that was
	// rewritten, and cosigns. It answers with a referral alone, and cannot give anything
	// back.
	PolicyWitness
)

func (p Policy) String() string {
	switch p {
	case PolicyMirror:
		return "mirror"
	case PolicyPointer:
		return "pointer"
	case PolicyWitness:
		return "witness"
	}
	return fmt.Sprintf("policy %d", uint8(p))
}

// ParsePolicy reads what [Policy.String] writes.
func ParsePolicy(text string) (Policy, error) {
	for p := PolicyMirror; p <= PolicyWitness; p++ {
		if p.String() == text {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%q is no policy: write mirror, pointer or witness", text)
}
