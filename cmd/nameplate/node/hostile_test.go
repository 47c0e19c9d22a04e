package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// raw is a bare connection that speaks HTTP/2 by hand.
type raw struct {
	net.Conn
	framer *http2.Framer
	block  bytes.Buffer
	hpack  *hpack.Encoder
}

func (p *port) raw(t *testing.T) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	r := &raw{Conn: conn, framer: http2.NewFramer(conn, conn)}
	r.hpack = hpack.NewEncoder(&r.block)
	r.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return r
}

// greet begins an HTTP/2 connection.
func (r *raw) greet(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(r, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := r.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
}

// headers encodes the header of a call, with some fields instead of the usual ones.
func (r *raw) headers(fields ...string) []byte {
	r.block.Reset()
	all := []string{":method", "POST", ":scheme", "http", ":path", "/nameplate.resolution.v1.Resolution/Resolve", ":authority", "x", "content-type", "application/grpc", "te", "trailers"}
	for i := 0; i < len(fields); i += 2 {
		found := false
		for j := 0; j < len(all); j += 2 {
			if all[j] == fields[i] {
				all[j+1], found = fields[i+1], true
			}
		}
		if !found {
			all = append(all, fields[i], fields[i+1])
		}
	}
	for i := 0; i < len(all); i += 2 {
		_ = r.hpack.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]}) // to memory
	}
	return r.block.Bytes()
}

// call sends a whole call on stream 1 and returns the fields of the answer.
func (r *raw) call(t *testing.T, headers, body []byte) map[string]string {
	t.Helper()
	if err := r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	if err := r.framer.WriteData(1, true, body); err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for {
		f, err := r.framer.ReadFrame()
		if err != nil {
			t.Fatalf("after %v: %v", fields, err)
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			for _, field := range f.Fields {
				fields[field.Name] = field.Value
			}
			if f.StreamEnded() {
				return fields
			}
		case *http2.RSTStreamFrame:
			fields["reset"] = f.ErrCode.String()
			return fields
		}
	}
}

// message puts the prefix of gRPC before a message, with any length in it.
func message(flags byte, length int, b string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flags}, uint32(length)), b...)
}

func TestHostileCalls(t *testing.T) {
	p := openPort(t)
	for _, test := range []struct {
		name    string
		headers []string
		body    []byte
		field   string
		want    string
	}{
		{"as it should be", nil, message(0, 6, "\x0a\x04\x38\x38/x"), "grpc-status", "0"},
		{"wrong content type", []string{"content-type", "application/json"}, []byte(`{"identifier":"88/x"}`), ":status", "415"},
		{"GET", []string{":method", "GET"}, nil, ":status", "405"},
		{"no such method", []string{":path", "/nameplate.resolution.v1.Resolution/Guess"}, message(0, 0, ""), "grpc-status", "12"},
		{"no path at all", []string{":path", "resolve"}, message(0, 0, ""), "grpc-status", "12"},
		{"no message", nil, nil, "grpc-status", "13"},
		{"shorter than its prefix", nil, []byte{0, 0}, "grpc-status", "13"},
		{"shorter than it says", nil, message(0, 100, "\x0a"), "grpc-status", "13"},
		{"longer than allowed", nil, message(0, 1<<31-1, "\x0a"), "grpc-status", "8"},
		{"no protobuf", nil, message(0, 4, "\xff\xff\xff\xff"), "grpc-status", "13"},
		{"not UTF-8", nil, message(0, 4, "\x0a\x02\xff\xfe"), "grpc-status", "13"},
		{"compressed without saying how", nil, message(1, 4, "\x1f\x8b\x08\x00"), "grpc-status", "13"},
		{"compressed, which is not spoken here", []string{"grpc-encoding", "gzip"}, message(1, 4, "\x1f\x8b\x08\x00"), "grpc-status", "12"},
		{"a deadline that is none", []string{"grpc-timeout", "soon"}, message(0, 6, "\x0a\x04\x38\x38/x"), "grpc-status", "13"},
		{"no identifier", nil, message(0, 2, "\x0a\x00"), "grpc-status", "3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := p.raw(t)
			r.greet(t)
			if got := r.call(t, r.headers(test.headers...), test.body); got[test.field] != test.want {
				t.Errorf("got %v; want %s %s", got, test.field, test.want)
			}
		})
	}
	p.works(t)
}

// The server tells its limits in the first frame, and ends connections that pass them.
func TestHostileConnections(t *testing.T) {
	p := openPort(t)
	t.Run("settings", func(t *testing.T) {
		r := p.raw(t)
		r.greet(t)
		f, err := r.framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		settings, ok := f.(*http2.SettingsFrame)
		if !ok {
			t.Fatalf("got %v; want SETTINGS", f)
		}
		for id, want := range map[http2.SettingID]uint32{http2.SettingMaxConcurrentStreams: 100, http2.SettingMaxHeaderListSize: 16 << 10, http2.SettingInitialWindowSize: grpcStreamWindow} {
			if got, _ := settings.Value(id); got != want {
				t.Errorf("%v: got %d; want %d", id, got, want)
			}
		}
	})
	t.Run("headers without end", func(t *testing.T) {
		r := p.raw(t)
		r.greet(t)
		if err := r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.headers()}); err != nil {
			t.Fatal(err)
		}
		r.expectEnd(t, func(n int) error {
			return r.framer.WriteContinuation(1, false, r.headers(fmt.Sprintf("x-%d", n), strings.Repeat("h", 10<<10)))
		})
	})
	t.Run("pings without end", func(t *testing.T) {
		r := p.raw(t)
		r.greet(t)
		r.expectEnd(t, func(int) error { return r.framer.WritePing(false, [8]byte{}) })
	})
	for name, octets := range map[string]string{
		"HTTP/1.1":            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"TLS":                 "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 600),
		"zeros":               strings.Repeat("\x00", 64),
		"a DNS message":       "\x00\x1d\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02sn\x02_i\x0288\x00\x00\x10\x00\x01",
		"no settings":         http2.ClientPreface + "\x00\x00\x04\x08\x00\x00\x00\x00\x01\x00\x00\x00\x01",
		"a frame too large":   http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\xff\xff\xff\x00\x00\x00\x00\x00\x01",
		"headers on stream 0": http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x01\x01\x04\x00\x00\x00\x00\x82",
		"garbage in headers":  http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x04\x01\x04\x00\x00\x00\x01\xff\xff\xff\xff",
	} {
		t.Run(name, func(t *testing.T) {
			r := p.raw(t)
			if _, err := io.WriteString(r, octets); err != nil {
				t.Fatal(err)
			}
			if tcp, ok := r.Conn.(*net.TCPConn); ok {
				_ = tcp.CloseWrite() // the server may have ended the connection by now
			}
			if _, err := io.Copy(io.Discard, r); err != nil && isTimeout(err) {
				t.Errorf("the connection stays open: %v", err)
			}
		})
	}
	p.works(t)
}

// expectEnd writes until the server ends the connection, which it must soon.
func (r *raw) expectEnd(t *testing.T, write func(n int) error) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, r)
		ended <- err
	}()
	for n := 0; n < 100_000; n++ {
		if write(n) != nil {
			break
		}
	}
	select {
	case err := <-ended:
		if isTimeout(err) {
			t.Error("the connection stays open; want it closed")
		}
	case <-time.After(15 * time.Second):
		t.Error("the connection stays open; want it closed")
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// Every prefix of a good call, cut off there, is survived.
func TestTruncatedCalls(t *testing.T) {
	p := openPort(t)
	p.works(t)
	var whole bytes.Buffer
	r := &raw{framer: http2.NewFramer(&whole, nil)}
	r.hpack = hpack.NewEncoder(&r.block)
	whole.WriteString(http2.ClientPreface)
	_ = r.framer.WriteSettings() // to memory
	_ = r.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.headers(), EndHeaders: true})
	_ = r.framer.WriteData(1, true, message(0, 6, "\x0a\x04\x38\x38/x"))
	before := runtime.NumGoroutine()
	for n := range whole.Len() {
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(whole.Bytes()[:n]); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	settle(t, before)
	p.works(t)
}
