package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
	"github.com/nameplate-id/nameplate/resolver/template"
)

func newTemplate() *cobra.Command {
	c := &cobra.Command{
		Use:   "template",
		Short: "Try templates for ranges of identifiers",
		Long: `A prefix can have a template, in the HS_NAMESPACE value of its record: XML that says what
identifiers below it point to that are not registered one by one, such as the serial
numbers of a range. It is computed when somebody asks, over every protocol alike.
A record that is registered always wins, and what was withdrawn stays away.`,
		Example: "  nameplate template test 88.118.8/SN-0042",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newTemplateTest())
	return c
}

// templateFlags are the flags of template test.
type templateFlags struct {
	server  target
	file    string
	timeout time.Duration
	asJSON  bool
}

func newTemplateTest() *cobra.Command {
	var f templateFlags
	c := &cobra.Command{
		Use:   "test IDENTIFIER",
		Short: "Show what a template gives for an identifier, and why",
		Long: `Shows what a template gives for an identifier and why: whose record it stands in, how it
cuts the identifier, which conditions held, line by line, and the values that come of it.

With --file a template is tried that is not registered yet, as if the identifier's prefix
had it. The values of the base are the node's in any case.

It ends with 0 when values come of it, and with 1 otherwise.`,
		Example: `  nameplate template test 88.118.8/SN-0042
  nameplate template test '(01)09506000134352(21)42' --file serials.xml
  nameplate register 88.118.8 --key maker.key --value "HS_NAMESPACE=$(cat serials.xml)"`,
		Args: arguments(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := identifier.Parse(args[0])
			if err != nil {
				return err
			}
			return within(c.Context(), f.timeout, func(ctx context.Context) error { return testTemplate(ctx, c.OutOrStdout(), &f, id) })
		},
	}
	serverFlag(c, &f.server)
	c.Flags().StringVar(&f.file, "file", "", "try the template in this `FILE`")
	_ = c.MarkFlagFilename("file", "xml")
	timeoutFlag(c, &f.timeout)
	jsonFlag(c, &f.asJSON)
	return c
}

// trial is what came of trying a template.
type trial struct {
	ID        identifier.ID
	Stored    bool // a record is registered, and wins
	Template  *resolver.Template
	Base      identifier.ID
	Extension string
	Applies   bool // it cuts the identifier
	Steps     []template.Step
	Values    []identifier.Value
}

func testTemplate(ctx context.Context, w io.Writer, f *templateFlags, id identifier.ID) error {
	node, err := f.server.dial()
	if err != nil {
		return err
	}
	defer node.Close()
	ask := func(id identifier.ID) (resolver.Answer, error) {
		return node.records.Resolve(ctx, resolver.Query{ID: id, Recursive: true})
	}
	t := &trial{ID: id}
	a, err := ask(id)
	switch {
	case err != nil && f.file == "" && resolver.CaseOf(a, err) != resolver.CaseUnavailable:
		return err
	case err == nil && a.Outcome == resolver.Referral:
		return fmt.Errorf("node %s answers for %s, not this one: ask it with --server", a.Delegation.Node.Name, a.Delegation.Prefix)
	}
	t.Stored = err == nil && a.Outcome == resolver.Found && a.Record.RowHash != identifier.Hash{}
	if t.Template, err = f.template(ctx, node, &a, id, ask); err != nil {
		return err
	}
	if t.Template != nil {
		base, extension, ok := t.Template.Namespace.Split(id.Suffix)
		t.Base, t.Extension, t.Applies = identifier.ID{Prefix: id.Prefix, Suffix: base}, extension, ok
		t.Values, _, err = t.Template.Compute(id, func(s template.Step) { t.Steps = append(t.Steps, s) }, func(of identifier.ID) ([]identifier.Value, error) {
			a, err := ask(of)
			if err != nil || a.Outcome != resolver.Found {
				return nil, err
			}
			return a.Record.Values, nil
		})
	}
	if failure := t.print(w, f.asJSON); failure != nil {
		return failure
	}
	switch {
	case err != nil:
		return fmt.Errorf("the template gives no answer: %w", err)
	case len(t.Values) == 0:
		return fmt.Errorf("no template gives values for %s", id)
	}
	return nil
}

// template returns the template of a file, or the one that stands for an identifier at
// a node.
func (f *templateFlags) template(ctx context.Context, node *client, a *resolver.Answer, id identifier.ID, ask func(identifier.ID) (resolver.Answer, error)) (*resolver.Template, error) {
	if f.file != "" {
		data, err := os.ReadFile(f.file)
		if err != nil {
			return nil, err
		}
		n, err := template.Parse(data, id.Scheme() == identifier.Handle)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.file, err)
		}
		if !n.Templates() {
			return nil, fmt.Errorf("%s has no template with a delimiter: write <template delimiter=\"…\">", f.file)
		}
		return &resolver.Template{Prefix: id.Prefix, Record: &identifier.Record{}, Namespace: n}, nil
	}
	top := a.Apex
	if d, err := node.registry.Holder(ctx, id.Prefix); err == nil && d != nil {
		top = d.Prefix // a recursive node holds nothing, and knows nobody's prefix
	}
	var at identifier.Prefix
	found, err := resolver.FindTemplate(id.Prefix, top, func(p identifier.Prefix) (*identifier.Record, error) {
		at = p
		a, err := ask(identifier.ID{Prefix: p})
		if err != nil || a.Outcome != resolver.Found {
			return nil, err
		}
		return a.Record, nil
	})
	if err != nil {
		return nil, fmt.Errorf("template of %s: %w", at, err)
	}
	return found, nil
}

func (t *trial) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return t.printJSON(w)
	}
	var b strings.Builder
	fmt.Fprintln(&b, t.ID)
	if t.Stored {
		fmt.Fprintln(&b, "  is registered, and a record wins over a template; without it:")
	}
	switch {
	case t.Template == nil:
		fmt.Fprintln(&b, "  has no template: no HS_NAMESPACE value of its prefix, or of one above that the same holder has")
	case t.Template.Index == 0:
		fmt.Fprintln(&b, "  template   of the file")
	default:
		fmt.Fprintf(&b, "  template   value %d of %s, version %d\n", t.Template.Index, t.Template.Prefix, t.Template.Record.Version)
	}
	if t.Template != nil && !t.Applies {
		fmt.Fprintf(&b, "  the delimiter %q does not cut it in two\n", t.Template.Namespace.Delimiter())
	}
	if t.Applies {
		fmt.Fprintf(&b, "  base       %s\n  extension  %s\n", t.Base, printable([]byte(t.Extension)))
	}
	for _, s := range t.Steps {
		fmt.Fprintf(&b, "  line %-4d  %s%s\n", s.Line, strings.Repeat("  ", max(0, s.Depth-1)), s.Text)
	}
	if len(t.Values) > 0 {
		fmt.Fprintln(&b, "gives")
		printValues(&b, t.Values)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *trial) printJSON(w io.Writer) error {
	type step struct {
		Line  int    `json:"line"`
		Depth int    `json:"depth"`
		Text  string `json:"text"`
	}
	out := struct {
		Identifier string             `json:"identifier"`
		Stored     bool               `json:"stored"`
		Prefix     *identifier.Prefix `json:"template_prefix,omitempty"`
		Index      uint32             `json:"template_index,omitempty"`
		Base       string             `json:"base,omitempty"`
		Extension  string             `json:"extension,omitempty"`
		Steps      []step             `json:"steps"`
		Answer     json.RawMessage    `json:"answer,omitempty"`
	}{Identifier: t.ID.String(), Stored: t.Stored, Steps: []step{}}
	for _, s := range t.Steps {
		out.Steps = append(out.Steps, step{s.Line, s.Depth, s.Text})
	}
	if t.Template != nil {
		out.Prefix, out.Index = &t.Template.Prefix, t.Template.Index
	}
	if t.Applies {
		out.Base, out.Extension = t.Base.String(), t.Extension
	}
	if len(t.Values) > 0 {
		r := &identifier.Record{ID: t.ID, Spelling: t.ID.String(), Version: t.Template.Record.Version, Time: t.Template.Record.Time, Values: t.Values}
		text, err := resolverhttp.MarshalAnswer(&resolver.Answer{Outcome: resolver.Found, ID: t.ID, InZone: true, Record: r})
		if err != nil {
			return err
		}
		out.Answer = text
	}
	return writeJSON(w, out)
}
