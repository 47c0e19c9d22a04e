package folder

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// A folder that was copied is not the one that the node wrote last: an operator may have
// put an old copy back, or started a second node from it. The file PLACE holds the number
// that the file system gave to the file PLACE.MARK, and when that file was last changed,
// which no program can set. Both travel with a copy of the folder, but the copy of
// PLACE.MARK was made later. The number alone would not do: a file system gives it out
// again as soon as it is free.
//
// A volume that was put back block by block has the same number and time. Only what is
// kept elsewhere, an anchor or the parent's mirror, tells of that. Whatever else changes
// PLACE.MARK, such as another owner, only makes the node ask its parent once.

const (
	placeFile     = "PLACE"
	placeMarkFile = "PLACE.MARK"
)

// place returns what tells this folder from a copy of it; "" when there is no mark, or the
// file system tells nothing of it.
func (f *Folder) place() (string, error) {
	info, err := os.Stat(f.Join(placeMarkFile))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("data folder: %w", err)
	}
	return identity(info), nil
}

// IsCopy reports whether the folder is a copy of the one that a node wrote last. One
// that no node has written since there are places is taken for the original.
func (f *Folder) IsCopy() (bool, error) {
	text, err := os.ReadFile(f.Join(placeFile))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("data folder: %w", err)
	}
	now, err := f.place()
	return now != strings.TrimSpace(string(text)), err
}

// Settle makes this the folder that the node writes. A crash between the two files leaves
// a mark without a place, or one with the place of before: then the node asks once more.
func (f *Folder) Settle() error {
	if err := WriteFile(f.Join(placeMarkFile), []byte("the folder is where this file was made\n"), 0o640); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	now, err := f.place()
	if err != nil || now == "" {
		return err
	}
	return WriteFile(f.Join(placeFile), []byte(now+"\n"), 0o640)
}
