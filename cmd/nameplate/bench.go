package main

import (
	"os"
	"runtime/pprof"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/cmd/nameplate/bench"
)

func newBench() *cobra.Command {
	o := bench.Options{}
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure this node, and other name servers beside it",
		Long: `Measures how fast a node answers and registers and prints one figure a line, as JSON.
It fills a folder with made-up identifiers, serves them with this program as its own
process, and compares with NSD and Knot where those are installed ("make
bench-peers"), and with the syncs that the disk does. docs/PERFORMANCE.md says what
the figures mean. Parts: ` + strings.Join(bench.Parts(), ", ") + `.`,
		Example: `  nameplate bench --quick
  nameplate bench --only dns --rounds 9
  nameplate bench --only dns --profile /tmp/dns.pprof`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			program, err := os.Executable()
			if err != nil {
				return err
			}
			o.Program, o.Version = program, thisBuild().Version
			o.Out = c.OutOrStdout()
			if w := c.ErrOrStderr(); isTerminal(w) {
				o.Progress = w
			}
			for _, part := range o.Only {
				if !known(part) {
					return usagef("there is no part %q: use some of %s", part, strings.Join(bench.Parts(), ", "))
				}
			}
			return bench.Run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.Quick, "quick", false, "take 100,000 identifiers and short rounds: less than two minutes")
	f.IntVar(&o.Identifiers, "identifiers", 0, "serve `N` identifiers (default 1000000)")
	f.IntVar(&o.Rounds, "rounds", 0, "let each system have its turn `N` times (default 5)")
	f.DurationVar(&o.Round, "round", 0, "let a turn take this `TIME` (default 3s)")
	f.StringSliceVar(&o.Only, "only", nil, "run these `PARTS` only, with commas between")
	f.StringVar(&o.Folder, "folder", "", "put the data into this `FOLDER`, on the disk to be measured (default that of temporary files)")
	f.StringVar(&o.Profile, "profile", "", "write a CPU profile of the node to this `FILE`; one part at a time")
	_ = c.MarkFlagDirname("folder")
	c.AddCommand(newBenchNode())
	return c
}

func known(part string) bool {
	for _, p := range bench.Parts() {
		if p == part {
			return true
		}
	}
	return false
}

// newBenchNode is serve with a CPU profile, for the bench to start.
func newBenchNode() *cobra.Command {
	c := newServe()
	serve := c.RunE
	var file string
	c.Use, c.Hidden = "node", true
	c.Example = "  nameplate bench node --profile /tmp/cpu.pprof --data /tmp/a"
	c.Flags().StringVar(&file, "profile", "", "write the CPU profile to this `FILE`")
	c.RunE = func(c *cobra.Command, args []string) error {
		to, err := os.Create(file)
		if err != nil {
			return err
		}
		defer to.Close()
		if err := pprof.StartCPUProfile(to); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
		return serve(c, args)
	}
	return c
}
