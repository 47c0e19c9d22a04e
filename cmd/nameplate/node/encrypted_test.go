package node

import (
	"crypto/rsa"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
)

// The HTTP port answers plain and encrypted connections alike, and proves the node's
// key on the latter.
func TestEncryptedHTTP(t *testing.T) {
	n, stop := began(t, func(c *Config) { c.Name, c.Listen.Handle = "top", []string{"127.0.0.1:0"} })
	id := identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}
	holder := ownPrefix(t, n, id.Prefix)
	register(t, n.registry, holder, id)
	at := n.Addresses().HTTP[0]
	// Who sends nothing is in nobody's way, and does not keep the node from ending.
	for range 10 {
		silent, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
	}
	for _, c := range []struct {
		name    string
		version int
	}{{"HTTP/1.1", 1}, {"HTTP/2.0", 2}} {
		transport := &http.Transport{TLSClientConfig: proto.Only(n.registry.Key()), ForceAttemptHTTP2: c.version == 2}
		response, err := (&http.Client{Transport: transport}).Get("https://" + at + "/api/handles/88.118.8/SN-42")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		transport.CloseIdleConnections()
		if response.StatusCode != 200 || response.Proto != c.name || !strings.Contains(string(body), `"responseCode":1,"handle":"88.118.8/SN-42"`) {
			t.Errorf("got %s over %s: %s; want %s", response.Status, response.Proto, body, c.name)
		}
	}
	for _, c := range []struct {
		scheme string
		key    identifier.PublicKey
		ok     bool
	}{{"http", identifier.PublicKey{}, true}, {"https", n.registry.Key(), true}, {"https", holder.Public(), false}} {
		client, err := resolverhandle.NewTunnelClient(c.scheme+"://"+at, resolverhandle.TunnelOptions{TLS: proto.Only(c.key)})
		if err != nil {
			t.Fatal(err)
		}
		a, err := client.Resolve(t.Context(), resolver.Query{ID: id})
		client.Close()
		if (err == nil) != c.ok || c.ok && a.Outcome != resolver.Found {
			t.Errorf("%s with key %s: got %+v, %v; want an answer: %t", c.scheme, c.key, a, err, c.ok)
		}
	}
	// Stock clients compare the certificate with the key of the site.
	conn, err := tls.Dial("tcp", at, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	shown, ok := conn.ConnectionState().PeerCertificates[0].PublicKey.(*rsa.PublicKey)
	conn.Close()
	response, err := http.Get("http://" + at + "/api/site")
	if err != nil {
		t.Fatal(err)
	}
	site, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if !ok || !strings.Contains(string(site), base64.RawURLEncoding.EncodeToString(shown.N.Bytes())) || !strings.Contains(string(site), `"protocol":"HTTPS"`) {
		t.Errorf("the certificate has the key %v, the site is %s", shown, site)
	}
	// What begins like TLS and is none gets no answer, and costs the others nothing.
	garbage, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer garbage.Close()
	fmt.Fprintf(garbage, "\x16garbage garbage garbage\r\n\r\n")
	_ = garbage.SetReadDeadline(time.Now().Add(10 * time.Second))
	if b, _ := io.ReadAll(garbage); strings.Contains(string(b), "HTTP/1.1 200") {
		t.Errorf("garbage was answered with %q", b)
	}
	stop()
	if _, err := net.DialTimeout("tcp", at, time.Second); err == nil {
		t.Error("somebody still listens")
	}
}
