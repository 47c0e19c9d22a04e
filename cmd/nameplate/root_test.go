package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command says what it does, with an example that begins as it is typed.
func TestEveryCommandHasHelp(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		path := c.CommandPath()
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || !strings.Contains(c.Example, path) {
			t.Errorf("%s: got short help %q and example %q", path, c.Short, c.Example)
		}
		if c.Args == nil {
			t.Errorf("%s: takes any arguments", path)
		}
		var out bytes.Buffer
		args := append(strings.Fields(path)[1:], "--help")
		if code := run(t.Context(), args, strings.NewReader(""), &out, &out); code != done || !strings.Contains(out.String(), "Usage:") {
			t.Errorf("%s --help: got exit code %d and %q", path, code, out.String())
		}
		for _, sub := range c.Commands() {
			if !sub.Hidden {
				visit(sub)
			}
		}
	}
	for _, c := range newRoot().Commands() {
		if !c.Hidden {
			visit(c)
		}
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"help", "import"}, strings.NewReader(""), &out, &out); code != done || !strings.Contains(out.String(), "nameplate import FILE") {
		t.Errorf("nameplate help import: got exit code %d and %.80q", code, out.String())
	}
}

func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		args string
		want int
	}{
		{"version", done},
		{"key show /nowhere", failed},
		{"fly", wrong},
		{"key fly", wrong},
		{"key show", wrong},
		{"version --loud", wrong},
	} {
		var out, err bytes.Buffer
		if got := run(t.Context(), strings.Fields(test.args), strings.NewReader(""), &out, &err); got != test.want {
			t.Errorf("nameplate %s: got exit code %d, want %d", test.args, got, test.want)
		} else if got != done && strings.Count(err.String(), "\n") != 1 {
			t.Errorf("nameplate %s: got %q, want one line", test.args, err.String())
		}
	}
}
