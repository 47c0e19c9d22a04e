package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

func newNetwork() *cobra.Command {
	c := &cobra.Command{
		Use:   "network",
		Short: "Run a tree of nodes on this machine",
		Long: `Runs a whole tree of nodes on this machine, as one file describes it: every node a
process with a folder and addresses of its own. testdata/network.yaml is a network of 61
nodes, testdata/network-small.yaml one of 11; their heads explain the fields.

The nodes go on when the command has ended. Nothing watches over them: "status" tells
which run and how they are.`,
		Example: `  nameplate network up testdata/network-small.yaml
  nameplate network status
  nameplate network kill pumps
  nameplate network start pumps
  nameplate network logs pumps
  nameplate network down`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	var folder string
	c.PersistentFlags().StringVar(&folder, "folder", environmentOr("folder", "network-data"), "the `FOLDER` of the network; also NAMEPLATE_FOLDER")
	_ = c.MarkPersistentFlagDirname("folder")
	c.AddCommand(newNetworkUp(&folder), newNetworkDown(&folder), newNetworkStatus(&folder),
		newNetworkKill(&folder), newNetworkStart(&folder), newNetworkLogs(&folder))
	return c
}

// openNetwork opens the network that was brought up in a folder.
func openNetwork(folder string) (*network.Network, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return network.Open(folder, program)
}

func newNetworkUp(folder *string) *cobra.Command {
	return &cobra.Command{
		Use:   "up [FILE]",
		Short: "Start the nodes of a network, and delegate what its file says",
		Long: `Starts all nodes that FILE describes and that do not run, and delegates their prefixes
to them. It ends when every node answers; the nodes go on. When it fails or is
interrupted it stops the nodes that it has started. Without FILE it brings up the
network of the folder again.

Run again, it starts what has ended, and changes nothing else.`,
		Example: "  nameplate network up testdata/network.yaml\n  nameplate network up --folder /tmp/tree small.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			program, err := os.Executable()
			if err != nil {
				return err
			}
			n, err := network.Open(*folder, program)
			if len(args) == 1 {
				var f *network.File
				if f, err = network.Read(args[0]); err == nil {
					n, err = network.New(f, *folder, program)
				}
			}
			if err != nil {
				return err
			}
			return networkUp(c, n, *folder)
		},
	}
}

func networkUp(c *cobra.Command, n *network.Network, folder string) error {
	began := time.Now()
	shown := newCounter(c, "starting")
	var last network.Progress
	err := n.Up(c.Context(), func(p network.Progress) {
		last = p
		shown.show(func() string {
			return fmt.Sprintf("%d of %d nodes answer, %d of %d prefixes delegated", p.Running, p.Nodes, p.Delegated, p.Delegations)
		})
	})
	shown.clear()
	if err != nil {
		return interrupted(c.Context(), err)
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%d nodes answer, after %.1f s; see nameplate network status%s\n",
		last.Nodes, time.Since(began).Seconds(), folderHint(c, folder))
	return err
}

// folderHint is how a command line names the folder, when it has to.
func folderHint(c *cobra.Command, folder string) string {
	if !c.Flags().Changed("folder") {
		return ""
	}
	return " --folder " + folder
}

func newNetworkDown(folder *string) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop all nodes of a network",
		Long: `Asks all nodes that run to stop, and waits until they have. One that does not stop
within 20 seconds is killed. What they hold stays in the folder; "network up" goes on.`,
		Example: "  nameplate network down",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			n, err := openNetwork(*folder)
			if err != nil {
				return err
			}
			return interrupted(c.Context(), n.Down(c.Context()))
		},
	}
}

func newNetworkKill(folder *string) *cobra.Command {
	return &cobra.Command{
		Use:     "kill NODE...",
		Short:   "End nodes at once, as a power cut would (SIGKILL)",
		Example: "  nameplate network kill pumps",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			n, err := openNetwork(*folder)
			if err != nil {
				return err
			}
			for _, name := range args {
				err = errors.Join(err, n.Kill(name))
			}
			return err
		},
	}
}

func newNetworkStart(folder *string) *cobra.Command {
	return &cobra.Command{
		Use:     "start NODE...",
		Short:   "Start nodes that were killed or have ended, and wait until they answer",
		Example: "  nameplate network start pumps",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			n, err := openNetwork(*folder)
			if err != nil {
				return err
			}
			for _, name := range args {
				err = errors.Join(err, n.Start(c.Context(), name))
			}
			return interrupted(c.Context(), err)
		},
	}
}

func newNetworkLogs(folder *string) *cobra.Command {
	var lines int
	var follow bool
	c := &cobra.Command{
		Use:     "logs NODE",
		Short:   "Show what a node has logged",
		Example: "  nameplate network logs pumps\n  nameplate network logs pumps --lines 0 --follow",
		Args:    arguments(1),
		RunE: func(c *cobra.Command, args []string) error {
			n, err := openNetwork(*folder)
			if err != nil {
				return err
			}
			if n.Node(args[0]) == nil {
				return fmt.Errorf("there is no node %q in this network", args[0])
			}
			f, err := os.Open(n.Log(args[0]))
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it has never been started
			}
			if err != nil {
				return err
			}
			defer f.Close()
			if err := seekLines(f, lines); err != nil {
				return err
			}
			return copyLog(c, f, follow)
		},
	}
	c.Flags().IntVarP(&lines, "lines", "n", 50, "show at most so many of the last `LINES`")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on showing what is logged, until interrupted")
	return c
}

// seekLines moves to where the last lines of a file begin.
func seekLines(f io.ReadSeeker, lines int) error {
	const window = 1 << 20 // octets that are looked at
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	from, err := f.Seek(max(0, end-window), io.SeekStart)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(f, end-from))
	if err != nil {
		return err
	}
	at := len(strings.TrimSuffix(string(text), "\n"))
	if lines <= 0 {
		at = len(text)
	}
	for range lines {
		if at = strings.LastIndexByte(string(text[:max(0, at)]), '\n'); at < 0 {
			break
		}
	}
	if lines > 0 {
		at++ // behind the line break
	}
	_, err = f.Seek(from+int64(at), io.SeekStart)
	return err
}

// copyLog writes a log to standard output, and what comes later when follow says so.
func copyLog(c *cobra.Command, f io.Reader, follow bool) error {
	for {
		if _, err := io.Copy(c.OutOrStdout(), f); err != nil || !follow {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-c.Context().Done():
			return nil
		}
	}
}

func newNetworkStatus(folder *string) *cobra.Command {
	var asJSON, wide bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Tell how the nodes of a network are",
		Long: `Asks all nodes how they are. LAG is how many entries of a node's log its parent does
not have yet, ANSWERS how many questions the node has answered since its start.`,
		Example: "  nameplate network status\n  nameplate network status --wide\n  nameplate network status --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			n, err := openNetwork(*folder)
			if err != nil {
				return err
			}
			all := n.Status(c.Context())
			if asJSON {
				for i := range all {
					if err := writeJSON(c.OutOrStdout(), newShownNode(n, &all[i])); err != nil {
						return err
					}
				}
				return nil
			}
			return printNetwork(c.OutOrStdout(), n, all, wide)
		},
	}
	jsonFlag(c, &asJSON)
	c.Flags().BoolVar(&wide, "wide", false, "tell the address, the process, its memory and the log's entries too")
	return c
}

// shownNode is the status of a node as --json shows it, one line a node.
type shownNode struct {
	Role        network.Role        `json:"role"`
	Name        string              `json:"node"`
	Prefixes    []identifier.Prefix `json:"prefixes,omitempty"`
	Parent      string              `json:"parent,omitempty"`
	Address     string              `json:"address"`
	PID         int                 `json:"pid,omitempty"`
	Error       string              `json:"error,omitempty"`
	Memory      int64               `json:"memory,omitempty"` // octets
	Answers     uint64              `json:"answers"`
	Lag         *uint64             `json:"lag,omitempty"` // entries
	Bad         uint64              `json:"bad,omitempty"` // entries that the parent has marked
	Identifiers uint64              `json:"identifiers"`
	Position    uint64              `json:"position"`
	Log         string              `json:"log,omitempty"`
}

func newShownNode(n *network.Network, s *network.NodeStatus) shownNode {
	shown := shownNode{
		Role: s.Role, Name: s.Node.Name, Prefixes: s.Prefixes, Parent: s.Parent, Address: s.Address.String(),
		PID: s.PID, Memory: s.Memory, Answers: s.Answers, Identifiers: s.Identifiers, Position: s.Position,
	}
	if s.Copy != nil {
		shown.Lag, shown.Bad = &s.Lag, s.Copy.Bad
	}
	if s.Err != nil {
		shown.Error = oneLine(s.Err)
		return shown
	}
	if !s.Recursive {
		shown.Log = s.Log.String()
	}
	return shown
}

// printNetwork writes the table of a network.
func printNetwork(w io.Writer, n *network.Network, all []network.NodeStatus, wide bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := "ROLE\tNODE\tPREFIX\tIDENTIFIERS\tPARENT\tLAG\tANSWERS"
	if wide {
		head += "\tADDRESS\tPROCESS\tMEMORY\tENTRIES"
	}
	fmt.Fprintln(t, head)
	down := 0
	for i := range all {
		s := &all[i]
		cells := []string{string(s.Role), s.Node.Name, shortPrefixes(s), "", orDash(s.Parent), "", ""}
		if s.Err == nil {
			cells[3], cells[5], cells[6] = thousands(int(s.Identifiers)), "-", thousands(int(s.Answers))
			if s.Role == network.Recursive {
				cells[3] = "-"
			}
			if s.Copy != nil {
				cells[5] = thousands(int(s.Lag))
			}
		} else {
			cells[3], cells[5], cells[6] = "-", "-", oneLine(s.Err)
			down++
		}
		if wide {
			cells = append(cells, s.Address.String(), orDash(strconv.Itoa(s.PID)), octets(uint64(s.Memory)), thousands(int(s.Position)))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d of %d nodes answer\n", len(all)-down, len(all))
	return err
}

// shortPrefixes names the prefixes of a node.
func shortPrefixes(s *network.NodeStatus) string {
	switch {
	case s.Role == network.TopLevel:
		return "the root"
	case len(s.Prefixes) == 0:
		return "-"
	}
	text := s.Prefixes[0].String()
	if more := len(s.Prefixes) - 1; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func orDash(text string) string {
	if text == "" || text == "0" {
		return "-"
	}
	return text
}
