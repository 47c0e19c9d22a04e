package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"
)

// report is what check says with --json.
type report struct {
	Entries     int `json:"entries"`
	Checkpoints int `json:"checkpoints"`
	Identifiers int `json:"identifiers"`
}

// checkFolders stops all nodes and checks what each leaves.
func (d *demo) checkFolders(ctx context.Context) error {
	s := d.tell.step("check")
	for _, im := range d.imports {
		d.figures.identifiers += len(im.rows)
	}
	if err := d.net.Down(ctx); err != nil {
		return err
	}
	var err error
	if d.figures.disk, err = allocated(d.networkFolder()); err != nil {
		return err
	}
	const atOnce = 4
	var mu sync.Mutex
	var sum report
	checked, all := 0, d.holding()
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, x := range all {
		g.Go(func() error {
			found, err := d.checkFolder(inner, x.Name)
			if err != nil {
				return fmt.Errorf("node %s: %w", x.Name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			checked++
			s.show("%s %d of %d: checksums, Merkle trees, checkpoints, and states built anew", bar(checked, len(all)), checked, len(all))
			sum.Entries += found.Entries
			sum.Checkpoints += found.Checkpoints
			sum.Identifiers += found.Identifiers
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if sum.Identifiers != d.figures.identifiers {
		return fmt.Errorf("check counts %s identifiers, and %s rows were registered", count(sum.Identifiers), count(d.figures.identifiers))
	}
	s.done("stopped; in %d folders %s log entries, %s checkpoints and %s identifiers hold together", len(all), count(sum.Entries), count(sum.Checkpoints), count(sum.Identifiers))
	return nil
}

// checkFolder checks the folder of one node.
func (d *demo) checkFolder(ctx context.Context, name string) (found report, err error) {
	out, err := d.program.run(ctx, "check", "--data", filepath.Join(d.networkFolder(), name, "data"), "--json")
	if err != nil {
		return found, err
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		return found, fmt.Errorf("check --json wrote %q: %w", out, err)
	}
	return found, nil
}

// allocated returns how much disk a folder takes, in octets.
func allocated(folder string) (sum int64, err error) {
	err = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		// Segments are set aside before they are written: what counts are the blocks.
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			sum += stat.Blocks * 512
		}
		return nil
	})
	return sum, err
}

// leave tells how it went, and leaves the nodes running if it was asked to.
func (d *demo) leave(ctx context.Context) error {
	d.memory.end()
	d.table()
	if d.Keep {
		if err := d.net.Up(ctx, nil); err != nil {
			return err
		}
	}
	if err := d.commands(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	d.tell.line("\ndemo: ok: %d identifiers, %d answers, %d nodes", d.figures.identifiers, d.figures.answers, len(d.net.Nodes))
	return nil
}
