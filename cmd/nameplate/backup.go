package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/backup"
	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
)

func newBackup() *cobra.Command {
	var data string
	var withKey, asJSON bool
	c := &cobra.Command{
		Use:   "backup FOLDER",
		Short: "Copy a node's journal into a new folder",
		Long: `Copies the journal of a node into a folder that is empty or not there, up to what is
on disk, reads the copy back, and says what it holds. The node may run meanwhile.

The state is not part of a backup, because it is built from the journal; nor is the
anchor, which must not travel with it. The node's private key is only with --with-key:
whoever has it can sign as the node. Without it in the backup, keep a copy of node.key
elsewhere, for the log cannot be restored without it. handle.key, which signs answers
to Handle clients, goes the same way; a node without it makes another, and whoever
delegated to it has to name that one.`,
		Example: "  nameplate backup /backup/nameplate-2026-11-23 --data /var/lib/nameplate",
		Args:    arguments(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFolder(data); err != nil {
				return err
			}
			m, err := backup.Make(c.Context(), registry.Config{Folder: data}, args[0], withKey)
			if err != nil {
				return interrupted(c.Context(), err)
			}
			if withKey {
				if err := copyHandleKey(data, args[0]); err != nil {
					return err
				}
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), m)
			}
			key := "it does NOT hold the node's key: keep node.key elsewhere too"
			if m.HoldsKey {
				key = "it holds the node's private key: keep it where only you can read it"
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "backup of log %s in %s: %s entries, %s; %s\n", m.Log, args[0], thousands(int(m.Entries)), octets(m.Octets), key)
			return err
		},
	}
	dataFlag(c, &data)
	c.Flags().BoolVar(&withKey, "with-key", false, "put the node's private key into the backup")
	jsonFlag(c, &asJSON)
	return c
}

// copyHandleKey copies the key with which a node signs Handle answers, where it has one.
func copyHandleKey(from, to string) error {
	text, err := os.ReadFile(filepath.Join(from, resolverhandle.KeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = replaceFile(filepath.Join(to, resolverhandle.KeyFile), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("key for Handle: %w", err)
	}
	return nil
}

func newRestore() *cobra.Command {
	var data, key string
	var accept, asJSON bool
	c := &cobra.Command{
		Use:   "restore BACKUP",
		Short: "Make a node's folder of a backup",
		Long: `Makes a node's folder, which must be empty or not there, of a backup, and builds the
state. The node that is started on it takes no changes until somebody agrees that nothing
came after the backup, or gives back what did: its parent, which also answers in its
place meanwhile, or the anchor of a node without one.

Where there is neither, "nameplate restore --accept" lets it take changes all the same:
whatever was acknowledged after the backup is then lost for good.`,
		Example: `  nameplate restore /backup/nameplate-2026-11-23 --data /var/lib/nameplate --node-key node.key
  nameplate restore --accept --data /var/lib/nameplate`,
		Args: func(c *cobra.Command, args []string) error {
			if accept {
				return cobra.NoArgs(c, args)
			}
			return arguments(1)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if accept {
				if err := checkFolder(data); err != nil {
					return err
				}
				if err := registry.AcceptRestored(data); err != nil {
					return err
				}
				if asJSON {
					return writeJSON(c.OutOrStdout(), map[string]bool{"accepted": true})
				}
				_, err := fmt.Fprintf(c.OutOrStdout(), "%s takes changes from its next start on; what was acknowledged after its backup is given up\n", data)
				return err
			}
			m, err := backup.Restore(c.Context(), registry.Config{Folder: data}, args[0], key)
			if err != nil {
				return interrupted(c.Context(), err)
			}
			if err := copyHandleKey(args[0], data); err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), m)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s holds log %s as it was at %s: %s entries; start the node on it: its parent or its anchor says what came after, or run 'nameplate restore --accept' first\n",
				data, m.Log, m.Time.UTC().Format(time.RFC3339), thousands(int(m.Entries)))
			return err
		},
	}
	dataFlag(c, &data)
	c.Flags().StringVar(&key, "node-key", "", "the `FILE` of the node's private key, where the backup does not hold it")
	c.Flags().BoolVar(&accept, "accept", false, "let a restored node take changes without asking anybody")
	jsonFlag(c, &asJSON)
	return c
}
