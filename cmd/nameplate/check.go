package main

import (
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/journal"
)

func newCheck() *cobra.Command {
	var data string
	var asJSON bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Verify everything in a node's folder",
		Long: `Reads everything in the folder of a node that is stopped: every checksum of the
journal, every change with the rows that were signed, every checkpoint with its
signature and the root of what it covers, every record of the state; and it builds the
state anew from the journal, in a temporary file beside it, and compares. It changes
nothing. It ends with 0 when all is as it should be.`,
		Example: "  nameplate check --data /var/lib/nameplate",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkFolder(data); err != nil {
				return err
			}
			progress := newCounter(c, "checking")
			report, err := registry.Check(c.Context(), data, journal.Options{}, func(at journal.Offset) {
				progress.show(func() string { return "checked " + octets(uint64(at)) })
			})
			progress.clear()
			if err != nil {
				return interrupted(c.Context(), err)
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), newCheckReport(&report))
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "ok: log %s, %s entries, %s checkpoints, root %x\n    %s identifiers, %s withdrawn, %s delegations; the state is %s frames behind\n",
				report.Log, thousands(int(report.Entries)), thousands(int(report.Checkpoints)), report.Root,
				thousands(int(report.Identifiers)), thousands(int(report.Withdrawn)), thousands(int(report.Delegations)), thousands(int(report.Behind)))
			if err == nil && report.Torn {
				_, err = fmt.Fprintln(c.OutOrStdout(), "    the journal ends in octets that were never acknowledged: the next start cuts them off")
			}
			return err
		},
	}
	dataFlag(c, &data)
	jsonFlag(c, &asJSON)
	return c
}

// checkReport is a report as --json shows it.
type checkReport struct {
	Log         string `json:"log"`
	Segments    int    `json:"segments"`
	Entries     uint64 `json:"entries"`
	Checkpoints uint64 `json:"checkpoints"`
	Root        string `json:"root"`
	Torn        bool   `json:"torn"`
	Identifiers uint64 `json:"identifiers"`
	Withdrawn   uint64 `json:"withdrawn"`
	Delegations uint64 `json:"delegations"`
	Behind      uint64 `json:"behind"`
}

func newCheckReport(r *registry.Report) checkReport {
	return checkReport{
		Log: r.Log.String(), Segments: r.Segments, Entries: r.Entries, Checkpoints: r.Checkpoints,
		Root: hex.EncodeToString(r.Root[:]), Torn: r.Torn,
		Identifiers: r.Identifiers, Withdrawn: r.Withdrawn, Delegations: r.Delegations, Behind: r.Behind,
	}
}
