package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
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
