package state

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
)

// Apply commits what is published, as the applier does when it has gathered.
func (s *Store) Apply() error { return s.applyAll(context.Background()) }

// Committing returns up to where in the journal the generation reaches that is committed
// next, its rows, and whether there are others behind it.
func (s *Store) Committing() (end uint64, rows int, more bool) {
	snap := s.snap.Load()
	oldest := snap.sealed[len(snap.sealed)-1]
	return oldest.end, oldest.rows, len(snap.sealed) > 1 || snap.current.end > 0
}

// Abandon closes the file and commits nothing, as a crash does.
func (s *Store) Abandon() error {
	s.mu.Lock()
	s.closed = true
	close(s.stop)
	s.broadcast()
	if s.index != nil {
		s.index.complete = false // its header stays as it is
	}
	s.mu.Unlock()
	return s.closeFile()
}

// BreakFile closes the file under bbolt, so that the next commit fails.
func (s *Store) BreakFile() { s.file.Close() }

// ViewInverted is View with its two steps in the wrong order: it opens the
// transaction first and captures the overlay then. between is called in between.
func (s *Store) ViewInverted(between func(), f func(*Reader) error) error {
	r := &Reader{s: s}
	tx, err := s.db.Begin(false)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	r.tx = tx
	between()
	r.snap = s.snap.Load()
	r.file = mappingOf(tx)
	return f(r)
}

// Pages are the page numbers of a table's tree, and others.
type Pages struct {
	Branches, Leaves []uint64
	Freelist         uint64
	Used             int // octets of the leaves
}

// PagesOf returns the pages of a table of a closed file.
func PagesOf(path string, t Table) (Pages, error) {
	f, err := os.Open(path)
	if err != nil {
		return Pages{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Pages{}, err
	}
	im, err := openImage(f, info.Size())
	if err != nil {
		return Pages{}, err
	}
	roots, err := im.buckets()
	if err != nil {
		return Pages{}, err
	}
	p := Pages{Freelist: im.meta.freelist}
	return p, p.add(im, roots[t.String()])
}

func (ps *Pages) add(im *image, id uint64) error {
	p, err := im.read(id, nil)
	if err != nil {
		return err
	}
	if p.flags == leafFlag {
		ps.Leaves = append(ps.Leaves, id)
	} else {
		ps.Branches = append(ps.Branches, id)
	}
	for i := range p.count {
		head, key, value, err := p.element(i)
		switch {
		case err != nil:
			return err
		case p.flags == leafFlag:
			ps.Used += elementSize + len(key) + len(value)
		default:
			if err := ps.add(im, child(head)); err != nil {
				return err
			}
		}
	}
	return nil
}

// RewriteHeader changes the header row of a closed file.
func RewriteHeader(path string, change func(format *uint32, raw *[]byte)) error {
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(headerBucket))
		h, err := parseHeader(b.Get([]byte(headerKey)))
		if err != nil {
			return err
		}
		raw := h.encode()
		format := h.format
		change(&format, &raw)
		if format != h.format {
			h.format = format
			raw = h.encode()
		}
		return b.Put([]byte(headerKey), raw)
	})
}

// RereadHeader reads the header row and writes it again; nil where it is of a newer format.
func RereadHeader(b []byte) ([]byte, error) {
	h, err := parseHeader(b)
	if err != nil || h.format > Format {
		return nil, err
	}
	return h.encode(), nil
}

// RereadLog reads the row of a log and writes it again.
func RereadLog(key, b []byte) ([]byte, error) {
	log, position, t, err := parseLog(key, b)
	return t.appendLog(nil, log, position), err
}

// Tree is the overlay's tree, for its own test.
type Tree struct{ t tree }

// Put puts rows in one edit.
func (t *Tree) Put(keys, values []string) {
	e := new(edit)
	for i := range keys {
		t.t.put(e, row{key: []byte(keys[i]), value: []byte(values[i])})
	}
}

// Len returns how many rows there are.
func (t Tree) Len() int { return t.t.n }

// Find returns the value of a key.
func (t Tree) Find(key string) (string, bool) {
	if r := t.t.get([]byte(key)); r != nil {
		return string(r.value), true
	}
	return "", false
}

// Floor returns the greatest key that is not above the given one.
func (t Tree) Floor(key string) (string, bool) {
	if r := t.t.floor([]byte(key)); r != nil {
		return string(r.key), true
	}
	return "", false
}

// From returns all rows from a key on.
func (t Tree) From(key string) []string {
	var rows []string
	var a ascent
	for a.seek(t.t, []byte(key)); a.row() != nil; a.next() {
		rows = append(rows, fmt.Sprintf("%s=%s", a.row().key, a.row().value))
	}
	return rows
}

// AddDigests and SubDigests do arithmetic modulo 2²⁵⁶.
func AddDigests(a, b Digest) Digest { a.add(b); return a }
func SubDigests(a, b Digest) Digest { a.sub(b); return a }

// Examine checks the octets of a file as Open does.
func Examine(text []byte, o Options) error {
	return examineFile("fuzz", bytes.NewReader(text), int64(len(text)), o)
}

// Indexed reports whether the index leads to a live record.
func (r *Reader) Indexed(log uint32, key []byte) bool {
	stored := appendKey(nil, log, key)
	return r.leaves != nil && r.s.index.lookup(r.file, r.leaves, hashOf(stored), stored) != nil
}

// TrustPages makes readers follow hints to any page, be it one of the commit or not.
func (s *Store) TrustPages() {
	all := new(leafChunk)
	for i := range all {
		all[i] = ^uint64(0)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	trusting := *s.snap.Load()
	trusting.leaves = &leaves{[]*leafChunk{all, all, all, all}}
	s.snap.Store(&trusting)
}

// IndexSome notes the rows of the next branch of leaves, as the applier does when it
// has nothing else to do.
func (s *Store) IndexSome() { s.indexSome() }

// RereadIndexHeader reads the header of an index of so many octets and writes it again.
func RereadIndexHeader(b []byte, size int64) ([]byte, error) {
	if len(b) != indexFields {
		return nil, fmt.Errorf("%d octets", len(b))
	}
	h, err := parseIndexHeader((*[indexFields]byte)(b), size)
	return h.append(nil), err
}

// IndexHeader returns the header of an index with 2^bits buckets, and how long its file is.
func IndexHeader(bits uint32) ([]byte, int64) {
	h := indexHeader{journal: [16]byte{1}, bits: bits, of: indexOf{2, 3, 4}, gaps: 5}
	return h.append(nil), indexSize(bits)
}
