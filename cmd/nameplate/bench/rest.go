//go:build linux

package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// rest measures the Handle REST interface over HTTP/1.1 with connections that stay open:
// the values of a handle as JSON.
func (b *bench) rest(ctx context.Context) error {
	n, err := b.serve(ctx, b.folder("served"), 1)
	if err != nil {
		return err
	}
	defer n.stop()
	var readers []*reader // each connects when it is used
	for range mostCallers {
		r := &reader{browser: browser{port: n.http}}
		defer r.close()
		readers = append(readers, r)
	}
	b.progress("rest: comparing answers with the data")
	for i := 0; i < int(b.data); i += b.step() {
		if err := readers[0].read(&b.data, i); err != nil {
			return err
		}
	}
	read := func(_ context.Context, caller int, i uint32) error { return readers[caller].read(&b.data, int(i)) }
	return b.askings(ctx, n.nameServer, "rest get", []*asking{
		{name: "1 connection", callers: 1, answers: 1, request: read},
		{name: "16 connections", callers: 16, answers: 1, request: read},
		{name: "256 connections", callers: mostCallers, answers: 1, request: read},
	})
}

// reader reads one handle after the other over one connection.
type reader struct {
	browser
	answer, want bytes.Buffer
}

// read asks for a handle and compares the answer with the data, to its last octet but
// for the time that the value was written.
func (r *reader) read(d *data, i int) error {
	now := time.Now()
	if err := r.connect(now); err != nil {
		return err
	}
	_ = r.conn.SetDeadline(now.Add(30 * time.Second))
	r.buffer = fmt.Appendf(r.buffer[:0], "GET /api/handles/%s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n", d.id(i))
	if _, err := r.conn.Write(r.buffer); err != nil {
		return err
	}
	response, err := http.ReadResponse(r.reader, nil)
	if err != nil {
		return err
	}
	r.answer.Reset()
	_, err = io.Copy(&r.answer, response.Body)
	response.Body.Close()
	r.want.Reset()
	fmt.Fprintf(&r.want, `{"responseCode":1,"handle":"%s","values":[{"index":1,"type":"URL","data":{"format":"string","value":"%s"},"ttl":%d`, d.id(i), d.link(i), ttl)
	if err == nil && (response.StatusCode != http.StatusOK || !bytes.HasPrefix(r.answer.Bytes(), r.want.Bytes())) {
		err = fmt.Errorf("%s is answered with %s: %.500s", d.id(i), response.Status, r.answer.Bytes())
	}
	return err
}
