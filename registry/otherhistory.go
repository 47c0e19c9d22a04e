package registry

import (
	"context"

	"github.com/nameplate-id/nameplate/registry/history"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// OtherHistory returns who of those that hold copies of a top-level node's log holds the
// history that [Config.Resolve] has to join with the node's own: see [history.Choose]. The
// node must not run.
func (c Config) OtherHistory(ctx context.Context, uppers []history.Upper) (history.Upper, error) {
	old, err := Open(c.withDefaults())
	if err != nil {
		return nil, err
	}
	defer old.Close()
	own, err := old.ownHistory()
	if err != nil {
		return nil, err
	}
	return history.Choose(ctx, own, uppers)
}

// Contradicted reports whether the node was restored from a backup that is another history
// of its log than the one that is held above: the history that the backup is of was given up
// in between. Nothing was added to it since, and nobody has seen it yet, so that is no fork
// for an operator to look at: the node can begin with what is held above, and log what it has
// behind that ([Config.Resolve]). Call it before anything is sent.
func (r *Registry) Contradicted(ctx context.Context, upper history.Upper) (bool, error) {
	if !r.restored.Load() || r.quarantine.Load() != nil {
		return false, nil
	}
	own, err := r.ownHistory()
	if err != nil {
		return false, err
	}
	p, err := history.Compare(ctx, own, upper)
	return err == nil && p.Forked(), err
}

// ownHistory returns the node's own log, to be compared with what others hold of it.
func (r *Registry) ownHistory() (history.Own, error) {
	size, root := r.tree.head()
	after, err := r.continues()
	return history.Own{
		Log: r.log, Node: r.key.Public(), Size: size, Root: root, Base: r.base.Load(), After: after,
		Store: ownEntries{tiles{r.state, ownLog}, r},
	}, err
}

// ownEntries is a [history.Store].
type ownEntries struct {
	tiles
	r *Registry
}

// Leaf implements [history.Store].
func (o ownEntries) Leaf(position uint64) ([]byte, error) {
	entry, err := o.r.readEntry(position)
	if err != nil {
		return nil, err
	}
	return identifier.AppendLeaf(nil, entry), nil
}
