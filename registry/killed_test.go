package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/journal/journaltest"
)

// The process that is killed: the test binary itself, when the environment says so.

const victimVariable = "NAMEPLATE_TEST_VICTIM"

func TestMain(m *testing.M) {
	if text := os.Getenv(victimVariable); text != "" {
		var v victim
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		if err := v.run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// victim says what the process is to do.
type victim struct {
	Folder, Anchor string
	SegmentSize    int64
	Round          int
	IgnoreSync     bool
	Heal           bool // say that the log is whole, instead of registering
	// Point, unless empty, is the point of a hook at whose Nth passing the process kills
	// itself, that many microseconds later.
	Point string
	N     int
	Delay int
}

// registrars is how many register at once.
const registrars = 8

// config returns the configuration of the node. The files of its journal are written
// only when they are synced, so that SIGKILL is as bad as a power cut.
func (v *victim) config() registry.Config {
	return registry.Config{
		Folder: v.Folder, Anchor: v.Anchor, CheckpointEvery: 5 * time.Millisecond,
		Journal: journal.Options{SegmentSize: v.SegmentSize, FS: &journaltest.WriteBack{IgnoreSync: v.IgnoreSync}},
	}
}

// holderKey returns the key that signs everything in these tests.
func holderKey() identifier.PrivateKey {
	k, err := identifier.NewPrivateKey(bytes.NewReader(bytes.Repeat([]byte("k"), 64)))
	if err != nil {
		panic(err)
	}
	return k
}

// notes is the pipe to the parent. A line is one write, which is there although the
// process is killed the moment after it.
type notes struct {
	pipe io.Writer
}

func (n notes) line(format string, args ...any) {
	if _, err := fmt.Fprintf(n.pipe, format+"\n", args...); err != nil {
		os.Exit(3) // the parent is gone
	}
}

func (v *victim) run() error {
	time.AfterFunc(20*time.Second, func() { os.Exit(4) })
	n := notes{os.NewFile(3, "notes")}
	c := v.config()
	c.State.Gather = 3 * time.Millisecond
	if v.Point != "" {
		hook := v.hook(n)
		c.Hook, c.Journal.Hook, c.State.Hook = hook, hook, hook
	}
	r, err := registry.Open(c)
	if err != nil {
		return err
	}
	if v.Heal {
		_, err := r.Source().Heal()
		return err
	}
	go func() {
		if err := r.Run(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}()
	node, err := registry.NodeKey(v.Folder)
	if err != nil {
		return err
	}
	for _, prefix := range []string{"88.118", fmt.Sprintf("99.%d", v.Round)} {
		n.line("delegating %s", prefix)
		payload, err := identifier.AppendDelegation(nil, grant(identifier.Prefix(prefix), holderKey()))
		if err != nil {
			return err
		}
		if _, err := r.Delegate(context.Background(), identifier.Sign(identifier.DelegationType, payload, node)); err != nil {
			return err
		}
		n.line("delegated %s", prefix)
	}
	var registering sync.WaitGroup
	errs := make(chan error, registrars)
	for i := range registrars {
		registering.Go(func() { errs <- (&registrar{r: r, number: i, notes: n}).run() })
	}
	return <-errs
}

// hook kills the process at the Nth passing of a point.
func (v *victim) hook(n notes) func(string) {
	var mu sync.Mutex
	left := v.N
	return func(point string) {
		if point != v.Point {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		left--
		if left != 0 {
			return
		}
		n.line("killed %s", strings.ReplaceAll(point, " ", "-"))
		if v.Delay == 0 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		time.AfterFunc(time.Duration(v.Delay)*time.Microsecond, func() { syscall.Kill(os.Getpid(), syscall.SIGKILL) })
	}
}

// registrar registers one change after the other. Change s of a registrar makes version
// s of its counter, puts or withdraws its switch, and puts some new identifiers.
type registrar struct {
	r      *registry.Registry
	number int
	notes  notes

	counter, flip *identifier.Record // as they are now
}

func registrarID(number int, name string) identifier.ID {
	return identifier.ID{Prefix: "88.118", Suffix: fmt.Sprintf("r%d-%s", number, name)}
}

// size is how many new identifiers change s has.
func registrarSize(number, s int) int { return (number*31+s*17)%6 + 1 }

// flipped reports whether change s withdraws the switch.
func flipped(s int) bool { return s%3 == 2 }

// registrarRows returns the rows of change s on top of what is there.
func registrarRows(number, s int, counter, flip *identifier.Record) []identifier.Row {
	url := func(what string) []identifier.Value {
		return link(fmt.Sprintf("https://maker.example/%d/%d/%s", number, s, what))
	}
	// In the order of keys: a number, then letters.
	rows := []identifier.Row{put(registrarID(number, "counter"), counter, url("counter"))}
	row := put(registrarID(number, "flip"), flip, url("flip"))
	if flipped(s) {
		row = identifier.NextRow(row.ID, flip)
		row.Op = identifier.Withdraw
	}
	rows = append(rows, row)
	for i := range registrarSize(number, s) {
		rows = append(rows, put(registrarID(number, registrarName(s, i)), nil, url(fmt.Sprint(i))))
	}
	return rows
}

func registrarName(s, i int) string { return fmt.Sprintf("s%06d-%d", s, i) }

func (g *registrar) run() error {
	ctx := context.Background()
	d := g.r.Holder("88.118")
	if err := g.learn(ctx, d); err != nil {
		return err
	}
	pause := rand.IntN(3)
	for s := int(g.counter.Version) + 1; ; s++ {
		rows := registrarRows(g.number, s, known(g.counter), known(g.flip))
		c, err := identifier.SignChange(header(d), rows, nil, holderKey())
		if err != nil {
			return err
		}
		_, hashes, err := c.Check()
		if err != nil {
			return err
		}
		g.notes.line("trying %d %d", g.number, s)
		receipt, err := g.r.Register(ctx, c)
		if err != nil {
			return fmt.Errorf("registrar %d, change %d: %w", g.number, s, err)
		}
		if receipt.Duplicate {
			return fmt.Errorf("registrar %d, change %d: it was there", g.number, s)
		}
		g.notes.line("done %d %d", g.number, s)
		*g.counter = identifier.Record{Version: uint64(s), RowHash: hashes[0]}
		*g.flip = identifier.Record{Version: uint64(s), RowHash: hashes[1]}
		if pause > 0 && s%8 == 0 {
			time.Sleep(time.Duration(pause) * time.Millisecond)
		}
	}
}

// known returns nil for what never was.
func known(r *identifier.Record) *identifier.Record {
	if r.Version == 0 {
		return nil
	}
	return r
}

// learn looks up where the registrar stands. What a tombstone's version and hash are,
// only a conflict tells.
func (g *registrar) learn(ctx context.Context, d *identifier.Delegation) error {
	for _, x := range []struct {
		record **identifier.Record
		name   string
	}{{&g.counter, "counter"}, {&g.flip, "flip"}} {
		*x.record = new(identifier.Record)
		id := registrarID(g.number, x.name)
		probe := put(id, &identifier.Record{Version: 1 << 50, RowHash: identifier.Hash{1}}, link("https://probe.example/"))
		c, err := identifier.SignChange(header(d), []identifier.Row{probe}, nil, holderKey())
		if err != nil {
			return err
		}
		_, err = g.r.Register(ctx, c)
		e, ok := err.(*registry.Error)
		if !ok || e.Kind != registry.Conflict || len(e.Rows) != 1 {
			return fmt.Errorf("registrar %d: probe of %s: %w", g.number, id, err)
		}
		(*x.record).Version, (*x.record).RowHash = e.Rows[0].Version, e.Rows[0].RowHash
	}
	return nil
}
