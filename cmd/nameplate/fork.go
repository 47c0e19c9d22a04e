package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/registry"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

func newFork() *cobra.Command {
	c := &cobra.Command{
		Use:   "fork",
		Short: "Explain a log of which two histories were signed",
		Long: `A log has forked when its node has signed two histories of it: it was restored from an old
backup and written to before anybody could tell it what it lacked, or it runs twice. Both
the node and its parent notice, keep the evidence, and stop: the node takes no changes,
and the parent takes in nothing more of that log. Both go on answering. Other top-level
nodes do for a top-level node what a parent does.

"nameplate fork resolve" continues such a log as another one, with what stands in both
histories.`,
		Example: "  nameplate fork show\n  nameplate fork resolve --data /var/lib/nameplate --results handed.ndjson",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newForkShow(), newForkResolve())
	return c
}

func newForkShow() *cobra.Command {
	var server target
	var evidence string
	var timeout time.Duration
	var asJSON bool
	c := &cobra.Command{
		Use:   "show",
		Short: "Say what diverged, where, and since when",
		Long: `Says in plain words which logs a node has set aside, its own or those of its children:
what diverged, where, and since when. It exits with 0 also when there is none.

With --evidence the proof goes into a file, which anybody can check without a network and
without trusting either node: nameplate log verify --evidence FILE.`,
		Example: `  nameplate fork show
  nameplate fork show --server grpc://192.0.2.1:2640 --evidence fork.json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			node, err := server.dial()
			if err != nil {
				return err
			}
			defer node.Close()
			var s registryrpc.Status
			err = within(c.Context(), timeout, func(ctx context.Context) (err error) {
				s, err = node.registry.Status(ctx)
				return err
			})
			if err != nil {
				return err
			}
			forks := forksOf(&s)
			if evidence != "" {
				if err := writeEvidence(evidence, forks); err != nil {
					return err
				}
			}
			if asJSON {
				return writeForks(c.OutOrStdout(), forks)
			}
			return printForks(c.OutOrStdout(), &s, forks, node.server)
		},
	}
	serverFlag(c, &server)
	timeoutFlag(c, &timeout)
	c.Flags().StringVar(&evidence, "evidence", "", "write the proof of the first one to `FILE`")
	jsonFlag(c, &asJSON)
	return c
}

func writeForks(out io.Writer, forks []fork) error {
	shown := []shownFork{}
	for _, f := range forks {
		shown = append(shown, newShownFork(f))
	}
	return writeJSON(out, shown)
}

func printForks(out io.Writer, s *registryrpc.Status, forks []fork, server string) error {
	if err := explainBefore(out, s); err != nil {
		return err
	}
	if len(forks) == 0 {
		_, err := fmt.Fprintf(out, "no log at %s has two histories\n", server)
		return err
	}
	for i, f := range forks {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if err := explain(out, f); err != nil {
			return err
		}
	}
	return nil
}

// fork is a log that a node has set aside.
type fork struct {
	*registry.Quarantine
	own bool // the node's own log, not a child's
	// next is the mirror that continues the log; nil while it is set aside.
	next *registry.MirrorStatus
	// top says that another top-level node's log is meant, or that the own one is mirrored by
	// those.
	top bool
}

// forksOf returns the logs that a node has set aside, its own first.
func forksOf(s *registryrpc.Status) []fork {
	var forks []fork
	if s.Quarantine != nil {
		forks = append(forks, fork{Quarantine: s.Quarantine, own: true, top: s.Upstream == nil})
	}
	for _, m := range s.Mirrors {
		if m.Quarantine != nil {
			forks = append(forks, fork{Quarantine: m.Quarantine, next: successorOf(s, m.Log), top: m.Role == "peer"})
		}
	}
	return forks
}

// explain says in plain words what a fork is about.
func explain(to io.Writer, f fork) error {
	held, signed, whose, asked := "the copy at its parent", "this node", "this node's own log", "its\n            parent"
	switch {
	case f.own && f.top:
		held = "another top-level node's copy"
	case f.top:
		held, signed, whose = "the copy here", "that node", "the log of another top-level node"
	case !f.own:
		held, signed, whose = "the copy here", "the child", "the log of a child"
	}
	if f.top {
		asked = "the\n            other top-level nodes"
	}
	ends := func(size uint64) string {
		return fmt.Sprintf("%s entries", thousands(int(size)))
	}
	now := "the log is set aside: no changes are taken into it; both nodes go on answering"
	if f.own {
		now += ";\n            stop the node and run 'nameplate fork resolve'"
	}
	if f.next != nil {
		now = fmt.Sprintf("it was resolved: the node goes on with log %s, which answers here", f.next.Log)
	}
	_, err := fmt.Fprintf(to, `log %s has two histories: %s
  node      %s, whose key signed both
  what      the first %s entries are not the same in both: one or more of them differ
  where     %s has root %x
            %s has root %x
  how far   %s was signed up to %s, %s up to %s
  since     noticed here at %s
  meaning   the node was restored from an old backup and written to before it had asked %s, or two processes run with its key and folder
  now       %s
`, f.Evidence.Log, whose, f.Evidence.Node, thousands(int(f.Size)), held, f.Held, signed, f.Signed,
		held, ends(f.HeldSize), signed, ends(f.SignedSize), f.Since.UTC().Format(time.RFC3339), asked, now)
	return err
}

// shownFork is a fork as --json shows it.
type shownFork struct {
	Own        bool          `json:"own"`
	Next       string        `json:"next,omitempty"` // the log that continues it
	Size       uint64        `json:"size"`           // within the first so many entries they differ
	Held       string        `json:"held"`           // root
	Signed     string        `json:"signed"`
	HeldSize   uint64        `json:"heldSize"`
	SignedSize uint64        `json:"signedSize"`
	Since      time.Time     `json:"since"`
	Evidence   shownEvidence `json:"evidence"`
}

func newShownFork(f fork) shownFork {
	var next string
	if f.next != nil {
		next = f.next.Log.String()
	}
	return shownFork{
		Next: next, Own: f.own, Size: f.Size, Held: hex.EncodeToString(f.Held[:]), Signed: hex.EncodeToString(f.Signed[:]),
		HeldSize: f.HeldSize, SignedSize: f.SignedSize, Since: f.Since.UTC(), Evidence: showEvidence(f.Evidence),
	}
}

// writeEvidence writes the proof of the first fork into a new file.
func writeEvidence(file string, forks []fork) error {
	if len(forks) == 0 {
		return fmt.Errorf("there is no evidence to write to %s: no log has two histories", file)
	}
	text, err := json.MarshalIndent(showEvidence(forks[0].Evidence), "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o640)
}
