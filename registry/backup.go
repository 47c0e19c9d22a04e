package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nameplate-id/nameplate/registry/folder"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// manifestFile stands in a backup and says what it holds. It is written last: a
// folder without it is no backup.
const manifestFile = "backup.json"

// Manifest says what a backup holds.
type Manifest struct {
	Format  int                  `json:"format"`
	Log     string               `json:"log"`
	NodeKey identifier.PublicKey `json:"nodeKey"`
	Entries uint64               `json:"entries"`
	Octets  uint64               `json:"octets"` // of the journal
	Time    time.Time            `json:"time"`
	// HoldsKey says that the node's private key is in the backup: whoever has it can
	// sign as the node.
	HoldsKey bool `json:"holdsKey"`
}

// backupFormat is the format of manifests.
const backupFormat = 1

// Backup copies a node's journal, up to what is synced, into a folder that is empty
// or missing; with its private key when withKey says so. The node may run: nothing is
// asked of it. The copy is read again whole before the manifest is written. When
// Backup returns, it is durable. Neither the state, which is built from the journal,
// nor the anchor, which must not travel with it, is ever part of a backup.
func Backup(ctx context.Context, from, to string, withKey bool) (Manifest, error) {
	return Config{Folder: from}.Backup(ctx, to, withKey)
}

// Backup is [Backup] of the configured folder.
func (c Config) Backup(ctx context.Context, to string, withKey bool) (Manifest, error) {
	c = c.withDefaults()
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
	c.Hook(HookBackup)
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
	c.Hook(HookManifest)
	return m, folder.WriteFile(filepath.Join(to, manifestFile), append(text, '\n'), 0o640)
}

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

// ReadManifest reads what a backup says of itself.
func ReadManifest(backup string) (Manifest, error) {
	text, err := os.ReadFile(filepath.Join(backup, manifestFile))
	if errors.Is(err, os.ErrNotExist) {
		return Manifest{}, fmt.Errorf("%s is not a backup, or not a whole one: it has no %s", backup, manifestFile)
	}
	if err != nil {
		return Manifest{}, err
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", filepath.Join(backup, manifestFile), err)
	}
	if m.Format != backupFormat {
		return Manifest{}, fmt.Errorf("the backup has format %d, known here is %d: use the release that wrote it, or a newer one", m.Format, backupFormat)
	}
	return m, nil
}

// Restore makes a node's folder of a backup: journal and key, and the state built
// from them. The folder must be empty or missing. key names the file with the node's
// private key where the backup does not hold it. The node takes no changes until its
// anchor agrees that nothing came after the backup, or [AcceptRestored] says so.
func Restore(ctx context.Context, backup, to, key string) (Manifest, error) {
	return Config{Folder: to}.Restore(ctx, backup, key)
}

// Restore is [Restore] into the configured folder.
func (c Config) Restore(ctx context.Context, backup, key string) (Manifest, error) {
	c = c.withDefaults()
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
	c.Hook(HookRestore)
	if err := folder.WriteFile(filepath.Join(c.Folder, folder.KeyFile), text, 0o600); err != nil {
		return Manifest{}, err
	}
	c.Hook(HookRestoreKey)
	if _, err := journal.Copy(ctx, filepath.Join(backup, folder.JournalDir), filepath.Join(c.Folder, folder.JournalDir), journal.Options{}); err != nil {
		return Manifest{}, err
	}
	c.Hook(HookRestoreCopy)
	return m, c.rebuild(ctx)
}

// rebuild opens a folder, which builds its state, and closes it again.
func (c Config) rebuild(ctx context.Context) error {
	r, err := Open(c)
	if err != nil {
		return err
	}
	err = r.WaitApplied(ctx)
	err = errors.Join(err, r.Close())
	c.Hook(HookRestored)
	return err
}

// AcceptRestored lets a restored node take changes although nobody could be asked
// whether something came after its backup. Whatever was acknowledged after it is then
// lost for good. The node must not run.
func AcceptRestored(path string) error {
	f, err := folder.Open(path, nil)
	if err != nil {
		return err
	}
	defer f.Close()
	marker, err := f.Marker()
	if err != nil {
		return err
	}
	if marker == "" {
		return fmt.Errorf("%s was not restored, or was accepted before", path)
	}
	return f.Unmark()
}
