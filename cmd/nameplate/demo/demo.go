// Package demo shows a whole node at work on real identifiers, and fails when
// anything is not as it should be.
//
// It is what `make demo` runs. A node and every import are processes of their own,
// started from the same program, so what is shown is what an operator and a holder
// would type. In order:
//
//   - the data: products with their GTINs, and equipment with serial numbers, as CSV
//     files; equal for every run;
//   - the node, and prefixes delegated to three made-up holders, whose keys lie
//     outside the node's folder;
//   - the imports of all holders, side by side;
//   - a sample of every scheme, asked over every protocol, and compared;
//   - a second import, in the middle of which the node is killed with SIGKILL and
//     started again: every row that was acknowledged has to resolve. The import is
//     then run again to its end;
//   - a stop, and a check of the node's folder.
//
// What an answer must say is computed from the CSV rows, by a few lines of this
// package: neither what the node says nor what import makes of a row has a part in
// it. The sample is drawn at random; its seed is printed and can be given.
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
	"time"
)

// Options say how a demo runs.
type Options struct {
	// Program is the nameplate binary.
	Program string
	// Folder is where everything goes. What an earlier demo left there is removed.
	Folder string
	// Testdata is the folder with products.csv and equipment.csv.
	Testdata string
	// Seed draws the sample.
	Seed uint64
	// Small takes a tenth of the equipment and of the sample.
	Small bool
	// Keep leaves the node running.
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
	node    *node
	started time.Time

	models  [][]string  // of equipment: vendor, model, description
	made    int         // pieces of equipment; all have serial numbers of their own
	imports []*imported // one a scheme, and after them what was imported besides
	second  *imported   // the import in the middle of which the node is killed
	figures figures
}

// figures are what the table at the end tells beside the imports.
type figures struct {
	answers      int           // that were compared
	restart      time.Duration // from the start after the kill to the first right answer
	acknowledged int           // rows of the second import, when the node was killed
	asked        int           // after the kill: all rows that were ever acknowledged
	disk         disk
	imported     time.Duration // wall time of the first imports
	registered   int           // identifiers in them
	identifiers  int           // in all
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
	d.node = newNode("demo", d.program, d.path("node"), d.path("node.log"))
	d.tell.line("One node, %d holders, %d schemes: every step is checked against the CSV files (seed %d).\n", len(holders), len(schemes), o.Seed)
	defer func() {
		d.tell.abandon()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			err = errors.New("interrupted; nothing is left of it")
		} else {
			d.tell.last(d.node.log)
		}
		err = errors.Join(err, d.node.kill(), os.RemoveAll(d.Folder))
	}()
	for _, step := range []func(context.Context) error{
		d.writeData, d.startNode, d.delegatePrefixes, d.importAll, d.compareAll,
		d.interruptImport, d.showAcknowledged, d.finishImport, d.checkFolder, d.leave,
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

// prepare makes the folder anew. One that is not an earlier demo's is left alone.
func (d *demo) prepare() error {
	if err := stillRunning(d.path("node.pid")); err != nil {
		return err
	}
	entries, err := os.ReadDir(d.Folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(d.path(marker)); len(entries) > 0 && err != nil {
		return fmt.Errorf("%s is not the folder of an earlier demo, and is not removed: name another with --folder", d.Folder)
	}
	if err := os.RemoveAll(d.Folder); err != nil {
		return err
	}
	if err := os.MkdirAll(d.path("keys"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(d.path(marker), []byte("Made by nameplate demo, which removes it when it runs again.\n"), 0o600)
}

// startNode starts the node.
func (d *demo) startNode(ctx context.Context) error {
	s := d.tell.step("node")
	took, err := d.node.start(ctx)
	if err != nil {
		return err
	}
	at := d.node.at
	s.done("process %d on %s: DNS %d, gRPC %d, HTTP %d; answers after %s",
		d.node.pid(), at.host, at.dns, at.grpc, at.http, milliseconds(took))
	return nil
}

// delegatePrefixes makes the holders' keys and gives them their prefixes.
func (d *demo) delegatePrefixes(ctx context.Context) error {
	s := d.tell.step("delegate")
	for _, h := range holders {
		if _, err := d.program.run(ctx, "key", "generate", d.key(h.name)); err != nil {
			return err
		}
		for _, prefix := range h.prefixes {
			s.show("%s to %s", prefix, h.name)
			_, err := d.program.run(ctx, "delegate", prefix, "--to", d.key(h.name),
				"--key", filepath.Join(d.node.data, "node.key"), "--server", d.node.server())
			if err != nil {
				return err
			}
		}
	}
	s.done("%s prefixes to %d holders, each with a key of its own", count(prefixes()), len(holders))
	for _, h := range holders {
		d.tell.note("%-20s %s", h.title, list(h.prefixes))
	}
	return nil
}

func (d *demo) key(holder string) string { return d.path("keys", holder+".key") }
