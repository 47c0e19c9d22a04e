package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// checkArguments makes the mistakes that a command finds in its arguments mistakes
// in the command line, and tells them in our words.
func checkArguments(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return &usageError{explainArguments(c, args, err)}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		checkArguments(sub)
	}
}

// explainArguments says what a command takes, where cobra only says that it is not that.
func explainArguments(c *cobra.Command, args []string, err error) error {
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "unknown command ") && !c.HasSubCommands():
		return fmt.Errorf("%q is an argument too many: write %s", args[len(args)-1], asUsed(c))
	case strings.HasPrefix(text, "requires at least ") && len(args) == 0:
		return fmt.Errorf("an argument is missing: write %s", asUsed(c))
	case strings.HasPrefix(text, "requires at least "), strings.HasPrefix(text, "accepts "):
		return fmt.Errorf("it does not take %s: write %s", count(len(args)), asUsed(c))
	}
	return err
}

// arguments checks how many arguments a command was given: as many as its usage line
// names.
func arguments(n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		are := "are"
		if n == 1 {
			are = "is"
		}
		return fmt.Errorf("%s where %d %s needed: write %s", count(len(args)), n, are, asUsed(c))
	}
}

func count(arguments int) string {
	if arguments == 1 {
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", arguments)
}

// asUsed is a command line as the usage of the command shows it.
func asUsed(c *cobra.Command) string {
	_, names, _ := strings.Cut(c.Use, " ")
	return strings.TrimSpace(c.CommandPath() + " " + names)
}
