package network_test

import (
	"io"
	"net"
	"sync"
)

// link is a way over TCP that can be cut.
type link struct {
	address, to string

	mu       sync.Mutex
	listener net.Listener // nil while it is cut
	open     map[net.Conn]bool
}

// newLink opens a way from an address to another.
func newLink(from, to string) (*link, error) {
	l := &link{address: from, to: to, open: map[net.Conn]bool{}}
	return l, l.join()
}

// join opens it, after a cut at the same address.
func (l *link) join() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != nil {
		return nil
	}
	listener, err := net.Listen("tcp", l.address)
	if err != nil {
		return err
	}
	l.listener, l.address = listener, listener.Addr().String()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(listener, conn)
		}
	}()
	return nil
}

// cut ends all that goes over it, and refuses more.
func (l *link) cut() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener == nil {
		return nil
	}
	err := l.listener.Close()
	l.listener = nil
	for conn := range l.open {
		conn.Close()
	}
	return err
}

// carry carries octets both ways until either side ends.
func (l *link) carry(listener net.Listener, near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", l.to)
	if err != nil {
		return
	}
	defer far.Close()
	l.mu.Lock()
	if l.listener != listener { // it was cut meanwhile
		l.mu.Unlock()
		return
	}
	l.open[near], l.open[far] = true, true
	l.mu.Unlock()
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			ended <- struct{}{}
		}()
	}
	<-ended
	near.Close()
	far.Close()
	<-ended
	l.mu.Lock()
	delete(l.open, near)
	delete(l.open, far)
	l.mu.Unlock()
}
