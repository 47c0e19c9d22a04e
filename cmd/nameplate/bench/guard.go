//go:build linux

package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// check is [Check].
func check(ctx context.Context, o Options, file string, update bool) error {
	o.Identifiers, o.Rounds, o.Round = 100_000, 1, time.Second
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	root, err := os.MkdirTemp(o.Folder, "nameplate-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	b := &bench{options: o, root: root, data: data(o.Identifiers)}
	b.queries = b.data.queries()
	now, err := b.guarded(ctx)
	if err != nil {
		return err
	}
	for _, g := range now {
		if err := b.print(g); err != nil {
			return err
		}
	}
	if update {
		text, err := json.MarshalIndent(now, "", "\t")
		if err != nil {
			return err
		}
		return os.WriteFile(file, append(text, '\n'), 0o644)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var baseline []Guarded
	if err := json.Unmarshal(text, &baseline); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	worse, missing := Compare(now, baseline)
	for _, name := range missing {
		fmt.Fprintf(o.Out, "{\"bench\":%q,\"absent\":true}\n", name)
	}
	var failures []error
	for _, r := range worse {
		failures = append(failures, errors.New(r.String()))
	}
	return errors.Join(failures...)
}

// guarded measures everything that is guarded.
func (b *bench) guarded(ctx context.Context) ([]Guarded, error) {
	out := b.options.Out
	var all []Guarded
	add := func(bench string, value float64, unit string) {
		value = round(value)
		all = append(all, Guarded{bench, value, unit, round(margin(unit, value))})
	}
	b.options.Out = collector(func(l Line) {
		if l.Unit == unitBytes {
			add(l.Bench, l.Value, l.Unit)
		}
	})
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	b.options.Out = out
	n, err := b.serve(ctx, b.folder("served"), anyCore)
	if err != nil {
		return nil, err
	}
	defer n.stop()
	ways, end, err := b.guardedWays(n)
	if err != nil {
		return nil, err
	}
	defer end()
	for _, w := range ways {
		b.progress("check: %s", w.name)
		if _, err := w.ask(ctx, b.options.Round); err != nil { // what is made once is made now
			return nil, err
		}
		before, err := n.allocations()
		if err != nil {
			return nil, err
		}
		answers, err := w.ask(ctx, b.options.Round)
		if err != nil {
			return nil, err
		}
		after, err := n.allocations()
		if err != nil {
			return nil, err
		}
		add(w.name+": allocations", (after-before)/float64(answers), unitAllocations)
	}
	for _, w := range ways {
		calls, answers, err := n.calls(ctx, func() (int, error) { return w.ask(ctx, b.options.Round) })
		switch {
		case errors.Is(err, errNoTrace):
			b.progress("check: %v", err)
			return all, nil
		case err != nil:
			return nil, err
		}
		add(w.name+": system calls", float64(calls)/float64(answers)*1000, unitCalls)
	}
	return all, nil
}

// collector takes the figures that are printed.
type collector func(Line)

func (c collector) Write(text []byte) (int, error) {
	var l Line
	if err := json.Unmarshal(text, &l); err != nil {
		return 0, err
	}
	c(l)
	return len(text), nil
}

// guardedWay is one way to ask. It returns how many answers came.
type guardedWay struct {
	name string
	ask  func(ctx context.Context, limit time.Duration) (int, error)
}

// guardedWays are all ways to ask that are guarded.
func (b *bench) guardedWays(n *node) (ways []guardedWay, end func(), err error) {
	drawn := b.data.uniform()
	s := &nameServer{process: n.process, port: n.port, askerCore: anyCore}
	right := func(o outcome, err error) (int, error) {
		if err == nil && (o.bad > 0 || o.lost > 0 || o.answers == 0) {
			err = fmt.Errorf("%d answers, %d of them bad, %d lost", o.answers, o.bad, o.lost)
		}
		return o.answers, err
	}
	ways = []guardedWay{
		{"dns udp", func(_ context.Context, limit time.Duration) (int, error) {
			g, err := newGenerator(n.port, &b.queries, drawn)
			if err != nil {
				return 0, err
			}
			defer g.close()
			return right(g.bursts(limit, n.process))
		}},
		{"dns tcp", func(_ context.Context, limit time.Duration) (int, error) {
			return right(tcpLoad(s, &b.queries, drawn, limit))
		}},
	}
	clients, closeClients, err := b.callers(n)
	if err != nil {
		return nil, nil, err
	}
	browsers, closeBrowsers := newBrowsers(n.http)
	asked := func(a *asking) func(context.Context, time.Duration) (int, error) {
		return func(ctx context.Context, limit time.Duration) (int, error) {
			a.server = s
			err := a.turn(ctx, drawn, limit, true)
			return a.answered, err
		}
	}
	ways = append(ways,
		guardedWay{"grpc unary", asked(&asking{name: "unary", callers: 16, answers: 1, request: b.unary(clients)})},
		guardedWay{"grpc batch", asked(&asking{name: "batches", callers: 1, answers: 10 * batchRows, request: b.batches(clients)})},
		guardedWay{"http redirect", asked(&asking{name: "redirect", callers: 16, answers: 1, request: b.followers(browsers)})})
	return ways, func() { closeClients(); closeBrowsers() }, nil
}

// allocations is how many objects the node has allocated since its start.
func (n *node) allocations() (float64, error) {
	r, err := http.Get("http://" + loopback(n.http) + "/metrics")
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "go_memstats_mallocs_total "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, errors.New("the node does not tell how much it allocates")
}

// errNoTrace says that nobody can count system calls here.
var errNoTrace = errors.New("system calls are not counted: install strace, and let it trace")

// traced are the system calls that an answer may cost. What the scheduler does to wait,
// and how often, depends on the machine.
const traced = "trace=%network,read,write,readv,writev,pread64,pwrite64"

// calls counts the system calls of the node while something is asked of it.
func (n *node) calls(ctx context.Context, ask func() (int, error)) (calls, answers int, err error) {
	path, err := exec.LookPath("strace")
	if err != nil {
		return 0, 0, errNoTrace
	}
	c := exec.CommandContext(ctx, path, "-f", "-c", "-U", "calls,name", "-e", traced, "-p", strconv.Itoa(n.cmd.Process.Pid))
	said, err := c.StderrPipe()
	if err != nil {
		return 0, 0, err
	}
	if err := c.Start(); err != nil {
		return 0, 0, errNoTrace
	}
	// It says when it is attached; the table of all calls comes at its end.
	first := make([]byte, 4096)
	k, _ := said.Read(first)
	if !strings.Contains(string(first[:k]), "attached") {
		_ = c.Wait()
		return 0, 0, errNoTrace
	}
	answers, asked := ask()
	_ = c.Process.Signal(os.Interrupt)
	table, _ := io.ReadAll(said)
	_ = c.Wait()
	if asked != nil {
		return 0, 0, asked
	}
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) != 2 || fields[1] == "total" {
			continue
		}
		if n, err := strconv.Atoi(fields[0]); err == nil {
			calls += n
		}
	}
	if calls == 0 {
		return 0, 0, errNoTrace
	}
	return calls, answers, nil
}
