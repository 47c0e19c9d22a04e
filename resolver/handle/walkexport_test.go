package handle

import (
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// HashOf is the hash by which a site finds the server of a handle.
func HashOf(h HashOption, handle string) uint32 { return h.of(handle) }

// Learn lets a walk know who answers for a prefix.
func (w *Walk) Learn(p identifier.Prefix, sites ...*Site) {
	t := &tour{Walk: w}
	t.learn(p, sites, time.Hour)
}
