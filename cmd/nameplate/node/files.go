//go:build !forgetful

package node

import "github.com/nameplate-id/nameplate/registry/journal"

// files returns the file system that the journal lies on; nil for that of the machine.
func files() journal.FS { return nil }
