package node

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
)

// HandleTree returns a walk through the Handle servers of others, from a bootstrap file.
func HandleTree(path string) (*resolverhandle.Walk, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, resolverhandle.MaxBootstrap+1))
	if err != nil {
		return nil, err
	}
	b, err := resolverhandle.ParseBootstrap(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return resolverhandle.NewWalk(resolverhandle.WalkOptions{Roots: b.Roots()})
}

// twoTrees answers from the tree of our own nodes, and where a top-level node knows no such
// handle, from a tree of Handle servers.
type twoTrees struct {
	own   *resolver.Walk // nil for none
	other *resolverhandle.Walk
}

// Resolve implements [resolver.Resolver].
func (t twoTrees) Resolve(ctx context.Context, q resolver.Query) (resolver.Answer, error) {
	if t.own == nil {
		return t.other.Resolve(ctx, q)
	}
	a, err := t.own.Resolve(ctx, q)
	if err != nil || q.ID.Scheme() != identifier.Handle || q.SuffixHash != nil || !unknown(&a) {
		return a, err
	}
	return t.other.Resolve(ctx, q)
}

// unknown reports whether an answer comes from the top of the tree and says that there is
// no such thing.
func unknown(a *resolver.Answer) bool {
	return a.Outcome == resolver.Absent && a.Apex == "" && !a.Below && a.ID.Prefix != "" || a.Outcome == resolver.Refused && !a.InZone
}

// Flush forgets the referrals at and below a prefix.
func (t twoTrees) Flush(p identifier.Prefix) int {
	n := t.other.Flush(p)
	if t.own != nil {
		n += t.own.Flush(p)
	}
	return n
}
