package node

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nameplate-id/nameplate/registry"
)

// NewOn is New on a registry with a file system, hooks and a pace of the test's own.
func NewOn(c Config, log *slog.Logger, r registry.Config) (*Node, error) {
	return create(c, "test", log, workings{registry: r})
}

// NewSilent is New with the time for which nothing may come from another node before the way to
// it is given up; 0 for the usual one.
func NewSilent(c Config, log *slog.Logger, silence time.Duration) (*Node, error) {
	return create(c, "test", log, workings{silence: silence})
}

// ResolveOn is Resolve on such a registry, where nothing is handed over.
func ResolveOn(ctx context.Context, c Config, r registry.Config) error {
	signer, err := registry.NodeKey(c.Data)
	if err != nil {
		return err
	}
	uppers, err := c.uppers(signer)
	if err != nil {
		return err
	}
	r.Parent = c.Parent.Key
	_, err = resolveOn(ctx, c, uppers, r, "", func(h *registry.Handed) error {
		if h != nil {
			return errors.New("a row is handed over: " + h.Reason)
		}
		return nil
	})
	return err
}
