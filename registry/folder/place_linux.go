package folder

import (
	"fmt"
	"io/fs"
	"syscall"
)

// identity returns the number of a file and when its inode last changed; "" when the
// file system tells neither.
func identity(info fs.FileInfo) string {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d %d.%09d", s.Ino, s.Ctim.Sec, s.Ctim.Nsec)
}
