package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/cmd/nameplate/table"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
)

// exportFlags are the flags of export.
type exportFlags struct {
	server         target
	data           string
	prefix, format string
	output         string
}

func newExport() *cobra.Command {
	var f exportFlags
	c := &cobra.Command{
		Use:   "export",
		Short: "Write all records",
		Long: `Writes every record that a node holds, in the order of identifiers, with the values
that are not for the public: at least what was acknowledged before. Records that change
meanwhile are written as they were or as they are.

A running node gives them to processes on its own machine only. With --data the folder
of a node that is stopped is read.

NDJSON has one record a line, CSV one value a line.`,
		Example: `  nameplate export > all.ndjson
  nameplate export --prefix 88.118.8 --format csv --output 88.118.8.csv
  nameplate export --data /var/lib/nameplate --output all.ndjson`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runExport(c, &f) },
	}
	serverFlag(c, &f.server)
	c.Flags().StringVar(&f.data, "data", "", "read the `FOLDER` of a node that is stopped")
	c.Flags().StringVar(&f.prefix, "prefix", "", "only what lies at or below this `PREFIX`")
	c.Flags().StringVar(&f.format, "format", "", "ndjson or csv (default by the name of the output, or ndjson)")
	c.Flags().StringVar(&f.output, "output", "", "write to this `FILE`, which is there when it is whole (default standard output)")
	c.MarkFlagsMutuallyExclusive("server", "data")
	return c
}

// exporter calls yield for every record at or below a prefix.
type exporter func(ctx context.Context, below identifier.Prefix, after identifier.ID, yield func(*identifier.Record) error) error

func runExport(c *cobra.Command, f *exportFlags) error {
	var below identifier.Prefix
	var err error
	if f.prefix != "" {
		if below, err = identifier.ParsePrefix(f.prefix); err != nil {
			return err
		}
	}
	format := table.NDJSON
	switch {
	case f.format != "":
		if format, err = table.ParseFormat(f.format); err != nil {
			return &usageError{err}
		}
	case strings.HasSuffix(strings.ToLower(f.output), ".csv"):
		format = table.CSV
	}
	return f.from(c.Context(), func(ctx context.Context, export exporter) error {
		return f.to(c.OutOrStdout(), func(w io.Writer) error {
			return writeRecords(ctx, c, w, format, func(ctx context.Context, yield func(*identifier.Record) error) error {
				return export(ctx, below, identifier.ID{}, yield)
			})
		})
	})
}

// from opens what is exported.
func (f *exportFlags) from(ctx context.Context, do func(context.Context, exporter) error) error {
	if f.data == "" {
		node, err := f.server.dial()
		if err != nil {
			return err
		}
		defer node.Close()
		return do(ctx, node.registry.Export)
	}
	if err := checkFolder(f.data); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(f.data, "journal")); err != nil {
		return fmt.Errorf("there is no journal in %s: is it a node's folder?", f.data)
	}
	r, err := registry.Open(registry.Config{Folder: f.data, Bare: true})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- r.Run(running) }()
	err = do(ctx, r.Export)
	stop()
	return errors.Join(err, <-ran, r.Close())
}

// to opens where it is written. A file gets its name when it is whole.
func (f *exportFlags) to(stdout io.Writer, do func(io.Writer) error) error {
	if f.output == "" {
		return do(stdout)
	}
	temporary, err := os.CreateTemp(filepath.Dir(f.output), filepath.Base(f.output)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	if err := do(temporary); err != nil {
		return errors.Join(err, temporary.Close())
	}
	if err := errors.Join(temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), f.output)
}

// writeRecords writes what export yields.
func writeRecords(ctx context.Context, c *cobra.Command, w io.Writer, format table.Format, export func(context.Context, func(*identifier.Record) error) error) error {
	buffer := bufio.NewWriterSize(w, 256<<10)
	write := func(r *identifier.Record) error {
		line, err := resolverhttp.MarshalRecord(r)
		if err != nil {
			return err
		}
		_, err = buffer.Write(append(line, '\n'))
		return err
	}
	var lines *csv.Writer
	if format == table.CSV {
		lines = csv.NewWriter(buffer)
		if err := lines.Write(exportColumns()); err != nil {
			return err
		}
		write = func(r *identifier.Record) error { return writeCSV(lines, r) }
	}
	progress := newCounter(c, "exporting")
	n := 0
	err := export(ctx, func(r *identifier.Record) error {
		n++
		progress.show(func() string { return "exported " + thousands(n) })
		return write(r)
	})
	progress.clear()
	if err != nil {
		return interrupted(ctx, err)
	}
	if lines != nil {
		lines.Flush()
		if err := lines.Error(); err != nil {
			return err
		}
	}
	return buffer.Flush()
}

func exportColumns() []string {
	return []string{"identifier", "spelling", "version", "time", "index", "type", "data", "base64", "ttl", "until",
		"permissions", "timestamp", "relation", "title", "languages", "mediaType", "context", "default"}
}

// writeCSV writes a line for every value of a record, and one for a record without
// values. Data that is not UTF-8 is in base64, in a column of its own.
func writeCSV(w *csv.Writer, r *identifier.Record) error {
	head := []string{r.ID.String(), r.Spelling, strconv.FormatUint(r.Version, 10), r.Time.UTC().Format(time.RFC3339Nano)}
	if len(r.Values) == 0 {
		return w.Write(append(head, make([]string, len(exportColumns())-len(head))...))
	}
	for i := range r.Values {
		v := &r.Values[i]
		var data, encoded, ttl, until, timestamp, preferred string
		if data = string(v.Data); !utf8.Valid(v.Data) {
			data, encoded = "", base64.StdEncoding.EncodeToString(v.Data)
		}
		if ttl = strconv.FormatUint(uint64(v.TTL.Seconds), 10); v.TTL.Absolute {
			ttl, until = "", time.Unix(int64(v.TTL.Seconds), 0).UTC().Format(time.RFC3339)
		}
		if !v.Timestamp.IsZero() {
			timestamp = v.Timestamp.UTC().Format(time.RFC3339)
		}
		var l identifier.Link
		if v.Link != nil {
			l = *v.Link
		}
		if l.Default {
			preferred = "true"
		}
		err := w.Write(append(head[:len(head):len(head)],
			strconv.FormatUint(uint64(v.Index), 10), v.Type, data, encoded, ttl, until,
			fmt.Sprintf("%04b", uint8(v.Permissions)), timestamp,
			l.Relation, l.Title, strings.Join(l.Languages, " "), l.MediaType, l.Context, preferred))
		if err != nil {
			return err
		}
	}
	return nil
}
