package handle

import "sync/atomic"

// counts are what a server counts while it works.
type counts struct {
	datagrams, plain, dropped, messages atomic.Uint64
}

// Stats are what a server has done since it was made. Every number but Connections
// only grows.
type Stats struct {
	Datagrams uint64 // received, fragments one by one
	Messages  uint64 // read over TCP
	// Plain are the datagrams that were answered from Options.Records; all others took
	// the long way.
	Plain uint64
	// Dropped datagrams got no answer: garbage, and what came when there was too much
	// to do.
	Dropped uint64
	// Connections are open now, TurnedAway were closed at once.
	Connections, TurnedAway int64
}

// Stats returns the numbers.
func (s *Server) Stats() Stats {
	c := &s.counts
	return Stats{
		Datagrams: c.datagrams.Load(), Messages: c.messages.Load(), Plain: c.plain.Load(), Dropped: c.dropped.Load(),
		Connections: s.connections.Open(), TurnedAway: s.connections.TurnedAway(),
	}
}
