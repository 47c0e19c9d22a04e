package network

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// written is what the configuration of a node says; the rest is as it is by default.
type written struct {
	Name      string         `yaml:"name"`
	Data      string         `yaml:"data,omitempty"`
	Zone      string         `yaml:"zone"`
	Listen    node.Listen    `yaml:"listen"`
	Parent    *above         `yaml:"parent,omitempty"`
	Peers     []root         `yaml:"peers,omitempty"` // the other top-level nodes
	Addresses []node.Address `yaml:"addresses"`
	Journal   node.Journal   `yaml:"journal"`
	Log       node.Log       `yaml:"log"`
	Recursive *startingAt    `yaml:"recursive,omitempty"`
}

// above is the parent of a node.
type above struct {
	Key     identifier.PublicKey `yaml:"key"`
	Address string               `yaml:"address"`
}

// startingAt is where a recursive node begins.
type startingAt struct {
	Roots []root `yaml:"roots"`
}

// root is a top-level node.
type root struct {
	Name      string               `yaml:"name"`
	Key       identifier.PublicKey `yaml:"key"`
	HandleKey identifier.PublicKey `yaml:"handle-key"`
	Addresses []node.Address       `yaml:"addresses"`
}

// config returns the configuration of a node.
func (n *Network) config(x *Node) (written, error) {
	w := written{
		Name: x.Name, Data: n.data(x.Name), Zone: n.Zone,
		Listen:    node.Listen{DNS: []string{n.dns(x)}, GRPC: []string{n.grpc(x)}, HTTP: []string{n.http(x)}, Handle: []string{n.handle(x)}},
		Addresses: n.addresses(x),
		Journal:   n.Journal, Log: n.File.Log,
	}
	if x.Mirror.IsValid() {
		w.Listen.Mirror, w.Listen.MirrorHandle = []string{at(x.Mirror, n.Ports.DNS)}, []string{at(x.Mirror, n.Ports.Handle)}
	}
	if parent := n.Node(x.Parent); parent != nil {
		key, err := readKey(n.NodeKey(parent.Name))
		if err != nil {
			return w, err
		}
		w.Parent = &above{Key: key.Public(), Address: n.grpc(parent)}
		if link, ok := n.Links[x.Name]; ok {
			w.Parent.Address = link
		}
	}
	if x.Role != TopLevel && !x.Recursive {
		return w, nil
	}
	var tops []root // but itself
	for _, top := range n.With(TopLevel) {
		if top == x {
			continue
		}
		key, err := readKey(n.NodeKey(top.Name))
		if err != nil {
			return w, err
		}
		handleKey, err := n.handleKey(top)
		if err != nil {
			return w, err
		}
		tops = append(tops, root{Name: top.Name, Key: key.Public(), HandleKey: handleKey, Addresses: n.addresses(top)})
	}
	if x.Recursive {
		w.Data, w.Recursive = "", &startingAt{Roots: tops}
	} else {
		w.Peers = tops
	}
	return w, nil
}

// addresses are where others reach a node.
func (n *Network) addresses(x *Node) []node.Address {
	return []node.Address{{IP: x.Address.String(), DNS: n.Ports.DNS, GRPC: n.Ports.GRPC, HTTP: n.Ports.HTTP, Handle: n.Ports.Handle}}
}

// writeConfig writes the configuration of a node. A node that runs with another one
// has to be stopped first.
func (n *Network) writeConfig(x *Node) error {
	w, err := n.config(x)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "# Written when the network was brought up, from %s.\n", filepath.Join(n.folder, fileName))
	e := yaml.NewEncoder(&text)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(&w), e.Close()); err != nil {
		return fmt.Errorf("node %s: %w", x.Name, err)
	}
	file := n.join(x.Name, configName)
	if same(file, text.Bytes()) {
		return nil
	}
	if pid := n.PID(x.Name); pid != 0 {
		return fmt.Errorf("node %s runs with another configuration, as process %d: take the network down first", x.Name, pid)
	}
	return replaceFile(file, text.Bytes())
}
