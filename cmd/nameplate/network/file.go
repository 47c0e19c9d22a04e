package network

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// File describes a network. The package comment explains every field.
type File struct {
	Zone    string       `yaml:"zone"`
	Ports   Ports        `yaml:"ports"`
	Memory  node.Size    `yaml:"memory"` // 0 for no limit
	Journal node.Journal `yaml:"journal"`
	Log     node.Log     `yaml:"log"`
	Nodes   []Node       `yaml:"nodes"`
	Holders []Holder     `yaml:"holders"`

	text []byte // as it was read
}

// Ports are those of every node of a network.
type Ports struct {
	DNS  uint16 `yaml:"dns"`
	GRPC uint16 `yaml:"grpc"`
	HTTP uint16 `yaml:"http"`
	// Handle is UDP and TCP.
	Handle uint16 `yaml:"handle"`
}

// Node is one node of a network.
type Node struct {
	Name      string              `yaml:"name"`
	Parent    string              `yaml:"parent"` // empty for none
	Prefixes  []identifier.Prefix `yaml:"prefixes"`
	Recursive bool                `yaml:"recursive"`
	Address   netip.Addr          `yaml:"address"`
	Mirror    netip.Addr          `yaml:"mirror"` // the zero Addr for none
	// Policy is what its parent keeps of its log: mirror, pointer or witness; empty for mirror.
	Policy string `yaml:"policy"`
	// Role is what a node is called for where it stands.
	Role Role `yaml:"-"`
}

// Role is what a node is called for where it stands.
type Role string

// The roles.
const (
	TopLevel   Role = "top-level"
	Secondary  Role = "secondary"
	Enterprise Role = "enterprise"
	Recursive  Role = "recursive"
)

// Holder is somebody who registers identifiers.
type Holder struct {
	Name     string              `yaml:"name"`
	Prefixes []identifier.Prefix `yaml:"prefixes"`
}

// maxFile is how many octets a network file may have.
const maxFile = 1 << 20

// Read reads a network file and checks it as a whole. An error names the file and the
// line.
func Read(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	file, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("network %s, %w", path, err)
	}
	return file, nil
}

// Parse reads the text of a network file and checks it as a whole. An error begins
// with the line.
func Parse(text []byte) (*File, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("the file has more than %d octets: divide the network", maxFile)
	}
	f := &File{
		Zone:    node.DefaultConfig().Zone,
		Ports:   Ports{DNS: 5300, GRPC: 2640, HTTP: 8080, Handle: 2641},
		Journal: node.Journal{Segment: 4 << 20},
		Log:     node.Log{Level: "warn", Format: "text"},
		text:    text,
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	switch err := d.Decode(f); {
	case err == io.EOF:
		return nil, errors.New("line 1: the file is empty: list the nodes")
	case err != nil:
		return nil, yamlMistake(err)
	}
	if err := d.Decode(new(any)); err != io.EOF {
		return nil, errors.New("there are several documents: keep one")
	}
	var tree yaml.Node
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, yamlMistake(err)
	}
	if err := f.check(lines{tree.Content[0]}); err != nil {
		return nil, err
	}
	return f, nil
}

// yamlMistake words the first mistake that the YAML decoder found: "line 3: …".
func yamlMistake(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var mistakes *yaml.TypeError
	if errors.As(err, &mistakes) && len(mistakes.Errors) > 0 {
		text = mistakes.Errors[0]
	}
	unknown := regexp.MustCompile(`^(line \d+): field (\S+) not found in type \w+\.(\w+)$`)
	if m := unknown.FindStringSubmatch(text); m != nil {
		of := map[string]string{"File": "a network", "Node": "a node", "Holder": "a holder", "Ports": "ports", "Log": "log", "Journal": "journal"}[m[3]]
		return fmt.Errorf("%s: %s has no field %q: leave it out, or see the head of testdata/network.yaml for the names", m[1], of, m[2])
	}
	return errors.New(text)
}

// lines finds the lines of a file where something stands.
type lines struct{ root *yaml.Node }

// of returns the line of the value that the path leads to: names of fields and
// indices of lists. Where it is not there, it is the line of what it is missing in.
func (l lines) of(path ...any) int {
	at := l.root
	line := at.Line
	for _, step := range path {
		var next *yaml.Node
		switch step := step.(type) {
		case int:
			if at.Kind == yaml.SequenceNode && step < len(at.Content) {
				next = at.Content[step]
			}
		case string:
			for i := 0; at.Kind == yaml.MappingNode && i+1 < len(at.Content); i += 2 {
				if at.Content[i].Value == step {
					next = at.Content[i+1]
				}
			}
		}
		if next == nil {
			return line
		}
		if next.Kind == yaml.AliasNode {
			next = next.Alias
		}
		at, line = next, next.Line
	}
	return line
}
