// Command nameplate runs a naming node, and registers and resolves identifiers.
//
// Every command reads what it is told from its arguments, writes results to
// standard output and everything else to standard error, and ends with 0 only when
// all of what was asked for has been done: 1 when it has not, 2 when the command
// itself was wrong. An error is one line that says what to do.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
