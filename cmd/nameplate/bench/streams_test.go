//go:build linux

package bench

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// answerStream answers what comes over a connection, several questions at a time and
// in reverse order; spoil may change an answer.
func answerStream(t *testing.T, spoil func(answer []byte)) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	serve := func(c net.Conn) {
		defer c.Close()
		r := bufio.NewReader(c)
		for {
			var answers [][]byte
			for more := true; more; more = r.Buffered() > 0 && len(answers) < 10 {
				size := make([]byte, 2)
				if _, err := io.ReadFull(r, size); err != nil {
					return
				}
				b := append(size, make([]byte, binary.BigEndian.Uint16(size))...)
				if _, err := io.ReadFull(r, b[2:]); err != nil {
					return
				}
				b[4] |= 0x80 // a response
				b[9] = 1     // with one record
				spoil(b)
				answers = append([][]byte{b}, answers...)
			}
			for _, b := range answers {
				if _, err := c.Write(b); err != nil {
					return
				}
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// Answers in any order belong to their questions, and what is none is counted.
func TestTCPLoad(t *testing.T) {
	d := data(100)
	q, drawn := d.queries(), []uint32{1, 2, 3, 99, 0}
	s := &nameServer{port: answerStream(t, func([]byte) {}), askerCore: anyCore}
	o, err := tcpLoad(s, &q, drawn, 50*time.Millisecond)
	if n := came(&o); err != nil || n < tcpConnections*tcpPerConnection || o.answers > n || o.bad != 0 || o.lost != 0 {
		t.Errorf("got %d answers, %d of them in time, %d bad, %d lost, %v", n, o.answers, o.bad, o.lost, err)
	}
	s.port = answerStream(t, func(b []byte) { b[5] = 2 }) // SERVFAIL
	if o, err = tcpLoad(s, &q, drawn, 50*time.Millisecond); err != nil || o.bad != came(&o) {
		t.Errorf("of errors: got %d bad of %d, %v", o.bad, o.answers, err)
	}
	s.port = answerStream(t, func(b []byte) { b[2], b[3] = 0, 7 }) // one question answered again and again
	if _, err = tcpLoad(s, &q, drawn, 50*time.Millisecond); err == nil {
		t.Error("an answer to a question that is not under way is not noticed")
	}
}

// came is how many answers came, late ones too.
func came(o *outcome) (n int) {
	for _, some := range o.latency {
		n += some
	}
	return n
}
