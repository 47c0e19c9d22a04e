package registry

import (
	"errors"
	"fmt"
	"os"
)

// checkRestored decides at the start whether changes may be taken. A folder that
// was restored from a backup may lack what was acknowledged after it, and so may any
// folder whose log is behind its anchor: then the node stays read-only.
func (r *Registry) checkRestored() error {
	why, asked, err := r.anchorAllows()
	if err != nil {
		return err
	}
	marker := r.folder.join(restoreFile)
	_, err = os.Stat(marker)
	restored := err == nil
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("data folder: %w", err)
	}
	switch {
	case why != "":
	case restored && !asked:
		why = "this folder was restored from a backup and nothing says that nothing came after it: start it with its anchor, or run 'nameplate restore --accept' if you know"
	case restored:
		// The anchor agrees.
		return os.Remove(marker)
	default:
		return nil
	}
	r.config.Log.Warn("no changes are taken", "why", why)
	r.readOnly.Store(&why)
	return nil
}
