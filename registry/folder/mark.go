package folder

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Restored is what the mark of a folder begins with that was restored from a backup.
const Restored = "restored"

// Mark says why entries may be missing in the folder, durably at return, in one line.
func (f *Folder) Mark(why string) error {
	return WriteFile(f.Join(MarkFile), []byte(why+"\n"), 0o640)
}

// Marker returns what the mark says; "" when there is none.
func (f *Folder) Marker() (string, error) {
	text, err := os.ReadFile(f.Join(MarkFile))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("data folder: %w", err)
	}
	if line := strings.TrimSpace(string(text)); line != "" {
		return line, nil
	}
	return Restored, nil
}

// Unmark takes the mark away, durably.
func (f *Folder) Unmark() error {
	if err := os.Remove(f.Join(MarkFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("data folder: %w", err)
	}
	return syncDir(f.path)
}

// markOr makes or removes the mark.
func (f *Folder) markOr(why string) error {
	if why == "" {
		return gone(f.Join(MarkFile))
	}
	return f.Mark(why)
}
