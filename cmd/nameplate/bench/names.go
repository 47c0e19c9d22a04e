//go:build linux

package bench

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// workload is an order in which names are asked for.
type workload struct {
	name  string
	drawn []uint32
}

// measured are the figures of one server under one workload.
type measured struct {
	cpu, user, rate, p50, p99, others series
	discarded                         int
}

// names compares the node with the peers over UDP.
func (b *bench) names(ctx context.Context) error {
	servers, err := b.nameServers(ctx)
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	if err != nil {
		return err
	}
	for _, s := range servers {
		b.progress("dns: comparing every answer of %s with the data", s.name)
		octets, err := b.data.verify(ctx, s.port, &b.queries)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		l := series{octets}.line("dns: octets of an answer, "+s.name, "bytes")
		l.Note = fmt.Sprintf("all %d answers are as the data say", int(b.data))
		if err := b.print(l); err != nil {
			return err
		}
	}
	for _, w := range []workload{{"uniform", b.data.uniform()}, {"zipf", b.data.zipf()}} {
		if err := b.workload(ctx, servers, w); err != nil {
			return err
		}
	}
	return b.memories(servers)
}

// nameServers starts the node, and every peer that is installed. The node is first.
func (b *bench) nameServers(ctx context.Context) ([]*nameServer, error) {
	b.progress("dns: starting the node")
	n, err := b.serve(ctx, b.folder("served"), 1)
	if err != nil {
		return nil, err
	}
	servers := []*nameServer{n.nameServer}
	zoneFile := b.folder("zone")
	if err := b.data.writeZone(zoneFile); err != nil {
		return servers, err
	}
	for _, p := range peers() {
		if p.path() == "" {
			continue
		}
		b.progress("dns: starting %s", p.name)
		port, err := freePort()
		if err != nil {
			return servers, err
		}
		workers := "2"
		if pinned() {
			workers = "1"
		}
		command, err := p.command(b.folder(p.name), zoneFile, strconv.Itoa(port), workers)
		if err != nil {
			return servers, err
		}
		s, err := startNameServer(ctx, p.name, b.folder("logs"), p.core, port, b.data, &b.queries, command)
		if err != nil {
			return servers, err
		}
		servers = append(servers, s)
		if err := b.print(series{float64(s.took.Microseconds()) / 1e3}.line("start: "+p.name+", process start to first answer", "ms")); err != nil {
			return servers, err
		}
	}
	return servers, nil
}

// maxDiscarded is how many runs of one server may fail to count before the bench
// gives up.
const maxDiscarded = 20

// workload lets the servers take turns.
func (b *bench) workload(ctx context.Context, servers []*nameServer, w workload) error {
	all := make([]measured, len(servers))
	for round := range b.options.Rounds + 1 {
		for i, s := range servers {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			if round == 0 { // warms caches and does not count
				_, _, err := b.load(s, w, b.options.Round/3)
				if err != nil {
					return err
				}
				continue
			}
			b.progress("dns: %s, round %d, %s", w.name, round, s.name)
			if err := b.turn(s, w, &all[i]); err != nil {
				return err
			}
		}
	}
	return b.compare(servers, w, all)
}

// load asks a server for so long.
func (b *bench) load(s *nameServer, w workload, limit time.Duration) (outcome, usage, error) {
	g, err := newGenerator(s.port, &b.queries, w.drawn)
	if err != nil {
		return outcome{}, usage{}, err
	}
	defer g.close()
	var o outcome
	u, err := s.during(func() error {
		var err error
		o, err = g.run(limit, s.askerCore)
		return err
	})
	return o, u, err
}

// turn measures a server once, as often as it takes to get a run without loss.
func (b *bench) turn(s *nameServer, w workload, m *measured) error {
	for {
		o, u, err := b.load(s, w, b.options.Round)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if o.bad > 0 {
			return fmt.Errorf("%s: %s no answer to its question", s.name, plural(o.bad, "datagrams were"))
		}
		if o.lost > 0 || o.answers == 0 {
			if m.discarded++; m.discarded == maxDiscarded {
				return fmt.Errorf("%s: answers were lost in %d runs: the machine has too much to do", s.name, maxDiscarded)
			}
			continue
		}
		answers := float64(o.answers)
		m.cpu = append(m.cpu, micros(u.cpu.all())/answers)
		m.user = append(m.user, micros(u.cpu.user)/answers)
		m.rate = append(m.rate, answers/o.took.Seconds())
		m.p50 = append(m.p50, micros(o.latency.quantile(.50)))
		m.p99 = append(m.p99, micros(o.latency.quantile(.99)))
		m.others = append(m.others, u.others)
		return nil
	}
}

// compare prints the node beside each peer.
func (b *bench) compare(servers []*nameServer, w workload, all []measured) error {
	byName := map[string]*measured{}
	for i, s := range servers {
		byName[s.name] = &all[i]
	}
	ours := all[0]
	inverse := func(of series) series { // answers per CPU second
		var s series
		for _, v := range of {
			s = append(s, 1e6/v)
		}
		return s
	}
	for _, p := range peers() {
		theirs := byName[p.name]
		if theirs == nil {
			theirs = &measured{}
		}
		for _, f := range []struct {
			name, unit string
			ours, peer series
		}{
			{"cpu", "µs/answer", ours.cpu, theirs.cpu},
			{"cpu, user part", "µs/answer", ours.user, theirs.user},
			{"answers per cpu second", "1/s", inverse(ours.cpu), inverse(theirs.cpu)},
			{"answers", "1/s", ours.rate, theirs.rate},
			{"p50 with 96 under way", "µs", ours.p50, theirs.p50},
			{"p99 with 96 under way", "µs", ours.p99, theirs.p99},
		} {
			l := f.ours.against(f.ours.line("dns udp "+w.name+": "+f.name, f.unit), p.name, f.peer)
			l.Discarded, l.Others = ours.discarded+theirs.discarded, round(ours.others.median())
			if err := b.print(l); err != nil {
				return err
			}
		}
	}
	return nil
}

// memories prints what the servers hold after they have answered.
func (b *bench) memories(servers []*nameServer) error {
	ours := servers[0].memory()
	one := func(octets float64) series { return series{megabytes(octets)} }
	if err := b.print(one(ours.anonymous).line("memory after answering: anonymous", "MB"), one(ours.file).line("memory after answering: mapped files", "MB")); err != nil {
		return err
	}
	for _, s := range servers[1:] {
		theirs := s.memory()
		l := one(ours.proportional).against(one(ours.proportional).line("memory after answering: all, shared pages once", "MB"), s.name, one(theirs.proportional))
		if err := b.print(l); err != nil {
			return err
		}
	}
	return nil
}
