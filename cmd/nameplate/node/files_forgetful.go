//go:build forgetful

package node

import (
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/journal/journaltest"
)

// files returns a file system that keeps in memory what is written and never syncs it: a
// process that is killed has written nothing. It is the build that tests of kills are to
// fail on.
func files() journal.FS { return &journaltest.WriteBack{IgnoreSync: true} }
