package node

import (
	"log/slog"

	"github.com/nameplate-id/nameplate/registry"
)

// NewOn is New on a registry with a file system, hooks and a pace of the test's own.
func NewOn(c Config, log *slog.Logger, r registry.Config) (*Node, error) {
	return create(c, "test", log, r)
}
