package journal

import (
	"errors"
	"os"
	"runtime"
	"syscall"
)

// syncData makes a file's octets durable, and of its metadata only what is
// needed to read them again: half the work of fsync in a preallocated file.
func syncData(f *os.File) error {
	defer runtime.KeepAlive(f)
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

// preallocate takes room on the disk for f[from:size] without writing it. It
// reports false where the file system cannot do that.
func preallocate(f *os.File, from, size int64) (bool, error) {
	defer runtime.KeepAlive(f)
	for {
		err := syscall.Fallocate(int(f.Fd()), 0, from, size-from)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSYS):
			return false, nil
		default:
			return false, err
		}
	}
}
