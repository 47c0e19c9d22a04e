package state

import (
	"errors"
	"os"
	"runtime"
	"syscall"
)

// takeRoom takes room on the disk for the first size octets of a file, where the file
// system can do that.
func takeRoom(f *os.File, size int64) error {
	defer runtime.KeepAlive(f)
	for {
		switch err := syscall.Fallocate(int(f.Fd()), 0, 0, size); {
		case errors.Is(err, syscall.EINTR):
		case err == nil, errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSYS):
			return nil
		default:
			return os.NewSyscallError("fallocate", err)
		}
	}
}
