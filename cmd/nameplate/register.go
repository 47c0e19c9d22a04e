package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/cmd/nameplate/intake"
	"github.com/nameplate-id/nameplate/cmd/nameplate/table"
	"github.com/nameplate-id/nameplate/registry"
)

func newRegister() *cobra.Command {
	var f signFlags
	var replace bool
	var wait waitFlags
	m := table.Mapping{}
	c := &cobra.Command{
		Use:   "register IDENTIFIER",
		Short: "Register one identifier",
		Long: `Registers an identifier with what it points to, signed with the key of who holds its
prefix. What is registered already with the same content is left as it is; other
content is only put in its place with --replace, and then all of it is.

` + linkHelp,
		Example: `  nameplate register 88.118.8/SN-42 --key maker.key --link https://maker.example/p/42
  nameplate register '(01)09506000134352' --key maker.key \
      --link 'https://maker.example/p/1; rel=gs1:pip; title=Product page; lang=en; default' \
      --value 'DESC=Widget, blue' --ttl 1h`,
		Args: arguments(1),
		RunE: func(c *cobra.Command, args []string) error {
			m.ID, m.Time = args[0], time.Now()
			if _, err := wait.wanted(); err != nil {
				return err
			}
			return register(c, &f, m, replace, wait)
		},
	}
	f.add(c, "the `FILE` of a key that signs; may be repeated")
	contentFlags(c, &m)
	c.Flags().BoolVar(&replace, "replace", false, "put this in the place of other content")
	wait.add(c, registry.Local.String())
	return c
}

// linkHelp explains the syntax of --link and --value, which register and import share.
const linkHelp = `A --link is a URL. Behind it may stand attributes, each after a semicolon and a space:
rel=RELATION (the link type), title=TEXT, lang=TAG,TAG, type=MEDIA/TYPE, context=TEXT,
ttl=TIME, index=N, and default for the link to follow when none is asked for.
A --value is TYPE=DATA or INDEX:TYPE=DATA. Links are numbered from 1 and other values
from 101 unless they say otherwise.`

// contentFlags adds the flags that say what an identifier points to.
func contentFlags(c *cobra.Command, m *table.Mapping) {
	c.Flags().StringArrayVar(&m.Links, "link", nil, "a `LINK` that it points to; may be repeated")
	c.Flags().StringArrayVar(&m.Values, "value", nil, "another value, as `TYPE=DATA`; may be repeated")
	c.Flags().DurationVar(&m.TTL, "ttl", 0, "how long answers may be kept (default 24h)")
}

// registered is a registration as --json shows it.
type registered struct {
	Identifier string `json:"identifier"`
	Result     string `json:"result"`
	Version    uint64 `json:"version,omitempty"`
	*place
}

// place is where something stands in a log, as --json shows it.
type place struct {
	Log      string `json:"log"`
	Position uint64 `json:"position"`
	Level    string `json:"level"`
}

func register(c *cobra.Command, f *signFlags, m table.Mapping, replace bool, wait waitFlags) error {
	registration, err := m.Literal()
	if err != nil {
		return err
	}
	node, keys, err := f.dial(c)
	if err != nil {
		return err
	}
	defer node.Close()
	var outcome intake.Outcome
	options := intake.Options{Keys: keys, Replace: replace, Patience: f.timeout}
	err = within(c.Context(), f.timeout, func(ctx context.Context) error {
		return intake.New(node.registry, node.records, options, func(o intake.Outcome) { outcome = o }).
			Run(ctx, slices.Values([]table.Registration{registration}))
	})
	if err != nil {
		return err
	}
	if outcome.Result == intake.Failed {
		return fmt.Errorf("%s: %s", registration.ID, outcome.Reason)
	}
	late, err := wait.await(c.Context(), node.registry, &outcome.Receipt)
	if err != nil {
		return err
	}
	shown := registered{Identifier: registration.ID.String(), Result: outcome.Result.String(), Version: outcome.Version}
	if outcome.Receipt != (registry.Receipt{}) {
		shown.place = newPlace(outcome.Receipt)
	}
	if err := shown.print(c, f); err != nil || late == "" {
		return err
	}
	return errors.New(late)
}

// newPlace returns where something stands as --json shows it.
func newPlace(r registry.Receipt) *place {
	return &place{Log: hex.EncodeToString(r.Log[:]), Position: r.Position, Level: r.Level.String()}
}

// print writes what became of an identifier.
func (r registered) print(c *cobra.Command, f *signFlags) error {
	if f.asJSON {
		return writeJSON(c.OutOrStdout(), r)
	}
	where := ""
	if r.Version > 0 {
		where = fmt.Sprintf(": version %d", r.Version)
	}
	if r.place != nil {
		where += fmt.Sprintf(", position %d of log %s, %s", r.Position, r.Log, r.Level)
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), "%s %s%s\n", r.Result, r.Identifier, where)
	return err
}
