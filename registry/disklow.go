package registry

import (
	"fmt"
	"sync"
)

// A disk must not become full: what a node logs about itself, its checkpoints and the
// rows of its children, needs room, and so does the operator who wants to see to it. So
// from a reserve on neither changes nor entries of children are taken in. Delegations
// are: they are few, and a key that was stolen must not stay in force for want of room.
// Reading goes on, and it ends by itself when there is room again.
//
// What was taken in before is not lost, whatever becomes of the disk: a frame that the
// journal took has its room, and the state waits.

// Reserve is what a node keeps free of the volume of its folder unless it is told
// otherwise: a twentieth of it, 1 GiB at the most.
func Reserve(size uint64) uint64 { return min(size/20, 1<<30) }

// Volume tells of the room on the volume of a folder: how many octets it has, and how
// many of them a node can still write. known is false where the system does not tell.
type Volume func(folder string) (free, size uint64, known bool)

// diskWatch knows whether the disk is low.
type diskWatch struct {
	folder  string
	reserve int64 // octets; 0 for Reserve, less for none
	volume  Volume

	mu      sync.Mutex
	low     string        // why; empty when it is not
	changed chan struct{} // closed when low changes
}

func newDiskWatch(c Config) *diskWatch {
	return &diskWatch{folder: c.Folder, reserve: c.Reserve, volume: c.Volume, changed: make(chan struct{})}
}

// look measures, and reports whether the answer is another one than before. A disk that
// is low is no more so only with a quarter of the reserve above it, so that it is not
// one and the other in turn.
func (w *diskWatch) look() (why string, news bool) {
	if w.reserve < 0 {
		return "", false
	}
	free, size, known := w.volume(w.folder)
	if !known {
		return "", false
	}
	reserve := uint64(w.reserve)
	if reserve == 0 {
		reserve = Reserve(size)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	limit := reserve
	if w.low != "" {
		limit += reserve / 4
	}
	if free < limit {
		why = fmt.Sprintf("the disk is low: %d MiB of %d MiB are free, and %d MiB are kept in reserve", free>>20, size>>20, reserve>>20)
	}
	news = (why == "") != (w.low == "")
	if news {
		w.low = why
		close(w.changed)
		w.changed = make(chan struct{})
	}
	return w.low, news
}

// state returns why the disk is low, "" when it is not, and what is closed when that
// changes.
func (w *diskWatch) state() (why string, changed <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.low, w.changed
}

// watchDisk measures, and tells the operator of what is new.
func (r *Registry) watchDisk() {
	switch why, news := r.disk.look(); {
	case news && why != "":
		r.config.Log.Error("neither changes nor entries of children are taken in", "why", why)
	case news:
		r.config.Log.Info("the disk has room again: changes and entries of children are taken in")
	}
}

// DiskLow returns why neither changes nor entries of children are taken in for want of
// room on the disk; "" when they are.
func (r *Registry) DiskLow() string {
	why, _ := r.disk.state()
	return why
}

// Paused returns why the child is to send no more for now, and a channel that is closed
// when that changes; "" when it may send.
func (m *Mirror) Paused() (why string, changed <-chan struct{}) { return m.r.disk.state() }
