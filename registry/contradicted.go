package registry

import (
	"context"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Contradicted reports whether the node was restored from a backup that is another history
// of its log than the one that is held above: the history that the backup is of was given up
// in between. Nothing was added to it since, and nobody has seen it yet, so that is no fork
// for an operator to look at: the node can begin with what is held above, and log what it has
// behind that ([Config.Resolve]). Call it before anything is sent.
func (r *Registry) Contradicted(ctx context.Context, upper Upper) (bool, error) {
	if !r.restored.Load() || r.quarantine.Load() != nil {
		return false, nil
	}
	m := &merger{config: r.config, old: r, upper: upper}
	if err := m.compare(ctx); err != nil {
		return false, err
	}
	return m.after.Why == identifier.AfterFork, nil
}
