package state

// leaves are the leaf pages of the live records as of one commit, a bit for each page
// of the file. They never change: the next commit has others, which share with these
// what they have in common.
type leaves struct{ chunks []*leafChunk }

// leafChunk holds the bits of as many pages as 128 MiB of the file.
type leafChunk [512]uint64

const chunkPages = uint64(len(leafChunk{}) * 64)

// has reports whether a page is one of them.
func (l *leaves) has(page uint64) bool {
	i := page / chunkPages
	if i >= uint64(len(l.chunks)) || l.chunks[i] == nil {
		return false
	}
	return l.chunks[i][page%chunkPages/64]&(1<<(page%64)) != 0
}

// leafEdit makes the leaves of a commit of those before.
type leafEdit struct {
	chunks []*leafChunk
	own    map[uint64]struct{} // the chunks that are not shared
}

func (l *leaves) edit() *leafEdit {
	e := &leafEdit{own: make(map[uint64]struct{})}
	if l != nil {
		e.chunks = append(e.chunks, l.chunks...)
	}
	return e
}

func (e *leafEdit) done() *leaves { return &leaves{e.chunks} }

// chunk returns the chunk of a page, which may be changed.
func (e *leafEdit) chunk(page uint64) *leafChunk {
	i := page / chunkPages
	for uint64(len(e.chunks)) <= i {
		e.chunks = append(e.chunks, nil)
	}
	if _, ok := e.own[i]; ok {
		return e.chunks[i]
	}
	fresh := new(leafChunk)
	if e.chunks[i] != nil {
		*fresh = *e.chunks[i]
	}
	e.chunks[i] = fresh
	e.own[i] = struct{}{}
	return fresh
}

func (e *leafEdit) add(page uint64)    { e.chunk(page)[page%chunkPages/64] |= 1 << (page % 64) }
func (e *leafEdit) remove(page uint64) { e.chunk(page)[page%chunkPages/64] &^= 1 << (page % 64) }
