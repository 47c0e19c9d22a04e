//go:build !linux

package bench

import "context"

func run(context.Context, Options) error { return ErrSystem }
