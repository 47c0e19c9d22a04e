package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// showAcknowledged starts the node that was killed, and asks for every row that it had
// acknowledged.
func (d *demo) showAcknowledged(ctx context.Context) error {
	s := d.tell.step("restart")
	took, err := d.node.start(ctx)
	if err != nil {
		return err
	}
	d.figures.restart = took
	rows, err := d.second.acknowledged()
	if err != nil {
		return err
	}
	n := len(rows)
	s.show("asking for what was acknowledged")
	if err := d.node.batch(ctx, d.second, rows); err != nil {
		return fmt.Errorf("after the kill: %w", err)
	}
	for _, im := range d.imports {
		if err := d.node.batch(ctx, im, im.all()); err != nil {
			return fmt.Errorf("after the kill: %w", err)
		}
		n += len(im.rows)
	}
	d.figures.answers += n
	d.figures.asked = n
	s.done("answers after %s; all %s rows ever acknowledged are there, asked for over gRPC", milliseconds(took), count(n))
	return nil
}

// finishImport runs the second import again, to its end.
func (d *demo) finishImport(ctx context.Context) error {
	s := d.tell.step("go on")
	out, err := d.program.run(ctx, d.arguments(d.second)...)
	if err != nil {
		return err
	}
	o := &d.second.outcome
	if err := o.read(out); err != nil {
		return err
	}
	if all := len(d.second.rows); o.Registered+o.Unchanged != all || o.Failed != 0 {
		return fmt.Errorf("the same import, run again, says %s new and %s unchanged of %s rows", count(o.Registered), count(o.Unchanged), count(all))
	}
	if o.Unchanged < d.figures.acknowledged {
		return fmt.Errorf("%s rows were acknowledged before the kill, and %s were there after it", count(d.figures.acknowledged), count(o.Unchanged))
	}
	d.imports = append(d.imports, d.second)
	if err := d.node.batch(ctx, d.second, d.second.all()); err != nil {
		return fmt.Errorf("after the second import: %w", err)
	}
	d.figures.answers += len(d.second.rows)
	s.done("the same import again: %s rows unchanged, %s new; all %s resolve", count(o.Unchanged), count(o.Registered), count(len(d.second.rows)))
	return nil
}

// all are all rows of an import.
func (im *imported) all() []int {
	rows := make([]int, len(im.rows))
	for i := range rows {
		rows[i] = i
	}
	return rows
}

// report is what check says with --json.
type report struct {
	Entries     int `json:"entries"`
	Checkpoints int `json:"checkpoints"`
	Identifiers int `json:"identifiers"`
}

// checkFolder stops the node and checks what it leaves.
func (d *demo) checkFolder(ctx context.Context) error {
	s := d.tell.step("check")
	for _, im := range d.imports {
		d.figures.identifiers += len(im.rows)
	}
	var err error
	if d.figures.disk, err = d.node.disk(ctx); err != nil {
		return err
	}
	if err := d.node.stop(ctx); err != nil {
		return err
	}
	s.show("every checksum, the Merkle tree, the checkpoints, and the state built anew")
	out, err := d.program.run(ctx, "check", "--data", d.node.data, "--json")
	if err != nil {
		return err
	}
	var found report
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		return fmt.Errorf("check --json wrote %q: %w", out, err)
	}
	if found.Identifiers != d.figures.identifiers {
		return fmt.Errorf("check counts %s identifiers, and %s rows were registered", count(found.Identifiers), count(d.figures.identifiers))
	}
	s.done("stopped; %s log entries, %s checkpoints and %s identifiers hold together", count(found.Entries), count(found.Checkpoints), count(found.Identifiers))
	return nil
}

// disk is what a node takes of one.
type disk struct {
	allocated      int64 // all files together
	journal, state int64 // of it in use
}

func (n *node) disk(ctx context.Context) (disk, error) {
	client, err := registryrpc.NewClient(n.at.at(n.at.grpc), registryrpc.ClientOptions{})
	if err != nil {
		return disk{}, err
	}
	defer client.Close()
	status, err := client.Status(ctx)
	if err != nil {
		return disk{}, err
	}
	used := disk{journal: int64(status.Synced), state: status.StateBytes}
	err = filepath.WalkDir(n.data, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		// Segments are set aside before they are written: what counts are the blocks.
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			used.allocated += stat.Blocks * 512
		}
		return nil
	})
	return used, err
}

// leave tells how it went, and leaves the node running if it was asked to.
func (d *demo) leave(ctx context.Context) error {
	d.table()
	if d.Keep {
		d.node.detached = true
		if _, err := d.node.start(ctx); err != nil {
			return err
		}
		pid := d.node.pid()
		if err := os.WriteFile(d.path("node.pid"), []byte(strconv.Itoa(pid)+"\n"), 0o600); err != nil {
			return err
		}
	}
	if err := d.commands(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	d.tell.line("\ndemo: ok: %d identifiers, %d answers, %d nodes", d.figures.identifiers, d.figures.answers, 1)
	return nil
}
