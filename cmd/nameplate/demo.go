package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/nameplate-id/nameplate/cmd/nameplate/demo"
)

func newDemo() *cobra.Command {
	var o demo.Options
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show a whole node at work, and check every answer",
		Long: `Starts a node in a process of its own, delegates prefixes to three made-up holders,
lets them import a hundred thousand identifiers of real products and equipment, asks
for a sample of every scheme over every protocol and compares the answers with the
CSV files; kills the node in the middle of another import, starts it again and shows
that nothing acknowledged is lost.

It needs the sample data of the repository, and about 300 MB of disk. It ends with 0
only when everything was as it should be.`,
		Example: `  nameplate demo
  nameplate demo --small --keep
  nameplate demo --seed 8471`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if o.Program, err = programPath(); err != nil {
				return err
			}
			if !c.Flags().Changed("seed") {
				o.Seed = uint64(rand.Uint32())
			}
			o.Out = c.OutOrStdout()
			if f, ok := o.Out.(*os.File); ok && isTerminal(f) && os.Getenv("TERM") != "dumb" {
				if o.Width, _, err = term.GetSize(int(f.Fd())); err != nil || o.Width < 40 {
					o.Width = 80
				}
			}
			if err := demo.Run(c.Context(), o); err != nil {
				return fmt.Errorf("demo: %w", err)
			}
			return nil
		},
	}
	c.Flags().StringVar(&o.Folder, "folder", "demo-data", "the `FOLDER` for everything, which is removed first")
	c.Flags().StringVar(&o.Testdata, "testdata", "testdata", "the `FOLDER` with products.csv and equipment.csv")
	c.Flags().Uint64Var(&o.Seed, "seed", 0, "draw the sample with this `NUMBER` (default a random one)")
	c.Flags().BoolVar(&o.Small, "small", false, "take a tenth of the equipment and of the sample")
	c.Flags().BoolVar(&o.Keep, "keep", false, "leave the node running")
	return c
}

// programPath returns this binary, as somebody in the working folder would call it.
func programPath() (string, error) {
	program, err := os.Executable()
	if err != nil {
		return "", err
	}
	here, err := os.Getwd()
	if err != nil {
		return program, nil
	}
	if relative, err := filepath.Rel(here, program); err == nil && filepath.IsLocal(relative) && strings.Contains(relative, string(filepath.Separator)) {
		return relative, nil
	}
	return program, nil
}
