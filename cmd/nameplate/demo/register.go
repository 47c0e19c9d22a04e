package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// outcome is what import says of itself with --json.
type outcome struct {
	Rows       int     `json:"rows"`
	Registered int     `json:"registered"`
	Unchanged  int     `json:"unchanged"`
	Failed     int     `json:"failed"`
	Warnings   int     `json:"warnings"`
	Complete   bool    `json:"complete"`
	Seconds    float64 `json:"seconds"`
}

// arguments are those of import.
func (d *demo) arguments(im *imported) []string {
	return append([]string{"import", im.path, "--key", d.key(im.holder), "--server", d.node.server(),
		"--results", im.results, "--json"}, im.mapping...)
}

// importAll lets all holders import what they have, side by side.
func (d *demo) importAll(ctx context.Context) error {
	s := d.tell.step("import")
	began := time.Now()
	for _, im := range d.imports {
		d.figures.registered += len(im.rows)
	}
	ctx, watched, stop := d.watchImports(ctx, s)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	for _, h := range holders {
		g.Go(func() error { return d.importOf(ctx, h.name) })
	}
	err := g.Wait()
	d.figures.imported = time.Since(began)
	stop()
	<-watched
	if err != nil {
		return err
	}
	s.done("%s identifiers by %d holders at once, %s a second, every change signed and synced",
		count(d.figures.registered), len(holders), count(rate(d.figures.registered, d.figures.imported)))
	d.tell.note("warned of %s products: a GTIN-8 that begins with 0 or 2 is for use inside one company only", count(d.imports[0].outcome.Warnings))
	return nil
}

func rate(n int, took time.Duration) int { return int(float64(n) / max(took.Seconds(), 0.001)) }

// importOf runs the imports of one holder, one after the other.
func (d *demo) importOf(ctx context.Context, holder string) error {
	for _, im := range d.imports {
		if im.holder != holder {
			continue
		}
		out, err := d.program.run(ctx, d.arguments(im)...)
		if err != nil {
			return err
		}
		if err := im.outcome.read(out); err != nil {
			return err
		}
		if want := len(im.rows); im.outcome.Registered != want || im.outcome.Rows != want {
			return fmt.Errorf("import says that it registered %s of %s rows of %s, which has %s",
				count(im.outcome.Registered), count(im.outcome.Rows), im.file, count(want))
		}
		if im.name == "GS1" && im.outcome.Warnings != restricted(im.rows) {
			return fmt.Errorf("import warned of %d rows of %s; %d are for restricted circulation", im.outcome.Warnings, im.file, restricted(im.rows))
		}
	}
	return nil
}

func (o *outcome) read(text string) error {
	if err := json.Unmarshal([]byte(text), o); err != nil {
		return fmt.Errorf("import --json wrote %q: %w", text, err)
	}
	return nil
}

// watchImports shows how many identifiers the node holds, until stop is called.
func (d *demo) watchImports(ctx context.Context, s *step) (context.Context, <-chan struct{}, func()) {
	watched := make(chan struct{})
	watching, stop := context.WithCancel(ctx)
	go func() {
		defer close(watched)
		client, err := registryrpc.NewClient(d.node.at.at(d.node.at.grpc), registryrpc.ClientOptions{})
		if err != nil {
			return
		}
		defer client.Close()
		for watching.Err() == nil {
			if status, err := client.Status(watching); err == nil {
				n := int(status.Identifiers)
				s.show("%s %s of %s", bar(n, d.figures.registered), count(n), count(d.figures.registered))
			}
			select {
			case <-time.After(frameTime):
			case <-watching.Done():
			}
		}
	}()
	return ctx, watched, stop
}

// kills is how often a kill is tried before it counts as impossible: an import may come
// to its end before the kill does.
const kills = 5

// interruptImport imports more, and kills the node in the middle of it.
func (d *demo) interruptImport(ctx context.Context) error {
	s := d.tell.step("kill -9")
	for range kills {
		file := fmt.Sprintf("more-%d.csv", len(d.imports)-len(schemes)+1)
		d.second = d.newImport(&schemes[handles], file)
		d.second.rows = d.pieces(d.size.second)
		s.show("while %s imports %s more rows", d.second.holder, count(len(d.second.rows)))
		if err := d.second.write(); err != nil {
			return err
		}
		pid := d.node.pid()
		if err := d.killDuring(ctx, d.second); err != nil {
			return err
		}
		acknowledged, err := d.second.acknowledged()
		if err != nil {
			return err
		}
		if n := len(acknowledged); 0 < n && n < len(d.second.rows) {
			d.figures.acknowledged = n
			s.done("process %d killed in the middle of an import: %s of %s more rows acknowledged", pid, count(n), count(len(d.second.rows)))
			return nil
		}
		if _, err := d.node.start(ctx); err != nil {
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
		err = d.node.kill()
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

// acknowledged returns the rows of an import, counted from 0, that its results say
// are registered.
func (im *imported) acknowledged() ([]int, error) {
	f, err := os.Open(im.results)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(bufio.NewReader(f)) // row, line, identifier, result, reason
	var rows []int
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
		rows = append(rows, n-1)
	}
}
