package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/receipt"
)

// proveFlags are the flags of log prove.
type proveFlags struct {
	server target
	keys   []string
	wait   waitFlags
	output string
	asJSON bool
}

func newLogProve() *cobra.Command {
	var f proveFlags
	c := &cobra.Command{
		Use:   "prove IDENTIFIER",
		Short: "Get the receipt for a registration",
		Long: `Writes the receipt for the newest version of an identifier: the row with its values, what
the holder signed, its place in the node's log and the checkpoint over it. Where the
node's parent has cosigned that, its signature is there too, and the way on to a top-level
node where that has. --wait says which of these there has to be, and that no more is
wanted: local is the shortest receipt. 'nameplate log verify --receipt' checks it, without a node.

A receipt shows all values, so a node makes one for processes on its own machine, and for
who proves the holder's --key over TLS (--server grpcs://…).`,
		Example: `  nameplate log prove 88.118.8/SN-42 --output sn-42.receipt
  nameplate log prove 88.118.8/SN-42 --wait anchored --output sn-42.receipt --key maker.key \
      --server grpcs://192.0.2.7:2640 --server-key node.pub`,
		Args: arguments(1),
		RunE: func(c *cobra.Command, args []string) error { return prove(c, &f, args[0]) },
	}
	serverFlag(c, &f.server)
	keyFlag(c, &f.keys, "the `FILE` of a key of the holder, to prove over TLS")
	f.wait.add(c, "")
	c.Flags().StringVar(&f.output, "output", "", "write the receipt to this `FILE`")
	jsonFlag(c, &f.asJSON)
	_ = c.MarkFlagRequired("output")
	return c
}

func prove(c *cobra.Command, f *proveFlags, text string) error {
	id, err := identifier.Parse(text)
	if err != nil {
		return err
	}
	level, err := f.wait.wanted()
	if err != nil {
		return err
	}
	keys, err := readPrivateKeys(c.ErrOrStderr(), f.keys)
	if err != nil {
		return err
	}
	node, err := f.server.dial(keys...)
	if err != nil {
		return err
	}
	defer node.Close()
	var r *receipt.Receipt
	err = within(c.Context(), f.wait.patience+5*time.Second, func(ctx context.Context) error {
		r, level, err = node.registry.Prove(ctx, id, level, f.wait.patience)
		return err
	})
	if err != nil {
		return err
	}
	b, err := receipt.Append(nil, r)
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.output, b, 0o600); err != nil {
		return err
	}
	if f.asJSON {
		return writeJSON(c.OutOrStdout(), map[string]any{
			"identifier": id.String(), "version": r.Row.Version, "log": r.Log.String(), "position": r.Position, "level": level.String(),
			"octets": len(b), "file": f.output,
		})
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s: the receipt for version %d of %s, position %d of log %s, %s, %s octets\n",
		f.output, r.Row.Version, id, r.Position, r.Log, level, thousands(len(b)))
	return err
}

// verifyReceipt checks a receipt with nothing but some keys.
func verifyReceipt(c *cobra.Command, f *logFlags) error {
	if f.keys == "" {
		return usagef("nothing says whom to trust: name a file with lines such as \"holder ed25519:…\" and \"node ed25519:…\" with --keys")
	}
	text, err := readSmall(c.InOrStdin(), f.keys)
	if err != nil {
		return fmt.Errorf("read the keys: %w", err)
	}
	keys, err := receipt.ParseKeys(text)
	if err != nil {
		return fmt.Errorf("%s: %w", f.keys, err)
	}
	b, err := readLimited(c.InOrStdin(), f.receipt, receipt.MaxReceipt+1)
	if err != nil {
		return fmt.Errorf("read the receipt: %w", err)
	}
	r, err := receipt.Parse(b)
	if err != nil {
		return fmt.Errorf("%s: %w", f.receipt, err)
	}
	v, err := r.Verify(keys)
	if err != nil {
		return fmt.Errorf("%s proves nothing: %w", f.receipt, err)
	}
	if f.asJSON {
		return writeJSON(c.OutOrStdout(), newProved(r, v))
	}
	return printProved(c, r, v)
}

// proved is what a receipt proves as --json shows it.
type proved struct {
	Identifier    string               `json:"identifier"`
	Version       uint64               `json:"version"`
	Withdrawn     bool                 `json:"withdrawn,omitempty"`
	Prefix        identifier.Prefix    `json:"prefix"`
	Epoch         uint64               `json:"epoch"`
	KeysetVersion uint64               `json:"keysetVersion"`
	Agent         string               `json:"agent,omitempty"`
	Log           string               `json:"log"`
	Node          identifier.PublicKey `json:"node"`
	Position      uint64               `json:"position"`
	Time          time.Time            `json:"time"`
	Size          uint64               `json:"size"`
	Level         string               `json:"level"`
	Cosigner      string               `json:"cosigner,omitempty"`
	Cosigned      *time.Time           `json:"cosigned,omitempty"`
}

func newProved(r *receipt.Receipt, v *receipt.Verdict) proved {
	p := proved{
		Identifier: r.Row.ID.String(), Version: r.Row.Version, Withdrawn: r.Row.Op == identifier.Withdraw, Prefix: v.Header.Prefix,
		Epoch: v.Header.Epoch, KeysetVersion: v.Header.KeysetVersion, Log: r.Log.String(), Node: r.Node, Position: r.Position,
		Time: v.Time, Size: v.Size, Level: v.Level(),
	}
	if v.Agent {
		p.Agent = v.Header.Agent
	}
	if v.Anchored {
		p.Cosigner, p.Cosigned = v.Cosigner.String(), &v.Cosigned
	}
	return p
}

func printProved(c *cobra.Command, r *receipt.Receipt, v *receipt.Verdict) error {
	what, signed := "version %d of %s", "signed by the holder"
	if r.Row.Op == identifier.Withdraw {
		what = "version %d of %s, a withdrawal"
	}
	if v.Agent {
		signed = fmt.Sprintf("signed by the node on behalf of %q, whom it knew by %s", v.Header.Agent, v.Header.AgentMethod)
	}
	line := func(format string, args ...any) error {
		_, err := fmt.Fprintf(c.OutOrStdout(), format+"\n", args...)
		return err
	}
	err := errors.Join(
		line("ok: "+what, r.Row.Version, r.Row.ID),
		line("    %s of prefix %s in epoch %d, keyset version %d", signed, v.Header.Prefix, v.Header.Epoch, v.Header.KeysetVersion),
		line("    entry %d of log %s, logged %s", r.Position, r.Log, v.Time.Format(time.RFC3339)),
		line("    in a checkpoint of %s entries by node %s", thousands(int(v.Size)), r.Node),
	)
	switch {
	case v.Anchored:
		err = errors.Join(err, line("    %s: cosigned by node %s at %s", v.Level(), v.Cosigner, v.Cosigned.Format(time.RFC3339)))
	case r.Cosigned != nil:
		err = errors.Join(err, line("    local: node %s has cosigned it, which the keys do not name as a parent", v.Cosigner))
	default:
		err = errors.Join(err, line("    local: nobody has cosigned it"))
	}
	return err
}
