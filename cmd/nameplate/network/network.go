package network

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/nameplate-id/nameplate/registry/identifier"
	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
)

// Network is a network in a folder. Its methods may be called concurrently, but those
// that start and end nodes not for one node at a time.
type Network struct {
	*File
	// Links are addresses, host:port, at which nodes reach their parents instead of where
	// those answer, by the name of the child: something stands in between that can cut
	// the link. It is set before the network is brought up; nil as a rule.
	Links map[string]string
	// Attached says that the nodes do not outlive this process, even when it is killed
	// (on Linux; elsewhere they do). It is set before one is started.
	Attached bool

	folder  string
	program string

	mu    sync.Mutex
	ended map[string]chan struct{} // of the processes that this one has started: closed when they end
}

// File names in the folder of a network and of a node.
const (
	fileName   = "network.yaml"
	configName = "node.yaml"
	dataName   = "data"
	logName    = "log"
	pidName    = "pid"
	keyName    = "node.key" // in the data folder
)

// New returns the network that a file describes, in a folder, which need not be there.
// Nothing is written before it is brought up. program is the nameplate binary.
func New(f *File, folder, program string) (*Network, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	return &Network{File: f, folder: folder, program: program, ended: make(map[string]chan struct{})}, nil
}

// Open returns the network that was brought up in a folder.
func Open(folder, program string) (*Network, error) {
	f, err := Read(filepath.Join(folder, fileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no network in %s: bring one up with nameplate network up FILE, or name its folder with --folder", folder)
	}
	if err != nil {
		return nil, err
	}
	return New(f, folder, program)
}

// Key returns the file of the key with which a holder, or a node below the top, holds
// its prefixes; for a top-level node it is its own key. It is there once the network
// has been brought up.
func (n *Network) Key(name string) string {
	if node := n.Node(name); node != nil && node.Role == TopLevel {
		return n.NodeKey(name)
	}
	return filepath.Join(n.folder, keysFolder, name+".key")
}

// NodeKey returns the file of a node's own key, which it proves to whoever connects.
func (n *Network) NodeKey(name string) string { return filepath.Join(n.data(name), keyName) }

// Log returns the file with what a node wrote to standard error.
func (n *Network) Log(name string) string { return n.join(name, logName) }

func (n *Network) data(name string) string { return n.join(name, dataName) }

func (n *Network) join(name, file string) string { return filepath.Join(n.folder, name, file) }

// Where a node answers.
func (n *Network) dns(x *Node) string    { return at(x.Address, n.Ports.DNS) }
func (n *Network) grpc(x *Node) string   { return at(x.Address, n.Ports.GRPC) }
func (n *Network) http(x *Node) string   { return at(x.Address, n.Ports.HTTP) }
func (n *Network) handle(x *Node) string { return at(x.Address, n.Ports.Handle) }

// Server returns where a node answers over a protocol (dns, grpc, grpcs, http or handle), as
// --server takes it.
func (n *Network) Server(x *Node, protocol string) string {
	port := map[string]uint16{"dns": n.Ports.DNS, "grpc": n.Ports.GRPC, "grpcs": n.Ports.GRPC, "http": n.Ports.HTTP, "handle": n.Ports.Handle}[protocol]
	return protocol + "://" + at(x.Address, port)
}

func at(ip netip.Addr, port uint16) string {
	return net.JoinHostPort(ip.String(), strconv.Itoa(int(port)))
}

// prepare makes the folder with everything that the nodes need before they start:
// keys where there are none yet, and configurations.
func (n *Network) prepare() error {
	if err := os.MkdirAll(filepath.Join(n.folder, keysFolder), 0o750); err != nil {
		return err
	}
	for i := range n.Nodes {
		x := &n.Nodes[i]
		if x.Recursive { // it holds nothing
			if err := os.MkdirAll(filepath.Join(n.folder, x.Name), 0o750); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(n.data(x.Name), 0o750); err != nil {
			return err
		}
		if err := makeKey(n.NodeKey(x.Name)); err != nil {
			return err
		}
		if _, err := n.handleKey(x); err != nil {
			return err
		}
		if x.Parent != "" {
			if err := makeKey(n.Key(x.Name)); err != nil {
				return err
			}
		}
	}
	for _, h := range n.Holders {
		if err := makeKey(n.Key(h.Name)); err != nil {
			return err
		}
	}
	for i := range n.Nodes { // they name the keys of others
		if err := n.writeConfig(&n.Nodes[i]); err != nil {
			return err
		}
	}
	return replaceFile(filepath.Join(n.folder, fileName), n.text)
}

// makeKey makes a key in a file that is not there.
func makeKey(file string) error {
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := identifier.NewPrivateKey(rand.Reader)
	if err != nil {
		return err
	}
	text, err := key.MarshalPEM()
	if err != nil {
		return err
	}
	return replaceFile(file, text)
}

// handleKey returns the key with which a node signs Handle answers; it makes one where
// there is none yet.
func (n *Network) handleKey(x *Node) (identifier.PublicKey, error) {
	return resolverhandle.PublicKeyIn(n.data(x.Name))
}

// readKey reads a private key.
func readKey(file string) (identifier.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return identifier.PrivateKey{}, fmt.Errorf("read the key: %w", err)
	}
	key, err := identifier.ParsePrivateKeyPEM(text)
	if err != nil {
		return key, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

// same reports whether a file holds this text.
func same(file string, text []byte) bool {
	old, err := os.ReadFile(file)
	return err == nil && bytes.Equal(old, text)
}

// replaceFile puts text under a name at once: whoever reads it finds all of it, or
// what was there before. It is not synced: a network is made again in a moment.
func replaceFile(file string, text []byte) error {
	temporary := file + ".new"
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, file)
}
