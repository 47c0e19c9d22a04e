package handle_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/dsa" //lint:ignore SA1019 stock servers have such keys
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	"github.com/nameplate-id/nameplate/resolver/handle"
	"github.com/nameplate-id/nameplate/resolver/resolvertest"
)

func identity(t testing.TB, folder string) *handle.Identity {
	t.Helper()
	i, err := handle.OpenIdentity(folder, &here)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func public(t testing.TB, i *handle.Identity) *handle.PublicKey {
	t.Helper()
	key, err := i.Public()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The text that is signed, written down from the reference once more: which version has
// what in front of header and body.
func TestCertifiedLayouts(t *testing.T) {
	i := identity(t, "")
	key, err := i.Key()
	if err != nil {
		t.Fatal(err)
	}
	s := handle.New(resolverFunc(node), handle.Options{Node: here, Identity: i})
	for _, c := range []struct {
		version handle.Version
		front   func(m *handle.Message, counter uint32) []byte
		hash    string
	}{
		{handle.Version{Major: 2, Minor: 1}, nil, "SHA1"},
		{handle.Version{Major: 2, Minor: 6}, nil, "SHA1"},
		{handle.Version{Major: 2, Minor: 7}, func(m *handle.Message, counter uint32) []byte {
			b := binary.BigEndian.AppendUint32([]byte{2, 7}, m.Session)
			return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, m.Request), counter)
		}, "SHA-256"},
		{handle.Version{Major: 2, Minor: 8}, func(m *handle.Message, counter uint32) []byte {
			b := binary.BigEndian.AppendUint32([]byte{2, 8, 2, 11}, m.Session)
			return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, m.Request), counter)
		}, "SHA-256"},
		{handle.Version{Major: 2, Minor: 11}, func(m *handle.Message, counter uint32) []byte {
			b := binary.BigEndian.AppendUint32([]byte{2, 11, 2, 11}, m.Session)
			return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, m.Request), counter)
		}, "SHA-256"},
		{handle.Version{Major: 3}, func(m *handle.Message, counter uint32) []byte {
			b := binary.BigEndian.AppendUint32([]byte{3, 0, 3, 0}, m.Session)
			return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, m.Request), counter)
		}, "SHA-256"},
	} {
		for _, text := range []string{"88.1/sn", "88.1/none", "88.118/x"} {
			q := request(handle.OpResolution, handle.FlagCertified|handle.FlagDigest, handle.Resolution{Handle: text})
			q.Version, q.Suggested, q.Session = c.version, c.version, 12345
			m, digest, _ := tell(t, s, q)
			k, err := handle.ParseCredential(m.Credential)
			if err != nil || k.Type != "HS_SIGNED" || k.Hash != c.hash || k.Signer != "" || m.Flags&handle.FlagCertified == 0 || digest != q.Digest() {
				t.Fatalf("%v, %s: got %+v, %v; want a signature", c.version, text, k, err)
			}
			whole := m.Append(nil)
			signed := whole[:24+len(m.Body)]
			if c.front != nil {
				signed = append(c.front(m, k.Counter), signed...)
			}
			hash := crypto.SHA256
			if c.hash == "SHA1" {
				hash = crypto.SHA1
			}
			h := hash.New()
			h.Write(signed)
			if err := rsa.VerifyPKCS1v15(&key.PublicKey, hash, h.Sum(nil), k.Signature); err != nil {
				t.Errorf("%v, %s: %v", c.version, text, err)
			}
		}
	}
	// Who does not ask gets none; without a key nobody does.
	if m, _, _ := tell(t, s, request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/sn"})); len(m.Credential) > 0 {
		t.Error("an answer is signed that nobody asked to be")
	}
	if m, _, _ := tell(t, newServer(), request(handle.OpResolution, handle.FlagCertified, handle.Resolution{Handle: "88.1/sn"})); len(m.Credential) > 0 || m.Flags&handle.FlagCertified != 0 {
		t.Error("an answer is signed without a key")
	}
}

// The client asks for certified answers where it knows the key, over every transport,
// and believes no other.
func TestClientVerifies(t *testing.T) {
	i := identity(t, "")
	address := serve(t, resolverFunc(node), handle.Options{Node: here, Identity: i})
	unsigned := serve(t, resolverFunc(node), handle.Options{Node: here})
	ours, other := public(t, i), public(t, identity(t, ""))
	q := resolver.Query{ID: identifier.ID{Prefix: "88.1", Suffix: "sn"}}
	for name, o := range map[string]handle.ClientOptions{"UDP": {}, "TCP": {OnlyTCP: true}, "TLS": {TLS: true}} {
		o.Timeout = 700 * time.Millisecond
		o.Key = ours
		if a, err := handle.NewClient(address, o).Resolve(t.Context(), q); err != nil || a.Outcome != resolver.Found {
			t.Errorf("%s: got %v, %v; want it found", name, a, err)
		}
		if name == "TLS" {
			o.Key = nil
			if _, err := handle.NewClient(address, o).Resolve(t.Context(), q); err != nil {
				t.Errorf("TLS without a key: %v", err)
			}
		}
		o.Key = other
		if a, err := handle.NewClient(address, o).Resolve(t.Context(), q); err == nil {
			t.Errorf("%s, another key: got %v; want an error", name, a)
		}
		o.Key = ours
		if a, err := handle.NewClient(unsigned, o).Resolve(t.Context(), q); err == nil {
			t.Errorf("%s, no signature: got %v; want an error", name, a)
		}
	}
}

// What was changed on the way is not believed, wherever it was changed.
func TestForgedAnswers(t *testing.T) {
	i := identity(t, "")
	key := public(t, i)
	s := handle.New(resolverFunc(node), handle.Options{Node: here, Identity: i})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	changes := make(chan func(*handle.Message), 1)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			head := make([]byte, 20)
			io.ReadFull(conn, head)
			e, _ := handle.ParseEnvelope(head)
			b := make([]byte, e.Length)
			io.ReadFull(conn, b)
			m := s.Answer(context.Background(), e, b)
			(<-changes)(m)
			conn.Write(m.AppendStream(nil))
			conn.Close()
		}
	}()
	client := handle.NewClient(listener.Addr().String(), handle.ClientOptions{OnlyTCP: true, Key: key, Timeout: 5 * time.Second})
	for name, c := range map[string]struct {
		change func(*handle.Message)
		good   bool
	}{
		"nothing":   {func(*handle.Message) {}, true},
		"a value":   {func(m *handle.Message) { m.Body = bytes.Replace(m.Body, []byte("maker"), []byte("faker"), 1) }, false},
		"the code":  {func(m *handle.Message) { m.Code = handle.ValuesNotFound }, false},
		"a flag":    {func(m *handle.Message) { m.Flags |= handle.FlagContinuous }, false},
		"version":   {func(m *handle.Message) { m.Version.Minor-- }, false},
		"session":   {func(m *handle.Message) { m.Session++ }, false},
		"signature": {func(m *handle.Message) { m.Credential[len(m.Credential)-1] ^= 1 }, false},
		"removed":   {func(m *handle.Message) { m.Credential = nil }, false},
		"MAC": {func(m *handle.Message) {
			m.Credential = bytes.Replace(m.Credential, []byte("\x00\x00\x00\x09HS_SIGNED"), []byte("\x00\x00\x00\x06HS_MAC"), 1)
		}, false},
	} {
		changes <- c.change
		a, err := client.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88.1", Suffix: "sn"}})
		if (err == nil) != c.good {
			t.Errorf("%s was changed: got %v, %v", name, a.Outcome, err)
		}
	}
}

// Stock servers with DSA keys are verified, too.
func TestDSA(t *testing.T) {
	var key dsa.PrivateKey
	if err := dsa.GenerateParameters(&key.Parameters, rand.Reader, dsa.L1024N160); err != nil {
		t.Fatal(err)
	}
	if err := dsa.GenerateKey(&key, rand.Reader); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("text"))
	r, s, err := dsa.Sign(rand.Reader, &key, sum[:20])
	if err != nil {
		t.Fatal(err)
	}
	signature, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		t.Fatal(err)
	}
	number := func(n *big.Int) []byte { return n.FillBytes(make([]byte, n.BitLen()/8+1)) }
	public := &handle.PublicKey{Type: "DSA_PUB_KEY", Parts: [][]byte{number(key.Q), number(key.P), number(key.G), number(key.Y)}}
	if !handle.Verifies(public, crypto.SHA256, sum[:], signature) {
		t.Error("a good signature is refused")
	}
	other := sha256.Sum256([]byte("other"))
	if handle.Verifies(public, crypto.SHA256, other[:], signature) || handle.Verifies(public, crypto.SHA256, sum[:], signature[1:]) {
		t.Error("a bad signature is taken")
	}
}

// Keys that are none, or too large to try, are refused unread.
func TestBrokenKeys(t *testing.T) {
	large := bytes.Repeat([]byte{0x7f}, 1025)
	for name, key := range map[string]*handle.PublicKey{
		"too few numbers": {Type: "RSA_PUB_KEY", Parts: [][]byte{{3}}},
		"zero":            {Type: "RSA_PUB_KEY", Parts: [][]byte{{0}, {0}}},
		"negative":        {Type: "RSA_PUB_KEY", Parts: [][]byte{{3}, {0x80, 1}}},
		"empty":           {Type: "RSA_PUB_KEY", Parts: [][]byte{{}, {}}},
		"large":           {Type: "RSA_PUB_KEY", Parts: [][]byte{{3}, large}},
		"large exponent":  {Type: "RSA_PUB_KEY", Parts: [][]byte{large[:9], large[:256]}},
		"DH":              {Type: "DH_PUB_KEY", Parts: [][]byte{{3}, {5}, {7}}},
		"unknown":         {Type: "SM2_PUB_KEY", Raw: []byte("x")},
	} {
		if handle.Verifies(key, crypto.SHA256, make([]byte, 32), make([]byte, 256)) {
			t.Errorf("%s: it verifies something", name)
		}
	}
}

// Signing costs more than answering; over UDP, where nobody knows who asks, it is bounded.
func TestSignaturesAreBounded(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	take := handle.Signatures()
	got := 0
	for range 1000 {
		if take(now) {
			got++
		}
	}
	if got != 200 {
		t.Errorf("got %d at once; want 200", got)
	}
	later := now.Add(10 * time.Millisecond)
	if a, b, c := take(later), take(later), take(later); !a || !b || c {
		t.Errorf("got %v, %v, %v; want two a hundredth of a second later", a, b, c)
	}
}

// A node keeps its key and serial; what changes raises the serial.
func TestIdentityIsKept(t *testing.T) {
	folder := t.TempDir()
	first := identity(t, folder)
	if _, err := os.Stat(filepath.Join(folder, "handle.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v; want no key before it is needed", err)
	}
	key := public(t, first)
	info, err := os.Stat(filepath.Join(folder, "handle.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("got %v, %v; want a key for its owner only", info, err)
	}
	again := identity(t, folder)
	if again.Serial() != first.Serial() || !bytes.Equal(public(t, again).Append(nil), key.Append(nil)) {
		t.Errorf("got serial %d; want %d and the same key", again.Serial(), first.Serial())
	}
	moved := here
	moved.Addresses = []identifier.Address{{IP: "192.0.2.77", Handle: 2641}}
	at, err := handle.OpenIdentity(folder, &moved)
	if err != nil || at.Serial() != first.Serial()+1 {
		t.Errorf("after a move: got serial %d, %v; want %d", at.Serial(), err, first.Serial()+1)
	}
	if at, err = handle.OpenIdentity(folder, &moved); err != nil || at.Serial() != first.Serial()+1 {
		t.Errorf("after another start: got serial %d, %v; want it kept", at.Serial(), err)
	}
	// The key is lost.
	os.Remove(filepath.Join(folder, "handle.key"))
	for range 2 { // the second time without having needed it
		if at, err = handle.OpenIdentity(folder, &moved); err != nil || at.Serial() != first.Serial()+2 {
			t.Errorf("without the key: got serial %d, %v; want %d", at.Serial(), err, first.Serial()+2)
		}
	}
	if bytes.Equal(public(t, at).Append(nil), key.Append(nil)) {
		t.Error("the key is the same")
	}
	if at, err = handle.OpenIdentity(folder, &moved); err != nil || at.Serial() != first.Serial()+2 {
		t.Errorf("with the new key: got serial %d, %v; want it kept", at.Serial(), err)
	}
	for _, text := range []string{"", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		os.WriteFile(filepath.Join(folder, "handle.key"), []byte(text), 0o600)
		if _, err := handle.OpenIdentity(folder, &moved); err == nil || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("%q: got %v; want what to do", text, err)
		}
	}
}

// Who goes by old site information hears so, gets the new one, and is answered then.
func TestOutOfDate(t *testing.T) {
	i := identity(t, "")
	s := handle.New(resolverFunc(node), handle.Options{Node: here, Identity: i})
	ask := func(op handle.Opcode, serial uint16, body handle.Body, suggested uint8) (*handle.Message, handle.Body) {
		q := request(op, 0, body)
		q.Serial, q.Suggested.Minor = serial, suggested
		m, _, b := tell(t, s, q)
		if m.Serial != i.Serial() {
			t.Errorf("an answer has serial %d; want %d", m.Serial, i.Serial())
		}
		return m, b
	}
	asked := handle.Resolution{Handle: "88.1/sn"}
	if m, _ := ask(handle.OpResolution, 1, asked, 11); m.Code != handle.SiteInfoOutOfDate {
		t.Errorf("got %v; want 300", m.Code)
	}
	_, body := ask(handle.OpSiteInfo, 1, handle.Name{Handle: "/"}, 11)
	site := body.(handle.SiteInfo).Site
	if site.Serial != i.Serial() || !bytes.Equal(site.Servers[0].Key, public(t, i).Append(nil)) {
		t.Errorf("got site %+v; want the serial and the key", site)
	}
	for _, serial := range []uint16{site.Serial, handle.NoSerial} {
		if m, _ := ask(handle.OpResolution, serial, asked, 11); m.Code != handle.Success {
			t.Errorf("serial %d: got %v; want success", serial, m.Code)
		}
	}
	if m, _ := ask(handle.OpResolution, 1, asked, 10); m.Code != handle.Success {
		t.Errorf("an SDK that throws on 300 got %v", m.Code)
	}
}

// The first octet decides whether a connection is TLS, on the same port.
func TestTLS(t *testing.T) {
	i := identity(t, "")
	address := serve(t, resolverFunc(node), handle.Options{Node: here, Identity: i, AtOnce: true})
	key, err := i.Key()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := conn.ConnectionState().PeerCertificates[0]; !key.PublicKey.Equal(got.PublicKey) || got.CheckSignature(got.SignatureAlgorithm, got.RawTBSCertificate, got.Signature) != nil {
		t.Errorf("got a certificate of %v; want one of the key, signed with it", got.Subject)
	}
	plainly := dial(t, "tcp", address)
	for range 3 {
		q := request(handle.OpResolution, handle.FlagKeepOpen, handle.Resolution{Handle: "88.1/sn"}).AppendStream(nil)
		conn.Write(q)
		plainly.Write(q)
		if a, b := read(t, conn), read(t, plainly); a.Code != handle.Success || !bytes.Equal(a.Body, b.Body) {
			t.Errorf("got %+v inside of TLS, %+v outside", a, b)
		}
	}
	// What only begins like TLS ends.
	garbage := dial(t, "tcp", address)
	garbage.Write(bytes.Repeat([]byte{0x16}, 100))
	if _, err := io.ReadAll(garbage); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("got %v; want the end", err)
	}
}

// Over UDP, then TCP, then HTTP.
func TestFallback(t *testing.T) {
	s := handle.New(resolverFunc(node), handle.Options{Node: here})
	server := httptest.NewServer(s.Tunnel())
	defer server.Close()
	last, err := handle.NewTunnelClient(server.URL, handle.TunnelOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	socket, listener := resolvertest.Listen(t) // where nobody answers
	address := socket.LocalAddr().String()
	socket.Close()
	listener.Close()
	client := handle.NewClient(address, handle.ClientOptions{Fallback: last, Timeout: 5 * time.Second})
	a, err := client.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: "88.1", Suffix: "sn"}})
	if err != nil || a.Outcome != resolver.Found {
		t.Errorf("got %v, %v; want it found over HTTP", a.Outcome, err)
	}
}
