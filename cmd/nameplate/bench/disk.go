//go:build linux

package bench

import (
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	block      = 4096
	diskBlocks = 4096 // of the file that is overwritten
)

// disk measures how many syncs the disk does in a second.
type disk struct {
	overwritten, appended *os.File
	at                    int64
}

// openDisk prepares the files in a folder.
func openDisk(folder string) (*disk, error) {
	overwritten, err := os.Create(filepath.Join(folder, "overwritten"))
	if err != nil {
		return nil, err
	}
	appended, err := os.Create(filepath.Join(folder, "appended"))
	if err != nil {
		return nil, err
	}
	d := &disk{overwritten: overwritten, appended: appended}
	if _, err := overwritten.Write(make([]byte, block*diskBlocks)); err != nil {
		return nil, err
	}
	return d, overwritten.Sync()
}

func (d *disk) close() {
	d.overwritten.Close()
	d.appended.Close()
}

// overwrites overwrites 4 KiB and syncs (fdatasync), one after the other.
func (d *disk) overwrites(limit time.Duration) (float64, error) {
	b := make([]byte, block)
	return perSecond(limit, func() error {
		d.at = (d.at + block) % (block * diskBlocks)
		b[0]++
		if _, err := d.overwritten.WriteAt(b, d.at); err != nil {
			return err
		}
		return unix.Fdatasync(int(d.overwritten.Fd()))
	})
}

// appends appends 4 KiB and syncs (fsync): the file grows, so its length is synced too.
func (d *disk) appends(limit time.Duration) (float64, error) {
	b := make([]byte, block)
	return perSecond(limit, func() error {
		if _, err := d.appended.Write(b); err != nil {
			return err
		}
		return d.appended.Sync()
	})
}

// perSecond does something again and again.
func perSecond(limit time.Duration, do func() error) (float64, error) {
	began := time.Now()
	for n := 1; ; n++ {
		if err := do(); err != nil {
			return 0, err
		}
		if took := time.Since(began); took >= limit {
			return float64(n) / took.Seconds(), nil
		}
	}
}
