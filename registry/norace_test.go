//go:build !race

package registry_test

// raced says that the race detector is on.
const raced = false
