package main

import "runtime"

// heapFloor is how much is allocated before garbage is first collected, and about how
// much memory a node that does little has beside what it needs. What a node keeps on
// the heap is a few megabytes: left to itself the collector runs after every few more,
// many times a second under load, and each time cuts back the stacks that the
// next question needs again.
const heapFloor = 16 << 20

// withHeapFloor runs something with that floor. The octets that make it are never
// touched, so they take hardly any memory themselves.
func withHeapFloor(run func() error) error {
	floor := make([]byte, heapFloor)
	defer runtime.KeepAlive(floor)
	return run()
}
