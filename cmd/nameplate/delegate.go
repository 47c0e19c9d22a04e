package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

func newDelegate() *cobra.Command {
	var f delegateFlags
	c := &cobra.Command{
		Use:   "delegate PREFIX",
		Short: "Give a prefix to a holder, move it, or take it back",
		Long: `Delegates a prefix to whoever has the keys that --to names: from then on only they
register below it. It is signed with --key by who holds what lies above the prefix; at
a node that stands alone that is the node itself, with node.key in its data folder.

--rotate replaces the keys of a prefix and nothing else; its present holder may sign
that. --revoke takes the prefix back. With --node and --address another node answers
for it, and with --mirror those answer that have a copy of that node's log when it is
away, as a rule this one at its listen.mirror and listen.mirror-handle. --handle-key is the
key with which that node signs Handle answers ('nameplate handle key' shows it), so that
those who come from above can check them; NAME=KEY is that of the mirror NAME.

When a key was in the wrong hands, --rotate or --revoke with --suspect-since POSITION says
since when: what was registered with it from that entry of the log on stays, and is told
as suspect until its holder registers it anew. 'nameplate status' and 'nameplate log
verify' tell what is suspect. What is in force already is left as it is.`,
		Example: `  nameplate delegate 88.118.8 --to maker.key --key nameplate-data/node.key
  nameplate delegate gs1.9.5.0.6 --to ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo= --key nameplate-data/node.key
  nameplate delegate 88.118.8 --rotate --to new.key --key maker.key
  nameplate delegate 88.118.8 --rotate --to new.key --suspect-since 4711 --key nameplate-data/node.key
  nameplate delegate 88.118.9 --to maker.key --node east --node-key east.pub --handle-key rsa:… --address 192.0.2.7,dns=53,grpc=2640,handle=2641 --mirror region-mirror,region.pub,192.0.2.54,dns=53,handle=2641 --key region.key`,
		Args: arguments(1),
		RunE: func(c *cobra.Command, args []string) error {
			prefix, err := identifier.ParsePrefix(args[0])
			if err != nil {
				return err
			}
			if err := f.check(c, prefix); err != nil {
				return err
			}
			return within(c.Context(), f.timeout, func(ctx context.Context) error { return delegate(ctx, c, &f, prefix) })
		},
	}
	f.bind(c)
	return c
}

// delegated is a delegation as --json shows it.
type delegated struct {
	Prefix  string `json:"prefix"`
	Result  string `json:"result"`
	Epoch   uint64 `json:"epoch"`
	Version uint64 `json:"keysetVersion"`
	*place
}

func delegate(ctx context.Context, c *cobra.Command, f *delegateFlags, p identifier.Prefix) error {
	d, err := f.wanted(c, p)
	if err != nil {
		return err
	}
	node, keys, err := f.dial(c)
	if err != nil {
		return err
	}
	defer node.Close()
	current, err := node.registry.Holder(ctx, p)
	if err != nil {
		return err
	}
	if current != nil && current.Prefix != p {
		current = nil
	}
	if f.suspected && current != nil {
		if d.Keyset.Suspect, err = f.suspicion(ctx, node.registry, current); err != nil {
			return err
		}
	}
	if current != nil && f.inForce(current, d) {
		return f.print(c, delegated{Prefix: string(p), Result: "unchanged", Epoch: current.Epoch, Version: current.Keyset.Version})
	}
	if current == nil && (f.rotate || f.revoke) {
		return fmt.Errorf("prefix %s is not delegated at this node", p)
	}
	envelope, err := f.sign(d, current, keys)
	if err != nil {
		return err
	}
	logged, err := node.registry.Delegate(ctx, envelope)
	if err != nil {
		var conflict *registry.Error
		if errors.As(err, &conflict) && conflict.Kind == registry.Conflict {
			return fmt.Errorf("%w (with --epoch and --keyset-version)", err)
		}
		return err
	}
	result := map[bool]string{false: "delegated", true: "revoked"}[f.revoke]
	if f.rotate {
		result = "rotated"
	}
	return f.print(c, delegated{Prefix: string(p), Result: result, Epoch: d.Epoch, Version: d.Keyset.Version, place: newPlace(logged)})
}

// suspicion says since when what the keys in force have signed is suspect, in the log of
// the node that answers for the prefix.
func (f *delegateFlags) suspicion(ctx context.Context, node *registryrpc.Client, current *identifier.Delegation) (*identifier.Suspicion, error) {
	s := &identifier.Suspicion{Since: f.suspectSince}
	if f.suspectLog != "" {
		log, err := hex.DecodeString(f.suspectLog)
		if err != nil || len(log) != len(s.Log) {
			return nil, usagef("--suspect-log %q: a log has 32 hexadecimal digits, as 'nameplate status' shows them", f.suspectLog)
		}
		s.Log = identifier.LogID(log)
		return s, nil
	}
	status, err := node.Status(ctx)
	if err != nil {
		return nil, err
	}
	if current.Node == nil || current.Node.Key == status.Key {
		s.Log = status.Log
		if s.Since >= status.Position {
			return nil, usagef("--suspect-since %d: the log has %d entries, so nothing would be suspect: say the position of the first one that is meant", s.Since, status.Position)
		}
		return s, nil
	}
	for _, m := range status.Mirrors {
		if m.Node == current.Node.Key {
			s.Log = m.Log
			return s, nil
		}
	}
	return nil, fmt.Errorf("prefix %s is answered by node %s, whose log is not known here: name it with --suspect-log", current.Prefix, current.Node.Name)
}

// inForce reports whether what is wanted is there.
func (f *delegateFlags) inForce(current, wanted *identifier.Delegation) bool {
	if s := wanted.Keyset.Suspect; s != nil && (current.Keyset.Suspect == nil || *s != *current.Keyset.Suspect) {
		return false
	}
	same := current.Keyset.Threshold == wanted.Keyset.Threshold && slices.Equal(current.Keyset.Keys, wanted.Keyset.Keys)
	if f.rotate || !same {
		return same
	}
	if (current.Node == nil) != (wanted.Node == nil) || current.Policy != wanted.Policy || current.NoAgents != wanted.NoAgents || current.Private != wanted.Private {
		return false
	}
	alike := func(a, b identifier.Node) bool {
		return a.Name == b.Name && a.Key == b.Key && a.HandleKey == b.HandleKey && slices.Equal(a.Addresses, b.Addresses)
	}
	return wanted.Node == nil || alike(*current.Node, *wanted.Node) && slices.EqualFunc(current.Mirrors, wanted.Mirrors, alike)
}

// sign fills in epoch and versions, which follow on the current ones, and signs.
func (f *delegateFlags) sign(d, current *identifier.Delegation, keys []identifier.PrivateKey) (identifier.Envelope, error) {
	if current == nil {
		current = &identifier.Delegation{}
	}
	d.Epoch, d.Keyset.Version = current.Epoch+1, current.Keyset.Version+1
	if f.rotate {
		d.Epoch = current.Epoch
	}
	if f.epoch != 0 {
		d.Epoch = f.epoch
	}
	if f.version != 0 {
		d.Keyset.Version = f.version
	}
	if f.rotate {
		change := &identifier.KeysetChange{Prefix: d.Prefix, Epoch: d.Epoch, Keyset: d.Keyset}
		if err := change.Check(); err != nil {
			return identifier.Envelope{}, err
		}
		payload, err := identifier.AppendKeysetChange(nil, change)
		return identifier.Sign(identifier.KeysetType, payload, keys...), err
	}
	if err := d.Check(); err != nil {
		return identifier.Envelope{}, err
	}
	payload, err := identifier.AppendDelegation(nil, d)
	return identifier.Sign(identifier.DelegationType, payload, keys...), err
}

func (f *delegateFlags) print(c *cobra.Command, d delegated) error {
	if f.asJSON {
		return writeJSON(c.OutOrStdout(), d)
	}
	where := ""
	if d.place != nil {
		where = fmt.Sprintf(", position %d of log %s, %s", d.Position, d.Log, d.Level)
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), "%s %s: epoch %d, keyset version %d%s\n", d.Result, d.Prefix, d.Epoch, d.Version, where)
	return err
}
