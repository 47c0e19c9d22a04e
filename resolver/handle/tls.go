package handle

import (
	"crypto/tls"
	"net"
)

// tlsHandshake is the first octet of a connection that begins with TLS; that of a
// message is its major version.
const tlsHandshake = 0x16

// firstRead is how many octets are read to look at the first.
const firstRead = 1024

// begun is a connection of which a beginning has been read.
type begun struct {
	net.Conn
	b []byte
}

func (c *begun) Read(b []byte) (int, error) {
	if len(c.b) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.b)
	if c.b = c.b[n:]; len(c.b) == 0 {
		c.b = nil
	}
	return n, nil
}

// wrap looks at the first octet of a connection, and takes it into TLS where that is
// what it begins with.
func (s *Server) wrap(conn net.Conn) (net.Conn, error) {
	b := make([]byte, firstRead)
	n, err := conn.Read(b)
	if n == 0 {
		return nil, err
	}
	c := &begun{conn, b[:n]}
	if b[0] != tlsHandshake {
		return c, nil
	}
	secured := tls.Server(c, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.o.Identity.Certificate() },
	})
	if err := secured.Handshake(); err != nil {
		return nil, err
	}
	return secured, nil
}
