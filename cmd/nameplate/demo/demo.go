// Package demo shows a whole system of nodes at work on real identifiers, and fails
// when anything is not as it should be.
//
// It is what `make demo` runs. Every node and every import is a process of its own,
// started from the same program, so what is shown is what operators and holders would
// type. In order:
//
//   - the data: products with their GTINs, and equipment with serial numbers, as CSV
//     files, one for every node that owns some; equal for every run;
//   - the nodes of a network file: top-level, secondary, enterprise and recursive ones,
//     every prefix delegated to the node that answers for it;
//   - the imports of all holders at their nodes, several at a time;
//   - the mirrors: the parent of every node has the same log, by size and root;
//   - a sample of every scheme, asked of the recursive node over every protocol, which
//     walks the tree for it, and compared;
//   - a secondary and an enterprise node killed with SIGKILL: what they hold is answered
//     from their parents' mirrors. Then they are started again, and answer themselves;
//   - one more import, in the middle of which its node is killed and started again:
//     every row that was acknowledged has to resolve. The import is then run again to
//     its end;
//   - every identifier there is, asked of the recursive node (a small demo: a part);
//   - a stop, and a check of every node's folder.
//
// What an answer must say is computed from the CSV rows, by a few lines of this
// package: neither what a node says nor what import makes of a row has a part in it.
// The sample is drawn at random; its seed is printed and can be given. Before anything
// is counted as asked, the recursive node's cache is emptied, so that every answer comes
// from a walk, unless it is said that it comes from the cache.
//
// When the demo fails or is interrupted, every process that it started has ended and
// its folder is gone. After a success the folder stays, for whoever wants to look.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"
)

// Options say how a demo runs.
type Options struct {
	// Program is the nameplate binary.
	Program string
	// Folder is where everything goes. What an earlier demo left there is removed.
	Folder string
	// Testdata is the folder with products.csv and equipment.csv, and with the network
	// files.
	Testdata string
	// Seed draws the sample.
	Seed uint64
	// Small takes the small network, and a tenth of the equipment and of the sample.
	Small bool
	// Keep leaves the nodes running.
	Keep bool
	// Out is where the demo tells what goes on.
	Out io.Writer
	// Width is how many columns Out has when it is a terminal, where a line can be
	// written over; 0 when it is none.
	Width int

	// altered is called before the comparison, by tests.
	altered func(context.Context, *demo) error
}

// demo is one run.
type demo struct {
	Options
	size    size
	tell    *account
	program *program
	net     *network.Network
	walker  *network.Node // the recursive node, which is asked
	memory  *memory
	started time.Time

	models  [][]string      // of equipment: vendor, model, description
	made    int             // pieces of equipment; all have serial numbers of their own
	imports []*imported     // one a scheme and node, and after them what was registered besides
	second  *imported       // the import in the middle of which its node is killed
	victims []*network.Node // that are killed: a secondary and an enterprise node
	asked   []*asked        // one a scheme and protocol
	figures figures
}

// figures are what the table at the end tells.
type figures struct {
	answers     int           // that were compared
	imported    time.Duration // wall time of the first imports
	registered  int           // identifiers in them
	identifiers int           // in all

	up           time.Duration // until all nodes answered
	delegations  int
	whole        time.Duration // from the last acknowledgement until all mirrors had everything
	busy, idle   lags          // from an acknowledgement to the parent's mirror
	cached       *asked        // the sample again, from the cache
	down, back   []time.Duration
	unanswered   atomic.Int64  // questions without an answer between the kills and the mirrors, and back
	restart      time.Duration // from the start after the kill to the first right answer
	acknowledged int           // rows of the second import, when its node was killed
	kept         int           // rows asked for after the kill: all that were ever acknowledged
	walked       int           // identifiers asked for at the end
	disk         int64
}

// marker is a file that only the folder of a demo has.
const marker = ".nameplate-demo"

// Run runs a demo. The error, which is one line, says what was not as it should be.
func Run(ctx context.Context, o Options) (err error) {
	d := &demo{
		Options: o, size: full, started: time.Now(),
		tell:    &account{w: o.Out, width: o.Width},
		program: &program{path: o.Program},
	}
	if o.Small {
		d.size = small
	}
	if err := d.prepare(); err != nil {
		return err
	}
	d.tell.line("%s: every step is checked against the CSV files (seed %d).\n", d.cast(), o.Seed)
	d.memory = watchMemory()
	defer func() {
		d.memory.end()
		d.tell.abandon()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			err = errors.New("interrupted; nothing is left of it")
		} else {
			d.tellLogs()
		}
		err = errors.Join(err, d.killAll(), os.RemoveAll(d.Folder))
	}()
	for _, step := range []func(context.Context) error{
		d.writeData, d.bringUp, d.importAll, d.awaitMirrors, d.compareAll, d.failOver, d.failBack,
		d.interruptImport, d.showAcknowledged, d.finishImport, d.askEverything, d.checkFolders, d.leave,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// path returns a path in the demo's folder.
func (d *demo) path(names ...string) string {
	return filepath.Join(append([]string{d.Folder}, names...)...)
}

// prepare makes the folder anew, and finds a place for the network. A folder that is
// not an earlier demo's is left alone.
func (d *demo) prepare() error {
	if err := d.stillRunning(); err != nil {
		return err
	}
	entries, err := os.ReadDir(d.Folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(d.path(marker)); len(entries) > 0 && err != nil {
		return fmt.Errorf("%s is not the folder of an earlier demo, and is not removed: name another with --folder", d.Folder)
	}
	file, err := readNetwork(filepath.Join(d.Testdata, d.size.network))
	if err != nil {
		return err
	}
	if d.net, err = network.New(file, d.networkFolder(), d.Program); err != nil {
		return err
	}
	if d.walker, err = only(file); err != nil {
		return err
	}
	if err := os.RemoveAll(d.Folder); err != nil {
		return err
	}
	if err := os.MkdirAll(d.path("csv"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(d.path(marker), []byte("Made by nameplate demo, which removes it when it runs again.\n"), 0o600)
}

func (d *demo) networkFolder() string { return d.path("network") }
