package registry_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/state"
)

// Rounds of kill -9: as many in all, on as many folders at a time, each folder killed
// so many times before the next one.
const (
	killRounds = 220
	killLanes  = 2
	killAgain  = 5
)

// killPoint is a place in the code where processes are killed.
type killPoint struct {
	within string // append, sync, apply or checkpoint; empty for others
	point  string // of a hook; empty to be killed from outside at any time
	most   int    // passings until then
	delay  int    // microseconds behind the point, at most
}

var killPoints = []killPoint{
	{"", "", 0, 0},
	{"append", journal.HookAppend, 400, 0},
	{"append", journal.HookWrite, 60, 0},
	{"sync", journal.HookSync, 60, 0},
	{"sync", journal.HookSync, 60, 300}, // somewhere in it
	{"sync", journal.HookSynced, 60, 0},
	{"", journal.HookSegment, 3, 0},
	{"apply", state.PointFreeze, 12, 0},
	{"apply", state.PointBegin, 12, 0},
	{"apply", state.PointRows, 12, 0},
	{"apply", state.PointRows, 12, 1500}, // somewhere in bbolt's commit
	{"apply", state.PointCommit, 12, 0},
	{"checkpoint", registry.HookSigned, 8, 0},
	{"checkpoint", registry.HookCheckpoint, 8, 0},
	{"checkpoint", registry.HookAnchor, 8, 0},
}

// TestKill kills the process again and again while eight registrars are at work, at
// chosen points and at any, and checks each time that everything acknowledged is there
// and everything else is there whole or not at all.
func TestKill(t *testing.T) {
	t.Parallel()
	rounds := killRounds
	if testing.Short() {
		rounds = 20
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var mu sync.Mutex
	next := 0
	within := make(map[string]int)
	acknowledged := 0
	var lanes sync.WaitGroup
	for lane := range killLanes {
		lanes.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(lane)))
			var k *killed
			for {
				mu.Lock()
				round := next
				next++
				mu.Unlock()
				if round >= rounds || t.Failed() {
					break
				}
				if k == nil || k.round >= killAgain {
					k = newKilled(t)
				}
				p := killPoints[round%len(killPoints)]
				died, err := k.kill(p, random)
				if err == nil {
					err = k.verify()
				}
				if err != nil {
					t.Errorf("round %d, killed at %+v: %v", round, p, err)
					break
				}
				mu.Lock()
				if died {
					within[p.within]++
				}
				acknowledged += k.fresh
				mu.Unlock()
			}
		})
	}
	lanes.Wait()
	t.Logf("%d rounds, %d changes acknowledged, none lost, none half there; killed within %v", rounds, acknowledged, within)
	for _, name := range []string{"append", "sync", "apply", "checkpoint"} {
		if within[name] < 10 && !testing.Short() && !t.Failed() {
			t.Errorf("killed %d times within %s, want 10", within[name], name)
		}
	}
	if acknowledged == 0 {
		t.Error("nothing was ever acknowledged")
	}
}

// TestKillNotices shows that TestKill would notice a journal that does not sync.
func TestKillNotices(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		k := newKilled(t)
		k.victim.SegmentSize = 16 << 20
		r, err := registry.Open(k.victim.config()) // the folder itself is sound
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		k.victim.IgnoreSync = true
		if _, err := k.kill(killPoint{}, random); err != nil {
			t.Fatal(err)
		}
		if k.fresh == 0 {
			continue // killed too early
		}
		// First with the anchor and the state, which have outlived the journal, whichever
		// of them notices; then without both.
		for _, says := range []string{"", "was acknowledged"} {
			err = k.verify()
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Fatalf("%d changes were acknowledged and never written; noticed was: %v, want %q", k.fresh, err, says)
			}
			t.Logf("noticed: %v", err)
			if err := os.Remove(filepath.Join(k.victim.Folder, "state.db")); err != nil {
				t.Fatal(err)
			}
			k.victim.Anchor = ""
		}
		return
	}
	t.Error("nothing was ever acknowledged")
}

// killed is a folder whose processes are killed, and what they said before.
type killed struct {
	t      testing.TB
	victim victim
	round  int
	fresh  int // changes acknowledged in the last round

	tried, done [registrars]int // the last change of each registrar
	delegated   map[string]bool // prefix → acknowledged
}

func newKilled(t testing.TB) *killed {
	dir := t.TempDir()
	k := &killed{t: t, delegated: make(map[string]bool)}
	k.victim = victim{Folder: filepath.Join(dir, "node"), Anchor: filepath.Join(dir, "anchor"), SegmentSize: 256 << 10}
	return k
}

// kill starts a process, waits until it is dead, and reports whether it died at the
// point.
func (k *killed) kill(p killPoint, random *rand.Rand) (died bool, err error) {
	k.victim.Round, k.round, k.fresh = k.round, k.round+1, 0
	k.victim.Point, k.victim.N, k.victim.Delay = p.point, 0, 0
	patience := time.Duration(random.IntN(150)+20) * time.Millisecond
	if p.point != "" {
		patience = 1500 * time.Millisecond // should it never come to the point
		k.victim.N = random.IntN(p.most) + 1
		if p.delay > 0 {
			k.victim.Delay = random.IntN(p.delay) + 1
		}
	}
	order, err := json.Marshal(k.victim)
	if err != nil {
		return false, err
	}
	notes, pipe, err := os.Pipe()
	if err != nil {
		return false, err
	}
	defer notes.Close()
	var said strings.Builder
	process := exec.Command(os.Args[0], "-test.run=^$")
	process.Env = append(os.Environ(), victimVariable+"="+string(order))
	process.ExtraFiles = []*os.File{pipe}
	process.Stderr = &said
	err = process.Start()
	pipe.Close()
	if err != nil {
		return false, err
	}
	// From the first thing that it says on: a machine may be slow to start it.
	died, err = k.read(notes, func() { time.AfterFunc(patience, func() { process.Process.Kill() }) })
	waited := process.Wait()
	if err == nil && waited != nil && waited.Error() != "signal: killed" || waited == nil {
		err = fmt.Errorf("the process ended by itself: %v: %s", waited, said.String())
	}
	return died, err
}

// read notes what the process says until it is dead, and calls begun at the first.
func (k *killed) read(notes io.Reader, begun func()) (died bool, err error) {
	lines := bufio.NewScanner(notes)
	for first := true; lines.Scan(); first = false {
		if first {
			begun()
		}
		var number, s int
		var prefix string
		line := lines.Text()
		switch {
		case scan(line, "trying %d %d", &number, &s):
			if s > k.tried[number]+1 || s <= k.done[number] {
				return died, fmt.Errorf("registrar %d begins with change %d; %d were tried and %d acknowledged before", number, s, k.tried[number], k.done[number])
			}
			k.tried[number] = max(k.tried[number], s)
		case scan(line, "done %d %d", &number, &s):
			k.done[number] = s
			k.fresh++
		case scan(line, "delegating %s", &prefix):
			if _, before := k.delegated[prefix]; !before {
				k.delegated[prefix] = false
			}
		case scan(line, "delegated %s", &prefix):
			k.delegated[prefix] = true
		case strings.HasPrefix(line, "killed"):
			died = true
		default:
			return died, fmt.Errorf("what is %q?", line)
		}
	}
	return died, lines.Err()
}

func scan(line, format string, args ...any) bool {
	n, err := fmt.Sscanf(line, format, args...)
	return err == nil && n == len(args)
}

// verify checks the folder as it is after a kill, then opens it and compares it with
// what was said.
func (k *killed) verify() error {
	sound := k.victim
	sound.IgnoreSync, sound.Point = false, ""
	c := sound.config()
	ctx := k.t.Context()
	begun := k.fresh > 0 || slices.Contains(slices.Collect(maps.Values(k.delegated)), true)
	report, err := registry.Check(ctx, c.Folder, c.Journal, nil)
	if err != nil && begun {
		return fmt.Errorf("check: %w", err)
	}
	r, err := registry.Open(c)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer r.Close()
	if s, err := r.Status(ctx); err != nil || s.ReadOnly != "" || s.Position < report.Entries {
		return fmt.Errorf("status %+v, %v; the check found %d entries", s, err, report.Entries)
	}
	for prefix, acknowledged := range k.delegated {
		d := r.Holder(identifier.Prefix(prefix))
		if there := d.Prefix == identifier.Prefix(prefix); acknowledged && !there {
			return fmt.Errorf("the delegation of %s was acknowledged and is not there", prefix)
		}
	}
	for number := range registrars {
		if err := k.verifyRegistrar(r, number); err != nil {
			return fmt.Errorf("registrar %d: %w", number, err)
		}
	}
	return nil
}

func (k *killed) verifyRegistrar(r *registry.Registry, number int) error {
	find := func(name string) (*identifier.Record, error) {
		f, err := r.Find(k.t.Context(), registrarID(number, name))
		return f.Record, err
	}
	counter, err := find("counter")
	if err != nil {
		return err
	}
	last := 0
	if counter != nil {
		last = int(counter.Version)
	}
	if last < k.done[number] {
		return fmt.Errorf("change %d was acknowledged, %d is the last that is there", k.done[number], last)
	}
	if last > k.tried[number] {
		return fmt.Errorf("change %d is there, %d is the last that was tried", last, k.tried[number])
	}
	for s := 1; s <= k.tried[number]; s++ {
		for _, row := range registrarRows(number, s, nil, nil) {
			_, name, _ := strings.Cut(row.ID.Suffix, "-")
			if name == "counter" || name == "flip" {
				continue
			}
			record, err := find(name)
			if err != nil {
				return err
			}
			if err := same(record, row, s <= last); err != nil {
				return fmt.Errorf("change %d, of which the last that is there is %d: %w", s, last, err)
			}
		}
	}
	if last == 0 {
		return nil
	}
	rows := registrarRows(number, last, &identifier.Record{Version: uint64(last - 1)}, &identifier.Record{Version: uint64(last - 1)})
	if err := same(counter, rows[0], true); err != nil {
		return err
	}
	flip, err := find("flip")
	if err != nil {
		return err
	}
	return same(flip, rows[1], !flipped(last))
}

// same compares a record with the row that should have made it, if any should.
func same(r *identifier.Record, row identifier.Row, there bool) error {
	switch {
	case (r != nil) != there:
		return fmt.Errorf("%s: it is there: %v, it should be: %v", row.ID, r != nil, there)
	case r != nil && (r.Version != row.Version || string(r.Values[0].Data) != string(row.Values[0].Data)):
		return fmt.Errorf("%s has version %d and value %q, not %d and %q", row.ID, r.Version, r.Values[0].Data, row.Version, row.Values[0].Data)
	}
	return nil
}
