package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// hop is one question to a node, as --trace shows it.
type hop struct {
	Server  string `json:"server"`           // protocol and address
	Node    string `json:"node,omitempty"`   // its name, when another node told it
	Prefix  string `json:"prefix,omitempty"` // what it was asked as an authority for
	Mirror  bool   `json:"mirror,omitempty"` // its copy of another node's log was asked for
	Outcome string `json:"outcome"`          // or the error
	Refers  string `json:"refers,omitempty"` // the prefix of the referral
	To      string `json:"to,omitempty"`     // the node that the referral names
	Lame    string `json:"lame,omitempty"`   // why the answer was not believed
	Micros  int64  `json:"micros"`           // until the answer
}

// newHop describes a hop of a walk.
func newHop(h resolver.Hop) hop {
	shown := hop{
		Server: string(h.Protocol) + "://" + h.At.String(), Node: h.Node, Prefix: h.Prefix.String(),
		Mirror: h.Mirror, Outcome: h.Answer.Outcome.String(), Lame: h.Lame, Micros: h.Took.Microseconds(),
	}
	switch {
	case h.Err != nil:
		shown.Outcome = strings.ReplaceAll(h.Err.Error(), "\n", "; ")
	case h.Answer.Outcome == resolver.Referral && h.Answer.Delegation != nil && h.Answer.Delegation.Node != nil:
		shown.Refers, shown.To = h.Answer.Delegation.Prefix.String(), h.Answer.Delegation.Node.Name
	case h.Answer.Origin.Mirror:
		shown.Outcome += fmt.Sprintf(" in a mirror, %v old", h.Answer.Origin.Age.Round(time.Second))
	}
	return shown
}

// print writes a hop for people, on one line.
func (h *hop) print(w io.Writer) {
	outcome := h.Outcome
	if h.Refers != "" {
		outcome = fmt.Sprintf("%s: ask %s about %s", h.Outcome, h.To, h.Refers)
	}
	if h.Mirror {
		outcome = "asked for its mirror: " + outcome
	}
	if h.Lame != "" {
		outcome += ", not believed: it " + h.Lame
	}
	switch {
	case h.Prefix != "":
		outcome = fmt.Sprintf("%s (%s): %s", cmp.Or(h.Node, "the server"), h.Prefix, outcome)
	case h.Node != "":
		outcome = h.Node + ": " + outcome
	}
	fmt.Fprintf(w, "%-28s %8.1f ms  %s\n", h.Server, float64(h.Micros)/1000, outcome)
}

// walker returns a Resolver that walks from the servers as the top-level nodes. A server
// that resolves for others only is asked to do so.
func (f *resolveFlags) walker(ctx context.Context, told func(hop)) (resolver.Resolver, io.Closer, error) {
	o := resolver.WalkOptions{Timeout: f.timeout}
	for server := range strings.SplitSeq(f.server, ",") {
		protocol, address, err := splitServer(strings.TrimSpace(server))
		if err != nil {
			return nil, nil, err
		}
		root, err := rootAt(ctx, protocol, address)
		if err != nil {
			return nil, nil, err
		}
		o.Roots = append(o.Roots, root)
		o.Protocols = appendMissing(o.Protocols, resolver.Protocol(protocol))
	}
	o.Protocols = appendMissing(o.Protocols, resolver.GRPC, resolver.DNS, resolver.HTTP, resolver.Handle)
	var err error
	if o.Dial, err = node.Dialer(f.zone, o.Roots); err != nil {
		return nil, nil, usagef("zone %q: %w", f.zone, err)
	}
	w, err := resolver.NewWalk(o)
	if err != nil {
		return nil, nil, err
	}
	return &tracing{walk: w, roots: o.Roots, dial: o.Dial, protocols: o.Protocols, told: told}, w, nil
}

// appendMissing appends what is not there yet.
func appendMissing(list []resolver.Protocol, more ...resolver.Protocol) []resolver.Protocol {
	for _, p := range more {
		there := false
		for _, q := range list {
			there = there || p == q
		}
		if !there {
			list = append(list, p)
		}
	}
	return list
}

// rootAt describes a server as a node. A host name stands for all of its addresses.
func rootAt(ctx context.Context, protocol, address string) (identifier.Node, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil && protocol == "dns" {
		host, text, err = strings.Trim(address, "[]"), "53", nil
	}
	port, wrong := strconv.ParseUint(text, 10, 16)
	if err != nil || wrong != nil || port == 0 {
		return identifier.Node{}, usagef("server %q has no port: write it like grpc://127.0.0.1:2640", address)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return identifier.Node{}, fmt.Errorf("server %q: %w", address, err)
	}
	n := identifier.Node{}
	for _, ip := range ips[:min(len(ips), identifier.MaxAddresses)] {
		a := identifier.Address{IP: ip.Unmap().WithZone("").String()}
		switch resolver.Protocol(protocol) {
		case resolver.GRPC:
			a.GRPC = uint16(port)
		case resolver.DNS:
			a.DNS = uint16(port)
		case resolver.HTTP:
			a.HTTP = uint16(port)
		case resolver.Handle:
			a.Handle = uint16(port)
		default:
			return n, usagef("server %q: a trace is made over grpc, dns, http or handle", address)
		}
		n.Addresses = append(n.Addresses, a)
	}
	return n, nil
}

// tracing tells the hops of every question.
type tracing struct {
	walk      *resolver.Walk
	roots     []identifier.Node
	dial      func(resolver.Endpoint) (resolver.Resolver, error)
	protocols []resolver.Protocol
	told      func(hop)
}

// Resolve implements [resolver.Resolver].
func (t *tracing) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	a, err := t.walk.Resolve(resolver.WithTrace(ctx, func(h resolver.Hop) { t.told(newHop(h)) }), q)
	if err != nil || a.Outcome != resolver.Refused || a.InZone {
		return a, err
	}
	return t.recursive(ctx, q, a)
}

// recursive asks a server to resolve, which has no authority itself.
func (t *tracing) recursive(ctx context.Context, q resolver.Query, refused resolver.Answer) (resolver.Answer, error) {
	for i := range t.roots {
		for _, p := range t.protocols {
			at := endpointOf(&t.roots[i], p)
			if !at.IsValid() {
				continue
			}
			client, err := t.dial(resolver.Endpoint{At: at, Protocol: p})
			if err != nil {
				return refused, nil
			}
			if c, ok := client.(io.Closer); ok {
				defer c.Close()
			}
			q.Recursive = true
			begin := time.Now()
			a, err := client.Resolve(ctx, q)
			h := newHop(resolver.Hop{At: at, Protocol: p, Answer: a, Err: err, Took: time.Since(begin)})
			h.Outcome = "asked to resolve: " + h.Outcome
			t.told(h)
			return a, err
		}
	}
	return refused, nil
}

// endpointOf returns where a root speaks a protocol; the zero AddrPort for nowhere.
func endpointOf(n *identifier.Node, p resolver.Protocol) netip.AddrPort {
	a := n.Addresses[0]
	port := map[resolver.Protocol]uint16{resolver.GRPC: a.GRPC, resolver.DNS: a.DNS, resolver.HTTP: a.HTTP, resolver.Handle: a.Handle}[p]
	ip, err := netip.ParseAddr(a.IP)
	if err != nil || port == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip, port)
}
