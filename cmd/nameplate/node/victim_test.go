package node_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/backup"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/journal/journaltest"
)

// The process that is killed: the test binary itself, when the environment says so.

const victimVariable = "NAMEPLATE_TEST_VICTIM"

func TestMain(m *testing.M) {
	if text := os.Getenv(victimVariable); text != "" {
		var v victim
		err := json.Unmarshal([]byte(text), &v)
		if err == nil {
			err = v.run()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// victim is what a process is to do: run a node, or make a backup of one, restore it from
// one, or resolve the fork of its log.
type victim struct {
	Name, Folder, Anchor  string
	Listen, ParentAddress string               // of gRPC
	Parent                identifier.PublicKey `json:",omitzero"`
	IgnoreSync            bool
	Real                  bool // files as the operating system has them
	// Reserve is how much of the disk stays free, -1 for nothing; EndsWhenFull says that
	// the state does not wait for room.
	Reserve      int64
	EndsWhenFull bool

	ClockOff time.Duration // by how much the node's clock is wrong

	BackupTo, RestoreFrom string // instead of running
	Resolve               bool   // the same

	// Point, unless empty, is the point of a hook at whose Nth passing the process kills
	// itself; later ones come over its standard input.
	Point string
	N     int
}

// victimPace is how often a victim signs a checkpoint.
const victimPace = 50 * time.Millisecond

// run does it. Files of the journal are written only when they are synced, so that
// SIGKILL is as bad for them as a power cut.
func (v *victim) run() error {
	t := &trap{point: v.Point, left: v.N, notes: os.NewFile(3, "notes")}
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			var point string
			var n int
			if _, err := fmt.Sscanf(lines.Text(), "%q %d", &point, &n); err != nil {
				os.Exit(3)
			}
			t.set(point, n)
		}
		os.Exit(4) // the test is gone
	}()
	r := registry.Config{
		Folder: v.Folder, CheckpointEvery: victimPace, Hook: t.pass,
		Journal: journal.Options{SegmentSize: 256 << 10, FS: &journaltest.WriteBack{IgnoreSync: v.IgnoreSync}, Hook: t.pass},
	}
	r.State.Gather, r.State.Hook = 3*time.Millisecond, t.pass
	if v.ClockOff != 0 {
		r.Clock = func() time.Time { return time.Now().Add(v.ClockOff) }
	}
	r.Reserve = v.Reserve
	if v.EndsWhenFull {
		r.State.FullPause = -1
	}
	if v.Real {
		r.Journal.SegmentSize = 2 << 20 // every message of a child fits
	}
	switch {
	case v.Real && v.IgnoreSync:
		// Nor does the state sync so soon, which takes the journal along on some disks.
		r.Journal.FS, r.State.Gather = forgetful{}, time.Hour
	case v.Real:
		r.Journal.FS = nil
	}
	switch {
	case v.BackupTo != "":
		_, err := backup.Make(context.Background(), r, v.BackupTo, true)
		return err
	case v.RestoreFrom != "":
		_, err := backup.Restore(context.Background(), r, v.RestoreFrom, "")
		return err
	}
	c := node.DefaultConfig()
	c.Name, c.Data, c.Anchor = v.Name, v.Folder, v.Anchor
	c.Listen = node.Listen{GRPC: []string{v.Listen}}
	c.Limits.Shutdown = time.Second
	c.Parent = node.Parent{Key: v.Parent, Address: v.ParentAddress}
	if v.Resolve {
		return node.ResolveOn(context.Background(), c, r)
	}
	n, err := node.NewOn(c, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), r)
	if err != nil {
		return err
	}
	t.say("ready %s", n.Addresses().GRPC[0])
	return n.Run(context.Background())
}

// forgetful is the file system without a Sync.
type forgetful struct{ journal.Disk }

func (f forgetful) Create(name string) (journal.File, error) {
	file, err := f.Disk.Create(name)
	return forgetfulFile{file}, err
}

func (f forgetful) OpenWrite(name string) (journal.File, error) {
	file, err := f.Disk.OpenWrite(name)
	return forgetfulFile{file}, err
}

type forgetfulFile struct{ journal.File }

func (forgetfulFile) Sync() error { return nil }

// trap kills the process at a point.
type trap struct {
	notes *os.File

	mu    sync.Mutex
	point string
	left  int
}

func (t *trap) set(point string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.point, t.left = point, n
}

// say tells the test something: one write, which is there although the process is killed
// the moment after it.
func (t *trap) say(format string, args ...any) {
	if _, err := fmt.Fprintf(t.notes, format+"\n", args...); err != nil {
		os.Exit(5)
	}
}

// pass is the hook.
func (t *trap) pass(point string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if point != t.point {
		return
	}
	if t.left--; t.left > 0 {
		return
	}
	t.say("killed")
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
