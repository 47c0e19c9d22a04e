package dns

import (
	"sync/atomic"

	"github.com/miekg/dns"
)

// rcodes is how many response codes a header can carry.
const rcodes = 16

// counts are what a server counts while it works.
type counts struct {
	datagrams, messages            atomic.Uint64
	plain, plainMessages           atomic.Uint64
	dropped, overloaded, truncated atomic.Uint64
	limited, hashed                atomic.Uint64
	answers                        [rcodes]atomic.Uint64
}

// Stats are what a server has done since it was made. Every number but Connections
// only grows.
type Stats struct {
	Datagrams uint64 // queries read over UDP
	Messages  uint64 // queries read over TCP
	// Plain are the datagrams that were answered from Options.Records, PlainMessages the
	// messages; all others took the long way.
	Plain, PlainMessages uint64
	// Hashed are the questions, over UDP and TCP, about names that carry a hash. They cost
	// more than others: a hash leads to its identifier first.
	Hashed uint64
	// Dropped datagrams and messages got no answer: garbage, responses, and what came
	// when there was too much to do.
	Dropped uint64
	// Limited are the datagrams that were too many from one network: half of them got TC.
	Limited uint64
	// Overloaded questions were turned down by the Resolver.
	Overloaded uint64
	Truncated  uint64 // answers with TC
	// Connections are open now, TurnedAway were closed at once.
	Connections, TurnedAway int64
	// Answers by the name of the response code.
	Answers map[string]uint64
}

// Stats returns the numbers; those of one answer may be seen in part.
func (s *Server) Stats() Stats {
	c := &s.counts
	stats := Stats{
		Datagrams: c.datagrams.Load(), Messages: c.messages.Load(),
		Plain: c.plain.Load(), PlainMessages: c.plainMessages.Load(), Hashed: c.hashed.Load(), Dropped: c.dropped.Load(), Limited: c.limited.Load(),
		Overloaded: c.overloaded.Load(), Truncated: c.truncated.Load(),
		Connections: s.connections.Open(), TurnedAway: s.connections.TurnedAway(), Answers: map[string]uint64{},
	}
	for rcode := range c.answers {
		if n := c.answers[rcode].Load(); n > 0 {
			stats.Answers[dns.RcodeToString[rcode]] = n
		}
	}
	return stats
}

// count counts an answer and returns it.
func (s *Server) count(answer []byte) []byte {
	s.counts.answers[answer[3]%rcodes].Add(1)
	if answer[2]&0x02 != 0 {
		s.counts.truncated.Add(1)
	}
	return answer
}
