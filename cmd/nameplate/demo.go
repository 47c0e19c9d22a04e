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
		Short: "Show a whole system of nodes at work, and check every answer",
		Long: `Starts the nodes of testdata/network.yaml, 61 processes: five top-level nodes, fifty
secondary ones, five of enterprises and a recursive one. Their holders import a hundred
thousand identifiers of real products and equipment; every parent gets the logs of its
children; the recursive node is asked for a sample of every scheme over every protocol,
and its answers are compared with the CSV files. A secondary and an enterprise node are
killed and answered for from mirrors; another is killed in the middle of an import, and
nothing that it acknowledged is lost.

It needs the sample data of the repository, 3 GB of memory and 1 GB of disk, and with
--small (11 nodes) a fifth of that. It ends with 0 only when everything was as it should
be.`,
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
	c.Flags().StringVar(&o.Testdata, "testdata", "testdata", "the `FOLDER` with products.csv, equipment.csv and the network files")
	c.Flags().Uint64Var(&o.Seed, "seed", 0, "draw the sample with this `NUMBER` (default a random one)")
	c.Flags().BoolVar(&o.Small, "small", false, "take 11 nodes, and a tenth of the equipment and of the sample")
	c.Flags().BoolVar(&o.Keep, "keep", false, "leave the nodes running")
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
