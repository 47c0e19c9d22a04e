package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
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
	return append([]string{"import", im.path, "--key", d.net.Key(im.firm), "--server", d.net.Server(im.node, "grpcs"),
		"--server-key", d.net.NodeKey(im.node.Name),
		"--results", im.results, "--json"}, im.mapping(im)...)
}

// importsAtOnce is how many holders import at the same time.
const importsAtOnce = 8

// importAll lets all holders import what they have. Meanwhile single registrations show
// how far the mirrors are behind while there is much to do.
func (d *demo) importAll(ctx context.Context) error {
	s := d.tell.step("import")
	began := time.Now()
	for _, im := range d.imports {
		d.figures.registered += len(im.rows)
	}
	imports, holders := slices.Clone(d.imports), map[string]bool{}
	probe, err := d.newProbe("busy")
	if err != nil {
		return err
	}
	defer probe.close()
	var done atomic.Int64
	ended := make(chan struct{})
	outer, inner := errgroup.WithContext(ctx)
	outer.Go(func() error {
		defer close(ended)
		g, ctx := errgroup.WithContext(inner)
		g.SetLimit(importsAtOnce)
		for _, im := range imports {
			holders[im.firm] = true
			g.Go(func() error {
				if err := d.runImport(ctx, im); err != nil {
					return fmt.Errorf("at node %s: %w", im.node.Name, err)
				}
				n := int(done.Add(int64(len(im.rows))))
				s.show("%s %s of %s", bar(n, d.figures.registered), count(n), count(d.figures.registered))
				return nil
			})
		}
		err := g.Wait()
		d.figures.imported = time.Since(began)
		return err
	})
	outer.Go(func() error { return probe.run(inner, ended) })
	if err := outer.Wait(); err != nil {
		return err
	}
	d.figures.busy = probe.lags
	s.done("%s identifiers by %d holders at %d nodes, %d at a time, %s a second, every change signed and synced",
		count(d.figures.registered), len(holders), len(nodesOf(imports)), importsAtOnce, count(rate(d.figures.registered, d.figures.imported)))
	if warned := warnings(imports); warned > 0 {
		d.tell.note("warned of %s products: a GTIN-8 that begins with 0 or 2 is for use inside one company only", count(warned))
	}
	return nil
}

// nodesOf returns the names of the nodes of imports.
func nodesOf(imports []*imported) map[string]bool {
	names := map[string]bool{}
	for _, im := range imports {
		names[im.node.Name] = true
	}
	return names
}

func warnings(imports []*imported) (n int) {
	for _, im := range imports {
		n += im.outcome.Warnings
	}
	return n
}

// runImport runs one import to its end.
func (d *demo) runImport(ctx context.Context, im *imported) error {
	out, err := d.program.run(ctx, d.arguments(im)...)
	if err != nil {
		return err
	}
	if err := im.outcome.read(out); err != nil {
		return err
	}
	if want := len(im.rows); im.outcome.Registered != want || im.outcome.Rows != want {
		return fmt.Errorf("import says that it registered %s of %s rows of %s, which has %s",
			count(im.outcome.Registered), count(im.outcome.Rows), im.path, count(want))
	}
	if im.name == "GS1" && im.outcome.Warnings != restricted(im.rows) {
		return fmt.Errorf("import warned of %d rows of %s; %d are for restricted circulation", im.outcome.Warnings, im.path, restricted(im.rows))
	}
	return nil
}

func rate(n int, took time.Duration) int { return int(float64(n) / max(took.Seconds(), 0.001)) }

func (o *outcome) read(text string) error {
	if err := json.Unmarshal([]byte(text), o); err != nil {
		return fmt.Errorf("import --json wrote %q: %w", text, err)
	}
	return nil
}
