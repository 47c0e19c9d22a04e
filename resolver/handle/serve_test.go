package handle_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/handle"
)

func dial(t testing.TB, network, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

// read reads one message in one envelope.
func read(t testing.TB, conn net.Conn) *handle.Message {
	t.Helper()
	head := make([]byte, 20)
	if _, err := io.ReadFull(conn, head); err != nil {
		t.Fatal(err)
	}
	e, err := handle.ParseEnvelope(head)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, e.Length)
	if _, err := io.ReadFull(conn, b); err != nil {
		t.Fatal(err)
	}
	m, err := handle.ParseMessage(e, b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// fragments cuts a message as stock software does: without the mark.
func fragments(m *handle.Message) [][]byte {
	whole := m.Append(nil)
	var list [][]byte
	for seq := uint32(0); len(whole) > 0; seq++ {
		e := m.Envelope
		e.Sequence, e.Length = seq, uint32(len(m.Append(nil)))
		n := min(len(whole), 492)
		list = append(list, append(e.Append(nil), whole[:n]...))
		whole = whole[n:]
	}
	return list
}

// longTypes makes a request that does not fit a datagram.
func longTypes() *handle.Message {
	types := []string{"URL"}
	for range 40 {
		types = append(types, strings.Repeat("T", 40))
	}
	return request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/sn", Types: types})
}

func TestRequestInFragments(t *testing.T) {
	address := serve(t, resolverFunc(node), handle.Options{})
	conn := dial(t, "udp", address)
	list := fragments(longTypes())
	if len(list) < 3 {
		t.Fatalf("the request has %d fragments; want more", len(list))
	}
	for i := range list {
		// In the other order, the last one twice.
		conn.Write(list[len(list)-1-i])
		if i == 0 {
			conn.Write(list[len(list)-1])
		}
	}
	b := make([]byte, 600)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	e, err := handle.ParseEnvelope(b[:n])
	if err != nil || e.Truncated {
		t.Fatalf("got %+v, %v; want a whole answer", e, err)
	}
	m, err := handle.ParseMessage(e, b[20:n])
	if err != nil || m.Code != handle.Success {
		t.Errorf("got %+v, %v; want success", m, err)
	}
}

func TestAnswerInFragments(t *testing.T) {
	long := resolverFunc(func(_ context.Context, q resolver.Query) (resolver.Answer, error) {
		size := 3000
		if q.ID.Suffix == "huge" {
			size = 60000
		}
		return resolver.Answer{ID: q.ID, Outcome: resolver.Found, InZone: true, Record: &identifier.Record{ID: q.ID, Version: 1,
			Values: []identifier.Value{{Index: 1, Type: "BLOB", Data: bytes.Repeat([]byte("b"), size), Permissions: identifier.DefaultPermissions}}}}, nil
	})
	conn := dial(t, "udp", serve(t, long, handle.Options{}))
	conn.Write(request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/long"}).AppendStream(nil))
	total, b := 0, make([]byte, 600)
	for seq := uint32(0); ; seq++ {
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		e, err := handle.ParseEnvelope(b[:n])
		if err != nil || !e.Truncated || e.Sequence != seq || n > 512 {
			t.Fatalf("fragment %d: got %+v of %d octets, %v", seq, e, n, err)
		}
		if total += n - 20; total == int(e.Length) {
			break
		}
	}
	// What is too long for datagrams is not sent at all.
	conn.Write(request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/huge"}).AppendStream(nil))
	conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := conn.Read(b); err == nil {
		t.Errorf("got %d octets of what is too long", n)
	}
}

// Fragments that never complete take no room from anybody else for long.
func TestFragmentsThatNeverComplete(t *testing.T) {
	address := serve(t, resolverFunc(node), handle.Options{})
	conn := dial(t, "udp", address)
	m := longTypes()
	for i := range uint32(5000) {
		m.Request = i + 1000
		conn.Write(fragments(m)[0])
	}
	answered := func() bool {
		conn := dial(t, "udp", address)
		for _, b := range fragments(longTypes()) {
			conn.Write(b)
		}
		conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
		_, err := conn.Read(make([]byte, 600))
		return err == nil
	}
	for i := 0; !answered(); i++ {
		if i == 30 {
			t.Fatal("nobody is answered any more")
		}
	}
	conn.Write(request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/sn"}).AppendStream(nil))
	if _, err := conn.Read(make([]byte, 600)); err != nil {
		t.Errorf("a whole request of the same client: %v", err)
	}
}

func TestPipeline(t *testing.T) {
	slow := make(chan struct{})
	conn := dial(t, "tcp", serve(t, resolverFunc(func(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
		if q.ID.Suffix == "slow" {
			select {
			case <-slow:
			case <-ctx.Done():
			}
		}
		return node(ctx, q)
	}), handle.Options{}))
	first := request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/slow"})
	first.Request = 1
	second := request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/sn"})
	second.Request = 2
	conn.Write(second.AppendStream(first.AppendStream(nil)))
	if m := read(t, conn); m.Request != 2 || m.Code != handle.Success {
		t.Errorf("got request %d, %v; want the second one first", m.Request, m.Code)
	}
	close(slow)
	if m := read(t, conn); m.Request != 1 || m.Code != handle.NotFound {
		t.Errorf("got request %d, %v; want the first", m.Request, m.Code)
	}
	// The SDKs ask for site information first, on the same connection.
	conn.Write(request(handle.OpSiteInfo, handle.FlagKeepOpen, handle.Name{Handle: "/"}).AppendStream(nil))
	read(t, conn)
	conn.Write(second.AppendStream(nil))
	read(t, conn)
}

func TestLiesEndTheConnection(t *testing.T) {
	address := serve(t, resolverFunc(node), handle.Options{})
	good := request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/sn"}).AppendStream(nil)
	tooLong := bytes.Clone(good)
	binary.BigEndian.PutUint32(tooLong[16:], 262145)
	for name, b := range map[string][]byte{
		"HTTP":     []byte("GET / HTTP/1.1\r\nHost: maker.example\r\n\r\n"),
		"too long": tooLong,
		"answer":   func() []byte { b := bytes.Clone(good); b[27] = 1; return b }(),
	} {
		conn := dial(t, "tcp", address)
		conn.Write(b)
		if n, err := io.ReadAll(conn); len(n) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: got %X, %v; want the end", name, n, err)
		}
	}
}

func TestConnectionLimits(t *testing.T) {
	address := serve(t, resolverFunc(node), handle.Options{PerClient: 2, Idle: 300 * time.Millisecond})
	var open []net.Conn
	for range 2 {
		conn := dial(t, "tcp", address)
		conn.Write(request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/sn"}).AppendStream(nil))
		read(t, conn)
		open = append(open, conn)
	}
	if _, err := dial(t, "tcp", address).Read(make([]byte, 1)); err == nil {
		t.Error("a third connection is kept")
	}
	// Silence ends the others.
	start := time.Now()
	for _, conn := range open {
		if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("got %v; want the end", err)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("silence was borne for %v", took)
	}
}

// Our client asks a server that knows nothing of Nameplate.
func TestStockServer(t *testing.T) {
	stock := newServer()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			head := make([]byte, 20)
			io.ReadFull(conn, head)
			e, _ := handle.ParseEnvelope(head)
			b := make([]byte, e.Length)
			io.ReadFull(conn, b)
			// It ignores the flag and what follows, but its digest covers the flag.
			asked, err := handle.ParseMessage(e, b)
			if err != nil {
				conn.Close()
				continue
			}
			digest := asked.Digest()
			plain := *asked
			plain.Flags &^= handle.FlagAnswer | handle.FlagDigest
			b = plain.Append(nil)
			e.Length = uint32(len(b))
			answer := stock.Answer(context.Background(), e, b)
			answer.Flags |= handle.FlagDigest
			answer.Body = append(append([]byte{byte(digest.Type)}, digest.Sum...), answer.Body...)
			conn.Write(answer.AppendStream(nil))
			conn.Close()
		}
	}()
	client := handle.NewClient(listener.Addr().String(), handle.ClientOptions{OnlyTCP: true})
	for text, want := range map[string]resolver.Case{
		"88.1/sn": resolver.CaseFound, "88.1/none": resolver.CaseAbsent, "88.1/secret": resolver.CaseRefused,
		"88.118/x": resolver.CaseReferral, "88.118.5": resolver.CaseReferral, "88.118": resolver.CaseFound,
		"88.1/busy": resolver.CaseOverloaded, "88.1/who": resolver.CaseUnauthenticated, "88.1/broken": resolver.CaseUnavailable,
	} {
		id, err := identifier.ParseCanonical(text)
		if err != nil {
			t.Fatal(err)
		}
		a, err := client.Resolve(t.Context(), resolver.Query{ID: id})
		if got := resolver.CaseOf(a, err); got != want {
			t.Errorf("%s: got %v, %v; want %v", text, got, err, want)
		}
		if want == resolver.CaseReferral && a.Delegation.Node.Addresses[0] != (identifier.Address{IP: "192.0.2.2", Handle: 3641}) {
			t.Errorf("%s: refers to %+v", text, a.Delegation.Node)
		}
		if text == "88.1/sn" && (len(a.Record.Values) != 5 || string(a.Default.Data) != "https://maker.example/1" || a.Lifetime != 24*time.Hour) {
			t.Errorf("%s: got %+v", text, a)
		}
	}
}

func BenchmarkUDP(b *testing.B) {
	client := handle.NewClient(serve(b, resolverFunc(node), handle.Options{}), handle.ClientOptions{})
	q := resolver.Query{ID: identifier.ID{Prefix: "88.1", Suffix: "sn"}}
	for b.Loop() {
		if _, err := client.Resolve(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
}

// pipes is a listener for connections in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// Envelope and message of an answer leave in one write: an SDK reads them so.
func TestOneWrite(t *testing.T) {
	for name, o := range map[string]handle.Options{"as ready": {}, "at once": {AtOnce: true}} {
		near, far := net.Pipe()
		p := make(pipes, 1)
		p <- far
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		o.Node = here
		go func() { done <- handle.New(resolverFunc(node), o).Serve(ctx, nil, []net.Listener{p}) }()
		near.SetDeadline(time.Now().Add(10 * time.Second))
		for _, body := range []handle.Body{handle.Name{Handle: "/"}, handle.Resolution{Handle: "88.1/sn"}} {
			op := handle.OpSiteInfo
			if _, ok := body.(handle.Resolution); ok {
				op = handle.OpResolution
			}
			near.Write(request(op, handle.FlagKeepOpen, body).AppendStream(nil))
			b := make([]byte, 4096) // a pipe gives what one write wrote
			n, err := near.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			if e, err := handle.ParseEnvelope(b[:n]); err != nil || int(e.Length) != n-20 {
				t.Errorf("%s: the first write has %d octets of a message of %d, %v", name, n, e.Length+20, err)
			}
		}
		cancel()
		near.Close()
		close(p)
		<-done
	}
}
