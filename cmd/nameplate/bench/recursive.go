//go:build linux

package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

// recursiveCached is how many names are asked for again and again: all fit the cache.
const recursiveCached = 10_000

// recursive measures a recursive node before the node that holds the names: names that
// it has in its cache, and names that it walks for, each asked for once.
func (b *bench) recursive(ctx context.Context) error {
	b.progress("recursive: starting the node")
	n, err := b.serve(ctx, b.folder("served"), 0)
	if err != nil {
		return err
	}
	defer n.stop()
	q := b.queries.recursive()
	cached := make([]uint32, 1<<16)
	for i := range cached {
		cached[i] = uint32(i*7919) % min(recursiveCached, uint32(b.data))
	}
	every := make([]uint32, int(b.data))
	for i := range every {
		every[i] = uint32(i)
	}
	next := 0 // of every
	for _, w := range []workload{
		{"cached", &q, cached, udpLoad},
		{"walked", &q, every, func(s *nameServer, q *queries, drawn []uint32, limit time.Duration) (outcome, error) {
			o, err := udpLoad(s, q, drawn[next:], limit)
			if next += int(o.answers) + int(o.lost) + sockets*perSocket; next > len(drawn)/2 {
				next = 0 // what was asked for so long ago has left the cache
			}
			return o, err
		}},
	} {
		s, err := b.walker(ctx, n, &q)
		if err != nil {
			return err
		}
		all, err := b.workload(ctx, []*nameServer{s}, w)
		s.stop()
		if err != nil {
			return err
		}
		if err := b.printRecursive(w.name, &all[0]); err != nil {
			return err
		}
	}
	return nil
}

// recursive returns the same questions with the flag that asks for recursion.
func (q *queries) recursive() queries {
	asked := *q
	asked.packets = slices.Clone(q.packets)
	for at := 0; at < len(asked.packets); at += asked.size {
		asked.packets[at+2] |= 1 // RD (RFC 1035, section 4.1.1)
	}
	return asked
}

// walker starts a recursive node that begins at another, which holds the root.
func (b *bench) walker(ctx context.Context, n *node, q *queries) (*nameServer, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	file := b.folder("recursive.yaml")
	text := fmt.Sprintf("recursive:\n  roots:\n    - name: top\n      addresses: [{ip: 127.0.0.1, dns: %d, grpc: %d}]\n", n.port, n.grpc)
	if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
		return nil, err
	}
	return startNameServer(ctx, "recursive", b.folder("logs"), 1, port, b.data, q, []string{
		b.options.Program, "serve", "--config", file, "--log-level", "warn",
		"--dns", loopback(port), "--grpc", "off", "--http", "off", "--handle", "off",
	})
}

func (b *bench) printRecursive(name string, m *measured) error {
	for _, f := range []struct {
		name, unit string
		of         series
	}{
		{"cpu of the recursive node", "µs/answer", m.cpu}, {"answers", "1/s", m.rate}, {"p50", "µs", m.p50}, {"p99", "µs", m.p99},
	} {
		l := f.of.line("recursive "+name+": "+f.name, f.unit)
		l.Discarded, l.Others = m.discarded, round(m.others.median())
		if err := b.print(l); err != nil {
			return err
		}
	}
	return nil
}
