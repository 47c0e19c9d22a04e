package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// Backup copies the journal up to a place into a folder, which must not hold one
// already, while appends go on. The place is at most [Journal.Synced], and the
// beginning or end of a frame, such as Synced itself gave. Every frame is checked
// on the way. The copy is durable when Backup returns; it is a journal like any
// other, with its last group closed, and takes as much room as its frames.
//
// A copy that was interrupted cannot pass for a whole one: each of its segments
// ends by saying that there is another, and Open finds that it is missing.
func (j *Journal) Backup(ctx context.Context, dir string, upTo Offset) error {
	if upTo < segmentHeader || upTo > j.Synced() {
		return fmt.Errorf("cannot copy the journal up to %d: it is synced up to %d", upTo, j.Synced())
	}
	fsys := j.options.FS
	if err := fsys.MakeDir(dir); err != nil {
		return err
	}
	names, err := fsys.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, segmentSuffix) || strings.HasSuffix(name, newSuffix) {
			return fmt.Errorf("copy the journal to %s: %w: it holds %s; choose an empty folder", dir, fs.ErrExist, name)
		}
	}
	segments := *j.segments.Load()
	c := checker{id: j.id}
	for i := 0; i <= locate(segments, upTo); i++ {
		if err := j.copySegment(ctx, dir, &segments[i], upTo, &c); err != nil {
			return fmt.Errorf("copy %s: %w", segments[i].path, err)
		}
	}
	return nil
}

// errCopied ends the reading of a segment where the copy ends.
var errCopied = errors.New("copied")

// copySegment copies one segment, all of it or up to a place within.
func (j *Journal) copySegment(ctx context.Context, dir string, s *segment, upTo Offset, c *checker) error {
	source, err := j.files.open(s)
	if err != nil {
		return err
	}
	defer j.files.release(source)
	path := segmentPath(dir, s.number)
	temporary := strings.TrimSuffix(path, segmentSuffix) + newSuffix
	file, err := j.options.FS.Create(temporary)
	if err != nil {
		return err
	}
	defer file.Close()
	out := copier{file: file, block: s.appendHeader(make([]byte, 0, walkBlock), j.id)}
	w := newWalker(source, s, segmentHeader)
	w.limit = min(s.size, int64(upTo)-int64(s.base))
	whole := w.limit == s.size
	if w.at < w.limit {
		_, ended, bad, err := c.check(w, func(Frame, int64) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := out.write(w.raw); err != nil {
				return err
			}
			if w.at == w.limit {
				return errCopied
			}
			return nil
		})
		switch {
		case errors.Is(err, errCopied), err == nil && ended:
		case err != nil:
			return err
		default:
			return s.damage(w.at, "%s, and it was synced", bad.reason)
		}
	}
	if at := w.at; !whole && !c.closed {
		if err := out.write(appendGroup(nil, KindGroup, j.id, s.offset(at), s.seed, at)); err != nil {
			return err
		}
	}
	return out.finish(j.options.FS, s.size, temporary, path)
}

// copier writes a file from its beginning.
type copier struct {
	file  File
	at    int64
	block []byte
}

func (c *copier) write(b []byte) error {
	if len(c.block)+len(b) > walkBlock {
		if err := c.flush(); err != nil {
			return err
		}
	}
	c.block = append(c.block, b...)
	return nil
}

func (c *copier) flush() error {
	n, err := c.file.WriteAt(c.block, c.at)
	c.at += int64(n)
	c.block = c.block[:0]
	return err
}

// finish makes the file durable under its name.
func (c *copier) finish(fsys FS, size int64, temporary, path string) error {
	if err := c.flush(); err != nil {
		return err
	}
	if err := c.file.Truncate(size); err != nil {
		return err
	}
	if err := c.file.Sync(); err != nil {
		return err
	}
	if err := fsys.Rename(temporary, path); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}
