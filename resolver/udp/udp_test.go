package udp_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/resolver/udp"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const octets = 512

// each runs a test with the sockets of this system and with those of any.
func each(t *testing.T, f func(t *testing.T, open func(net.PacketConn) udp.Socket)) {
	must := func(s udp.Socket, err error) udp.Socket {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Run("batches", func(t *testing.T) {
		f(t, func(c net.PacketConn) udp.Socket { return must(udp.Open(c)) })
	})
	t.Run("one by one", func(t *testing.T) {
		f(t, func(c net.PacketConn) udp.Socket { return must(udp.OpenPlain(c.(*net.UDPConn))) })
	})
}

func listen(t testing.TB, network, address string) net.PacketConn {
	t.Helper()
	c, err := net.ListenPacket(network, address)
	if err != nil {
		t.Skip(err) // no IPv6 here
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// echo answers everything with itself, but what begins with a minus with nothing. It
// ends when the socket is interrupted and returns how many datagrams were nil.
func echo(s udp.Socket, most int) (int, error) {
	b := udp.NewBatch(most, octets)
	ignored := 0
	for {
		if err := s.Receive(b); err != nil {
			return ignored, err
		}
		for i := range b.Len() {
			d := b.Datagram(i)
			if d == nil {
				ignored++
			} else if !bytes.HasPrefix(d, []byte("-")) {
				b.Answer(i, d)
			}
		}
		if err := s.Send(b); err != nil {
			return ignored, err
		}
	}
}

func dial(t testing.TB, network, address string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// Every datagram gets its own answer, at who sent it, from the address that it was
// sent to: a connected socket hears nothing else.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		network, bind string
		ask           []string
	}{
		{"udp4", "127.0.0.1:0", []string{"127.0.0.1"}},
		{"udp4", "0.0.0.0:0", []string{"127.0.0.1", "127.0.0.77", "127.88.3.4"}},
		{"udp6", "[::1]:0", []string{"::1"}},
		{"udp6", "[::]:0", []string{"::1"}},
		{"udp", "[::]:0", []string{"127.0.0.1", "127.0.0.77", "::1"}},
	} {
		t.Run(c.bind+" "+c.network, func(t *testing.T) {
			each(t, func(t *testing.T, open func(net.PacketConn) udp.Socket) {
				conn := listen(t, c.network, c.bind)
				s := open(conn)
				ended := make(chan error)
				go func() {
					_, err := echo(s, 16)
					ended <- err
				}()
				_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
				for _, ip := range c.ask {
					client := dial(t, "udp", net.JoinHostPort(ip, port))
					const sent = 40
					for i := range sent {
						fmt.Fprintf(client, "-%d", i)
						fmt.Fprintf(client, "%s %d", ip, i)
					}
					b := make([]byte, octets)
					for i := range sent {
						n, err := client.Read(b)
						if err != nil {
							t.Fatal(err)
						}
						if got, want := string(b[:n]), fmt.Sprintf("%s %d", ip, i); got != want {
							t.Errorf("got %q; want %q", got, want)
						}
					}
				}
				if err := s.Interrupt(); err != nil {
					t.Fatal(err)
				}
				var timeout net.Error
				if err := <-ended; !errors.As(err, &timeout) || !timeout.Timeout() {
					t.Errorf("interrupted: got %v; want a timeout", err)
				}
			})
		})
	}
}

// A datagram is at most as long as the batch takes; longer ones are none, and do no
// harm to others.
func TestLongDatagrams(t *testing.T) {
	each(t, func(t *testing.T, open func(net.PacketConn) udp.Socket) {
		conn := listen(t, "udp4", "127.0.0.1:0")
		s := open(conn)
		client := dial(t, "udp", conn.LocalAddr().String())
		type result struct {
			ignored int
			err     error
		}
		ended := make(chan result)
		go func() {
			n, err := echo(s, 4)
			ended <- result{n, err}
		}()
		got := make([]byte, 2*octets)
		for _, length := range []int{octets + 1, octets, 60000, 1} {
			if _, err := client.Write(make([]byte, length)); err != nil {
				t.Fatal(err)
			}
			if length > octets {
				continue
			}
			if n, err := client.Read(got); err != nil || n != length {
				t.Errorf("got %d octets, %v; want %d", n, err, length)
			}
		}
		s.Interrupt()
		if r := <-ended; r.ignored != 2 {
			t.Errorf("got %d ignored; want 2", r.ignored)
		}
	})
}

// What is answered later goes where it should, whatever the batch holds by then.
func TestLater(t *testing.T) {
	each(t, func(t *testing.T, open func(net.PacketConn) udp.Socket) {
		conn := listen(t, "udp4", "0.0.0.0:0")
		s := open(conn)
		_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
		b := udp.NewBatch(1, octets)
		var clients []net.Conn
		var peers []udp.Peer
		for i := range 5 {
			client := dial(t, "udp4", fmt.Sprintf("127.0.0.%d:%s", i+1, port))
			client.Write([]byte{1})
			if err := s.Receive(b); err != nil {
				t.Fatal(err)
			}
			clients, peers = append(clients, client), append(peers, b.Peer(0))
		}
		s.Interrupt() // which stops no answers
		late := udp.NewBatch(1, 0)
		for i, p := range peers {
			late.To(p, []byte{byte(i)})
			if err := s.Send(late); err != nil {
				t.Error(err)
			}
		}
		for i, client := range clients {
			got := make([]byte, 8)
			if n, err := client.Read(got); err != nil || n != 1 || got[0] != byte(i) {
				t.Errorf("got %v, %v; want the answer %d", got[:n], err, i)
			}
		}
	})
}

// An answer that cannot be sent keeps no other from being sent.
func TestSendFails(t *testing.T) {
	conn := listen(t, "udp4", "127.0.0.1:0")
	s, err := udp.Open(conn)
	if err != nil {
		t.Fatal(err)
	}
	client := dial(t, "udp", conn.LocalAddr().String())
	b := udp.NewBatch(8, octets)
	for i := range 3 {
		client.Write([]byte{byte(i)})
	}
	for seen := 0; seen < 3; {
		if err := s.Receive(b); err != nil {
			t.Fatal(err)
		}
		seen += b.Len()
		for i := range b.Len() {
			b.Answer(i, b.Datagram(i))
			if b.Datagram(i)[0] == 1 {
				b.Answer(i, make([]byte, 1<<16)) // longer than any datagram
			}
		}
		_ = s.Send(b)
	}
	for _, want := range []byte{0, 2} {
		got := make([]byte, 8)
		if n, err := client.Read(got); err != nil || n != 1 || got[0] != want {
			t.Errorf("got %v, %v; want %d", got[:n], err, want)
		}
	}
}

// Who receives from a socket that is closed hears so.
func TestClose(t *testing.T) {
	each(t, func(t *testing.T, open func(net.PacketConn) udp.Socket) {
		s := open(listen(t, "udp4", "127.0.0.1:0"))
		ended := make(chan error)
		go func() {
			_, err := echo(s, 4)
			ended <- err
		}()
		time.Sleep(time.Millisecond)
		s.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v; want that it is closed", err)
		}
	})
}

// Several sockets share an address, and each datagram reaches one of them.
func TestListen(t *testing.T) {
	for _, sockets := range []int{1, 4} {
		opened, err := udp.Listen("127.0.0.1:0", sockets)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS == "linux" && len(opened) != sockets {
			t.Errorf("got %d sockets; want %d", len(opened), sockets)
		}
		ended := make(chan error, len(opened))
		var all []udp.Socket
		for _, c := range opened {
			s, err := udp.Open(c)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
			go func() {
				_, err := echo(s, 4)
				ended <- err
			}()
		}
		for i := range 20 {
			client := dial(t, "udp", opened[0].LocalAddr().String())
			client.Write([]byte{byte(i)})
			got := make([]byte, 8)
			if n, err := client.Read(got); err != nil || n != 1 || got[0] != byte(i) {
				t.Errorf("got %v, %v; want %d", got[:n], err, i)
			}
		}
		for _, s := range all {
			s.Close()
			<-ended
		}
	}
	busy := listen(t, "udp4", "127.0.0.1:0")
	if _, err := udp.Listen(busy.LocalAddr().String(), 2); err == nil {
		t.Error("two sockets at an address that another has; want an error")
	}
}

// Receiving and sending allocate nothing where the system has batches.
func TestAllocations(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("batches are for Linux")
	}
	conn := listen(t, "udp4", "0.0.0.0:0")
	s, err := udp.Open(conn)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
	client := dial(t, "udp4", "127.0.0.1:"+port)
	b := udp.NewBatch(8, octets)
	question, answer := []byte("question"), make([]byte, octets)
	if got := testing.AllocsPerRun(200, func() {
		client.Write(question)
		if err := s.Receive(b); err != nil {
			t.Fatal(err)
		}
		b.Answer(0, b.Datagram(0))
		if err := s.Send(b); err != nil {
			t.Fatal(err)
		}
		client.Read(answer)
	}); got > 0 {
		t.Errorf("got %v allocations; want none", got)
	}
}
