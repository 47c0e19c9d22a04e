// Package backup copies what a node's folder cannot be built again from, and makes a
// folder of such a copy: the journal and, when asked for, the node's key.
package backup

import (
	"context"
	"encoding/json"
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

// Points of [registry.Config] that backups and restores pass, in their order.
const (
	HookCopied   = "registry.backup.copied"   // the journal is copied, nothing else is
	HookManifest = "registry.backup.manifest" // all of a backup is there but its manifest
	HookMarked   = "registry.restore.marked"  // the mark of a restored folder is there, nothing else is
	HookKey      = "registry.restore.key"     // and the key
	HookJournal  = "registry.restore.copied"  // and the journal; the state is not
	HookBuilt    = "registry.restore.built"   // everything, before it is said
)

// pass is called at a point.
func pass(c registry.Config, point string) {
	if c.Hook != nil {
		c.Hook(point)
	}
}

// Make copies a node's journal, up to what is synced, into a folder that is empty
// or missing; with its private key when withKey says so. The node may run: nothing is
// asked of it. The copy is read again whole before the manifest is written. When
// Make returns, it is durable. Neither the state, which is built from the journal,
// nor the anchor, which must not travel with it, is ever part of a backup. Of the
// configuration the folder counts.
func Make(ctx context.Context, c registry.Config, to string, withKey bool) (Manifest, error) {
	if err := checkEmpty(to); err != nil {
		return Manifest{}, err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return Manifest{}, err
	}
	upTo, err := journal.Copy(ctx, filepath.Join(c.Folder, folder.JournalDir), filepath.Join(to, folder.JournalDir), journal.Options{})
	if err != nil {
		return Manifest{}, err
	}
	pass(c, HookCopied)
	m, err := survey(filepath.Join(to, folder.JournalDir))
	if err != nil {
		return Manifest{}, fmt.Errorf("the copy does not read back: %w", err)
	}
	m.Octets, m.Time, m.HoldsKey = uint64(upTo), time.Now().UTC().Truncate(time.Second), withKey
	if withKey {
		key, err := os.ReadFile(filepath.Join(c.Folder, folder.KeyFile))
		if err != nil {
			return Manifest{}, err
		}
		if err := folder.WriteFile(filepath.Join(to, folder.KeyFile), key, 0o600); err != nil {
			return Manifest{}, err
		}
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return Manifest{}, err
	}
	pass(c, HookManifest)
	return m, folder.WriteFile(filepath.Join(to, manifestFile), append(text, '\n'), 0o640)
}

// ownLog is the number of the node's own log in its journal.
const ownLog = 0

// survey reads a journal whole and says whose it is.
func survey(dir string) (Manifest, error) {
	m := Manifest{Format: backupFormat}
	_, err := journal.Verify(dir, journal.Options{}, func(f journal.Located) error {
		if f.Kind != journal.KindEntry || f.Log != ownLog {
			return nil
		}
		m.Entries++
		if f.Position > 0 {
			return nil
		}
		entry, err := identifier.ParseEntry(f.Payload)
		if err != nil {
			return err
		}
		genesis, err := identifier.ParseGenesis(entry.Envelope.Payload)
		if err != nil {
			return err
		}
		m.Log, m.NodeKey = genesis.Log.String(), genesis.Key
		return nil
	})
	if err == nil && m.Entries == 0 {
		err = errors.New("the journal holds no entry yet")
	}
	return m, err
}

// checkEmpty returns an error when there is something in a folder.
func checkEmpty(path string) error {
	files, err := os.ReadDir(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && len(files) > 0 {
		err = fmt.Errorf("folder %s is not empty: choose another, nothing is overwritten", path)
	}
	return err
}
