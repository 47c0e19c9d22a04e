package network

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
)

// written is what the configuration of a node says; the rest is as it is by default.
type written struct {
	Name      string         `yaml:"name"`
	Data      string         `yaml:"data,omitempty"`
	Zone      string         `yaml:"zone"`
	Listen    node.Listen    `yaml:"listen"`
	Addresses []node.Address `yaml:"addresses"`
	Journal   node.Journal   `yaml:"journal"`
	Log       node.Log       `yaml:"log"`
}

// config returns the configuration of a node.
func (n *Network) config(x *Node) written {
	w := written{
		Name: x.Name, Data: n.data(x.Name), Zone: n.Zone,
		Listen:    node.Listen{DNS: []string{n.dns(x)}, GRPC: []string{n.grpc(x)}, HTTP: []string{n.http(x)}},
		Addresses: []node.Address{{IP: x.Address.String(), DNS: n.Ports.DNS, GRPC: n.Ports.GRPC, HTTP: n.Ports.HTTP}},
		Journal:   n.Journal, Log: n.File.Log,
	}
	if x.Mirror.IsValid() {
		w.Listen.Mirror = []string{at(x.Mirror, n.Ports.DNS)}
	}
	return w
}

// writeConfig writes the configuration of a node. A node that runs with another one
// has to be stopped first.
func (n *Network) writeConfig(x *Node) error {
	w := n.config(x)
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
