//go:build linux

package bench

import (
	"context"
	"fmt"
	"time"
)

// workload is an order in which names are asked for, over one transport.
type workload struct {
	name    string // "udp uniform"
	queries *queries
	drawn   []uint32
	load    func(s *nameServer, q *queries, drawn []uint32, limit time.Duration) (outcome, error)
}

// measured are the figures of one server under one workload.
type measured struct {
	cpu, user, rate, p50, p99, others series
	discarded                         int
}

// best are the peers whose better one, round by round, a target speaks of.
func best(transport string) []string {
	if transport == "tcp" {
		return []string{"nsd", "knot", "bind"}
	}
	return []string{"nsd", "knot"}
}

// names compares the node with the peers over UDP.
func (b *bench) names(ctx context.Context) error {
	servers, err := b.nameServers(ctx, "dns", b.against())
	defer stopAll(&servers)
	if err != nil {
		return err
	}
	for _, w := range []workload{
		{"udp uniform", &b.queries, b.data.uniform(), udpLoad}, {"udp zipf", &b.queries, b.data.zipf(), udpLoad},
	} {
		all, err := b.workload(ctx, servers, w)
		if err == nil {
			err = b.compare(servers, b.against(), w, all, best("udp"))
		}
		if err != nil {
			return err
		}
	}
	return b.memories(servers)
}

// streams compares the node with the peers over TCP, where every connection has many
// questions under way.
func (b *bench) streams(ctx context.Context) error {
	var some []peer
	for _, p := range b.against() {
		if p.tcp {
			some = append(some, p)
		}
	}
	servers, err := b.nameServers(ctx, "dns-tcp", some)
	defer stopAll(&servers)
	if err != nil {
		return err
	}
	w := workload{"tcp pipelined", &b.queries, b.data.uniform(), tcpLoad}
	all, err := b.workload(ctx, servers, w)
	if err != nil {
		return err
	}
	return b.compare(servers, some, w, all, best("tcp"))
}

func stopAll(servers *[]*nameServer) {
	for _, s := range *servers {
		s.stop()
	}
}

// nameServers starts the node, and those of some peers that are installed. The node
// is first. Every answer of each is compared with the data.
func (b *bench) nameServers(ctx context.Context, part string, some []peer) ([]*nameServer, error) {
	b.progress("%s: starting the node", part)
	n, err := b.serve(ctx, b.folder("served"), 1)
	if err != nil {
		return nil, err
	}
	servers := []*nameServer{n.nameServer}
	if err := b.zone(); err != nil {
		return servers, err
	}
	others, err := b.startPeers(ctx, part, some)
	servers = append(servers, others...)
	if err != nil {
		return servers, err
	}
	for _, s := range servers {
		if s.floor {
			continue
		}
		b.progress("%s: comparing every answer of %s with the data", part, s.name)
		octets, err := b.data.verify(ctx, s.port, &b.queries)
		if err != nil {
			return servers, fmt.Errorf("%s: %w", s.name, err)
		}
		l := series{octets}.line("dns: octets of an answer, "+s.name, "bytes")
		l.Note = fmt.Sprintf("all %d answers are as the data say", int(b.data))
		if err := b.print(l); err != nil {
			return servers, err
		}
	}
	return servers, nil
}

// maxDiscarded is how many runs of one server may fail to count before the bench
// gives up.
const maxDiscarded = 20

// workload lets the servers take turns.
func (b *bench) workload(ctx context.Context, servers []*nameServer, w workload) ([]measured, error) {
	all := make([]measured, len(servers))
	for round := range b.options.Rounds + 1 {
		for i, s := range servers {
			if err := ctx.Err(); err != nil {
				return nil, context.Cause(ctx)
			}
			if round == 0 { // warms caches and does not count
				if _, _, err := b.load(s, w, b.options.Round/3); err != nil {
					return nil, fmt.Errorf("%s: %w", s.name, err)
				}
				continue
			}
			b.progress("dns: %s, round %d, %s", w.name, round, s.name)
			if err := b.turn(s, w, &all[i]); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// load asks a server for so long.
func (b *bench) load(s *nameServer, w workload, limit time.Duration) (outcome, usage, error) {
	var o outcome
	u, err := s.during(func() error {
		var err error
		o, err = w.load(s, w.queries, w.drawn, limit)
		return err
	})
	return o, u, err
}

// udpLoad asks over UDP.
func udpLoad(s *nameServer, q *queries, drawn []uint32, limit time.Duration) (outcome, error) {
	g, err := newGenerator(s.port, q, drawn)
	if err != nil {
		return outcome{}, err
	}
	defer g.close()
	return g.run(limit, s.askerCore)
}

// turn measures a server once, as often as it takes to get a run without loss.
func (b *bench) turn(s *nameServer, w workload, m *measured) error {
	for {
		o, u, err := b.load(s, w, b.options.Round)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if o.bad > 0 {
			return fmt.Errorf("%s: %s no answer to its question", s.name, plural(o.bad, "messages were"))
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

// compare prints the node beside each peer, and beside the better of some.
func (b *bench) compare(servers []*nameServer, some []peer, w workload, all []measured, best []string) error {
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
	for _, p := range some {
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
			{"p50", "µs", ours.p50, theirs.p50},
			{"p99", "µs", ours.p99, theirs.p99},
		} {
			l := f.ours.against(f.ours.line("dns "+w.name+": "+f.name, f.unit), p.name, f.peer)
			l.Discarded, l.Others = ours.discarded+theirs.discarded, round(ours.others.median())
			if err := b.print(l); err != nil {
				return err
			}
		}
	}
	var least series
	for _, name := range best {
		if theirs := byName[name]; theirs != nil {
			least = least.least(theirs.cpu)
		}
	}
	if len(least) == 0 {
		return nil
	}
	return b.print(ours.cpu.against(ours.cpu.line("dns "+w.name+": cpu", "µs/answer"), "best of "+list(best), least))
}

// memories prints what the servers hold after they have answered.
func (b *bench) memories(servers []*nameServer) error {
	ours := servers[0].memory()
	one := func(octets float64) series { return series{megabytes(octets)} }
	if err := b.print(one(ours.anonymous).line("memory after answering: anonymous", "MB"), one(ours.file).line("memory after answering: mapped files", "MB")); err != nil {
		return err
	}
	for _, s := range servers[1:] {
		if s.floor {
			continue
		}
		theirs := s.memory()
		l := one(ours.proportional).against(one(ours.proportional).line("memory after answering: all, shared pages once", "MB"), s.name, one(theirs.proportional))
		if err := b.print(l); err != nil {
			return err
		}
	}
	return nil
}
