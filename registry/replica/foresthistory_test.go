package replica_test

import (
	"flag"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nameplate-id/nameplate/registry/replica"
)

// restored lets things happen in a forest, and then nothing bad any more.
func restored(steps int, left replica.Rule, pick pick, seen *[events]atomic.Int64) error {
	return restoredBy(steps, left, pick, seen, false)
}

// restoredBy is restored, where checkpoints alone may be kept of some logs.
func restoredBy(steps int, left replica.Rule, pick pick, seen *[events]atomic.Int64, witness bool) error {
	middle := 1 + pick(2)
	f := newForest(middle, 1+pick(2), left)
	f.large, f.forks = pick(16) == 0, pick(4) == 0
	if witness {
		f.witness(pick)
	}
	defer func() {
		for e, n := range f.happened {
			seen[e].Add(int64(n))
		}
	}()
	if pick(8) > 0 {
		if err := f.calm(); err != nil {
			return fmt.Errorf("beginning: %w", err)
		}
	}
	for i := range steps {
		if err := f.step(pick); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		if err := f.check(); err != nil {
			return fmt.Errorf("after step %d: %w", i, err)
		}
	}
	if err := f.heal(); err != nil {
		return fmt.Errorf("healing: %w", err)
	}
	return nil
}

const forestSteps = 150

// event is what may happen in a history. Each has to happen in some, or they show nothing,
// but for the last, which are too rare: what leads to a cut is led to in
// TestCutMirrors.
type event uint8

const (
	crashedOne event = iota
	restoredOne
	restoredBoth
	foundBehind
	foundLoss
	foundLost
	tookBack
	healedOne
	foundUncertain
	keptRest
	askedRest
	setAside
	revokedOne
	damagedOne
	judgedBad
	gotReceipt
	gotRooted
	continued
	adopted
	resolved
	handedOver
	adoptedBelow
	wentOver
	pausedOne
	drainedOne
	recalled

	forgotGrant
	peerHasMore
	foundBeside
	joinedBeside
	fromRow
	cutOne

	events
)

func (e event) String() string {
	return [...]string{
		crashedOne: "a node crashed", restoredOne: "a node was restored", restoredBoth: "several were restored at once",
		foundBehind: "a node found that it lacks entries", foundLoss: "a loss was reported", foundLost: "a parent was told that it lacks entries",
		tookBack: "a unit came back", healedOne: "a node was healed", cutOne: "a mirror was cut", foundUncertain: "some of a mirror was not certain", keptRest: "and is the child's by its Hello",
		askedRest: "and was sent again", setAside: "a log was set aside",
		revokedOne: "a prefix was taken away", damagedOne: "a message was changed on the way", judgedBad: "an entry was judged to break a rule",
		gotReceipt: "a receipt was kept", gotRooted: "a rooted receipt was kept",
		continued: "a top-level node went on with another log", adopted: "and another time with the one that it had forgotten",
		resolved: "a log was continued as another one by an operator", handedOver: "an entry was handed over to its holder", adoptedBelow: "a node adopted the log that is held above",
		wentOver:  "a mirror went over to the log that continues it",
		pausedOne: "a node was asked to wait", drainedOne: "a stream was drained",
		forgotGrant: "a parent forgot a grant that only it knew", peerHasMore: "at the end a peer has more of a child's log than the child",
		recalled: "a top-level node that was restored got more of a child's log from another one", foundBeside: "it got a log from another one beside the one that counts", joinedBeside: "the two were joined",
		fromRow: "a witness that was restored went on from the row in its own log",
	}[e]
}

func (f *forest) note(e event) { f.happened[e]++ }

var (
	restores     = flag.Uint64("restores", 5000, "how many histories with restores TestRestores plays")
	firstRestore = flag.Uint64("first", 0, "the seed of the first of them")
)

// Whatever is restored, at one node or at several at once: nothing that is anchored gets
// lost or replaced without a word, no history forks without evidence on both sides, none
// is taken for a fork that is not one, nobody cosigns what three top-level nodes do not
// hold, all that hold an entry judge it alike, and once nothing goes wrong any more
// everything that was not set aside is whole again, and has a receipt.
func TestRestores(t *testing.T) {
	histories := *restores
	if testing.Short() {
		histories = min(histories, 300)
	}
	var next atomic.Uint64
	var seen [events]atomic.Int64
	var running sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		running.Go(func() {
			for i := next.Add(1) - 1; i < histories && !t.Failed(); i = next.Add(1) - 1 {
				seed := *firstRestore + i
				if err := restored(forestSteps, 0, seeded(seed), &seen); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		})
	}
	running.Wait()
	for e := range events {
		if t.Logf("%s: %d", e, seen[e].Load()); seen[e].Load() == 0 && histories >= 5000 && e < forgotGrant {
			t.Errorf("in none of %d histories: %s", histories, e)
		}
	}
}

// And over as many as there is time for.
func FuzzRestores(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		var seen [events]atomic.Int64
		if err := restored(250, 0, seeded(seed), &seen); err != nil {
			t.Error(err)
		}
	})
}

// Without any one of these rules something is lost or forks without a word, and a thousand
// histories show it. What the others prevent is so rare that TestEachRule and
// TestEachRuleOfIncarnations lead there.
func TestRestoreRulesAreNeeded(t *testing.T) {
	for rule, name := range map[replica.Rule]string{
		replica.RulePrefix: "compare roots, not positions",
		replica.RuleRoot:   "entries add up to their checkpoint",
		replica.RuleMarked: "write nothing before healing",
		replica.RuleServe:  "serve no children before healing",
		replica.RuleRow:    "heed the logged row",
		replica.RuleSync:   "acknowledge what is synced",
		replica.RuleAbove:  "cosign what the level above holds",
		replica.RuleQuorum: "acknowledge what three top-level nodes hold",
		replica.RuleOrder:  "send a peer what rests on what it has",
		replica.RuleGrow:   "never let a row go down",
		replica.RuleCredit: "keep within the credit",
		replica.RuleThree:  "hear three before going on",
		replica.RuleFirst:  "count with the first entry, not with a Hello",
		replica.RulePause:  "send nothing while asked to wait",
		replica.RuleDrain:  "end a drained stream when all is acknowledged",
	} {
		t.Run(name, func(t *testing.T) {
			var seen [events]atomic.Int64
			for seed := range uint64(1000) {
				if err := restored(forestSteps, rule, seeded(seed), &seen); err != nil {
					t.Logf("history %d: %v", seed+1, err)
					return
				}
			}
			t.Error("nobody noticed that the rule was left out")
		})
	}
}
