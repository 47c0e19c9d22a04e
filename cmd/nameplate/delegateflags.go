package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// delegateFlags are the flags of delegate.
type delegateFlags struct {
	signFlags
	to             []string
	threshold      int
	revoke, rotate bool
	noAgents       bool
	private        bool
	node, nodeKey  string
	handleKeys     []string
	addresses      []string
	mirrors        []string
	policy         string
	epoch, version uint64
	suspectSince   uint64
	suspectLog     string
	suspected      bool
}

// bind gives a command these flags.
func (f *delegateFlags) bind(c *cobra.Command) {
	f.add(c, "the `FILE` of a key of who holds what lies above; may be repeated")
	c.Flags().StringArrayVar(&f.to, "to", nil, "a `KEY` of the holder, or a file with it; may be repeated")
	c.Flags().IntVar(&f.threshold, "threshold", 1, "how many of the holder's keys must sign")
	c.Flags().BoolVar(&f.revoke, "revoke", false, "take the prefix back")
	c.Flags().BoolVar(&f.rotate, "rotate", false, "replace the keys and nothing else")
	c.Flags().BoolVar(&f.noAgents, "no-agents", false, "refuse changes that a node signs on behalf of the holder")
	c.Flags().BoolVar(&f.private, "private", false, "refuse questions below the prefix alike, whether what is asked for exists or not")
	c.Flags().StringVar(&f.node, "node", "", "the `NAME` of the node that answers for the prefix")
	c.Flags().StringVar(&f.nodeKey, "node-key", "", "the `KEY` of that node, or a file with it")
	c.Flags().StringArrayVar(&f.handleKeys, "handle-key", nil, "the `KEY` with which that node signs Handle answers, or a file with it; NAME=KEY for a mirror's; may be repeated")
	c.Flags().StringArrayVar(&f.addresses, "address", nil, "where that node answers, as `IP,dns=PORT,grpc=PORT,http=PORT,handle=PORT`; may be repeated")
	c.Flags().StringArrayVar(&f.mirrors, "mirror", nil, "a node that has a copy of that node's log and where it answers from it, as `NAME,KEY,IP,dns=PORT…`; repeated with the same name for more addresses")
	c.Flags().Uint64Var(&f.epoch, "epoch", 0, "the epoch to sign for (default the one that follows)")
	c.Flags().Uint64Var(&f.version, "keyset-version", 0, "the keyset version to sign for (default the one that follows)")
	c.Flags().Uint64Var(&f.suspectSince, "suspect-since", 0, "with --rotate or --revoke: the `POSITION` in the log since which a key was in the wrong hands")
	c.Flags().StringVar(&f.suspectLog, "suspect-log", "", "the `LOG` that is meant (default that of the node that answers for the prefix)")
	c.Flags().StringVar(&f.policy, "policy", "mirror", "what this node keeps of the log of --node: `mirror`, whole entries, so that it answers when that node is away; pointer, entries without their values; or witness, checkpoints alone")
	c.MarkFlagsMutuallyExclusive("to", "revoke")
	c.MarkFlagsMutuallyExclusive("rotate", "revoke")
	c.MarkFlagsMutuallyExclusive("rotate", "node")
	c.MarkFlagsRequiredTogether("node", "node-key", "address")
	c.MarkFlagsMutuallyExclusive("mirror", "rotate")
	c.MarkFlagsMutuallyExclusive("handle-key", "rotate")
}

// check returns what is wrong with the flags together.
func (f *delegateFlags) check(c *cobra.Command, prefix identifier.Prefix) error {
	if c.Flags().Changed("policy") && f.node == "" {
		return usagef("--policy is about the log of another node: name that with --node, --node-key and --address")
	}
	if len(f.mirrors) > 0 && f.node == "" {
		return usagef("--mirror is of the log of another node: name that with --node, --node-key and --address")
	}
	if len(f.handleKeys) > 0 && f.node == "" {
		return usagef("--handle-key is of another node: name that with --node, --node-key and --address")
	}
	if len(f.to) == 0 && !f.revoke {
		return usagef("nobody is named to hold %s: say --to KEY, or --revoke to take it back", prefix)
	}
	if f.suspected = c.Flags().Changed("suspect-since"); f.suspected && !f.rotate && !f.revoke {
		return usagef("--suspect-since is about keys that are not good any more: say --rotate with the new ones, or --revoke")
	}
	return nil
}

// wanted makes the delegation that the flags say, without epoch and versions.
func (f *delegateFlags) wanted(c *cobra.Command, p identifier.Prefix) (*identifier.Delegation, error) {
	d := &identifier.Delegation{Prefix: p, NoAgents: f.noAgents, Private: f.private}
	if f.revoke {
		return d, nil
	}
	d.Keyset.Threshold = f.threshold
	for _, text := range f.to {
		key, err := publicKeyArgument(c.InOrStdin(), text)
		if err != nil {
			return nil, fmt.Errorf("--to: %w", err)
		}
		d.Keyset.Keys = append(d.Keyset.Keys, key)
	}
	if f.node == "" {
		return d, nil
	}
	key, err := publicKeyArgument(c.InOrStdin(), f.nodeKey)
	if err != nil {
		return nil, fmt.Errorf("--node-key: %w", err)
	}
	d.Node = &identifier.Node{Name: f.node, Key: key}
	if d.Policy, err = identifier.ParsePolicy(f.policy); err != nil {
		return nil, &usageError{fmt.Errorf("--policy: %w", err)}
	}
	for _, text := range f.addresses {
		address, err := parseAddress(text)
		if err != nil {
			return nil, &usageError{fmt.Errorf("--address %q: %w", text, err)}
		}
		d.Node.Addresses = append(d.Node.Addresses, address)
	}
	for _, text := range f.mirrors {
		if err := addMirror(c.InOrStdin(), d, text); err != nil {
			return nil, &usageError{fmt.Errorf("--mirror %q: %w", text, err)}
		}
	}
	for _, text := range f.handleKeys {
		if err := addHandleKey(c.InOrStdin(), d, text); err != nil {
			return nil, fmt.Errorf("--handle-key %.40q: %w", text, err)
		}
	}
	return d, nil
}

// addHandleKey reads "rsa:…", or "east-mirror=rsa:…" for a mirror; a file may stand for the key.
func addHandleKey(stdin io.Reader, d *identifier.Delegation, text string) error {
	to := &d.Node.HandleKey
	for i := range d.Mirrors {
		if key, ok := strings.CutPrefix(text, d.Mirrors[i].Name+"="); ok {
			text, to = key, &d.Mirrors[i].HandleKey
		}
	}
	key, err := publicKeyArgument(stdin, text)
	if err != nil {
		return err
	}
	if key.Type != identifier.RSA {
		return errors.New("it is no RSA key: copy what nameplate handle key shows at that node")
	}
	*to = key
	return nil
}

// addMirror reads "east-mirror,east.pub,192.0.2.54,dns=53": a mirror, or one more address
// of it.
func addMirror(stdin io.Reader, d *identifier.Delegation, text string) error {
	parts := strings.SplitN(text, ",", 3)
	if len(parts) != 3 {
		return errors.New("it has a name, a key and an address: write it like east-mirror,east.pub,192.0.2.54,dns=53")
	}
	key, err := publicKeyArgument(stdin, parts[1])
	if err != nil {
		return err
	}
	address, err := parseAddress(parts[2])
	if err != nil {
		return err
	}
	for i := range d.Mirrors {
		if m := &d.Mirrors[i]; m.Name == parts[0] && m.Key == key {
			m.Addresses = append(m.Addresses, address)
			return nil
		}
	}
	d.Mirrors = append(d.Mirrors, identifier.Node{Name: parts[0], Key: key, Addresses: []identifier.Address{address}})
	return nil
}

// parseAddress reads "192.0.2.7,dns=53,grpc=2640,http=8080".
func parseAddress(text string) (identifier.Address, error) {
	parts := strings.Split(text, ",")
	ip, err := netip.ParseAddr(parts[0])
	if err != nil {
		return identifier.Address{}, errors.New("it begins with an IP address: write it like 192.0.2.7,dns=53,grpc=2640")
	}
	a := identifier.Address{IP: ip.String()}
	ports := map[string]*uint16{"dns": &a.DNS, "grpc": &a.GRPC, "http": &a.HTTP, "handle": &a.Handle}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		port, err := strconv.ParseUint(value, 10, 16)
		if ports[name] == nil || err != nil || port == 0 {
			return a, fmt.Errorf("%q is not a port: write dns=, grpc=, http= or handle= and a number from 1 to 65535", part)
		}
		*ports[name] = uint16(port)
	}
	return a, nil
}
