//go:build linux

package bench

import (
	"context"
	"errors"
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// mostHashed is how many identifiers are asked for by the hash of their suffix.
const mostHashed = 100_000

// long are identifiers whose names have no room for their suffix, and carry its hash.
func (d data) long() linked {
	more := strings.Repeat("-batch-4711", 10)
	return linked{int(d), func(i int) identifier.ID {
		id := d.id(i)
		id.Suffix += more
		return id
	}, d.link}
}

// hashed compares names that carry a hash with others, at a node that has as many of both.
func (b *bench) hashed(ctx context.Context) error {
	d := data(min(int(b.data), mostHashed))
	plain, long := d.links(), d.long()
	folder := b.folder("hashed")
	if err := fillBoth(ctx, folder, plain, long); err != nil {
		return err
	}
	short, hashes := plain.queries(), long.queries()
	n, err := b.serveData(ctx, folder, 1, d, &short)
	if err != nil {
		return err
	}
	defer n.stop()
	b.progress("dns-hashed: comparing every answer with the data")
	if _, err := long.verify(ctx, n.port, &hashes); err != nil {
		return err
	}
	drawn := d.uniform()
	for _, transport := range []workload{{name: "udp", load: udpLoad}, {name: "tcp", load: tcpLoad}} {
		if err := b.compareHashed(ctx, n.nameServer, transport, &short, &hashes, drawn); err != nil {
			return err
		}
	}
	return nil
}

// compareHashed asks for both over one transport, in turn.
func (b *bench) compareHashed(ctx context.Context, s *nameServer, transport workload, short, hashes *queries, drawn []uint32) error {
	var ours, theirs measured
	for round := range b.options.Rounds + 1 {
		b.progress("dns-hashed: %s, round %d", transport.name, round)
		for _, turn := range []struct {
			q *queries
			m *measured
		}{{hashes, &ours}, {short, &theirs}} {
			m := turn.m
			if round == 0 {
				m = new(measured) // warms up and does not count
			}
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			if err := b.turn(s, workload{transport.name, turn.q, drawn, transport.load}, m); err != nil {
				return err
			}
		}
	}
	name := "dns " + transport.name + ", names by hash: "
	const peer = "names with the suffix in them"
	cpu := ours.cpu.against(ours.cpu.line(name+"cpu", "µs/answer"), peer, theirs.cpu)
	cpu.Others = round(ours.others.median())
	return b.print(cpu, ours.p99.against(ours.p99.line(name+"p99", "µs"), peer, theirs.p99))
}

// fillBoth begins a registry with both kinds of identifiers.
func fillBoth(ctx context.Context, folder string, plain, long linked) (err error) {
	l, err := newLocal(ctx, folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.stop()) }()
	for first := 0; first < plain.count; first += batchRows / 2 {
		var rows []identifier.Row
		for i := first; i < min(first+batchRows/2, plain.count); i++ {
			rows = append(rows, row(plain.id(i), plain.link(i)), row(long.id(i), long.link(i)))
		}
		sortRows(rows)
		c, err := l.sign(rows)
		if err == nil {
			_, err = l.Register(ctx, c)
		}
		if err != nil {
			return err
		}
	}
	return settled(ctx, 2*plain.count, l.Status)
}
