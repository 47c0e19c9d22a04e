package main

import (
	"bytes"
	"errors"
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

// What goes wrong is told in one line, and what another node says of it is nothing but text.
func TestErrorsAreOneLine(t *testing.T) {
	for said, want := range map[string]string{
		"größe":                  "größe",
		"one\ntwo\r\nthree":      "one; two; three",
		"\x1b[2J\x1b]0;x\x07":    " [2J ]0;x ",
		"\u009b31m and \xff":     " 31m and �",
		"a\ttab, and a nul\x00.": "a tab, and a nul .",
	} {
		if got := oneLine(errors.New(said)); got != want {
			t.Errorf("%q: got %q, want %q", said, got, want)
		}
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
