package node_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// strait is a way over TCP to a parent that can be held in either direction and made
// narrow. What is held is not lost: TCP would send it again.
type strait struct {
	listener net.Listener
	to       string
	up, down atomic.Bool  // held
	rate     atomic.Int64 // octets a second towards the parent; 0 for any
	carried  atomic.Int64 // octets towards it
	running  sync.WaitGroup
}

func newStrait(t *testing.T, from, to string) *strait {
	l, err := net.Listen("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	s := &strait{listener: l, to: to}
	ended := make(chan struct{})
	s.running.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			s.running.Go(func() { s.carry(near, ended) })
		}
	})
	t.Cleanup(func() {
		close(ended)
		l.Close()
		s.running.Wait()
	})
	return s
}

// carry carries octets both ways until either side hangs up.
func (s *strait) carry(near net.Conn, ended <-chan struct{}) {
	defer near.Close()
	far, err := net.Dial("tcp", s.to)
	if err != nil {
		return
	}
	defer far.Close()
	over := make(chan struct{}, 2)
	var ways sync.WaitGroup
	for _, way := range []struct {
		from, to net.Conn
		held     *atomic.Bool
		up       bool
	}{{near, far, &s.up, true}, {far, near, &s.down, false}} {
		ways.Go(func() {
			defer func() { over <- struct{}{} }()
			buffer := make([]byte, 1024)
			for {
				n, err := way.from.Read(buffer)
				for way.held.Load() {
					select {
					case <-ended:
						return
					case <-time.After(10 * time.Millisecond):
					}
				}
				if rate := s.rate.Load(); way.up && rate > 0 {
					time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
				}
				if _, failed := way.to.Write(buffer[:n]); err != nil || failed != nil {
					return
				}
				if way.up {
					s.carried.Add(int64(n))
				}
			}
		})
	}
	select {
	case <-over:
	case <-ended:
	}
	near.Close()
	far.Close()
	ways.Wait()
}
