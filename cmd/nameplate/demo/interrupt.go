package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"
)

// kills is how often a kill is tried before it counts as impossible: an import may come
// to its end before the kill does.
const kills = 5

// interruptImport imports more, and kills the node in the middle of it.
func (d *demo) interruptImport(ctx context.Context) error {
	s := d.tell.step("crash")
	i := slices.IndexFunc(d.imports, func(im *imported) bool { return im.scheme == handles && im.node.Role == network.Enterprise })
	if i < 0 {
		return errors.New("the network has no enterprise node that holds equipment")
	}
	for n := range kills {
		d.second = d.fileFor(handles, d.imports[i].prefix, fmt.Sprintf("-more-%d", n+1))
		d.second.rows = d.pieces(d.size.second)
		name := d.second.node.Name
		s.show("node %s, while %s more rows are imported there", name, count(len(d.second.rows)))
		if err := d.second.write(); err != nil {
			return err
		}
		process := d.process(name)
		if err := d.killDuring(ctx, d.second); err != nil {
			return err
		}
		acknowledged, err := d.second.acknowledged()
		if err != nil {
			return err
		}
		if n := len(acknowledged); 0 < n && n < len(d.second.rows) {
			d.figures.acknowledged = n
			s.done("node %s, process %s, killed in the middle of an import: %s of %s more rows acknowledged", name, process, count(n), count(len(d.second.rows)))
			return nil
		}
		if err := d.net.Start(ctx, name); err != nil {
			return err
		}
		if len(acknowledged) > 0 {
			d.imports = append(d.imports, d.second)
		}
	}
	return fmt.Errorf("no import could be interrupted in its middle in %d attempts: run the demo again when the machine has less to do", kills)
}

// killDuring runs an import and kills the node when the first rows are acknowledged.
func (d *demo) killDuring(ctx context.Context, im *imported) error {
	var errs bytes.Buffer
	c := d.program.command(ctx, d.arguments(im)...)
	c.Stderr = &errs
	if err := c.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	var failure error
	go func() { failure = c.Wait(); close(ended) }()
	err := im.awaitResults(ctx, ended)
	if err == nil {
		err = d.net.Kill(im.node.Name)
	}
	if err = errors.Join(err, endImport(c, ended)); err != nil {
		return err
	}
	if info, err := os.Stat(im.results); err != nil || info.Size() == 0 {
		return commandError(ctx, []string{"import"}, failure, errs.Bytes())
	}
	return nil
}

// awaitResults waits until an import has noted that a part of its rows is
// acknowledged, or has ended.
func (im *imported) awaitResults(ctx context.Context, ended <-chan struct{}) error {
	const part = 200 << 10 // octets; a row takes about 45
	limit := time.After(patience)
	for {
		if info, err := os.Stat(im.results); err == nil && info.Size() >= part {
			return nil
		}
		select {
		case <-time.After(200 * time.Microsecond):
		case <-ended:
			return nil
		case <-limit:
			return fmt.Errorf("the second import has registered nothing within %v", patience)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// endImport asks an import to end as ^C does, so that it notes all that it knows. It
// would otherwise wait for the node. When the demo itself is interrupted, that has ended
// the import already.
func endImport(c *exec.Cmd, ended <-chan struct{}) error {
	if err := c.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-time.After(patience):
		return errors.Join(fmt.Errorf("import does not end %v after it was asked to", patience), killGroup(c))
	}
}

// acknowledged returns the rows of an import that its results say are registered.
func (im *imported) acknowledged() ([]row, error) {
	f, err := os.Open(im.results)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(bufio.NewReader(f)) // row, line, identifier, result, reason
	var rows []row
	for {
		result, err := r.Read()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", im.results, err)
		}
		if result[3] != "registered" && result[3] != "unchanged" {
			continue
		}
		n, err := strconv.Atoi(result[0])
		if err != nil || n < 1 || n > len(im.rows) {
			return nil, fmt.Errorf("%s: there is no row %q", im.results, result[0])
		}
		rows = append(rows, row{im, n - 1})
	}
}

// showAcknowledged starts the node that was killed, and asks it for every row that it
// had acknowledged.
func (d *demo) showAcknowledged(ctx context.Context) error {
	s := d.tell.step("restart")
	began := time.Now()
	x := d.second.node
	if err := d.net.Start(ctx, x.Name); err != nil {
		return err
	}
	d.figures.restart = time.Since(began)
	rows, err := d.second.acknowledged()
	if err != nil {
		return err
	}
	s.show("asking for what was acknowledged")
	rows = append(rows, d.held(x.Name)...)
	if err := d.batch(ctx, x, rows); err != nil {
		return fmt.Errorf("after the kill: %w", err)
	}
	d.figures.answers += len(rows)
	d.figures.kept = len(rows)
	s.done("answers after %s; all %s rows that it ever acknowledged are there, asked for over gRPC", milliseconds(d.figures.restart), count(len(rows)))
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
	now, err := d.settle(ctx, s)
	if err != nil {
		return err
	}
	s.show("asking for all %s rows", count(len(d.second.rows)))
	if err := d.batch(ctx, d.second.node, d.second.all()); err != nil {
		return fmt.Errorf("after the second import: %w", err)
	}
	d.figures.answers += len(d.second.rows)
	s.done("the same import again: %s rows unchanged, %s new, and all resolve; all mirrors equal again, %s entries",
		count(o.Unchanged), count(o.Registered), count(int(now.entries)))
	return nil
}

// everyTime is how long asking for everything may take; on a machine that has other
// work, a part has to do.
const everyTime = 45 * time.Second

// askEverything asks the recursive node for every identifier there is, or in a small
// demo for a part of them that is drawn. It asks node by node.
func (d *demo) askEverything(ctx context.Context) error {
	s := d.tell.step("all")
	if err := d.flush(ctx); err != nil {
		return err
	}
	began := time.Now()
	var rows []row
	for _, im := range d.imports {
		rows = append(rows, im.all()...)
	}
	all := len(rows)
	chosen := rand.New(rand.NewPCG(d.Seed, 1)).Perm(all)[:min(all, d.size.every)]
	slices.Sort(chosen)
	for part := range slices.Chunk(chosen, 1024) {
		s.show("%s %s of %s", bar(d.figures.walked, len(chosen)), count(d.figures.walked), count(len(chosen)))
		if time.Since(began) > everyTime {
			break
		}
		some := make([]row, len(part))
		for i, n := range part {
			some[i] = rows[n]
		}
		if err := d.batch(ctx, d.walker, some); err != nil {
			return err
		}
		d.figures.walked += len(part)
	}
	took, walked := time.Since(began), d.figures.walked
	d.figures.answers += walked
	what := fmt.Sprintf("every identifier, %s of them,", count(walked))
	if walked < all {
		what = fmt.Sprintf("%s of all %s identifiers", count(walked), count(all))
	}
	s.done("%s found by a walk through the tree: %s a second", what, count(rate(walked, took)))
	if walked < len(chosen) {
		d.tell.note("the others were not asked for: %v were over", everyTime)
	}
	return nil
}
