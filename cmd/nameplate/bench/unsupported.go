//go:build !linux

package bench

import "context"

func run(context.Context, Options) error { return ErrSystem }

func check(context.Context, Options, string, bool) error { return ErrSystem }
