//go:build linux

package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// writeCSV writes the data as somebody who imports has them, ascending.
func (d data) writeCSV(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintln(w, "serial,link")
	for i := range int(d) {
		fmt.Fprintf(w, "%s,%s\n", d.serial(i), d.link(i))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// large imports many identifiers from CSV, as anybody would, into a node that is
// served, and then measures that node beside the smaller one.
func (b *bench) large(ctx context.Context) error {
	d := data(b.options.Large)
	folder := b.folder("large")
	if err := b.importing(ctx, d, folder); err != nil {
		return err
	}
	q := d.queries()
	if err := b.startsOf(ctx, "large", folder, d, &q); err != nil {
		return err
	}
	return b.compareSizes(ctx, folder, d, &q)
}

// importing runs nameplate import, until the last row is in the state.
func (b *bench) importing(ctx context.Context, d data, folder string) error {
	csv, key := b.folder("large.csv"), b.folder("large.key")
	b.progress("large: writing a table of %d rows", int(d))
	if err := d.writeCSV(csv); err != nil {
		return err
	}
	defer os.Remove(csv)
	l, err := newLocal(ctx, folder)
	if err != nil {
		return err
	}
	before, err := l.Status(ctx)
	if err := errors.Join(err, l.writeKey(key), l.stop()); err != nil {
		return err
	}
	n, command, err := b.nodeCommand(folder)
	if err != nil {
		return err
	}
	if err := b.startNode(ctx, "nameplate", n, command); err != nil {
		return err
	}
	defer n.stop()
	client, err := registryrpc.NewClient(loopback(n.grpc), registryrpc.ClientOptions{})
	if err != nil {
		return err
	}
	defer client.Close()
	status := func(ctx context.Context) (registry.Status, error) {
		s, err := client.Status(ctx)
		return s.Status, err
	}
	b.progress("large: importing")
	began, used := time.Now(), n.cpu()
	c := exec.CommandContext(ctx, b.options.Program, "import", csv, "--server", "grpc://"+loopback(n.grpc), "--key", key,
		"--id", string(served)+"/{serial}", "--link", "{+link}")
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("import: %w: %s", err, out[max(0, len(out)-500):])
	}
	acknowledged := time.Since(began)
	if err := settled(ctx, int(d), status); err != nil {
		return err
	}
	applied := time.Since(began)
	took := n.cpu().sub(used)
	after, err := status(ctx)
	if err != nil {
		return err
	}
	memory, count := n.memory(), float64(d)
	name := fmt.Sprintf("import: %d rows of CSV", int(d))
	journal, state := float64(after.Synced-before.Synced)/count, float64(after.StateBytes)/count
	return b.print(
		series{acknowledged.Seconds()}.line(name+", acknowledged", "s"),
		series{applied.Seconds()}.line(name+", in the state", "s"),
		series{micros(took.all()) / count}.line(name+": cpu of the node", "µs/row"),
		series{journal}.line("large: journal", "bytes/identifier"),
		series{state}.line("large: state", "bytes/identifier"),
		series{journal + state}.line("large: journal and state", "bytes/identifier"),
		series{megabytes(memory.anonymous)}.line("large: anonymous memory after the import", "MB"),
	)
}

// compareSizes asks the large node and the usual one in turn.
func (b *bench) compareSizes(ctx context.Context, folder string, d data, q *queries) error {
	b.progress("large: starting both nodes")
	many, err := b.serveData(ctx, folder, 1, d, q)
	if err != nil {
		return err
	}
	defer many.stop()
	few, err := b.serve(ctx, b.folder("served"), 1)
	if err != nil {
		return err
	}
	defer few.stop()
	b.progress("large: comparing every answer with the data")
	if _, err := d.verify(ctx, many.port, q); err != nil {
		return err
	}
	w, fewer := workload{"udp uniform", q, d.uniform(), udpLoad}, workload{"udp uniform", &b.queries, b.data.uniform(), udpLoad}
	var ours, theirs measured
	for round := range b.options.Rounds + 1 {
		b.progress("large: round %d", round)
		for _, turn := range []struct {
			s *nameServer
			w workload
			m *measured
		}{{many.nameServer, w, &ours}, {few.nameServer, fewer, &theirs}} {
			m := turn.m
			if round == 0 {
				m = new(measured) // warms up and does not count
			}
			if err := b.turn(turn.s, turn.w, m); err != nil {
				return err
			}
		}
	}
	name := fmt.Sprintf("large: dns udp uniform, %d names: ", int(d))
	peer := fmt.Sprintf("the node with %d names", int(b.data))
	memory := many.memory()
	cpu := ours.cpu.against(ours.cpu.line(name+"cpu", "µs/answer"), peer, theirs.cpu)
	cpu.Others = round(ours.others.median())
	return b.print(cpu,
		ours.p99.against(ours.p99.line(name+"p99", "µs"), peer, theirs.p99),
		series{megabytes(memory.anonymous)}.line("large: anonymous memory after answering", "MB"),
		series{megabytes(memory.file)}.line("large: mapped files after answering", "MB"),
	)
}

// writeKey writes the holder's key as the commands read it.
func (h *holder) writeKey(file string) error {
	text, err := h.key.MarshalPEM()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Clean(file), text, 0o600)
}
