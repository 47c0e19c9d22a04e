//go:build linux

package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/nameplate-id/nameplate/resolver/handle"
)

// Where things stand in a message of Handle.
const (
	handleRequest = 8  // the request's id in the envelope
	handleCode    = 24 // the response code in the header, behind the envelope
)

// handleQueries are the datagrams that ask for the link of each identifier over Handle,
// as the stock client asks. They all have the same length.
func (d data) handleQueries() queries {
	q := queries{idAt: handleRequest + 2, bad: func(header []byte) bool {
		return len(header) < handleCode+4 || binary.BigEndian.Uint32(header[handleCode:]) != uint32(handle.Success)
	}}
	for i := range int(d) {
		m := handle.Message{
			Envelope: handle.Envelope{Version: handle.Version{Major: 2, Minor: 11}, Suggested: handle.Version{Major: 2, Minor: 11}},
			Opcode:   handle.OpResolution, Flags: handle.FlagPublicOnly, Serial: handle.NoSerial,
			Body: handle.Resolution{Handle: d.id(i).String(), Types: []string{"URL"}}.Append(nil),
		}
		q.packets = m.AppendStream(q.packets)
		if i == 0 {
			q.size = len(q.packets)
			whole := make([]byte, 0, q.size*int(d))
			q.packets = append(whole, q.packets...)
		}
	}
	return q
}

// handles measures the Handle protocol: over UDP in turn with our own DNS, and over TCP
// with connections that stay open, and that do not.
func (b *bench) handles(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	n, command, err := b.nodeCommand(b.folder("served"))
	if err != nil {
		return err
	}
	command[slices.Index(command, "off")] = loopback(port) // behind --handle
	n.nameServer, err = startNameServer(ctx, "nameplate", b.folder("logs"), 1, n.port, b.data, &b.queries, command)
	if err != nil {
		return err
	}
	defer n.stop()
	q := b.data.handleQueries()

	b.progress("handle: comparing answers with the data")
	one := &handleCaller{data: &b.data, queries: &q, port: port}
	defer one.close()
	for i := 0; i < int(b.data); i += b.step() {
		if err := one.ask(i); err != nil {
			return err
		}
	}
	if err := b.handleDatagrams(ctx, n.nameServer, port, &q); err != nil {
		return err
	}
	return b.handleConnections(ctx, n.nameServer, port, &q)
}

// handleDatagrams lets Handle and DNS take turns at the same node.
func (b *bench) handleDatagrams(ctx context.Context, s *nameServer, port int, q *queries) error {
	there := *s
	there.port = port
	drawn := b.data.uniform()
	ways := []struct {
		server *nameServer
		w      workload
		m      measured
	}{
		{&there, workload{"handle udp uniform", q, drawn, udpLoad}, measured{}},
		{s, workload{"udp uniform", &b.queries, drawn, udpLoad}, measured{}},
	}
	for round := range b.options.Rounds + 1 {
		for i := range ways {
			way := &ways[i]
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			if round == 0 { // warms caches and does not count
				if _, _, err := b.load(way.server, way.w, b.options.Round/3); err != nil {
					return err
				}
				continue
			}
			b.progress("handle: %s, round %d", way.w.name, round)
			if err := b.turn(way.server, way.w, &way.m); err != nil {
				return err
			}
		}
	}
	ours, dns := &ways[0].m, &ways[1].m
	for _, f := range []struct {
		name, unit string
		ours, dns  series
	}{
		{"cpu", "µs/answer", ours.cpu, dns.cpu},
		{"cpu, user part", "µs/answer", ours.user, dns.user},
		{"answers", "1/s", ours.rate, dns.rate},
		{"p50 with 96 under way", "µs", ours.p50, dns.p50},
		{"p99 with 96 under way", "µs", ours.p99, dns.p99},
	} {
		l := f.ours.against(f.ours.line("handle udp uniform: "+f.name, f.unit), "our dns", f.dns)
		l.Discarded, l.Others = ours.discarded+dns.discarded, round(ours.others.median())
		if err := b.print(l); err != nil {
			return err
		}
	}
	return nil
}

// handleConnections measures TCP: every caller has one question under way.
func (b *bench) handleConnections(ctx context.Context, s *nameServer, port int, q *queries) error {
	const callers = 16
	var open, oneShot []*handleCaller
	for range callers {
		open = append(open, &handleCaller{data: &b.data, queries: q, port: port})
		oneShot = append(oneShot, &handleCaller{data: &b.data, queries: q, port: port, oneShot: true})
	}
	defer func() {
		for _, c := range open {
			c.close()
		}
	}()
	asks := func(of []*handleCaller) func(context.Context, int, uint32) error {
		return func(_ context.Context, caller int, i uint32) error { return of[caller].ask(int(i)) }
	}
	return b.askings(ctx, s, "handle tcp", []*asking{
		{name: "kept open, 16 connections", callers: callers, answers: 1, request: asks(open)},
		{name: "one-shot, 16 callers", callers: callers, answers: 1, request: asks(oneShot)},
	})
}

// handleCaller asks one question after the other over TCP.
type handleCaller struct {
	data    *data
	queries *queries
	port    int
	oneShot bool // a connection for each question
	conn    net.Conn
	used    time.Time
	b       []byte
}

func (c *handleCaller) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// ask asks for an identifier and compares what it is told with the data.
func (c *handleCaller) ask(i int) (err error) {
	now := time.Now()
	if c.conn != nil && (c.oneShot || now.Sub(c.used) > patience) {
		c.close()
	}
	c.used = now
	if c.conn == nil {
		if c.conn, err = net.Dial("tcp", loopback(c.port)); err != nil {
			return err
		}
	}
	if c.oneShot {
		defer c.close()
	}
	_ = c.conn.SetDeadline(now.Add(30 * time.Second))
	if _, err := c.conn.Write(c.queries.packet(uint32(i))); err != nil {
		return err
	}
	const envelope = 20
	c.b = append(c.b[:0], make([]byte, envelope)...)
	if _, err := io.ReadFull(c.conn, c.b); err != nil {
		return err
	}
	e, err := handle.ParseEnvelope(c.b)
	if err != nil {
		return err
	}
	c.b = append(c.b, make([]byte, e.Length)...)
	if _, err := io.ReadFull(c.conn, c.b[envelope:]); err != nil {
		return err
	}
	m, err := handle.ParseMessage(e, c.b[envelope:])
	if err != nil {
		return err
	}
	_, body, err := m.ParseBody()
	if err != nil {
		return err
	}
	v, ok := body.(handle.Values)
	if !ok || v.Handle != c.data.id(i).String() || len(v.Values) != 1 || !bytes.Equal(v.Values[0].Data, []byte(c.data.link(i))) {
		return fmt.Errorf("%s is answered with %v and %.200q", c.data.id(i), m.Code, c.b)
	}
	return nil
}
