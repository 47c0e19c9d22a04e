package dns_test

import (
	"context"
	"encoding/binary"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/dns"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"

	wire "github.com/miekg/dns"
)

const (
	slowRead     = 2 * time.Millisecond // for a record
	loadPatience = 150 * time.Millisecond
	overload     = 10 // times what can be answered
	loadTime     = 1500 * time.Millisecond
)

// slowStore takes its time for each record, one after the other.
type slowStore struct {
	dns.Records
	resolver.Resolver
	turn chan struct{}
}

func newSlowStore(a *resolver.Authority) *slowStore {
	return &slowStore{a, a, make(chan struct{}, 1)}
}

func (s *slowStore) Lend(loans []identifier.Loan, f func() (found, absent int)) error {
	s.turn <- struct{}{}
	time.Sleep(time.Duration(len(loans)) * slowRead)
	<-s.turn
	return s.Records.Lend(loans, f)
}

func (s *slowStore) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return resolver.Answer{}, ctx.Err()
	}
	time.Sleep(slowRead)
	<-s.turn
	return s.Resolver.Resolve(ctx, q)
}

// loaded is what came of a load.
type loaded struct {
	answers    int
	oldest     time.Duration // from the question to its answer
	octets     int64         // of memory, at the most, beyond what there was before
	goroutines int           // the same
}

// load asks a server ten times as much as it can answer.
func load(t *testing.T, address string) loaded {
	t.Helper()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	q := packedMessage(t, query(t, "sn-42._i.8.118.88.id.internal.", wire.TypeURI))
	const tick = 10 * time.Millisecond
	perTick := overload * int(tick/slowRead)
	var sent [1 << 16]atomic.Int64 // when, by id
	octets, goroutines := memoryNow()
	var l loaded
	var wg sync.WaitGroup
	began := time.Now()
	_ = conn.SetReadDeadline(began.Add(loadTime + loadTime))
	wg.Go(func() {
		var b [4096]byte
		for {
			if n, err := conn.Read(b[:]); err != nil || n < 12 {
				return
			}
			l.answers++
			l.oldest = max(l.oldest, time.Since(began)-time.Duration(sent[binary.BigEndian.Uint16(b[:])].Load()))
		}
	})
	id, next := uint16(0), began
	for tock := 0; time.Since(began) < loadTime; tock++ {
		for range perTick {
			id++
			binary.BigEndian.PutUint16(q, id)
			sent[id].Store(int64(time.Since(began)))
			_, _ = conn.Write(q)
		}
		if tock%10 == 9 {
			o, g := memoryNow()
			l.octets, l.goroutines = max(l.octets, o-octets), max(l.goroutines, g-goroutines)
		}
		next = next.Add(tick)
		time.Sleep(time.Until(next))
	}
	wg.Wait()
	return l
}

// memoryNow returns how much memory is in use, and how many goroutines there are.
func memoryNow() (int64, int) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine()
}

// At ten times what a server can answer, for its reads are slow, memory stays where it is,
// and what is answered is answered in time: by the reader itself, and by workers. Two
// controls go wrong in one of these each: a server that answers what has waited too long
// in the system's buffer, and one that begins with everything at once.
func TestOverload(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a dozen seconds of load")
	}
	a := resolver.NewAuthority(resolvertest.NewLender(node()), resolver.Options{Node: thisKey})
	run := func(o dns.Options, before func(*dns.Server)) loaded {
		slow := newSlowStore(a)
		o.Node, o.Patience = thisNode, loadPatience
		if o.AtOnce {
			o.Records = slow
		}
		s, err := dns.New(slow, o)
		if err != nil {
			t.Fatal(err)
		}
		before(s)
		return load(t, resolvertest.Serve(t, s.Serve))
	}
	nothing := func(*dns.Server) {}
	late := run(dns.Options{AtOnce: true}, dns.KeepLate)
	for name, l := range map[string]loaded{
		"at once": run(dns.Options{AtOnce: true}, nothing),
		"workers": run(dns.Options{Workers: 16, Waiting: 64}, nothing),
	} {
		t.Logf("%s: %+v", name, l)
		if l.answers < 50 {
			t.Errorf("%s: got %d answers; want some", name, l.answers)
		}
		// Of a batch all are answered together, and another may be ahead of it.
		if l.oldest > late.oldest*2/3 || l.oldest > 10*loadPatience {
			t.Errorf("%s: an answer came after %v, and after %v where nothing is thrown away", name, l.oldest, late.oldest)
		}
		if l.octets > 4<<20 || l.goroutines > 20 {
			t.Errorf("%s: memory grew by %d octets and %d goroutines; want it flat", name, l.octets, l.goroutines)
		}
	}
	t.Logf("keeping what is late: %+v", late)
	if late.oldest < 3*loadPatience {
		t.Errorf("where nothing is thrown away, answers came within %v: nothing is tested", late.oldest)
	}
	eager := load(t, answerAllAtOnce(t, newSlowStore(a)))
	t.Logf("beginning with everything: %+v", eager)
	if eager.octets < 4<<20 || eager.goroutines < 1000 {
		t.Errorf("beginning with everything took %d octets and %d goroutines: growth is not noticed", eager.octets, eager.goroutines)
	}
}

// answerAllAtOnce is a server that has a goroutine for every datagram.
func answerAllAtOnce(t *testing.T, r resolver.Resolver) (address string) {
	t.Helper()
	s, err := dns.New(r, dns.Options{Node: thisNode})
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			b := make([]byte, 4096)
			n, from, err := socket.ReadFrom(b)
			if err != nil {
				return
			}
			wg.Go(func() {
				if answer := dns.Answer(ctx, s, b[:n]); answer != nil {
					_, _ = socket.WriteTo(answer, from)
				}
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		socket.Close()
		wg.Wait()
	})
	return socket.LocalAddr().String()
}
