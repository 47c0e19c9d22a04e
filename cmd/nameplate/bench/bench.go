//go:build linux

package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// bench is one run.
type bench struct {
	options Options
	root    string // a folder of its own
	data    data
	queries queries
}

func run(ctx context.Context, o Options) (err error) {
	root, err := os.MkdirTemp(o.Folder, "nameplate-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	b := &bench{options: o, root: root, data: data(o.Identifiers)}
	if err := b.print(b.about()); err != nil {
		return err
	}
	serves := func(part string) bool {
		return slices.Contains([]string{"bulk", "dns", "dns-tcp", "grpc", "http", "rest", "handle", "recursive", "copy", "lag", "large"}, part)
	}
	if slices.ContainsFunc(o.Only, serves) {
		b.queries = b.data.queries()
		if err := b.build(ctx); err != nil {
			return fmt.Errorf("bulk: %w", err)
		}
	}
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"bulk", b.starts}, {"dns", b.names}, {"dns-tcp", b.streams}, {"dns-hashed", b.hashed}, {"grpc", b.calls}, {"http", b.links}, {"rest", b.rest}, {"handle", b.handles}, {"recursive", b.recursive},
		{"register", b.registrations}, {"register-grpc", b.remoteRegistrations}, {"sustain", b.sustainOrdered}, {"sustain-random", b.sustainScattered},
		{"copy", b.firstCopy}, {"lag", b.lag}, {"large", b.large},
	} {
		if !slices.Contains(o.Only, part.name) {
			continue
		}
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// step is how far apart the identifiers are whose answers are compared one after the
// other: 100,000 of them, or 10,000 when it is quick.
func (b *bench) step() int {
	most := 100_000
	if b.options.Quick {
		most = 10_000
	}
	return max(1, int(b.data)/most)
}

func (b *bench) folder(name string) string { return filepath.Join(b.root, name) }

func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(b.options.Progress, "bench: "+format+"\n", args...)
}

// print writes some lines.
func (b *bench) print(lines ...any) error {
	p := printer{b.options.Out}
	for _, l := range lines {
		if err := p.print(l); err != nil {
			return err
		}
	}
	return nil
}

// zoneFile is where the data are as name servers read them.
const zoneFile = "zone"

// zone writes the data for name servers, once.
func (b *bench) zone() error {
	if _, err := os.Stat(b.folder(zoneFile)); err == nil {
		return nil
	}
	return b.data.writeZone(b.folder(zoneFile))
}

func (b *bench) about() About {
	versions := map[string]string{}
	for _, p := range b.against() {
		if !p.floor {
			versions[p.name] = b.versionOf(p.program, p.version...)
		}
	}
	for _, p := range b.etcds() {
		versions[p.name] = versionAt(p.path, "--version")
	}
	return About{
		Bench: "about", Version: b.options.Version, Go: runtime.Version(), Kernel: kernel(), Processor: processor(),
		Processors: runtime.NumCPU(), FileSystem: fileSystem(b.root), Peers: versions,
		Identifiers: int(b.data), Rounds: b.options.Rounds, Round: b.options.Round.String(),
	}
}

// node is a serving node.
type node struct {
	*nameServer
	grpc, http int // ports
}

// nodeCommand chooses ports for a node over a folder and returns how to start it.
func (b *bench) nodeCommand(folder string, arguments ...string) (*node, []string, error) {
	n := &node{nameServer: &nameServer{}}
	for _, port := range []*int{&n.port, &n.grpc, &n.http} {
		var err error
		if *port, err = freePort(); err != nil {
			return nil, nil, err
		}
	}
	command := []string{b.options.Program, "serve"}
	if b.options.Profile != "" {
		command = []string{b.options.Program, "bench", "node", "--profile", b.options.Profile}
	}
	command = append(command, "--data", folder, "--log-level", "warn",
		"--dns", loopback(n.port), "--grpc", loopback(n.grpc), "--http", loopback(n.http), "--handle", "off")
	return n, append(command, arguments...), nil
}

// serve starts the node over a folder that holds data, on one processor or on any, and
// waits until it answers for the first of them.
func (b *bench) serve(ctx context.Context, folder string, core int) (*node, error) {
	return b.serveData(ctx, folder, core, b.data, &b.queries)
}

func (b *bench) serveData(ctx context.Context, folder string, core int, d data, q *queries) (*node, error) {
	n, command, err := b.nodeCommand(folder)
	if err != nil {
		return nil, err
	}
	n.nameServer, err = startNameServer(ctx, "nameplate", b.folder("logs"), core, n.port, d, q, command)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// startNode starts a node of any data, on all processors, and waits until it takes
// gRPC calls.
func (b *bench) startNode(ctx context.Context, name string, n *node, command []string) (err error) {
	n.process, err = start(ctx, name, b.folder("logs"), anyCore, listens(n.grpc), command...)
	return err
}

// run is what a server did while something was asked of it.
type usage struct {
	took   time.Duration
	cpu    cpuTime
	others float64 // processors that the rest of the machine used
}

// during measures a server while something is done to it.
func (p *process) during(do func() error) (usage, error) {
	self := []int{os.Getpid()}
	began, server, own, machine := time.Now(), p.cpu(), cpuOf(self), machineCPU()
	err := do()
	u := usage{took: time.Since(began), cpu: p.cpu().sub(server)}
	rest := machineCPU() - machine - u.cpu.all() - cpuOf(self).sub(own).all()
	u.others = max(0, rest.Seconds()/u.took.Seconds())
	return u, err
}

// micros is a span in microseconds.
func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

// megabytes are 10^6 octets.
func megabytes(octets float64) float64 { return octets / 1e6 }

// list names some things for people.
func list(names []string) string { return strings.Join(names, ", ") }

// plural words a count for people.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, strings.TrimSuffix(what, "s"))
}
