package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/folder"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// Restore makes the configured folder of a backup: journal and key, and the state built
// from them. The folder must be empty or missing. key names the file with the node's
// private key where the backup does not hold it. The node takes no changes until its
// anchor agrees that nothing came after the backup, or [registry.AcceptRestored] says so.
func Restore(ctx context.Context, c registry.Config, backup, key string) (Manifest, error) {
	m, err := ReadManifest(backup)
	if err != nil {
		return Manifest{}, err
	}
	if key == "" && m.HoldsKey {
		key = filepath.Join(backup, folder.KeyFile)
	}
	if key == "" {
		return Manifest{}, fmt.Errorf("the backup does not hold the node's key: name its file, the log is signed with it")
	}
	text, err := os.ReadFile(key)
	if err != nil {
		return Manifest{}, fmt.Errorf("node key: %w", err)
	}
	private, err := identifier.ParsePrivateKeyPEM(text)
	if err != nil {
		return Manifest{}, fmt.Errorf("node key %s: %w", key, err)
	}
	if private.Public() != m.NodeKey {
		return Manifest{}, fmt.Errorf("node key %s is %s, the log was begun with %s: name the right one", key, private.Public(), m.NodeKey)
	}
	if err := checkEmpty(c.Folder); err != nil {
		return Manifest{}, err
	}
	if err := os.MkdirAll(c.Folder, 0o750); err != nil {
		return Manifest{}, err
	}
	// The marker first: a restore that a crash interrupts must not pass for a node.
	marker := fmt.Sprintf("restored from a backup of %s with %d entries\n", m.Time.Format(time.RFC3339), m.Entries)
	if err := folder.WriteFile(filepath.Join(c.Folder, folder.MarkFile), []byte(marker), 0o640); err != nil {
		return Manifest{}, err
	}
	pass(c, HookMarked)
	if err := folder.WriteFile(filepath.Join(c.Folder, folder.KeyFile), text, 0o600); err != nil {
		return Manifest{}, err
	}
	pass(c, HookKey)
	if _, err := journal.Copy(ctx, filepath.Join(backup, folder.JournalDir), filepath.Join(c.Folder, folder.JournalDir), journal.Options{}); err != nil {
		return Manifest{}, err
	}
	pass(c, HookJournal)
	return m, rebuild(ctx, c)
}

// rebuild opens a folder, which builds its state, and closes it again.
func rebuild(ctx context.Context, c registry.Config) error {
	r, err := registry.Open(c)
	if err != nil {
		return err
	}
	err = r.WaitApplied(ctx)
	err = errors.Join(err, r.Close())
	pass(c, HookBuilt)
	return err
}
