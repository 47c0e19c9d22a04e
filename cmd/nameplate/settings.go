package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// A node's configuration is put together from the defaults, a file, the environment
// and flags; what comes later wins, field by field. All three are read from one list
// of settings, so that none has a name of its own for anything. Addresses and other
// nodes, which are lists of lists, stand in the file only.

// environmentPrefix begins the name of every variable that is read: --log-level is
// NAMEPLATE_LOG_LEVEL. Other variables with this beginning are nobody's mistake and
// are ignored.
const environmentPrefix = "NAMEPLATE_"

// setting is one field of a node's configuration.
type setting struct {
	flag  string // its flag
	value string // what the flag's value is called in the help
	usage string
	set   func(*node.Config, string) error
}

// setText sets a field that is a text.
func setText(field func(*node.Config) *string) func(*node.Config, string) error {
	return func(c *node.Config, v string) error { *field(c) = v; return nil }
}

// setList sets a field that has several texts; "off" is none.
func setList(field func(*node.Config) *[]string) func(*node.Config, string) error {
	return func(c *node.Config, v string) error {
		*field(c) = nil
		for address := range strings.SplitSeq(v, ",") {
			if address = strings.TrimSpace(address); address != "" && v != "off" {
				*field(c) = append(*field(c), address)
			}
		}
		return nil
	}
}

// setNumber sets a field that is a number.
func setNumber(field func(*node.Config) *int) func(*node.Config, string) error {
	return func(c *node.Config, v string) (err error) {
		if *field(c), err = strconv.Atoi(v); err != nil {
			err = fmt.Errorf("%q is not a number", v)
		}
		return err
	}
}

// setSize sets a field that is a number of octets.
func setSize(field func(*node.Config) *node.Size) func(*node.Config, string) error {
	return func(c *node.Config, v string) (err error) {
		*field(c), err = node.ParseSize(v)
		return err
	}
}

// settings are all of them, in the order of the help.
func settings() []setting {
	return []setting{
		{"name", "LABEL", "the node's name, one DNS label", setText(func(c *node.Config) *string { return &c.Name })},
		{"data", "FOLDER", "the folder that holds everything", setText(func(c *node.Config) *string { return &c.Data })},
		{"anchor", "FILE", "a file on another volume that keeps the newest checkpoint", setText(func(c *node.Config) *string { return &c.Anchor })},
		{"zone", "NAME", "the DNS zone of all identifiers", setText(func(c *node.Config) *string { return &c.Zone })},
		{"dns", "ADDRESSES", "where DNS is answered, host:port with commas between, or off", setList(func(c *node.Config) *[]string { return &c.Listen.DNS })},
		{"grpc", "ADDRESSES", "where gRPC is answered", setList(func(c *node.Config) *[]string { return &c.Listen.GRPC })},
		{"http", "ADDRESSES", "where HTTP is answered", setList(func(c *node.Config) *[]string { return &c.Listen.HTTP })},
		{"handle", "ADDRESSES", "where the Handle protocol is answered", setList(func(c *node.Config) *[]string { return &c.Listen.Handle })},
		{"mirror", "ADDRESSES", "where DNS is answered from the mirrors of the children's logs", setList(func(c *node.Config) *[]string { return &c.Listen.Mirror })},
		{"mirror-handle", "ADDRESSES", "where Handle is answered from those mirrors", setList(func(c *node.Config) *[]string { return &c.Listen.MirrorHandle })},
		{"parent-address", "ADDRESS", "the gRPC port of the node above, host:port", setText(func(c *node.Config) *string { return &c.Parent.Address })},
		{"parent-key", "KEY", "the node key that the node above proves itself with", func(c *node.Config, v string) (err error) {
			c.Parent.Key, err = identifier.ParsePublicKey(v)
			return err
		}},
		{"recursive-bootstrap", "FILE", "resolve from the tree of Handle servers that this file names, as well or alone", setText(func(c *node.Config) *string { return &c.Recursive.Bootstrap })},
		{"recursive-protocols", "NAMES", "what a recursive node asks others over, best first, with commas between", setList(func(c *node.Config) *[]string { return &c.Recursive.Protocols })},
		{"recursive-cache", "SIZE", "how much memory the cache of a recursive node may take", setSize(func(c *node.Config) *node.Size { return &c.Recursive.Cache })},
		{"journal-segment", "SIZE", "how large the journal's files are", setSize(func(c *node.Config) *node.Size { return &c.Journal.Segment })},
		{"journal-reserve", "SIZE", "how much of the volume stays free: with less, nothing is taken in", setSize(func(c *node.Config) *node.Size { return &c.Journal.Reserve })},
		{"dns-rate", "N", "how many answers over UDP one network gets a second; 0 for any number", setNumber(func(c *node.Config) *int { return &c.Limits.DNSRate })},
		{"dns-cookie-secret", "HEX", "32 hexadecimal digits from which DNS cookies are made, and others that are good with commas behind; random when empty", setText(func(c *node.Config) *string { return &c.Limits.DNSCookieSecret })},
		{"dns-connections", "N", "how many TCP connections DNS keeps open", setNumber(func(c *node.Config) *int { return &c.Limits.DNSConnections })},
		{"grpc-connections", "N", "how many connections gRPC keeps open", setNumber(func(c *node.Config) *int { return &c.Limits.GRPCConnections })},
		{"grpc-streams", "N", "how many calls one gRPC connection may have at once", setNumber(func(c *node.Config) *int { return &c.Limits.GRPCStreams })},
		{"http-connections", "N", "how many connections HTTP keeps open", setNumber(func(c *node.Config) *int { return &c.Limits.HTTPConnections })},
		{"handle-connections", "N", "how many TCP connections Handle keeps open", setNumber(func(c *node.Config) *int { return &c.Limits.HandleConnections })},
		{"shutdown", "TIME", "how long what is under way may take when the node stops", func(c *node.Config, v string) (err error) {
			if c.Limits.Shutdown, err = time.ParseDuration(v); err != nil {
				err = fmt.Errorf("%q is not a time such as 10s", v)
			}
			return err
		}},
		{"log-level", "LEVEL", "debug, info, warn or error", setText(func(c *node.Config) *string { return &c.Log.Level })},
		{"log-format", "FORMAT", "text or json", setText(func(c *node.Config) *string { return &c.Log.Format })},
	}
}

// variable returns the name of a flag in the environment.
func variable(flag string) string {
	return environmentPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// textFlag is a flag whose text is read later, over the file and the environment.
type textFlag struct{ text, kind string }

func (f *textFlag) String() string        { return f.text }
func (f *textFlag) Set(text string) error { f.text = text; return nil }
func (f *textFlag) Type() string          { return f.kind }

// addSettings adds the flag of every setting, and --config.
func addSettings(c *cobra.Command) {
	c.Flags().String("config", "", "read the configuration from this YAML `FILE`")
	for _, s := range settings() {
		c.Flags().Var(&textFlag{kind: s.value}, s.flag, s.usage)
	}
}

// loadConfig puts a node's configuration together for a command with the flags of
// addSettings. environment is os.LookupEnv.
func loadConfig(c *cobra.Command, environment func(string) (string, bool)) (node.Config, error) {
	config := node.DefaultConfig()
	file, err := c.Flags().GetString("config")
	if err != nil {
		return config, err
	}
	if file == "" {
		file, _ = environment(variable("config"))
	}
	if file != "" {
		if err := readConfig(file, &config); err != nil {
			return config, err
		}
	}
	for _, s := range settings() {
		name, value, given := "--"+s.flag, "", false
		if flag := c.Flags().Lookup(s.flag); flag.Changed {
			value, given = flag.Value.String(), true
		} else {
			name = variable(s.flag)
			value, given = environment(name)
		}
		if !given {
			continue
		}
		if err := s.set(&config, value); err != nil {
			return config, fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := config.Check(); err != nil {
		return config, fmt.Errorf("configuration: %w", err)
	}
	return config, nil
}

// maxConfig is how many octets a configuration file may have.
const maxConfig = 1 << 20

// readConfig reads a YAML file over what config holds already. A field that is not
// there is an error.
func readConfig(file string, config *node.Config) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	d := yaml.NewDecoder(io.LimitReader(f, maxConfig))
	d.KnownFields(true)
	switch err := d.Decode(config); {
	case err == io.EOF: // all of it is comments
		return nil
	case err != nil:
		return fmt.Errorf("configuration %s, %s", file, yamlMistake(err))
	}
	if err := d.Decode(new(node.Config)); err != io.EOF {
		return fmt.Errorf("configuration %s has several documents: keep one", file)
	}
	return nil
}

// yamlMistake words the first mistake that the YAML decoder found: "line 3: …".
func yamlMistake(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	var mistakes *yaml.TypeError
	if errors.As(err, &mistakes) && len(mistakes.Errors) > 0 {
		text = mistakes.Errors[0]
	}
	unknown := regexp.MustCompile(`^(line \d+): field (\S+) not found in type node\.(\w+)$`)
	if m := unknown.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("%s: there is no field %q: leave it out, or see deploy/nameplate.yaml for the names", m[1], m[2])
	}
	return text
}
