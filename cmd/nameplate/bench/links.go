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
	const most = 256
	var browsers []*browser
	for range most {
		br, err := newBrowser(n.http)
		if err != nil {
			return err
		}
		defer br.conn.Close()
		browsers = append(browsers, br)
	}
	b.progress("http: comparing answers with the data")
	for i := 0; i < int(b.data); i += max(1, int(b.data)/100_000) {
		if err := browsers[0].follow(&b.data, i); err != nil {
			return err
		}
	}
	follow := func(_ context.Context, caller int, i uint32) error { return browsers[caller].follow(&b.data, int(i)) }
	return b.askings(ctx, n.nameServer, "http redirect", []*asking{
		{name: "1 connection", callers: 1, answers: 1, request: follow},
		{name: "16 connections", callers: 16, answers: 1, request: follow},
		{name: "256 connections", callers: most, answers: 1, request: follow},
	})
}

// browser asks for one redirect after the other over one connection.
type browser struct {
	conn   net.Conn
	reader *bufio.Reader
	buffer []byte
}

func newBrowser(port int) (*browser, error) {
	conn, err := net.Dial("tcp", loopback(port))
	if err != nil {
		return nil, err
	}
	return &browser{conn: conn, reader: bufio.NewReader(conn)}, nil
}

// follow asks for an identifier and compares where it is sent.
func (b *browser) follow(d *data, i int) error {
	_ = b.conn.SetDeadline(time.Now().Add(30 * time.Second))
	b.buffer = fmt.Appendf(b.buffer[:0], "GET /%s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n", d.id(i))
	if _, err := b.conn.Write(b.buffer); err != nil {
		return err
	}
	response, err := http.ReadResponse(b.reader, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	if location := response.Header.Get("Location"); err == nil && (response.StatusCode != http.StatusFound || location != d.link(i)) {
		err = fmt.Errorf("%s is answered with %s to %q", d.id(i), response.Status, location)
	}
	return err
}
