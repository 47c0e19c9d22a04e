package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/tcp"

	"github.com/miekg/dns"
)

// maxTurn is how many octets of answers end a turn, so that little is kept for who does
// not read them.
const maxTurn = 64 << 10

var errUnanswered = errors.New("there is no answer, and the connection ends for it")

// turn answers what came together on a connection: at most a batch of queries.
func (s *Server) turn(ctx context.Context, from tcp.Asker, come, b []byte) (taken int, answers []byte, err error) {
	t := s.turns.Get().(*streamTurn)
	defer s.turns.Put(t)
	defer t.forget()
	broken := t.read(come)
	taken, b, err = t.answer(ctx, from.Address(), b)
	if err == nil && broken != nil && t.given == t.n {
		s.counts.dropped.Add(1)
		err = broken
	}
	return taken, b, err
}

// streamTurn answers some queries that came over TCP, in their order. It belongs to one
// goroutine.
type streamTurn struct {
	s       *Server
	n       int // queries
	given   int // of them are answered
	queries [batchSize][]byte
	plain   *plain
	answers [batchSize][]byte // the plain ones
	lent    func() (found, absent int)
}

func (s *Server) newStreamTurn() *streamTurn {
	t := &streamTurn{s: s, plain: s.newPlain(true)}
	t.lent = t.answerPlain
	return t
}

// forget keeps nothing of the turn.
func (t *streamTurn) forget() {
	clear(t.queries[:t.n])
	clear(t.answers[:t.n])
	t.plain.begin()
	t.n, t.given = 0, 0
}

// read takes the queries that are whole, each with its length in front (RFC 1035, section
// 4.2.2). The error says that what follows them is none.
func (t *streamTurn) read(come []byte) error {
	for ; t.n < batchSize && len(come) >= 2; t.n++ {
		n := int(binary.BigEndian.Uint16(come))
		if n < headerOctets || n > maxQuery {
			return errQueryTooLong
		}
		if len(come) < 2+n {
			break
		}
		t.queries[t.n], come = come[2:2+n:2+n], come[2+n:]
	}
	return nil
}

// answer appends the answers, in full to what is not plain, until there is a lot of them, and
// returns how many octets of queries these are for.
func (t *streamTurn) answer(ctx context.Context, from netip.Addr, b []byte) (taken int, _ []byte, err error) {
	t.answerAllPlain(from)
	plainly := uint64(0)
	var limited *resolver.Patient
	for i := 0; i < t.n && len(b) < maxTurn && err == nil; i++ {
		answer := t.answers[i]
		if answer != nil {
			plainly++
			t.s.count(answer)
		} else {
			if limited == nil {
				limited = resolver.Until(ctx, time.Now().Add(t.s.o.Patience))
				defer limited.Release()
			}
			if answer = t.s.Stream(limited, t.queries[i], from); answer == nil {
				err = errUnanswered
			}
		}
		if answer != nil {
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(answer))), answer...)
		}
		taken += 2 + len(t.queries[i])
		t.given++
	}
	t.s.counts.messages.Add(uint64(t.given))
	t.s.counts.plainMessages.Add(plainly)
	return taken, b, err
}

// answerAllPlain answers the plain questions among all.
func (t *streamTurn) answerAllPlain(from netip.Addr) {
	records := t.s.o.Records
	if records == nil {
		return
	}
	for i := range t.n {
		if t.plain.take(i, t.queries[i]) {
			t.plain.bake(from)
		}
	}
	if t.plain.n > 0 {
		// What cannot be had is looked for once more, by who says why.
		_ = records.Lend(t.plain.loans[:t.plain.n], t.lent)
	}
}

// answerPlain answers what is plain while the records are lent, and returns how many questions
// it answered.
func (t *streamTurn) answerPlain() (found, absent int) {
	for i := range t.plain.n {
		answer := t.plain.answer(i)
		if answer == nil {
			continue
		}
		t.answers[t.plain.asked[i].of] = answer
		if answer[3]&0xf == dns.RcodeNameError {
			absent++
		} else {
			found++
		}
	}
	t.s.counts.hashed.Add(t.plain.hashed)
	return found, absent
}
