package journal

import (
	"errors"
	"io/fs"
)

// Identify returns the id of the journal in a folder, which every one of its
// segments carries; ok is false when there is none yet. It changes nothing.
func Identify(dir string, o Options) (id [16]byte, ok bool, err error) {
	if o, err = o.withDefaults(); err != nil {
		return id, false, err
	}
	l, err := list(o.FS, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return id, false, nil
	}
	return l.id, len(l.segments) > 0, err
}
