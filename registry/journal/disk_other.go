//go:build !linux

package journal

import "os"

// syncData makes a file durable.
func syncData(f *os.File) error { return f.Sync() }

// preallocate reports that there is no portable way to take room without writing.
func preallocate(*os.File, int64, int64) (bool, error) { return false, nil }
