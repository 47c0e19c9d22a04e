package proto

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Identity is a key as both ends of a gRPC connection prove it: TLS 1.3 (RFC 8446)
// with a certificate that the key has signed for itself. Nobody vouches for it and
// nobody has to: whoever connects knows the key beforehand, from a delegation or a
// configuration, and compares. So the times and names in a certificate mean nothing
// here; they are there for the tools of others.
//
// A certificate is made when the first connection wants one, and a new one when less
// than a third of its time is left, while connections go on. None is kept on disk. An
// Identity may be used concurrently.
type Identity struct {
	key identifier.PrivateKey

	mu          sync.Mutex
	certificate *tls.Certificate
	renew       time.Time
}

const (
	certificateLife = 90 * 24 * time.Hour
	// The clock of whoever looks at it may be behind.
	certificateSlack = 24 * time.Hour
)

// NewIdentity returns the identity of a key.
func NewIdentity(key identifier.PrivateKey) *Identity { return &Identity{key: key} }

// current returns a certificate with at least a third of its life ahead.
func (i *Identity) current() (*tls.Certificate, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	if i.certificate != nil && now.Before(i.renew) {
		return i.certificate, nil
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: i.key.Public().ID().String()},
		NotBefore:    now.Add(-certificateSlack),
		NotAfter:     now.Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	signer := i.key.Signer()
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, signer.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("certificate of key %s: %w", i.key.Public().ID(), err)
	}
	i.certificate = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: signer}
	i.renew = now.Add(certificateLife * 2 / 3)
	return i.certificate, nil
}

// Client returns credentials that prove the identity to a node and accept only the
// node that proves the given key.
func (i *Identity) Client(node identifier.PublicKey) credentials.TransportCredentials {
	return clientCredentials(i, node)
}

// Anonymous returns credentials that prove nothing to a node and accept only the one
// that proves the given key.
func Anonymous(node identifier.PublicKey) credentials.TransportCredentials {
	return clientCredentials(nil, node)
}

func clientCredentials(own *Identity, node identifier.PublicKey) credentials.TransportCredentials {
	c := commonTLS()
	onlyNode(c, node)
	if own != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own.current() }
	}
	return credentials.NewTLS(c)
}

// Server returns the credentials of a gRPC port that serves encrypted connections and
// plain ones alike: the first octet of a connection tells them apart, which is 0x16 in
// TLS (RFC 8446, section 5.1) and "P" in HTTP/2 (RFC 9113, section 3.4). What a caller
// may do on either is for the services to decide, by [PeerKey] and by the security
// level of the connection. A caller's certificate is asked for and may be left out.
func (i *Identity) Server() credentials.TransportCredentials {
	c := commonTLS()
	c.ClientAuth = tls.RequestClientCert
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return i.current() }
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return nil
		}
		_, err := provenKey(s)
		return err
	}
	// A resumed session would prove the key of an earlier connection.
	c.SessionTicketsDisabled = true
	return &eitherServer{TransportCredentials: credentials.NewTLS(c), plain: insecure.NewCredentials()}
}

// NodeName is the server name (RFC 6066, section 3) by which a client of an HTTP port
// says that it wants the node's own key proved, where the port has another certificate
// too.
const NodeName = "node-key.nameplate.internal"

// Web returns how an HTTP port proves the identity. Who connects is not asked.
func (i *Identity) Web() *tls.Config {
	c := commonTLS()
	c.NextProtos = nil // for the HTTP server to say
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return i.current() }
	return c
}

// Only returns how a client of an HTTP port accepts only the node that proves the given
// key.
func Only(node identifier.PublicKey) *tls.Config {
	c := commonTLS()
	c.NextProtos, c.ServerName = nil, NodeName
	onlyNode(c, node)
	return c
}

// onlyNode makes a client compare the key: there is no authority to ask and no name.
func onlyNode(c *tls.Config, node identifier.PublicKey) {
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(s tls.ConnectionState) error {
		key, err := provenKey(s)
		if err == nil && key != node {
			err = fmt.Errorf("the node should have key %s, and has %s: look at its address, or at the key", node, key)
		}
		return err
	}
}

func commonTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}}
}

// provenKey returns the key that the other side has proved in its handshake.
func provenKey(s tls.ConnectionState) (identifier.PublicKey, error) {
	if len(s.PeerCertificates) != 1 {
		return identifier.PublicKey{}, fmt.Errorf("a chain of %d certificates: a node proves its key with one, which it signed itself", len(s.PeerCertificates))
	}
	raw, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return identifier.PublicKey{}, errors.New("the certificate has no Ed25519 key: a node proves its node key")
	}
	return identifier.PublicKey{Type: identifier.Ed25519, Raw: string(raw)}, nil
}

// PeerKey returns the key that the caller of a context has proved, when its connection
// is encrypted and it did.
func PeerKey(ctx context.Context) (identifier.PublicKey, bool) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return identifier.PublicKey{}, false
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return identifier.PublicKey{}, false
	}
	key, err := provenKey(info.State)
	return key, err == nil
}

// eitherServer is the server's side of credentials that leave it to the client whether
// the connection is encrypted.
type eitherServer struct {
	credentials.TransportCredentials // of the encrypted ones
	plain                            credentials.TransportCredentials
}

// recordHandshake is the first octet of a TLS connection.
const recordHandshake = 0x16

// ServerHandshake implements [credentials.TransportCredentials]. gRPC has set the
// deadline.
func (c *eitherServer) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	var first [1]byte
	if _, err := raw.Read(first[:]); err != nil {
		return nil, nil, err
	}
	conn := &begunConn{Conn: raw, first: first[:]}
	if first[0] == recordHandshake {
		return c.TransportCredentials.ServerHandshake(conn)
	}
	return c.plain.ServerHandshake(conn)
}

// Clone implements [credentials.TransportCredentials].
func (c *eitherServer) Clone() credentials.TransportCredentials {
	return &eitherServer{TransportCredentials: c.TransportCredentials.Clone(), plain: c.plain.Clone()}
}

// begunConn is a connection of which the first octet has been read.
type begunConn struct {
	net.Conn
	first []byte
}

func (c *begunConn) Read(b []byte) (int, error) {
	if len(c.first) > 0 && len(b) > 0 {
		n := copy(b, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}
