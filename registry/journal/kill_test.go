package journal_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/journal/journaltest"
)

const (
	killFolder = "JOURNAL_KILL_FOLDER" // set in the process that is to be killed
	killLie    = "JOURNAL_KILL_LIE"    // and there, when its Sync does nothing
)

// TestKilledProcess is the process that TestKill kills: it appends from eight
// goroutines and prints the number of every frame that was called back.
func TestKilledProcess(t *testing.T) {
	dir := os.Getenv(killFolder)
	if dir == "" {
		t.Skip("it is run by TestKill")
	}
	fsys := &journaltest.WriteBack{IgnoreSync: os.Getenv(killLie) != ""}
	j, err := journal.Open(dir, 0, journal.Options{SegmentSize: 16 << 10, FS: fsys})
	if err != nil {
		t.Fatal(err)
	}
	var next atomic.Int64
	for l, err := range j.Scan(0, j.Synced()) {
		if err != nil {
			t.Fatal(err)
		}
		next.Store(max(next.Load(), int64(l.Position)+1))
	}
	for range 8 {
		go func() {
			done := make(chan struct{})
			for {
				n := next.Add(1)
				f := journal.Frame{Kind: journal.KindEntry, Position: uint64(n), Payload: killPayload(n)}
				if err := j.Append(f, func(_, _ journal.Offset) { done <- struct{}{} }); err != nil {
					j.Wait(t.Context(), len(f.Payload))
					continue
				}
				<-done
				fmt.Printf("acknowledged %d\n", n) // one write, so that a kill leaves whole lines
			}
		}()
	}
	time.Sleep(time.Minute)
}

// killPayload makes the payload of frame n out of its number.
func killPayload(n int64) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 3))
	b := make([]byte, r.IntN(1500))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// killRound runs a process on the folder, kills it, adds to acknowledged what it
// printed, and returns which of them are lost and what Verify says of the folder.
func killRound(t *testing.T, dir string, lie bool, acknowledged map[int64]bool) (lost []int64, err error) {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestKilledProcess$")
	command.Env = append(os.Environ(), killFolder+"="+dir)
	if lie {
		command.Env = append(command.Env, killLie+"=1")
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var killed sync.Once
	before := len(acknowledged)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		killed.Do(func() { // once it is at work
			time.AfterFunc(time.Duration(rand.IntN(20_000))*time.Microsecond, func() { command.Process.Kill() })
		})
		var n string
		if _, err := fmt.Sscanf(lines.Text(), "acknowledged %s", &n); err != nil {
			continue
		}
		if number, err := strconv.ParseInt(n, 10, 64); err == nil {
			acknowledged[number] = true
		}
	}
	command.Wait()
	if len(acknowledged) == before {
		t.Fatal("nothing was acknowledged before the kill")
	}
	there := map[int64]bool{}
	_, err = journal.Verify(dir, journal.Options{}, func(l journal.Located) error {
		n := int64(l.Position)
		there[n] = true
		if string(l.Payload) != string(killPayload(n)) {
			t.Errorf("frame %d has another payload", n)
		}
		return nil
	})
	for n := range acknowledged {
		if !there[n] {
			lost = append(lost, n)
		}
	}
	return lost, err
}

// TestKill kills processes that would lose everything that was not synced.
func TestKill(t *testing.T) {
	dir, acknowledged := t.TempDir(), map[int64]bool{}
	for round := range 10 {
		lost, err := killRound(t, dir, false, acknowledged)
		if len(lost) > 0 || err != nil {
			t.Fatalf("round %d: of %d acknowledged frames %v are lost; error %v", round, len(acknowledged), lost, err)
		}
	}
	t.Logf("%d frames were acknowledged in 10 rounds", len(acknowledged))
}

// TestKillIsNoticed does the same with a Sync that does nothing.
func TestKillIsNoticed(t *testing.T) {
	dir, acknowledged := t.TempDir(), map[int64]bool{}
	if lost, _ := killRound(t, dir, true, acknowledged); len(lost) == 0 {
		t.Errorf("of %d frames that were never synced none is lost: the test does not notice", len(acknowledged))
	}
}
