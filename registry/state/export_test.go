package state

import (
	"fmt"
	"os"

	"go.etcd.io/bbolt"
)

// Apply commits what is published, as the applier does when it has gathered.
func (s *Store) Apply() error { return s.apply() }

// Abandon closes the file and commits nothing, as a crash does.
func (s *Store) Abandon() error {
	s.mu.Lock()
	s.closed = true
	close(s.stop)
	s.broadcast()
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

// Leaves returns how many leaf pages a table has and how many octets of them are
// used.
func Leaves(path string, t Table) (pages, used int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	im, err := openImage(f, info.Size())
	if err != nil {
		return 0, 0, err
	}
	roots, err := im.buckets()
	if err != nil {
		return 0, 0, err
	}
	before := im.claimed()
	root := roots[t.String()]
	if err := im.tree(root, nil); err != nil {
		return 0, 0, err
	}
	pages = im.claimed() - before
	branches := 0
	if im, err = openImage(f, info.Size()); err != nil {
		return 0, 0, err
	}
	depth, err := im.depth(root)
	if err != nil {
		return 0, 0, err
	}
	branches = im.branches(root, depth)
	err = im.tree(root, func(_ uint32, key, value []byte) error {
		used += elementSize + len(key) + len(value)
		return nil
	})
	return pages - branches, used, err
}

func (im *image) claimed() int {
	n := 0
	for id := range im.meta.high {
		if im.seen[id/64]&(1<<(id%64)) != 0 {
			n++
		}
	}
	return n
}

func (im *image) branches(id uint64, depth int) int {
	if depth == 0 {
		return 0
	}
	p, err := im.read(id, nil)
	if err != nil {
		panic(err)
	}
	n := 1
	for i := range p.count {
		head, _, _, err := p.element(i)
		if err != nil {
			panic(err)
		}
		n += im.branches(child(head), depth-1)
	}
	return n
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
