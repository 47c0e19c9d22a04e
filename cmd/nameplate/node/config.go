package node

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/resolver"
	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"
)

// Config is everything that a node can be told. [DefaultConfig] is a whole node on
// loopback. The names of the fields in a file are those of the yaml tags;
// deploy/nameplate.yaml shows them all.
type Config struct {
	// Name is the node's name, one DNS label: it is "<name>._ns.<zone>" in the NS
	// and SOA records of the zones that it answers for.
	Name string `yaml:"name"`
	// Data is the folder that holds everything: the journal, the state and the
	// node's key. Only one process at a time opens it.
	Data string `yaml:"data"`
	// Anchor is a file on another volume than Data that keeps the newest signed
	// checkpoint, so that a folder put back to an older state of itself is noticed at
	// the start. It is never part of a backup. Empty: none.
	Anchor string `yaml:"anchor"`
	// Zone is the DNS zone in which identifiers have their names, such as
	// "id.internal"; at most 40 octets. All nodes of one tree share it.
	Zone string `yaml:"zone"`
	// Listen says where the node answers. A protocol without an address is off.
	Listen Listen `yaml:"listen"`
	// Parent is the node above, which delegates to this one and mirrors its log. Without
	// one the node answers for the root.
	Parent Parent `yaml:"parent"`
	// Peers are the other top-level nodes, at a top-level node. Those with a key and an
	// address for gRPC mirror this node's log and those of its children, as this node does
	// theirs. The root's zone names all of them.
	Peers []Root `yaml:"peers"`
	// Addresses are where others reach this node, best first, for the glue and the
	// SVCB records of its own zone. Empty: the addresses it listens on, as far as
	// they name one host; a node behind a translated address has to be told.
	Addresses []Address `yaml:"addresses"`
	// Recursive makes the node one that resolves for others.
	Recursive Recursive `yaml:"recursive"`
	// Journal says how the journal is kept.
	Journal Journal `yaml:"journal"`
	// Limits bound what strangers can make the node do at once.
	Limits Limits `yaml:"limits"`
	// Log says what is logged, to standard error.
	Log Log `yaml:"log"`
}

// Parent is where a node's parent takes in its log. All fields empty: none.
type Parent struct {
	// Key is the parent's node key, which it must prove.
	Key identifier.PublicKey `yaml:"key"`
	// Address is its gRPC port, host:port.
	Address string `yaml:"address"`
}

// Listen lists addresses, host:port each. Port 0 takes a free one.
type Listen struct {
	DNS  []string `yaml:"dns"`  // UDP and TCP
	GRPC []string `yaml:"grpc"` // resolution, registration, health, reflection
	HTTP []string `yaml:"http"` // resolution, redirects, /healthz, /metrics
	// Handle is the Handle protocol, UDP and TCP.
	Handle []string `yaml:"handle"`
	// Mirror is DNS, UDP and TCP, from the mirrors of the children's logs: an address
	// that the children's delegations name beside the child's own, and so their zones.
	Mirror []string `yaml:"mirror"`
	// MirrorHandle is the Handle protocol, UDP and TCP, from those mirrors, at an address
	// that the children's delegations name too.
	MirrorHandle []string `yaml:"mirror-handle"`
}

// Address is one place where others reach this node. A port of 0 means that it
// does not speak the protocol there.
type Address struct {
	IP   string `yaml:"ip"`
	DNS  uint16 `yaml:"dns"`
	GRPC uint16 `yaml:"grpc"`
	HTTP uint16 `yaml:"http"`
	// Handle is UDP and TCP.
	Handle uint16 `yaml:"handle"`
}

// Journal says how the journal is kept.
type Journal struct {
	// Segment is how large the files are that the journal is made of, a multiple of
	// 4 KiB. A node takes the room of one or two before it needs it. Files that are
	// there already keep their size.
	Segment Size `yaml:"segment"`
	// Reserve is how much of the volume stays free: with less, the node takes neither
	// changes nor entries of its children, until there is room again. 0: a twentieth of
	// the volume, 1 GiB at the most.
	Reserve Size `yaml:"reserve"`
}

// Limits are numbers of things at once, over all listeners of a protocol.
type Limits struct {
	// DNSConnections is how many TCP connections DNS keeps open.
	DNSConnections int `yaml:"dns-connections"`
	// DNSRate is how many answers over UDP one network gets a second; 0 for any number.
	DNSRate int `yaml:"dns-rate"`
	// DNSCookieSecret are 32 hexadecimal digits from which DNS cookies are made (RFC 9018):
	// the same at all nodes behind one address. While one takes the place of another they are
	// several secrets, with commas between: the first makes cookies, those of all are good.
	// Empty: a random one, and another one every day.
	DNSCookieSecret string `yaml:"dns-cookie-secret"`
	// GRPCConnections is how many connections gRPC keeps open, GRPCStreams how many
	// calls one of them may have at once.
	GRPCConnections int `yaml:"grpc-connections"`
	GRPCStreams     int `yaml:"grpc-streams"`
	// HTTPConnections is how many connections HTTP keeps open.
	HTTPConnections int `yaml:"http-connections"`
	// HandleConnections is how many TCP connections Handle keeps open.
	HandleConnections int `yaml:"handle-connections"`
	// Shutdown is how long what is under way may take when the node is asked to stop.
	Shutdown time.Duration `yaml:"shutdown"`
}

// Log says what is logged.
type Log struct {
	// Level is debug, info, warn or error: what is less is left out.
	Level string `yaml:"level"`
	// Format is text (key=value) or json, one line an event.
	Format string `yaml:"format"`
}

// DefaultConfig returns a node on loopback with its data in ./nameplate-data.
func DefaultConfig() Config {
	return Config{
		Name: "node",
		Data: "./nameplate-data",
		Zone: "id.internal",
		Listen: Listen{
			DNS:    []string{"127.0.0.1:5300"},
			GRPC:   []string{"127.0.0.1:2640"},
			HTTP:   []string{"127.0.0.1:8080"},
			Handle: []string{"127.0.0.1:2641"},
		},
		Recursive: Recursive{Protocols: []string{string(resolver.GRPC), string(resolver.DNS)}, Cache: 64 << 20},
		Journal:   Journal{Segment: journal.DefaultSegmentSize},
		Limits: Limits{
			DNSConnections:    1024,
			GRPCConnections:   1024,
			GRPCStreams:       100,
			HTTPConnections:   4096,
			HandleConnections: 1024,
			Shutdown:          10 * time.Second,
		},
		Log: Log{Level: "info", Format: "text"},
	}
}

// minSegment is the smallest journal segment in which every frame fits.
const minSegment Size = 2 * journal.MaxPayload

// maxZone is how many octets a zone may have on the wire, so that every identifier's name fits in DNS.
const maxZone = 40

// Check reports the first thing that a node could not run with, by the name that
// it has in a file, and what to write instead.
func (c *Config) Check() error {
	if !label(c.Name) {
		return fmt.Errorf("name %q is not one DNS label: use 1 to 63 lower case letters, digits and inner hyphens", c.Name)
	}
	if c.Data == "" && !c.Recursive.is() {
		return fmt.Errorf("data is empty: name a folder")
	}
	if err := checkZone(c.Zone); err != nil {
		return err
	}
	if err := c.Listen.check(); err != nil {
		return err
	}
	for i, a := range c.Addresses {
		if ip, err := netip.ParseAddr(a.IP); err != nil || ip.IsUnspecified() || ip.Zone() != "" {
			return fmt.Errorf("addresses[%d].ip %q is not an address that others can reach: write one such as 192.0.2.1 or 2001:db8::1", i, a.IP)
		}
	}
	if c.Journal.Reserve < 0 {
		return fmt.Errorf("journal.reserve is %d: use a size such as 1GiB, or 0", c.Journal.Reserve)
	}
	if s := c.Journal.Segment; s < minSegment || s > journal.MaxSegmentSize || s%journal.MinSegmentSize != 0 {
		return fmt.Errorf("journal.segment is %v: use a multiple of 4KiB from %v to %v", s, minSegment, Size(journal.MaxSegmentSize))
	}
	if (c.Parent.Address == "") != (c.Parent.Key == identifier.PublicKey{}) {
		return fmt.Errorf("parent has only one of address and key: give both, the key is what the parent proves itself with")
	}
	if c.Parent.Address != "" {
		if err := checkHostPort(c.Parent.Address); err != nil {
			return fmt.Errorf("parent.address %q %w: write host:port, such as 192.0.2.1:2640", c.Parent.Address, err)
		}
	}
	if err := c.checkPeers(); err != nil {
		return err
	}
	if err := c.Recursive.check(); err != nil {
		return err
	}
	if c.Recursive.is() && (c.Parent.Address != "" || len(c.Listen.Mirror) > 0 || len(c.Listen.MirrorHandle) > 0) {
		return fmt.Errorf("recursive node with parent or listen.mirror or listen.mirror-handle: it holds nothing and mirrors nobody: leave them out")
	}
	if err := c.Limits.check(); err != nil {
		return err
	}
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		return fmt.Errorf("log.level %q is unknown: use debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		return fmt.Errorf("log.format %q is unknown: use text or json", c.Log.Format)
	}
	return nil
}

func (l *Listen) check() error {
	seen := map[string]string{}
	for _, p := range []struct {
		name      string
		addresses []string
	}{{"listen.dns", l.DNS}, {"listen.grpc", l.GRPC}, {"listen.http", l.HTTP}, {"listen.handle", l.Handle}, {"listen.mirror", l.Mirror}, {"listen.mirror-handle", l.MirrorHandle}} {
		for _, address := range p.addresses {
			if err := checkHostPort(address); err != nil {
				return fmt.Errorf("%s %q %w: write host:port, such as 127.0.0.1:5300 or [::1]:5300", p.name, address, err)
			}
			if other, taken := seen[address]; taken && !strings.HasSuffix(address, ":0") {
				return fmt.Errorf("%s %s is already taken by %s: give each its own port", p.name, address, other)
			}
			seen[address] = p.name
		}
	}
	if len(seen) == 0 {
		return fmt.Errorf("listen has no address: name at least one for dns, grpc, http or handle")
	}
	return nil
}

func checkHostPort(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("is not an address")
	}
	if host != "" && host != "localhost" {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("has a host that is not an IP address")
		}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("has a port that is not a number from 0 to 65535")
	}
	return nil
}

// most is the largest number that a limit may be: above it, it is a slip.
const most = 1 << 20

func (l *Limits) check() error {
	if l.DNSRate < 0 || l.DNSRate > most {
		return fmt.Errorf("limits.dns-rate is %d: use a number from 0 to %d", l.DNSRate, most)
	}
	if err := resolverdns.CheckCookieSecret(l.DNSCookieSecret); err != nil {
		return fmt.Errorf("limits.dns-cookie-secret is none: %w", err)
	}
	for _, limit := range []struct {
		name  string
		value int
	}{
		{"limits.dns-connections", l.DNSConnections},
		{"limits.grpc-connections", l.GRPCConnections},
		{"limits.grpc-streams", l.GRPCStreams},
		{"limits.http-connections", l.HTTPConnections},
		{"limits.handle-connections", l.HandleConnections},
	} {
		if limit.value < 1 || limit.value > most {
			return fmt.Errorf("%s is %d: use a number from 1 to %d", limit.name, limit.value, most)
		}
	}
	if l.Shutdown < 0 || l.Shutdown > time.Hour {
		return fmt.Errorf("limits.shutdown is %v: use a time from 0s to 1h", l.Shutdown)
	}
	return nil
}

func checkZone(zone string) error {
	name := strings.TrimSuffix(zone, ".")
	if len(name)+2 > maxZone {
		return fmt.Errorf("zone %q has more than %d octets: choose a shorter one", zone, maxZone)
	}
	for part := range strings.SplitSeq(name, ".") {
		if !label(part) {
			return fmt.Errorf("zone %q is not a DNS name in lower case: write one such as id.internal", zone)
		}
	}
	return nil
}

// label reports whether a text is a DNS label as host names have them (RFC 1123,
// section 2.1), in lower case.
func label(text string) bool {
	matched, _ := regexp.MatchString(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`, text)
	return matched
}
