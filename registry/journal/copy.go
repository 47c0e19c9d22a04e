package journal

import (
	"context"
	"errors"
	"fmt"
)

// copyAttempts is how often Copy looks again when the journal has moved on to
// another segment between two looks.
const copyAttempts = 3

// Copy copies a journal into a folder that holds none, up to what its own groups say
// is synced, and returns up to where. Another process may have the journal open and
// append to it: what it has synced never changes. So an online backup needs nothing of
// that process but a moment's pause for its last group to be closed. The rest is as
// with [Journal.Backup].
func Copy(ctx context.Context, dir, to string, o Options) (Offset, error) {
	o, err := o.withDefaults()
	if err != nil {
		return 0, err
	}
	var synced Offset
	var l listing
	for attempt := 1; ; attempt++ {
		if l, synced, err = lookUp(dir, o); err == nil {
			break
		}
		var damage *DamageError
		if attempt == copyAttempts || !errors.As(err, &damage) {
			return 0, err
		}
	}
	j := &Journal{dir: dir, options: o, id: l.id, files: newReaders(o.FS)}
	defer j.files.close()
	j.segments.Store(&l.segments)
	j.synced.Store(uint64(synced))
	return synced, j.Backup(ctx, to, synced)
}

// lookUp reads a journal that may be in use and returns what is synced for certain.
func lookUp(dir string, o Options) (listing, Offset, error) {
	l, err := list(o.FS, dir)
	if err != nil {
		return listing{}, 0, err
	}
	if len(l.segments) == 0 {
		return listing{}, 0, fmt.Errorf("there is no journal in %s", dir)
	}
	r := recovery{fsys: o.FS, listing: l, checker: checker{id: l.id}, readOnly: true}
	defer r.closeFiles()
	if _, err := r.read(nil); err != nil {
		return listing{}, 0, err
	}
	return l, r.checker.synced, nil
}
