//go:build linux

package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// links measures the redirect to a link over HTTP/1.1 with connections that stay open.
func (b *bench) links(ctx context.Context) error {
	n, err := b.serve(ctx, b.folder("served"), 1)
	if err != nil {
		return err
	}
	defer n.stop()
	browsers, end := newBrowsers(n.http)
	defer end()
	b.progress("http: comparing answers with the data")
	for i := 0; i < int(b.data); i += b.step() {
		if err := browsers[0].follow(&b.data, i); err != nil {
			return err
		}
	}
	follow := b.followers(browsers)
	ways := []*asking{
		{name: "1 connection", callers: 1, answers: 1, request: follow},
		{name: "16 connections", callers: 16, answers: 1, request: follow},
		{name: "256 connections", callers: mostCallers, answers: 1, request: follow},
	}
	if b.compares(httpFloor) {
		same, err := b.redirectOf(n.http)
		if err != nil {
			return err
		}
		s, err := b.startFloor(ctx, httpFloor, "http", same...)
		if err != nil {
			return err
		}
		defer s.stop()
		others, end := newBrowsers(s.port)
		defer end()
		for _, w := range ways {
			w.under(s, func(_ context.Context, caller int, i uint32) error {
				_, _, err := others[caller].get(&b.data, int(i))
				return err
			})
		}
	}
	return b.askings(ctx, n.nameServer, "http redirect", ways)
}

// newBrowsers returns as many as ask at once; each connects when it is used.
func newBrowsers(port int) (browsers []*browser, end func()) {
	for range mostCallers {
		browsers = append(browsers, &browser{port: port})
	}
	return browsers, func() {
		for _, br := range browsers {
			br.close()
		}
	}
}

// followers asks for the redirect of one identifier.
func (b *bench) followers(browsers []*browser) func(ctx context.Context, caller int, i uint32) error {
	return func(_ context.Context, caller int, i uint32) error { return browsers[caller].follow(&b.data, int(i)) }
}

// browser asks for one redirect after the other over one connection.
type browser struct {
	port   int
	conn   net.Conn
	reader *bufio.Reader
	buffer []byte
	used   time.Time
}

// patience is for how long a server surely keeps a connection that is idle.
const patience = time.Second

// connect sees to it that there is a connection that the server has not given up.
func (b *browser) connect(now time.Time) (err error) {
	if b.conn != nil && now.Sub(b.used) > patience {
		b.close()
	}
	b.used = now
	if b.conn == nil {
		b.conn, err = net.Dial("tcp", loopback(b.port))
		b.reader = bufio.NewReader(b.conn)
	}
	return err
}

func (b *browser) close() {
	if b.conn != nil {
		b.conn.Close()
		b.conn = nil
	}
}

// follow asks for an identifier and compares where it is sent.
func (b *browser) follow(d *data, i int) error {
	status, location, err := b.get(d, i)
	if err == nil && (status != http.StatusFound || location != d.link(i)) {
		err = fmt.Errorf("%s is answered with %d to %q", d.id(i), status, location)
	}
	return err
}

// get asks for an identifier.
func (b *browser) get(d *data, i int) (status int, location string, err error) {
	now := time.Now()
	if err := b.connect(now); err != nil {
		return 0, "", err
	}
	_ = b.conn.SetDeadline(now.Add(30 * time.Second))
	b.buffer = fmt.Appendf(b.buffer[:0], "GET /%s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n", d.id(i))
	if _, err := b.conn.Write(b.buffer); err != nil {
		return 0, "", err
	}
	response, err := http.ReadResponse(b.reader, nil)
	if err != nil {
		return 0, "", err
	}
	_, err = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	return response.StatusCode, response.Header.Get("Location"), err
}
