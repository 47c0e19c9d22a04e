package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/registry"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// waitFlags say which level a command waits for.
type waitFlags struct {
	level    string
	patience time.Duration
}

// add adds the flags; none as level waits for nothing and takes what there is.
func (f *waitFlags) add(c *cobra.Command, level string) {
	c.Flags().StringVar(&f.level, "wait", level, "wait until it is `LEVEL`: local, anchored (cosigned by the parent) or rooted (at the top-level nodes)")
	c.Flags().DurationVar(&f.patience, "wait-for", 30*time.Second, "how long to wait for that level, at most 5m")
	_ = c.RegisterFlagCompletionFunc("wait", cobra.FixedCompletions([]string{"local", "anchored", "rooted"}, cobra.ShellCompDirectiveNoFileComp))
}

// wanted returns the level.
func (f *waitFlags) wanted() (registry.Level, error) {
	if f.patience <= 0 || f.patience > 5*time.Minute {
		return 0, usagef("--wait-for %v is not a time up to 5m", f.patience)
	}
	if f.level == "" {
		return 0, nil
	}
	for _, l := range []registry.Level{registry.Local, registry.Anchored, registry.Rooted} {
		if f.level == l.String() {
			return l, nil
		}
	}
	return 0, usagef("--wait %q is no level: say local, anchored or rooted", f.level)
}

// await waits until what a receipt is for has reached the level that is wanted, and notes
// the one that it has then. A receipt that names no log stands for all that the node has.
// reason says why it is less than what was wanted; it is empty when it is not.
func (f *waitFlags) await(ctx context.Context, node *registryrpc.Client, r *registry.Receipt) (reason string, err error) {
	want, err := f.wanted()
	if err != nil || want == registry.Local || r.Level >= want {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, f.patience+5*time.Second)
	defer cancel()
	if *r == (registry.Receipt{}) {
		s, err := node.Status(ctx)
		if err != nil {
			return "", err
		}
		*r = registry.Receipt{Log: s.Log, Position: s.Position - 1, Level: registry.Local}
	}
	if r.Level, reason, err = node.Await(ctx, *r, want, f.patience); err != nil {
		return "", err
	}
	if r.Level < want {
		return fmt.Sprintf("it is registered, and %s, but not %s after %v: %s; it gets there without being sent again", r.Level, want, f.patience, reason), nil
	}
	return "", nil
}
