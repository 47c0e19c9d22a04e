package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// program is the nameplate binary.
type program struct{ path string }

// command prepares a process in a group of its own, so that a ^C reaches the demo
// alone and the demo decides in which order things end. The end of ctx kills it.
func (p *program) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, p.path, args...)
	c.Env = environment()
	c.SysProcAttr = attached()
	c.Cancel = func() error { return killGroup(c) }
	c.WaitDelay = 5 * time.Second
	return c
}

// environment is the demo's own without what would tell nameplate something.
func environment() []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "NAMEPLATE_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

// killGroup ends a process and what it started.
func killGroup(c *exec.Cmd) error {
	err := syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// run runs a command to its end and returns what it wrote.
func (p *program) run(ctx context.Context, args ...string) (string, error) {
	var out, errs bytes.Buffer
	c := p.command(ctx, args...)
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		return out.String(), commandError(ctx, args, err, errs.Bytes())
	}
	return out.String(), nil
}

// commandError says which command failed, in its own words.
func commandError(ctx context.Context, args []string, err error, errs []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	words := strings.TrimPrefix(lastLine(errs), "nameplate: ")
	if words == "" {
		words = err.Error()
	}
	return fmt.Errorf("nameplate %s: %s", args[0], words)
}

func lastLine(text []byte) string {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(lines[len(lines)-1])
}
