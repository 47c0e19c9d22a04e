package handle

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

const (
	// KeyFile and siteFile lie beside the node's other files.
	KeyFile  = "handle.key"
	siteFile = "handle.site"

	keyBits   = 2048
	keyHeader = "PRIVATE KEY"
	// epochOfSerials is when serials began: one counts days, where nothing else is known.
	epochOfSerials = 1577836800 // 2020-01-01
)

// Identity is who a server is to Handle clients: the key that its sites publish, and
// the serial of its site information.
//
// Stock clients verify RSA and DSA keys only, so the node's own key (Ed25519) does not
// do: a node has an RSA key beside it, in handle.key (PKCS #8, PEM, for its owner only),
// made when it is first needed. handle.site holds the serial and a hash of what it
// stands for; the serial rises when an address, a port, the name or the key changes.
//
// A node without its key makes another, and the serial rises, so that clients learn it;
// one without both begins with the number of days since 2020, above what it is likely to
// have told before. But what lies above publishes the key, from the delegation that names
// it: until that names the new one, nobody who comes from there believes the node's
// certified answers. So the key goes into backups where the node's own key does. Who has
// a running node's key can sign answers as that node, and nothing else: changes are signed
// with other keys.
type Identity struct {
	folder string // "" for memory
	sites  []byte // what the serial stands for, without the key
	serial uint16

	mu   sync.Mutex
	key  *rsa.PrivateKey
	cert *tls.Certificate
}

// OpenIdentity reads the identity of a node that answers at these addresses from its
// folder. Without a folder there is one for as long as the process lives.
func OpenIdentity(folder string, node *identifier.Node) (*Identity, error) {
	i := &Identity{folder: folder}
	for _, site := range sitesOf(node, 0, nil) {
		i.sites = site.Append(i.sites)
	}
	i.serial = firstSerial(time.Now())
	if folder == "" {
		return i, nil
	}
	if err := i.readKey(); err != nil {
		return nil, err
	}
	return i, i.readSite()
}

func firstSerial(now time.Time) uint16 {
	return uint16(min(max(1, (now.Unix()-epochOfSerials)/86400), NoSerial-1))
}

func (i *Identity) readKey() error {
	path := filepath.Join(i.folder, KeyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("key for Handle: %w", err)
	}
	bad := fmt.Errorf("key for Handle %s is no RSA key (PKCS #8, PEM) of at least %d bits: delete it, the next start makes another", path, keyBits)
	block, _ := pem.Decode(text)
	if block == nil || block.Type != keyHeader {
		return bad
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok || key.N.BitLen() < keyBits {
		return bad
	}
	i.key = key
	return nil
}

// readSite finds the serial.
func (i *Identity) readSite() error {
	text, err := os.ReadFile(filepath.Join(i.folder, siteFile))
	if errors.Is(err, fs.ErrNotExist) {
		if i.key == nil {
			return nil // it is written with the key
		}
		return i.writeSite()
	}
	if err != nil {
		return fmt.Errorf("site information for Handle: %w", err)
	}
	var serial uint16
	var of string
	if _, err := fmt.Sscanf(string(text), "%d %64s", &serial, &of); err == nil {
		if i.key != nil && of == i.hash() {
			i.serial = serial
			return nil
		}
		if serial++; serial == NoSerial {
			serial = 1
		}
		i.serial = max(serial, i.serial)
	}
	if i.key == nil {
		return nil
	}
	return i.writeSite()
}

// hash stands for the sites and the key.
func (i *Identity) hash() string {
	sum := sha256.Sum256(append(i.sites[:len(i.sites):len(i.sites)], rsaPublicKey(&i.key.PublicKey).Append(nil)...))
	return hex.EncodeToString(sum[:])
}

func (i *Identity) writeSite() error {
	return writeDurably(filepath.Join(i.folder, siteFile), fmt.Appendf(nil, "%d %s\n", i.serial, i.hash()), 0o644, os.Rename)
}

// Serial returns the serial of the site information.
func (i *Identity) Serial() uint16 { return i.serial }

// Key returns the key, which it makes when there is none; then it is durable.
func (i *Identity) Key() (*rsa.PrivateKey, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.key != nil {
		return i.key, nil
	}
	if i.folder != "" { // somebody may have made one meanwhile
		if err := i.readKey(); err != nil {
			return nil, err
		}
	}
	if i.key == nil {
		if err := i.makeKey(); err != nil || i.folder == "" {
			return i.key, err
		}
	}
	return i.key, i.writeSite()
}

// makeKey makes a key; when it returns it is durable, where there is a folder. When
// somebody else made one in the same moment, that is the key.
func (i *Identity) makeKey() error {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil || i.folder == "" {
		i.key = key
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: keyHeader, Bytes: der})
	err = writeDurably(filepath.Join(i.folder, KeyFile), text, 0o600, os.Link)
	if errors.Is(err, fs.ErrExist) {
		return i.readKey()
	}
	if err != nil {
		return fmt.Errorf("key for Handle: %w", err)
	}
	i.key = key
	return nil
}

// PublicKeyIn returns the key of the node with this folder, as a delegation names it. It
// makes one where there is none, durably; a node may run there meanwhile.
func PublicKeyIn(folder string) (identifier.PublicKey, error) {
	i := &Identity{folder: folder, serial: firstSerial(time.Now())}
	if err := i.readKey(); err != nil {
		return identifier.PublicKey{}, err
	}
	if i.key == nil {
		if err := i.makeKey(); err != nil {
			return identifier.PublicKey{}, err
		}
	}
	return identifier.PublicKey{Type: identifier.RSA, Raw: string(x509.MarshalPKCS1PublicKey(&i.key.PublicKey))}, nil
}

// Public returns the key as HS_SITE has it.
func (i *Identity) Public() (*PublicKey, error) {
	key, err := i.Key()
	if err != nil {
		return nil, err
	}
	return rsaPublicKey(&key.PublicKey), nil
}

// Certificate returns a certificate of the key, signed by itself: a client compares the
// key with that of the site.
func (i *Identity) Certificate() (*tls.Certificate, error) {
	key, err := i.Key()
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.cert != nil {
		return i.cert, nil
	}
	// Nobody looks at the times, and a client with a wrong clock is no stranger.
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "handle"},
		NotBefore: time.Unix(epochOfSerials, 0), NotAfter: time.Unix(253402300799, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	i.cert = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return i.cert, nil
}

// writeDurably puts data under a name at once: after a crash the file is whole or as it
// was before. place is os.Rename, or os.Link when what is there is to stay.
func writeDurably(path string, data []byte, mode fs.FileMode, place func(from, to string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone by then when it was renamed
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
