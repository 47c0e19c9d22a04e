package tcp

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

// share is how many octets one conversation reads at most before the others have their
// turn: some sixty questions of DNS.
const share = 4096

// turns are those of the conversations that are answered at once. As long as something
// can run, the runtime looks only every ten milliseconds for what has come on other
// connections, and lets a goroutine that never waits run for as long. So a connection
// whose next questions are there when its last are answered would keep all others
// waiting, each of them a hundred times as long as one answer takes. Who has had his share
// therefore waits until a bell has gone through the system's poller, behind whatever
// came before it.
//
// Its methods may be called concurrently.
type turns struct {
	bell    *os.File
	unfair  bool
	talking atomic.Int32 // conversations

	mu      sync.Mutex
	waiting []chan struct{}
	ended   bool
}

// newTurns returns turns whose bell is heard until end is called. Without a file
// descriptor for it they are fair only to who is known to have come.
func newTurns(unfair bool) (t *turns, end func()) {
	t = &turns{unfair: unfair}
	heard, bell, err := os.Pipe()
	if err != nil {
		return t, func() {}
	}
	t.bell = bell
	var hearing sync.WaitGroup
	hearing.Go(func() { t.hear(heard) })
	return t, func() {
		bell.Close() // and with that the other end reads no more
		hearing.Wait()
		heard.Close()
	}
}

// hear lets go on whoever waits, each time the bell is heard.
func (t *turns) hear(heard *os.File) {
	var b [64]byte
	for {
		_, err := heard.Read(b[:])
		t.mu.Lock()
		for _, c := range t.waiting {
			c <- struct{}{} // has room
		}
		t.waiting = t.waiting[:0]
		t.ended = err != nil
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// next returns when the others had their turn. The channel is the caller's, with room
// for one.
func (t *turns) next(mine chan struct{}) {
	if t.unfair || t.talking.Load() < 2 {
		return
	}
	if t.bell == nil {
		runtime.Gosched()
		return
	}
	t.mu.Lock()
	if t.ended {
		t.mu.Unlock()
		return
	}
	t.waiting = append(t.waiting, mine)
	first := len(t.waiting) == 1
	t.mu.Unlock()
	if first {
		// One octet always finds room, for the bell is heard before it is rung again. If it
		// could not be rung all the same, its closing lets everybody go on.
		if _, err := t.bell.Write([]byte{1}); err != nil {
			t.bell.Close()
		}
	}
	<-mine
}
