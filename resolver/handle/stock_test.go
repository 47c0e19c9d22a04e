package handle_test

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver/handle"
)

// stock is a server as others run them: it knows nothing of our flag, answers from a
// table, and writes down what it is asked.
type stock struct {
	answers map[string]func(m *handle.Message) (handle.Code, handle.Body) // by handle in capitals
	site    *handle.Site
	udp     uint16
	tcp     uint16
	http    uint16
	https   uint16

	mu     sync.Mutex
	proves *tls.Certificate // over HTTPS
	key    *handle.Identity // that it signs with; nil for none
	asked  []string         // "udp 0.NA/88"
}

// open starts a stock server over some transports, each with a port of its own.
func open(t *testing.T, transports string) *stock {
	t.Helper()
	s := &stock{answers: map[string]func(*handle.Message) (handle.Code, handle.Body){}}
	if strings.Contains(transports, "udp") {
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		s.udp = uint16(conn.LocalAddr().(*net.UDPAddr).Port)
		go func() {
			b := make([]byte, 4096)
			for {
				n, from, err := conn.ReadFrom(b)
				if err != nil {
					return
				}
				if transports == "udp silent" {
					continue
				}
				if m := s.answer("udp", b[:n]); m != nil {
					conn.WriteTo(m, from)
				}
			}
		}()
	}
	if strings.Contains(transports, "tcp") {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		s.tcp = uint16(listener.Addr().(*net.TCPAddr).Port)
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				b := make([]byte, 4096)
				n, _ := conn.Read(b)
				if m := s.answer("tcp", b[:n]); m != nil {
					conn.Write(m)
				}
				conn.Close()
			}
		}()
	}
	if slices.Contains(strings.Fields(transports), "https") {
		listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.proves, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		s.https = s.tunnel(t, "https", listener)
	}
	if slices.Contains(strings.Fields(transports), "http") {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.http = s.tunnel(t, "http", listener)
	}
	s.site = &handle.Site{Format: 1, Version: handle.Version{Major: 2, Minor: 11}, Serial: 1, Primary: true, Hash: handle.HashWhole}
	s.site.Servers = []handle.SiteServer{s.server()}
	return s
}

// is lets a server prove a certificate over HTTPS, and sign with a key.
func (s *stock) is(certificate *tls.Certificate, key *handle.Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proves, s.key = certificate, key
}

// tunnel answers messages that HTTP carries, and returns its port.
func (s *stock) tunnel(t *testing.T, transport string, listener net.Listener) uint16 {
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", handle.TunnelType)
		w.Write(s.answer(transport, b))
	})}
	t.Cleanup(func() { server.Close() })
	go server.Serve(listener)
	return uint16(listener.Addr().(*net.TCPAddr).Port)
}

// server is the server in site information.
func (s *stock) server() handle.SiteServer {
	server := handle.SiteServer{ID: 1}
	four := netip.MustParseAddr("127.0.0.1").As4()
	copy(server.Address[12:], four[:])
	for i, port := range []uint16{s.udp, s.tcp, s.http, s.https} {
		if port != 0 {
			server.Interfaces = append(server.Interfaces, handle.Interface{Kind: 3, Protocol: handle.Transport(i), Port: uint32(port)})
		}
	}
	return server
}

func (s *stock) answer(transport string, b []byte) []byte {
	e, err := handle.ParseEnvelope(b)
	if err != nil {
		return nil
	}
	m, err := handle.ParseMessage(e, b[20:])
	if err != nil {
		return nil
	}
	digest := m.Digest()
	m.Flags &^= handle.FlagAnswer
	name := ""
	if m.Opcode == handle.OpSiteInfo {
		name = "site"
	} else if n := int(m.Body[3]) | int(m.Body[2])<<8; 4+n <= len(m.Body) {
		name = string(m.Body[4 : 4+n])
	}
	s.mu.Lock()
	s.asked = append(s.asked, transport+" "+name)
	s.mu.Unlock()
	code, body := handle.NotFound, handle.Body(handle.Failure{})
	if f := s.then(name); f != nil {
		if code, body = f(m); body == nil {
			return nil
		}
	}
	answer := &handle.Message{
		Envelope: handle.Envelope{Version: e.Version, Suggested: handle.Version{Major: 2, Minor: 11}, Request: e.Request},
		Opcode:   m.Opcode, Code: code, Flags: m.Flags & handle.FlagDigest, Serial: s.site.Serial,
		Body: body.Append(append([]byte{byte(digest.Type)}, digest.Sum...)),
	}
	s.mu.Lock()
	key := s.key
	s.mu.Unlock()
	if key != nil && m.Flags&handle.FlagCertified != 0 {
		if err := handle.Certify(answer, key); err != nil {
			return nil
		}
	}
	return answer.AppendStream(nil)
}

// log returns what was asked since the last time.
func (s *stock) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.Join(s.asked, ", ")
	s.asked = nil
	return text
}

func valueOf(kind, data string) identifier.Value {
	return identifier.Value{Index: 1, Type: kind, Data: []byte(data), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions}
}

func siteValue(kind string, s *handle.Site) identifier.Value {
	return valueOf(kind, string(s.Append(nil)))
}

// when lets a function answer for a handle; then returns what does.
func (s *stock) when(name string, answer func(*handle.Message) (handle.Code, handle.Body)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[strings.ToUpper(name)] = answer
}

func (s *stock) then(name string) func(*handle.Message) (handle.Code, handle.Body) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answers[strings.ToUpper(name)]
}

// has lets a server answer for a handle with values.
func (s *stock) has(name string, values ...identifier.Value) {
	s.when(name, func(m *handle.Message) (handle.Code, handle.Body) {
		var kept []identifier.Value
		_, body, _ := m.ParseBody()
		asked := body.(handle.Resolution)
		for i, v := range values {
			v.Index = uint32(i + 1)
			if len(asked.Types) == 0 || slices.Contains(asked.Types, v.Type) {
				kept = append(kept, v)
			}
		}
		if len(kept) == 0 {
			return handle.ValuesNotFound, handle.Failure{}
		}
		return handle.Success, handle.Values{Handle: asked.Handle, Values: kept}
	})
}

// says lets a server answer with a code.
func (s *stock) says(name string, code handle.Code, body handle.Body) {
	s.when(name, func(*handle.Message) (handle.Code, handle.Body) { return code, body })
}
