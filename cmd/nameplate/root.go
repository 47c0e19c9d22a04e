package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	done   = 0
	failed = 1
	wrong  = 2 // the command line was wrong
)

// run runs one command line.
func run(ctx context.Context, args []string, in io.Reader, out, err io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(err)
	command, failure := root.ExecuteContextC(ctx)
	if failure == nil {
		return done
	}
	var usage *usageError
	if !errors.As(failure, &usage) && !isCobraUsage(failure) {
		fmt.Fprintln(err, "nameplate:", oneLine(failure))
		return failed
	}
	fmt.Fprintf(err, "nameplate: %s: see %s --help\n", oneLine(failure), command.CommandPath())
	return wrong
}

// usageError is a mistake in the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// isCobraUsage reports whether an error is one of those that cobra makes itself of a
// command line, which have no type.
func isCobraUsage(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "unknown command ") || strings.HasPrefix(text, "required flag(s) ") ||
		strings.HasPrefix(text, "if any flags in the group ") || strings.HasPrefix(text, "at least one of the flags in the group ")
}

// oneLine returns an error's text without line breaks, and without other controls: part of
// it may be what another node said.
func oneLine(err error) string {
	text := notThere.ReplaceAllString(err.Error(), "no node answers at $1 ($2): start one with nameplate serve, or name another with --server")
	text = notGRPC.ReplaceAllString(text, "what answers there does not speak gRPC: name the node's gRPC port with --server, such as "+defaultServer)
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// notThere is how gRPC says that nobody listens at an address; it has no type for it.
var notThere = regexp.MustCompile(`connection error: desc = "transport: Error while dialing: dial tcp ([^ ]+): (?:connect: )?([^"]+)"`)

// notGRPC is how gRPC says that something else listens there: a web server, or what hangs up.
var notGRPC = regexp.MustCompile(`(?s)(the node answered Unknown: )?unexpected HTTP status code received from server: .*|connection error: desc = "error reading server preface: [^"]*"`)

// parsing is what the flag package says of how it reads a number.
var parsing = regexp.MustCompile(`strconv\.[A-Za-z]+: parsing "[^"]*": `)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "nameplate",
		Short: "A naming node for product and machine identifiers",
		Long: `Nameplate answers what a product or machine identifier points to: over DNS, gRPC,
HTTP and the Handle protocol. It reads GS1 keys, Handles, OIDs, URLs and DIDs in any of their spellings,
and keeps the identifiers that it is responsible for in a log that can be proved.`,
		Example: `  nameplate serve
  nameplate resolve '(01)09506000134352(21)42'`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.NoArgs,
		RunE:              func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return usagef("%s", parsing.ReplaceAllString(err.Error(), ""))
	})
	for _, g := range groups() {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title + ":"})
		for _, c := range g.commands {
			c.GroupID = g.title
			checkArguments(c)
			root.AddCommand(c)
		}
	}
	root.SetHelpCommandGroupID("Other")
	return root
}

// group is commands that stand together in the help.
type group struct {
	title    string
	commands []*cobra.Command
}

// groups are all commands.
func groups() []group {
	return []group{
		{"Ask", []*cobra.Command{newResolve(), newStatus(), newHandle()}},
		{"Register", []*cobra.Command{newRegister(), newWithdraw(), newImport(), newExport(), newTemplate()}},
		{"Prefixes and keys", []*cobra.Command{newKey(), newDelegate()}},
		{"Run a node", []*cobra.Command{newServe(), newBackup(), newRestore(), newCheck(), newLog(), newFork(), newCache()}},
		{"See and measure", []*cobra.Command{newNetwork(), newDemo()}},
		{"Other", []*cobra.Command{newBench(), newVersion(), newCompletion()}},
	}
}
