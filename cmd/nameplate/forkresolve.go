package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
)

func newForkResolve() *cobra.Command {
	var results string
	var asJSON bool
	c := &cobra.Command{
		Use:   "resolve",
		Short: "Continue a log that cannot go on as another one",
		Long: `Begins another log of a node, its next incarnation, in the place of one that has forked, of
which acknowledged entries are lost for good, or which its parent does not know. The node
must be stopped, and its parent be reachable: it holds the other history. Of a top-level
node the others hold it: as many must be reachable as cannot all lack what was anchored,
three of four.

The new log says which one it continues, and why. What both histories begin with is logged
into it first, then what the parent holds, then what this node has: each change with the
signature and the time that it has, through the check of versions that every change passes.
A change that is there with other content is not in the new log: its rows are written to
the file that --results names, one JSON object a line, for their holders, and the command
ends with an error that says how many. The parent goes over to the new log when the node
is started and its first entries arrive, and so do other top-level nodes. The log of before
stays in the folder before/LOG, and at the parent, as evidence.

What serve is configured with is read here as well.`,
		Example: `  nameplate fork resolve --config /etc/nameplate/nameplate.yaml --results handed.ndjson
  nameplate fork resolve --data /var/lib/nameplate --parent-address 192.0.2.1:2640 --parent-key ed25519:... --results handed.ndjson`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := loadConfig(c, os.LookupEnv)
			if err != nil {
				return err
			}
			if err := checkFolder(config.Data); err != nil {
				return err
			}
			return runForkResolve(c, config, results, asJSON)
		},
	}
	addSettings(c)
	c.Flags().StringVar(&results, "results", "", "write the rows that are handed over to this new `FILE`")
	_ = c.MarkFlagRequired("results")
	jsonFlag(c, &asJSON)
	return c
}

func runForkResolve(c *cobra.Command, config node.Config, results string, asJSON bool) (err error) {
	file, err := os.OpenFile(results, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("results: %w: name a new file, it may hold what was handed over before", err)
	}
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	out := bufio.NewWriter(file)
	progress := newCounter(c, "joining two histories")
	whole := false // everything that is handed over is in the file, and the log may change
	told, err := node.Resolve(c.Context(), config, newLogger(c.ErrOrStderr(), config.Log), results, func(h *registry.Handed) error {
		if h == nil {
			err := errors.Join(out.Flush(), file.Sync()) // soon it is nowhere else
			whole = err == nil
			return err
		}
		return writeHanded(out, h)
	})
	progress.clear()
	err = errors.Join(err, file.Close())
	switch {
	case err != nil && whole:
		return fmt.Errorf("keep %s: the next start may finish what was begun here: %w", results, err)
	case err != nil:
		return errors.Join(interrupted(c.Context(), err), os.Remove(results))
	}
	if asJSON {
		err = writeJSON(c.OutOrStdout(), told)
	} else {
		_, err = fmt.Fprintf(c.OutOrStdout(), `log %s continues log %s, after: %s
  shared    %s entries
  above     %s more, logged first
  node      %s more
  there     %s entries added nothing, because all of it was there already
  handed    %s rows to their holders
start the node: whoever mirrors it goes over to the new log with its first entries
`, told.Log, told.Before, told.Why, thousands(int(told.Shared)), thousands(int(told.Upper)), thousands(int(told.Own)), thousands(int(told.There)), thousands(int(told.Handed)))
	}
	if err == nil && told.Handed > 0 {
		err = fmt.Errorf("the log is resolved, and %s rows are not in it: have their holders look at %s, and register what is right", thousands(int(told.Handed)), results)
	}
	return err
}

// handedDoc is a row that was handed over, as the results have it.
type handedDoc struct {
	Branch   string          `json:"branch"` // above or node: whose history it stood in
	Entry    uint64          `json:"entry"`  // its place there
	Prefix   string          `json:"prefix,omitempty"`
	Op       string          `json:"op,omitempty"` // put or withdraw
	Reason   string          `json:"reason"`
	Collides bool            `json:"collides"`
	Version  uint64          `json:"version"`          // that the identifier has now
	Record   json.RawMessage `json:"record,omitempty"` // as export writes it
}

// writeHanded writes a line of the results.
func writeHanded(to io.Writer, h *registry.Handed) error {
	d := handedDoc{Branch: h.Branch, Entry: h.Entry, Reason: h.Reason, Collides: h.Collides, Version: h.Version}
	if h.Row == nil {
		d.Prefix = string(h.Prefix)
	} else {
		r := identifier.Record{ID: h.Row.ID, Spelling: h.Row.Spelling, Version: h.Row.Version, Values: h.Row.Values, Withdrawn: h.Row.Op == identifier.Withdraw}
		d.Op = "put"
		if r.Withdrawn {
			d.Op = "withdraw"
		}
		var err error
		if d.Record, err = resolverhttp.MarshalRecord(&r); err != nil {
			return err
		}
	}
	line, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = to.Write(append(line, '\n'))
	return err
}

// shownPredecessor is which log another one continues, as --json shows it.
type shownPredecessor struct {
	Log  string `json:"log"`
	Why  string `json:"why"` // fork, loss, restore or other log
	Size uint64 `json:"size"`
	Held string `json:"held"` // the root of the first size entries as the level above held them
	Own  string `json:"own"`  // and as the node had them
	// Before are further logs that it continues; there are more unless Whole says that these
	// are all.
	Before []string `json:"before,omitempty"`
	Whole  bool     `json:"whole"`
}

func newShownPredecessor(a *identifier.Predecessor) *shownPredecessor {
	if a == nil {
		return nil
	}
	shown := &shownPredecessor{Log: a.Log.String(), Why: a.Why.String(), Size: a.Size, Held: hex.EncodeToString(a.Held[:]), Own: hex.EncodeToString(a.Own[:]), Whole: a.Whole}
	for _, log := range a.Before {
		shown.Before = append(shown.Before, log.String())
	}
	return shown
}

// successorOf returns the mirror of the log that continues another one, or in which that was
// joined with others; nil for none.
func successorOf(s *registryrpc.Status, log identifier.LogID) (next *registry.MirrorStatus) {
	for i := range s.Mirrors {
		switch m := &s.Mirrors[i]; {
		case m.Size == 0 || !m.After.Continues(log):
		case m.After.Log == log:
			return m
		case next == nil:
			next = m
		}
	}
	return next
}

// further tells of the logs that one continues beside the last.
func further(a *identifier.Predecessor) string {
	if len(a.Before) == 0 {
		return ""
	}
	and := fmt.Sprintf(" and %d more", len(a.Before))
	if !a.Whole {
		and = fmt.Sprintf(" and more than %d others", len(a.Before))
	}
	return and
}

// explainBefore says in plain words which log a node's own continues.
func explainBefore(to io.Writer, s *registryrpc.Status) error {
	a := s.After
	if a == nil {
		return nil
	}
	_, err := fmt.Fprintf(to, `log %s of this node continues log %s%s, after: %s
  where     the first %s entries have root %x above
            and root %x here
`, s.Log, a.Log, further(a), a.Why, thousands(int(a.Size)), a.Held, a.Own)
	for _, log := range a.Before {
		if err == nil {
			_, err = fmt.Fprintf(to, "  and       log %s\n", log)
		}
	}
	if x := s.Resolution; err == nil && x != nil && x.Handed > 0 {
		_, err = fmt.Fprintf(to, "  handed    %s rows to their holders, in %s\n", thousands(int(x.Handed)), x.File)
	}
	return err
}
