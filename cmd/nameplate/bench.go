package main

import (
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/cmd/nameplate/bench"
	"github.com/nameplate-id/nameplate/cmd/nameplate/bench/floor"
)

func newBench() *cobra.Command {
	o := bench.Options{}
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure this node, and other name servers beside it",
		Long: `Measures how fast a node answers and registers and prints one figure a line, as JSON.
It fills a folder with made-up identifiers, serves them with this program as its own
process, and compares with the peers that are installed ("make bench-peers"), with servers that do
nothing, and with the syncs that the disk does. docs/PERFORMANCE.md says what the
figures mean.
Parts: ` + strings.Join(bench.Parts(), ", ") + `.
Peers: ` + strings.Join(bench.Peers(), ", ") + `.`,
		Example: `  nameplate bench --quick
  nameplate bench --only dns --rounds 9
  nameplate bench --only dns --profile /tmp/dns.pprof`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runBench(c, o) },
	}
	f := c.Flags()
	f.BoolVar(&o.Quick, "quick", false, "take 50,000 identifiers, short rounds and the strongest peers: less than two minutes")
	f.IntVar(&o.Identifiers, "identifiers", 0, "serve `N` identifiers (default 1000000)")
	f.IntVar(&o.Rounds, "rounds", 0, "let each system have its turn `N` times (default 5)")
	f.DurationVar(&o.Round, "round", 0, "let a turn take this `TIME` (default 3s)")
	f.IntVar(&o.Large, "large", 0, "import and serve `N` identifiers in the part large (default 10000000)")
	f.DurationVar(&o.Sustained, "sustained", 0, "write for this `TIME` in the parts sustain and sustain-random (default 1m)")
	f.StringSliceVar(&o.Only, "only", nil, "run these `PARTS` only, with commas between (default all but large)")
	f.StringVar(&o.Folder, "folder", "", "put the data into this `FOLDER`, on the disk to be measured (default that of temporary files)")
	f.StringVar(&o.Profile, "profile", "", "write a CPU profile of the node to this `FILE`; one part at a time")
	f.StringSliceVar(&o.Against, "against", nil, "compare with these `PEERS` only, with commas between, instead of all")
	f.StringVar(&o.Peers, "peers", "", "look for the programs of peers in this `FOLDER` first (default where \"make bench-peers\" puts them)")
	_ = c.MarkFlagDirname("folder")
	_ = c.MarkFlagDirname("peers")
	c.AddCommand(newBenchCheck(), newBenchPlot(), newBenchNode(), newBenchFloor())
	return c
}

// runBench measures what the flags say.
func runBench(c *cobra.Command, o bench.Options) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	o.Program, o.Version = program, thisBuild().Version
	if o.Peers == "" {
		if cache, err := os.UserCacheDir(); err == nil {
			o.Peers = filepath.Join(cache, "nameplate", "peers")
		}
	}
	o.Out = c.OutOrStdout()
	if w := c.ErrOrStderr(); isTerminal(w) {
		o.Progress = w
	}
	for _, part := range o.Only {
		if !slices.Contains(bench.Parts(), part) {
			return usagef("there is no part %q: use some of %s", part, strings.Join(bench.Parts(), ", "))
		}
	}
	for _, peer := range o.Against {
		if !slices.Contains(bench.Peers(), peer) {
			return usagef("there is no peer %q: use some of %s", peer, strings.Join(bench.Peers(), ", "))
		}
	}
	return bench.Run(c.Context(), o)
}

// newBenchCheck compares with a baseline.
func newBenchCheck() *cobra.Command {
	o := bench.Options{}
	var file string
	var update bool
	c := &cobra.Command{
		Use: "check", Args: cobra.NoArgs,
		Short: "Compare what an answer and an identifier cost with a baseline",
		Long: `Measures allocations per answer, bytes per identifier and system calls per 1,000
answers (those with strace, where it is installed and may trace), which do not depend
on how fast the machine is, and fails when one is worse than the baseline allows.`,
		Example: "  nameplate bench check --baseline cmd/nameplate/bench/baseline.json",
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.Program, err = os.Executable(); err != nil {
				return err
			}
			o.Out = c.OutOrStdout()
			if w := c.ErrOrStderr(); isTerminal(w) {
				o.Progress = w
			}
			return bench.Check(c.Context(), o, file, update)
		},
	}
	c.Flags().StringVar(&file, "baseline", "cmd/nameplate/bench/baseline.json", "compare with this `FILE`")
	c.Flags().BoolVar(&update, "update", false, "write the file instead")
	c.Flags().StringVar(&o.Folder, "folder", "", "put the data into this `FOLDER` (default that of temporary files)")
	return c
}

// newBenchPlot draws what a run has printed.
func newBenchPlot() *cobra.Command {
	return &cobra.Command{
		Use: "plot FIGURES FOLDER", Args: cobra.ExactArgs(2),
		Short:   "Draw what a run has printed",
		Long:    "Draws the figures in a file, as a run of the bench has printed them, into SVG files of a folder.",
		Example: "  nameplate bench plot docs/figures/bench.jsonl docs/figures",
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			return bench.Plot(f, args[1])
		},
	}
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

// newBenchFloor is a server that does nothing, for the bench to start.
func newBenchFloor() *cobra.Command {
	var address, body string
	var lines []string
	c := &cobra.Command{
		Use: "floor KIND", Hidden: true, Args: cobra.ExactArgs(1), ValidArgs: floor.Kinds(),
		Short:   "Answer without doing any work",
		Example: "  nameplate bench floor udp --listen 127.0.0.1:5399",
		RunE: func(c *cobra.Command, args []string) error {
			header := http.Header{}
			for _, line := range lines {
				name, value, _ := strings.Cut(line, ":")
				header.Add(name, strings.TrimSpace(value))
			}
			return floor.Serve(c.Context(), args[0], address, header, body)
		},
	}
	c.Flags().StringVar(&address, "listen", "127.0.0.1:5399", "answer at this `ADDRESS`")
	c.Flags().StringArrayVar(&lines, "header", nil, "send this header `LINE` over HTTP; can be given again")
	c.Flags().StringVar(&body, "body", "", "send this `TEXT` over HTTP")
	return c
}
