package main

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// heapFloor is how much is allocated before garbage is first collected, and about how
// much memory a node that does little has beside what it needs. What a node keeps on
// the heap is a few megabytes: left to itself the collector runs after every few more,
// many times a second under load, and each time cuts back the stacks that the
// next question needs again.
const heapFloor = 16 << 20

// withHeapFloor runs something with that floor. The octets that make it are never used,
// and the memory that the runtime may have zeroed for them is given back at once.
func withHeapFloor(run func() error) error {
	floor := make([]byte, heapFloor)
	defer runtime.KeepAlive(floor)
	page := os.Getpagesize()
	begin := -int(uintptr(unsafe.Pointer(&floor[0]))) & (page - 1)
	end := begin + (len(floor)-begin)&^(page-1)
	_ = unix.Madvise(floor[begin:end], unix.MADV_DONTNEED) // where it fails it costs memory, nothing else
	return run()
}
