package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/cmd/nameplate/intake"
	"github.com/nameplate-id/nameplate/cmd/nameplate/table"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// maxNamed is how many rows that failed are named on standard error.
const maxNamed = 10

// drawEvery is how often the progress bar moves.
const drawEvery = 100 * time.Millisecond

// tally keeps count of what becomes of the rows of an import, writes the results,
// and shows how far it has got. It may be used concurrently.
type tally struct {
	command *cobra.Command
	flags   *importFlags
	file    string
	begun   time.Time
	reading *countingReader
	bar     *progressbar.ProgressBar // nil when nobody looks

	mu       sync.Mutex
	drawn    time.Time // when the bar was
	counts   [intake.Failed + 1]int
	warnings int
	warning  string // the first
	results  *results
	reached  registry.Receipt // of the end of the log, when the import waited for a level
}

func newTally(c *cobra.Command, f *importFlags, file string, size int64, reading *countingReader) (*tally, error) {
	t := &tally{command: c, flags: f, file: file, begun: time.Now(), reading: reading}
	var err error
	if t.results, err = createResults(f.results); err != nil {
		return nil, err
	}
	if w := c.ErrOrStderr(); isTerminal(w) {
		t.bar = progressbar.NewOptions64(size,
			progressbar.OptionSetWriter(w), progressbar.OptionShowBytes(true), progressbar.OptionSetWidth(30),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true), progressbar.OptionSetDescription("reading"))
	}
	return t, nil
}

// settled counts the outcome of a registration.
func (t *tally) settled(o intake.Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, reason := o.Registration, o.Reason
	if o.Result != intake.Failed {
		if doubt := identifier.GS1Warning(r.ID); doubt != "" {
			reason = "warning: " + doubt
			if t.warnings++; t.warnings == 1 {
				t.warning = fmt.Sprintf("line %d: %s", r.Line, doubt)
			}
		}
	}
	t.count(o.Result, r.Row, r.Line, r.ID.String(), reason)
}

// unreadable counts a row that did not become a registration.
func (t *tally) unreadable(e *table.RowError) {
	t.mu.Lock()
	defer t.mu.Unlock()
	reason := e.Reason
	if e.LastLine > e.Line {
		reason = fmt.Sprintf("up to line %d: %s", e.LastLine, reason)
	}
	t.count(intake.Failed, e.Row, e.Line, "", reason)
}

func (t *tally) count(result intake.Result, row, line int, id, reason string) {
	t.counts[result]++
	name := result.String()
	if t.flags.dryRun && result == intake.Registered {
		name = "valid"
	}
	t.results.write(row, line, id, name, reason)
	if result == intake.Failed && t.counts[result] <= maxNamed {
		t.clear()
		fmt.Fprintf(t.command.ErrOrStderr(), "%s, line %d: %s\n", t.file, line, reason)
	}
	if t.bar != nil && time.Since(t.drawn) >= drawEvery {
		t.drawn = time.Now()
		t.bar.Describe(fmt.Sprintf("%s rows, %s failed", thousands(t.settledRows()), thousands(t.counts[intake.Failed])))
		_ = t.bar.Set64(t.reading.n.Load()) // a bar that cannot be drawn is no reason to stop
	}
}

// clear takes the bar off the screen for a line of text.
func (t *tally) clear() {
	if t.bar != nil {
		_ = t.bar.Clear()
	}
}

func (t *tally) settledRows() int {
	n := 0
	for _, count := range t.counts {
		n += count
	}
	return n
}

// summary is the result of an import as --json shows it.
type summary struct {
	Rows       int     `json:"rows"`
	Registered int     `json:"registered"`
	Unchanged  int     `json:"unchanged"`
	Replaced   int     `json:"replaced"`
	Failed     int     `json:"failed"`
	Warnings   int     `json:"warnings"`
	Complete   bool    `json:"complete"` // every row of the file has been settled
	DryRun     bool    `json:"dryRun,omitempty"`
	Level      string  `json:"level,omitempty"` // that all of it has reached
	Seconds    float64 `json:"seconds"`
}

// end writes the summary and returns the error of the whole: err, which ended the
// import, or that rows failed.
func (t *tally) end(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	s := summary{
		Rows: t.settledRows(), Registered: t.counts[intake.Registered], Unchanged: t.counts[intake.Unchanged],
		Replaced: t.counts[intake.Replaced], Failed: t.counts[intake.Failed], Warnings: t.warnings,
		Complete: err == nil, DryRun: t.flags.dryRun, Seconds: time.Since(t.begun).Seconds(),
	}
	if t.reached.Level > 0 {
		s.Level = t.reached.Level.String()
	}
	stderr := t.command.ErrOrStderr()
	if more := s.Failed - maxNamed; more > 0 {
		where := "say --results FILE to see them all"
		if t.flags.results != "" {
			where = "see " + t.flags.results
		}
		fmt.Fprintf(stderr, "%s: %s more rows failed: %s\n", t.file, thousands(more), where)
	}
	if s.Warnings > 0 {
		fmt.Fprintf(stderr, "%s: warning: %s rows have doubtful identifiers, first %s\n", t.file, thousands(s.Warnings), t.warning)
	}
	if writeErr := t.print(s); err == nil {
		err = writeErr
	}
	if err == nil && s.Failed > 0 {
		err = fmt.Errorf("%s of %s rows failed: mend them and run the same command again", thousands(s.Failed), thousands(s.Rows))
	}
	return err
}

func (t *tally) print(s summary) error {
	w := t.command.OutOrStdout()
	if t.flags.asJSON {
		return writeJSON(w, s)
	}
	var err error
	if s.DryRun {
		_, err = fmt.Fprintf(w, "%s rows: %s valid, %s failed; nothing was sent\n",
			thousands(s.Rows), thousands(s.Registered), thousands(s.Failed))
	} else {
		_, err = fmt.Fprintf(w, "%s rows in %.1f s: %s registered, %s unchanged, %s replaced, %s failed\n",
			thousands(s.Rows), s.Seconds, thousands(s.Registered), thousands(s.Unchanged), thousands(s.Replaced), thousands(s.Failed))
	}
	return err
}

// close closes the results.
func (t *tally) close() error {
	if err := t.results.close(); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	return nil
}

// results writes a CSV line for every row, in the order in which they are settled.
// One without a file writes nothing.
type results struct {
	file   *os.File
	buffer *bufio.Writer
	csv    *csv.Writer
}

func createResults(file string) (*results, error) {
	if file == "" {
		return &results{}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	r := &results{file: f, buffer: bufio.NewWriterSize(f, 64<<10)}
	r.csv = csv.NewWriter(r.buffer)
	return r, r.csv.Write([]string{"row", "line", "identifier", "result", "reason"})
}

// write writes a line; close tells whether that worked.
func (r *results) write(row, line int, id, result, reason string) {
	if r.file != nil {
		_ = r.csv.Write([]string{strconv.Itoa(row), strconv.Itoa(line), id, result, reason})
	}
}

func (r *results) close() error {
	if r.file == nil {
		return nil
	}
	r.csv.Flush()
	return errors.Join(r.csv.Error(), r.buffer.Flush(), r.file.Close())
}

// countingReader counts what is read. The count may be read concurrently.
type countingReader struct {
	r io.Reader
	n atomic.Int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// thousands writes a number with commas.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
