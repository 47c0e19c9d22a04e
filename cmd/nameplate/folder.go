package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
)

// dataFlag adds --data for commands that work on a node's folder.
func dataFlag(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "data", environmentOr("data", node.DefaultConfig().Data), "the node's data `FOLDER`; also NAMEPLATE_DATA")
	_ = c.MarkFlagDirname("data")
}

// checkFolder returns an error when there is no such folder, so that a slip makes none.
func checkFolder(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("data folder: %w: name it with --data", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("data folder: %s is no folder: name it with --data", path)
	}
	return nil
}

// counter shows on a terminal that something long goes on, and nothing elsewhere.
type counter struct {
	bar   *progressbar.ProgressBar // nil when nobody looks
	drawn time.Time
}

func newCounter(c *cobra.Command, what string) *counter {
	w := c.ErrOrStderr()
	if !isTerminal(w) {
		return &counter{}
	}
	return &counter{bar: progressbar.NewOptions64(-1, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what))}
}

// show shows how far it has got, as a text made by how.
func (p *counter) show(how func() string) {
	if p.bar != nil && time.Since(p.drawn) >= drawEvery {
		p.drawn = time.Now()
		p.bar.Describe(how())
		_ = p.bar.Add(1)
	}
}

// clear takes it off the screen.
func (p *counter) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// interrupted words the error of a command that was asked to stop.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", err)
	}
	return err
}
