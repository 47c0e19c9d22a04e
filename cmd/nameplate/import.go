package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/cmd/nameplate/intake"
	"github.com/nameplate-id/nameplate/cmd/nameplate/table"
	"github.com/nameplate-id/nameplate/registry"
)

// importFlags are the flags of import.
type importFlags struct {
	server            target
	keys              []string
	mapping           table.Mapping
	format, delimiter string
	results           string
	replace, dryRun   bool
	patience          time.Duration
	wait              waitFlags
	asJSON            bool
}

func newImport() *cobra.Command {
	var f importFlags
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Register every row of a CSV or NDJSON file",
		Long: `Registers an identifier for every row of a file, or of standard input ("-"), signed
with the keys of who holds the prefixes, in changes of up to 1,000 rows.

--id, --link and --value are templates: {name} is the column of that name, escaped as
its place needs, so that a slash or a space in a model name works; {+name} is trusted
to be escaped already, for columns that hold whole URLs; {row} is the number of the
row; {{ and }} are braces. A link is left out of a row where a column that its URL
needs is empty, another value where all of its columns are.

` + linkHelp + `

A row that cannot be read, breaks a rule or is in conflict is named, and the rest is
registered all the same; --results FILE gets a line for every row. A row that is there
already with the same content counts as unchanged, so after an interruption, a crash
or a correction the same command is simply run again. It ends with 0 when no row
failed.`,
		Example: `  nameplate import products.csv --key maker.key --id 'gs1:{gtin}' \
      --link 'https://maker.example/p/{gtin}; title={name}; lang=en' --value 'DESC={brand} {name}'
  nameplate import equipment.csv --key maker.key --id '88.118.8/{model}-{row}' --link 'https://maker.example/{model}'
  nameplate import export.ndjson --key maker.key --id '{+identifier}' --value 'DESC={name}' --dry-run`,
		Args: arguments(1),
		RunE: func(c *cobra.Command, args []string) error { return runImport(c, &f, args[0]) },
	}
	c.Flags().StringVar(&f.mapping.ID, "id", "", "the `TEMPLATE` of the identifier, in any spelling")
	contentFlags(c, &f.mapping)
	serverFlag(c, &f.server)
	keyFlag(c, &f.keys, "the `FILE` of a key that signs; may be repeated")
	c.Flags().StringVar(&f.format, "format", "", "csv or ndjson (default by the name of the file)")
	c.Flags().StringVar(&f.delimiter, "delimiter", ",", "the `CHARACTER` between the fields of CSV; tab for a tab")
	c.Flags().StringVar(&f.results, "results", "", "write what became of each row to this CSV `FILE`")
	c.Flags().BoolVar(&f.replace, "replace", false, "put rows in the place of records with other content")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "check every row and send nothing")
	c.Flags().DurationVar(&f.patience, "patience", time.Minute, "how long to wait for a node that went away")
	jsonFlag(c, &f.asJSON)
	f.wait.add(c, registry.Local.String())
	_ = c.MarkFlagRequired("id")
	return c
}

func runImport(c *cobra.Command, f *importFlags, file string) (err error) {
	options, err := f.tableOptions(file)
	if err != nil {
		return err
	}
	if _, err := f.wait.wanted(); err != nil {
		return err
	}
	in, size, changed, err := openInput(c.InOrStdin(), file)
	if err != nil {
		return err
	}
	defer in.Close()
	reading := &countingReader{r: in}
	rows, err := table.NewReader(reading, options)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	f.mapping.Time = changed
	mapper, err := f.mapping.Compile(rows.Columns())
	if err != nil {
		return err
	}
	t, err := newTally(c, f, file, size, reading)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	source := &rowSource{rows: rows, mapper: mapper, seen: table.NewSeen(), tally: t}
	if f.dryRun {
		err = tryImport(c, source)
	} else {
		err = f.send(c, source)
	}
	// What ended the reading says more than what that did to the rest.
	if source.err != nil {
		err = fmt.Errorf("%s: %w", file, source.err)
	}
	if ctx := c.Context(); ctx.Err() != nil {
		err = errors.New("interrupted: run the same command again to go on")
	}
	return t.end(err)
}

// tableOptions reads how the file is written.
func (f *importFlags) tableOptions(file string) (table.Options, error) {
	o := table.Options{Format: table.FormatOf(file)}
	var err error
	if f.format != "" {
		if o.Format, err = table.ParseFormat(f.format); err != nil {
			return o, &usageError{err}
		}
	}
	switch {
	case f.delimiter == "tab" || f.delimiter == `\t`:
		o.Delimiter = '\t'
	case len(f.delimiter) == 1:
		o.Delimiter = f.delimiter[0]
	default:
		return o, usagef("delimiter %q is not one character: use one such as ';', or tab", f.delimiter)
	}
	return o, nil
}

// send registers the rows.
func (f *importFlags) send(c *cobra.Command, source *rowSource) error {
	node, keys, err := dialToSign(c, f.server, f.keys)
	if err != nil {
		return err
	}
	defer node.Close()
	options := intake.Options{Keys: keys, Replace: f.replace, Patience: f.patience}
	err = intake.New(node.registry, node.records, options, source.tally.settled).Run(c.Context(), source.all(c.Context()))
	if err != nil {
		return err
	}
	// What others register meanwhile is waited for as well.
	late, err := f.wait.await(c.Context(), node.registry, &source.tally.reached)
	if err == nil && late != "" {
		err = errors.New(late)
	}
	return err
}

// tryImport checks the rows and shows what the first ones become.
func tryImport(c *cobra.Command, source *rowSource) error {
	const shown = 3
	n := 0
	for r := range source.all(c.Context()) {
		if n++; n <= shown && !source.tally.flags.asJSON {
			fmt.Fprintf(c.OutOrStdout(), "line %d: %s\n", r.Line, r.ID)
			for i := range r.Values {
				v := &r.Values[i]
				fmt.Fprintf(c.OutOrStdout(), "  %d  %s  %s  %s\n", v.Index, v.Type, printable(v.Data), linkText(v.Link))
			}
		}
		source.tally.settled(intake.Outcome{Registration: &r, Result: intake.Registered})
	}
	return nil
}

// rowSource reads the registrations of a file. Rows that are none are told to the
// tally.
type rowSource struct {
	rows   *table.Reader
	mapper *table.Mapper
	seen   *table.Seen
	tally  *tally
	err    error // what ended the reading before the end of the file
}

func (s *rowSource) all(ctx context.Context) iter.Seq[table.Registration] {
	return func(yield func(table.Registration) bool) {
		for ctx.Err() == nil {
			r, err := s.next()
			var bad *table.RowError
			switch {
			case err == io.EOF:
				return
			case errors.As(err, &bad):
				s.tally.unreadable(bad)
				if bad.Several && s.mapper.Numbered() {
					s.err = fmt.Errorf("lines %d to %d may be any number of rows, so the numbers of those behind are not known: mend these lines, or leave {row} out of --id", bad.Line, bad.LastLine)
					return
				}
				continue
			case err != nil:
				s.err = err
				return
			}
			if !yield(r) {
				return
			}
		}
	}
}

func (s *rowSource) next() (table.Registration, error) {
	row, err := s.rows.Next()
	if err != nil {
		return table.Registration{}, err
	}
	r, err := s.mapper.Map(row)
	if err != nil {
		return r, err
	}
	return r, s.seen.Add(&r)
}

// openInput opens a file, or standard input for "-". It returns its size, -1 when
// that is not known, and when it was last changed: that is the time of its values,
// so that reading the same file again makes the same content.
func openInput(stdin io.Reader, file string) (io.ReadCloser, int64, time.Time, error) {
	now := time.Now()
	if file == "-" {
		return io.NopCloser(stdin), -1, now, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, 0, now, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		f.Close()
		return nil, 0, now, err
	case info.IsDir():
		f.Close()
		return nil, 0, now, fmt.Errorf("%s is a folder: name a file", file)
	case !info.Mode().IsRegular():
		return f, -1, now, nil
	}
	changed := info.ModTime()
	if changed.After(now) {
		changed = now
	}
	if changed.Unix() <= 0 {
		changed = time.Time{} // an archive without times: the values have none
	}
	return f, info.Size(), changed, nil
}
