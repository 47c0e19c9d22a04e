package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/cmd/nameplate/audit"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

func newLog() *cobra.Command {
	c := &cobra.Command{
		Use:     "log",
		Short:   "Verify a node's log, and prove what is in it",
		Example: "  nameplate log verify\n  nameplate log prove 88.118.8/SN-42 --output sn-42.receipt",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newLogVerify(), newLogProve())
	return c
}

// logFlags are the flags of log verify.
type logFlags struct {
	server   target
	data     string
	nodeKey  string
	evidence string
	receipt  string
	keys     string
	asJSON   bool
}

func newLogVerify() *cobra.Command {
	var f logFlags
	c := &cobra.Command{
		Use:   "verify",
		Short: "Verify a log from its first entry, or a receipt",
		Long: `Reads a log from its first entry and verifies it without trusting the node: every
delegation and every change is signed by who held the prefix at that place, the rows are
those that were signed, and the entries add up to the root of the checkpoint that the
node has signed.

A running node sends its log to processes on its own machine only. With --data the
folder of a stopped node, or a backup, is read. With --node-key the log must be the one
that this key signs; without it the log is proved to be consistent, and not whose it is.

With --evidence a file from "nameplate fork show --evidence" is checked instead, with no
network: whether it proves that a node has signed two histories of one log.

With --receipt what 'nameplate log prove' wrote is checked instead, with no network and
with nothing but the public keys that --keys names, a line for each: what it is trusted
for (holder, node, parent or top) and the key; "threshold 2" says that two holders sign.`,
		Example: `  nameplate log verify
  nameplate log verify --receipt sn-42.receipt --keys trusted.txt
  nameplate log verify --evidence fork.json --node-key node.pub
  nameplate log verify --data /backup/nameplate-2026-11-23 --node-key node.pub`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.receipt != "" {
				return verifyReceipt(c, &f)
			}
			return verifyLog(c, &f)
		},
	}
	serverFlag(c, &f.server)
	c.Flags().StringVar(&f.data, "data", "", "read the `FOLDER` of a stopped node, or a backup")
	c.Flags().StringVar(&f.nodeKey, "node-key", "", "the `KEY` that signs the log, or a file with it")
	c.Flags().StringVar(&f.evidence, "evidence", "", "check the `FILE` with the evidence of a fork")
	c.Flags().StringVar(&f.receipt, "receipt", "", "check the `FILE` with a receipt")
	c.Flags().StringVar(&f.keys, "keys", "", "the `FILE` that says whose keys a receipt may rest on")
	jsonFlag(c, &f.asJSON)
	c.MarkFlagsMutuallyExclusive("server", "data", "evidence", "receipt")
	c.MarkFlagsMutuallyExclusive("node-key", "keys")
	return c
}

func verifyLog(c *cobra.Command, f *logFlags) error {
	var key identifier.PublicKey
	if f.nodeKey != "" {
		var err error
		if key, err = publicKeyArgument(c.InOrStdin(), f.nodeKey); err != nil {
			return err
		}
	}
	if f.evidence != "" {
		return verifyEvidence(c, f, key)
	}
	a := audit.New(key)
	progress := newCounter(c, "verifying")
	entry := func(position uint64, e *identifier.Entry) error {
		progress.show(func() string { return "verified " + thousands(int(position)) + " entries" })
		return a.Entry(position, e)
	}
	var err error
	if f.data != "" {
		err = auditFolder(f.data, a, entry)
	} else {
		err = auditNode(c.Context(), f.server, a, entry)
	}
	progress.clear()
	if err != nil {
		return interrupted(c.Context(), err)
	}
	s := a.Summary()
	if s.Checkpoints == 0 {
		return errors.New("there is no checkpoint yet, so nothing says what the log has to be: try again in a moment")
	}
	if f.asJSON {
		return writeJSON(c.OutOrStdout(), newVerified(&s))
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "ok: log %s, %s entries with %s rows and %s delegations\n    the checkpoint of %s entries has root %x\n    and is signed by %s\n",
		s.Log, thousands(int(s.Entries)), thousands(int(s.Rows)), thousands(int(s.Delegations)), thousands(int(s.Size)), s.Root, s.Node)
	for _, x := range s.Suspect {
		if err == nil {
			_, err = fmt.Fprintf(c.OutOrStdout(), "suspect: entries %d to %d of prefix %s: its holder has said in entry %d that a key was in the wrong hands\n", x.Since, x.Until-1, x.Prefix, x.Until)
		}
	}
	return err
}

// shownSuspicion is a part of a log that is suspect, from an entry on up to the one that
// says so.
type shownSuspicion struct {
	Log    string            `json:"log"`
	Prefix identifier.Prefix `json:"prefix"`
	Since  uint64            `json:"since"`
	Until  uint64            `json:"until"`
}

// verifyEvidence checks a file that says that a node has signed two histories.
func verifyEvidence(c *cobra.Command, f *logFlags, key identifier.PublicKey) error {
	file, err := os.Open(f.evidence)
	if err != nil {
		return err
	}
	defer file.Close()
	e, err := readEvidence(file)
	if err != nil {
		return fmt.Errorf("%s: %w", f.evidence, err)
	}
	d, err := judgeEvidence(e, key)
	if err != nil {
		return fmt.Errorf("%s proves nothing: %w", f.evidence, err)
	}
	if f.asJSON {
		return writeJSON(c.OutOrStdout(), map[string]any{
			"forked": true, "log": e.Log.String(), "node": e.Node, "size": d.Size,
			"held": hex.EncodeToString(d.Held[:]), "signed": hex.EncodeToString(d.Signed[:]),
		})
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "proved: node %s has signed two histories of log %s\n    their first %s entries have roots %x and %x\n",
		e.Node, e.Log, thousands(int(d.Size)), d.Held, d.Signed)
	return err
}

// verified is a summary as --json shows it.
type verified struct {
	Log         string               `json:"log"`
	Node        identifier.PublicKey `json:"node"`
	Entries     uint64               `json:"entries"`
	Rows        uint64               `json:"rows"`
	Delegations uint64               `json:"delegations"`
	Checkpoints uint64               `json:"checkpoints"`
	Size        uint64               `json:"size"`
	Root        string               `json:"root"`
	Suspect     []shownSuspicion     `json:"suspect,omitempty"`
}

func newVerified(s *audit.Summary) verified {
	var suspect []shownSuspicion
	for _, x := range s.Suspect {
		suspect = append(suspect, shownSuspicion{Log: s.Log.String(), Prefix: x.Prefix, Since: x.Since, Until: x.Until})
	}
	return verified{
		Suspect: suspect,
		Log:     s.Log.String(), Node: s.Node, Entries: s.Entries, Rows: s.Rows, Delegations: s.Delegations,
		Checkpoints: s.Checkpoints, Size: s.Size, Root: hex.EncodeToString(s.Root[:]),
	}
}

// auditNode follows the log of a running node as far as it went when it was asked.
func auditNode(ctx context.Context, server target, a *audit.Auditor, entry func(uint64, *identifier.Entry) error) error {
	node, err := server.dial()
	if err != nil {
		return err
	}
	defer node.Close()
	status, err := signedStatus(ctx, node)
	if err != nil {
		return err
	}
	size := max(status.Position, status.Checkpoint.Size)
	whole := errors.New("all of it was read")
	err = node.registry.WatchProgress(ctx, 0, func(l registry.Logged) error {
		if err := entry(l.Position, l.Entry); err != nil {
			return err
		}
		if l.Position+1 >= size {
			return whole
		}
		return nil
	}, func(registryrpc.Progress) error { return nil })
	if !errors.Is(err, whole) {
		if err == nil {
			err = context.Cause(ctx)
		}
		return err
	}
	if len(status.Checkpoint.Note) == 0 {
		return nil
	}
	return a.Checkpoint(status.Checkpoint.Note)
}

// signedStatus waits until the node has signed a checkpoint over what it has logged,
// which it does about once a second.
func signedStatus(ctx context.Context, node *client) (registryrpc.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	status, err := node.registry.Status(ctx)
	for size := status.Position; err == nil && status.Checkpoint.Size < size; status, err = node.registry.Status(ctx) {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return status, fmt.Errorf("the node does not sign its log: its newest checkpoint covers %d of %d entries", status.Checkpoint.Size, size)
		}
	}
	return status, err
}

// auditFolder reads the journal of a folder.
func auditFolder(data string, a *audit.Auditor, entry func(uint64, *identifier.Entry) error) error {
	if err := checkFolder(data); err != nil {
		return err
	}
	const own = 0 // the number of a node's own log in its journal
	_, err := journal.Verify(filepath.Join(data, "journal"), journal.Options{}, func(f journal.Located) error {
		if f.Log != own {
			return nil
		}
		switch f.Kind {
		case journal.KindEntry:
			e, err := identifier.ParseEntry(f.Payload)
			if err != nil {
				return fmt.Errorf("entry %d: %w", f.Position, err)
			}
			return entry(f.Position, e)
		case journal.KindCheckpoint:
			return a.Checkpoint(f.Payload)
		}
		return nil
	})
	return err
}
