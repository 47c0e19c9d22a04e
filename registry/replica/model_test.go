package replica_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry/replica"
)

// history lets things happen, and then nothing bad any more.
func history(children, steps int, left replica.Rule, pick pick) error {
	w := newWorld(children, left)
	w.large = pick(4) == 0
	if pick(2) == 0 {
		w.above = newAbove(replica.PeersAbove, left)
	}
	for i := range steps {
		if err := w.step(pick); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		if err := w.check(); err != nil {
			return fmt.Errorf("after step %d: %w", i, err)
		}
	}
	if err := w.heal(); err != nil {
		return fmt.Errorf("healing: %w", err)
	}
	return nil
}

// Whatever the network and the disks do, a mirror is the beginning of its child's log,
// byte for byte, up to a checkpoint that the child signed; nobody is told of more than
// is synced; nothing goes down; memory stays within the credit; and once nothing goes
// wrong any more, every mirror is the whole log within some heartbeats.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") }
		if err := history(1+pick(3), 20+pick(200), 0, pick); err != nil {
			t.Fatal(err)
		}
	})
}

// seeded returns a pick that is the same for the same seed.
func seeded(seed uint64) pick { return rand.New(rand.NewPCG(seed, 0)).IntN }

// The same over many more histories than rapid draws, which cost a fraction there.
func TestManyHistories(t *testing.T) {
	histories := uint64(1000)
	if testing.Short() {
		histories = 100
	}
	for seed := range histories {
		pick := seeded(seed)
		if err := history(1+pick(3), 200, 0, pick); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// And over as many as there is time for.
func FuzzHistories(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		pick := seeded(seed)
		if err := history(1+pick(3), 300, 0, pick); err != nil {
			t.Error(err)
		}
	})
}

// Without any one of these rules the protocol fails, and the histories show it soon.
// Those about sessions and nonces are needed so seldom that TestEachRule leads there.
func TestRulesAreNeeded(t *testing.T) {
	for rule, name := range map[replica.Rule]string{
		replica.RuleRoot:   "entries add up to their checkpoint",
		replica.RuleGap:    "entries follow on the mirror",
		replica.RuleSync:   "acknowledge what is synced",
		replica.RuleCredit: "keep within the credit",
		replica.RuleAbove:  "cosign what the level above holds",
		replica.RuleQuorum: "cosign what three top-level nodes hold",
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(500) {
				pick := seeded(seed)
				if err := history(1+pick(3), 200, rule, pick); err != nil {
					t.Logf("history %d: %v", seed+1, err)
					return
				}
			}
			t.Error("nobody noticed that the rule was left out")
		})
	}
}
