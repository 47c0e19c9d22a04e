package state_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/state"
)

// killJournal is what the process that is killed publishes, over and over the same.
func killJournal(n int) []state.Batch {
	random := rand.New(rand.NewPCG(7, 7))
	batches := make([]state.Batch, n)
	end := uint64(0)
	positions := make(map[uint32]uint64)
	for i := range batches {
		log := twinLogs[random.IntN(len(twinLogs))]
		positions[log]++
		b := state.Batch{Log: log, Position: positions[log], At: end, End: end + 1000}
		for range random.IntN(6) {
			table, key := twinTables[random.IntN(len(twinTables))], twinKeys[random.IntN(len(twinKeys))]
			m := state.Mutation{Table: table, Key: []byte(key), Value: content(uint64(i+1), strings.Repeat(fmt.Sprint(i), random.IntN(200)))}
			m.Withdrawn = versioned(table) && random.IntN(3) == 0
			b.Mutations = append(b.Mutations, m)
		}
		end = b.End
		batches[i] = b
	}
	return batches
}

const killBatches = 400

// victim publishes and commits until it kills itself, at the count-th time that it
// comes by a point, or is killed.
func victim(t *testing.T, path, point string, count int) {
	s, err := state.Open(path, state.Options{Journal: journalID, Hook: func(p string) {
		if p == point {
			if count--; count == 0 {
				self, _ := os.FindProcess(os.Getpid())
				self.Kill()
				time.Sleep(time.Minute)
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("begun")
	random := rand.New(rand.NewPCG(uint64(count), 1))
	for _, b := range killJournal(killBatches) {
		if b.End <= s.Applied() {
			continue
		}
		if err := s.Publish(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if random.IntN(3) == 0 {
			apply(t, s)
		}
	}
	t.Fatal("nobody killed this process")
}

// A process that is killed at any point of a commit, or at any moment, leaves a
// sound file that holds the journal up to the offset it says, and no more.
func TestKill(t *testing.T) {
	if path := os.Getenv("STATE_TEST_VICTIM"); path != "" {
		count, _ := strconv.Atoi(os.Getenv("STATE_TEST_COUNT"))
		victim(t, path, os.Getenv("STATE_TEST_POINT"), count)
	}
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	journal := killJournal(killBatches)
	for _, point := range []string{state.PointFreeze, state.PointBegin, state.PointRows, state.PointCommit, state.PointDrop, "any moment"} {
		path := filepath.Join(t.TempDir(), "state.db")
		reached := uint64(0)
		for round := range rounds {
			kill(t, path, point, 1+rand.IntN(12))
			s, err := state.Open(path, state.Options{Journal: journalID})
			if err != nil {
				t.Fatalf("%s, round %d: %v", point, round, err)
			}
			if s.Applied() < reached {
				t.Errorf("%s, round %d: %d octets of journal are applied, and %d were before", point, round, s.Applied(), reached)
			}
			reached = s.Applied()
			w := twinOf(journal[:reached/1000])
			if err := s.View(func(r *state.Reader) error { return compareView(r, w) }); err != nil {
				t.Errorf("%s, round %d: %v", point, round, err)
			}
			if err := s.Check(t.Context(), nil); err != nil {
				t.Errorf("%s, round %d: %v", point, round, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if reached > 300_000 { // the victim must not come to its end
				os.Remove(path)
				reached = 0
			}
		}
	}
}

// kill runs a victim until it is dead.
func kill(t *testing.T, path, point string, count int) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestKill$")
	c.Env = append(os.Environ(), "STATE_TEST_VICTIM="+path, "STATE_TEST_POINT="+point, "STATE_TEST_COUNT="+strconv.Itoa(count))
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	began := make([]byte, 200)
	n, _ := out.Read(began)
	if point == "any moment" {
		time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
		c.Process.Kill()
	}
	rest := make([]byte, 2000)
	m, _ := out.Read(rest)
	if err := c.Wait(); err == nil || c.ProcessState.Exited() {
		t.Fatalf("the process was not killed: %v: %s%s", err, began[:n], rest[:m])
	}
}
