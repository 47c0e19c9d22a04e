package proto_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// caller answers health checks with who asked.
type caller struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (caller) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	p, _ := peer.FromContext(ctx)
	key, proved := proto.PeerKey(ctx)
	secure := credentials.CheckSecurityLevel(p.AuthInfo, credentials.PrivacyAndIntegrity) == nil
	return nil, status.Error(codes.Aborted, fmt.Sprintf("proved=%v secure=%v key=%s", proved, secure, key))
}

func newKey(t *testing.T) identifier.PrivateKey {
	t.Helper()
	key, err := identifier.NewPrivateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// serveIdentity serves [caller] until the test ends.
func serveIdentity(t *testing.T, i *proto.Identity) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.Creds(i.Server()))
	grpc_health_v1.RegisterHealthServer(s, caller{})
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// ask returns what the server says of the connection, or why there is none.
func ask(t *testing.T, address string, c credentials.TransportCredentials) string {
	t.Helper()
	conn, err := proto.Dial(address, grpc.WithTransportCredentials(c))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	return status.Convert(err).Message()
}

func TestIdentity(t *testing.T) {
	node, other, stranger := newKey(t), newKey(t), newKey(t)
	address := serveIdentity(t, proto.NewIdentity(node))
	for name, c := range map[string]struct {
		with credentials.TransportCredentials
		want string
	}{
		"proves its key": {proto.NewIdentity(other).Client(node.Public()), "proved=true secure=true key=" + other.Public().String()},
		"anonymous":      {proto.Anonymous(node.Public()), "proved=false secure=true key="},
		"plain":          {insecure.NewCredentials(), "proved=false secure=false key="},
		"wrong node":     {proto.NewIdentity(other).Client(stranger.Public()), "the node should have key " + stranger.Public().String() + ", and has " + node.Public().String()},
		"older TLS":      {credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}), "protocol version not supported"},
		"another key": {credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, GetClientCertificate: rsaCertificate}),
			// In TLS 1.3 the client is done before the server has looked at its certificate:
			// it hears of the alert, or that the connection is gone.
			""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ask(t, address, c.with); !strings.Contains(got, c.want) || c.want == "" && strings.Contains(got, "proved=") {
				t.Errorf("got %q, want %q in it", got, c.want)
			}
		})
	}
}

// rsaCertificate is a certificate that no node has.
func rsaCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// TestImpostor lets a node show the certificate of another without having its key.
func TestImpostor(t *testing.T) {
	node, impostor := newKey(t), newKey(t)
	address := serveIdentity(t, proto.NewIdentity(node))
	raw, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	certificate := raw.ConnectionState().PeerCertificates[0].Raw
	raw.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: impostor.Signer()}}, NextProtos: []string{"h2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
	if got := ask(t, l.Addr().String(), proto.Anonymous(node.Public())); !strings.Contains(got, "invalid signature") {
		t.Errorf("got %q", got)
	}
}

// TestRenewal connects again and again for a year: no certificate has run out.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := newKey(t)
		server := proto.NewIdentity(node).Server()
		serials := map[string]bool{}
		for range 365 {
			here, there := net.Pipe()
			go server.ServerHandshake(there)
			client := tls.Client(here, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
			if err := client.Handshake(); err != nil {
				t.Fatal(err)
			}
			c := client.ConnectionState().PeerCertificates[0]
			if now := time.Now(); now.Before(c.NotBefore) || now.Add(30*24*time.Hour).After(c.NotAfter) {
				t.Fatalf("at %v the certificate is for %v to %v", now, c.NotBefore, c.NotAfter)
			}
			serials[c.SerialNumber.String()] = true
			here.Close()
			there.Close()
			time.Sleep(24 * time.Hour)
		}
		if n := len(serials); n < 6 || n > 7 {
			t.Errorf("%d certificates in a year", n)
		}
	})
}
