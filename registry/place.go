package registry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A folder that was copied is not the one that the node wrote last: an operator may have
// put an old copy back, or started a second node from it. The file PLACE holds the
// number that the file system gave the journal's first segment. It travels with a copy
// of the folder, and the segment of the copy has another number.
//
// A volume that was put back block by block has the same number. Only what is kept
// elsewhere, an anchor or the parent's mirror, tells of that.

const placeFile = "PLACE"

// place returns the number of the journal's first segment; "" when the file system
// tells none.
func (f *folder) place() (string, error) {
	segments, err := filepath.Glob(filepath.Join(f.join(journalDir), "*.seg"))
	if err != nil || len(segments) == 0 {
		return "", err
	}
	info, err := os.Stat(segments[0]) // their names ascend
	if err != nil {
		return "", fmt.Errorf("data folder: %w", err)
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return strconv.FormatUint(uint64(s.Ino), 10), nil
	}
	return "", nil
}

// isCopy reports whether the folder is a copy of the one that a node wrote last. One
// that no node has written since there are places is taken for the original.
func (f *folder) isCopy() (bool, error) {
	text, err := os.ReadFile(f.join(placeFile))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("data folder: %w", err)
	}
	now, err := f.place()
	return now != strings.TrimSpace(string(text)), err
}

// settle makes this the folder that the node writes.
func (f *folder) settle() error {
	now, err := f.place()
	if err != nil || now == "" {
		return err
	}
	return writeFile(f.join(placeFile), []byte(now+"\n"), 0o640)
}
