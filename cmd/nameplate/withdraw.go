package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

func newWithdraw() *cobra.Command {
	var f signFlags
	c := &cobra.Command{
		Use:   "withdraw IDENTIFIER...",
		Short: "Withdraw identifiers",
		Long: `Withdraws identifiers: they no longer resolve. The log keeps what they were, and
their versions go on from where they stopped when they are registered again. What has
been withdrawn already stays so.`,
		Example: "  nameplate withdraw 88.118.8/SN-42 --key maker.key",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var ids []identifier.ID
			for _, text := range args {
				id, err := identifier.Parse(text)
				if err != nil {
					return err
				}
				ids = append(ids, id)
			}
			node, keys, err := f.dial(c)
			if err != nil {
				return err
			}
			defer node.Close()
			for _, id := range ids {
				err := within(c.Context(), f.timeout, func(ctx context.Context) error {
					return withdraw(ctx, c, node, &f, id, keys)
				})
				if err != nil {
					return fmt.Errorf("%s: %w", id, err)
				}
			}
			return nil
		},
	}
	f.add(c, "the `FILE` of a key that signs; may be repeated")
	return c
}

// withdrawTries is how often a withdrawal is signed again for a version that came in
// between.
const withdrawTries = 5

func withdraw(ctx context.Context, c *cobra.Command, node *client, f *signFlags, id identifier.ID, keys []identifier.PrivateKey) error {
	holder, err := node.registry.Holder(ctx, id.Prefix)
	if err != nil {
		return err
	}
	if holder == nil {
		return fmt.Errorf("prefix %s is delegated to nobody at this node", id.Prefix)
	}
	answer, err := node.records.Resolve(ctx, resolver.Query{ID: id, Authoritative: true})
	if err != nil {
		return err
	}
	row := identifier.Row{Op: identifier.Withdraw, ID: id}
	switch answer.Outcome {
	case resolver.Found:
		row.Version, row.Replaces = answer.Record.Version+1, answer.Record.RowHash
	case resolver.Refused:
		// It may not be read. A row that cannot follow makes the node name the version
		// to follow on, to who can sign for it.
		row.Version, row.Replaces = 2, identifier.Hash{1}
	case resolver.Referral:
		return fmt.Errorf("another node, %s, answers for it: withdraw it there", answer.Delegation.Node.Name)
	default:
		return registered{Identifier: id.String(), Result: "not registered"}.print(c, f)
	}
	for range withdrawTries {
		receipt, err := signAndRegister(ctx, node, holder, row, keys)
		var conflict *registry.Error
		switch {
		case err == nil:
			return registered{Identifier: id.String(), Result: "withdrawn", Version: row.Version, place: newPlace(receipt)}.print(c, f)
		case !errors.As(err, &conflict) || conflict.Kind != registry.Conflict || len(conflict.Rows) == 0:
			return err
		case conflict.Rows[0].Version == 0 || conflict.Rows[0].Version+1 == row.Version && conflict.Rows[0].RowHash == row.Replaces:
			return registered{Identifier: id.String(), Result: "not registered"}.print(c, f)
		}
		row.Version, row.Replaces = conflict.Rows[0].Version+1, conflict.Rows[0].RowHash
	}
	return errors.New("somebody else changes it at the same time: try again later")
}

// signAndRegister registers a change of one row.
func signAndRegister(ctx context.Context, node *client, holder *identifier.Delegation, row identifier.Row, keys []identifier.PrivateKey) (registry.Receipt, error) {
	header := identifier.Header{
		Prefix: holder.Prefix, Epoch: holder.Epoch, KeysetVersion: holder.Keyset.Version,
		Expiry: time.Now().Add(10 * time.Minute),
	}
	change, err := identifier.SignChange(header, []identifier.Row{row}, nil, keys...)
	if err != nil {
		return registry.Receipt{}, err
	}
	return node.registry.Register(ctx, change)
}
