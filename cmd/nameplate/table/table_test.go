package table_test

import (
	stdcsv "encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/cmd/nameplate/table"
)

// read returns the rows of a text as "line number: fields" and the errors as they
// are, in order.
func read(t *testing.T, text string, o table.Options) ([]string, error) {
	t.Helper()
	r, err := table.NewReader(strings.NewReader(text), o)
	if err != nil {
		return nil, err
	}
	got := []string{"columns " + strings.Join(r.Columns(), "|")}
	for {
		row, err := r.Next()
		var bad *table.RowError
		switch {
		case err == io.EOF:
			return got, nil
		case errors.As(err, &bad):
			reason, _, _ := strings.Cut(bad.Reason, ":")
			got = append(got, fmt.Sprintf("bad row %d, lines %d-%d, several %v: %s", bad.Row, bad.Line, bad.LastLine, bad.Several, reason))
		case err != nil:
			return got, err
		default:
			got = append(got, fmt.Sprintf("%d@%d %s", row.Number, row.Line, strings.Join(row.Fields, "|")))
		}
	}
}

func TestCSV(t *testing.T) {
	const (
		bare   = "a quote stands inside a field that does not begin with one"
		behind = "a quote closes a field and something else than the delimiter follows"
		open   = "a quote opens a field and none closes it before the file ends"
	)
	tests := []struct {
		name, text string
		delimiter  byte
		want       []string
	}{
		{"plain", "a,b\n1,2\n3,4\n", 0, []string{"columns a|b", "1@2 1|2", "2@3 3|4"}},
		{"no line break at the end", "a,b\n1,2", 0, []string{"columns a|b", "1@2 1|2"}},
		{"CRLF", "a,b\r\n1,2\r\n", 0, []string{"columns a|b", "1@2 1|2"}},
		{"byte-order mark", "\xEF\xBB\xBFa,b\n1,2\n", 0, []string{"columns a|b", "1@2 1|2"}},
		{"byte-order mark before a quote", "\xEF\xBB\xBF\"a\",b\n1,2\n", 0, []string{"columns a|b", "1@2 1|2"}},
		{"blank lines", "\na,b\n\n1,2\n\r\n3,4\n\n", 0, []string{"columns a|b", "1@4 1|2", "2@6 3|4"}},
		{"semicolon", "a;b\n1,5;2\n", ';', []string{"columns a|b", "1@2 1,5|2"}},
		{"tab", "a\tb\n1\t\n", '\t', []string{"columns a|b", "1@2 1|"}},
		{"quotes", "a,b\n\"x, y\",\"say \"\"hi\"\"\"\n", 0, []string{"columns a|b", `1@2 x, y|say "hi"`}},
		{"quoted line break", "a,b\n\"x\r\n\ny\",2\n3,4\n", 0, []string{"columns a|b", "1@2 x\n\ny|2", "2@5 3|4"}},
		{"empty fields", "a,b,c\n,,\n\"\",,x\n", 0, []string{"columns a|b|c", "1@2 ||", "2@3 ||x"}},
		{"names are trimmed", " a , b\n1,2\n", 0, []string{"columns a|b", "1@2 1|2"}},
		{"too few, too many", "a,b\n1\n1,2,3\n1,2\n", 0, []string{
			"columns a|b",
			"bad row 1, lines 2-2, several false: the row has 1 fields and there are 2 columns",
			"bad row 2, lines 3-3, several false: the row has 3 fields and there are 2 columns",
			"3@4 1|2"}},
		{"not UTF-8", "a,b\n1,\xE4\n3,4\n", 0, []string{
			"columns a|b", "bad row 1, lines 2-2, several false: the row is not UTF-8", "2@3 3|4"}},
		{"quote inside", "a,b\n1,12\" nail\n3,4\n", 0, []string{
			"columns a|b", "bad row 1, lines 2-2, several false: in column 2 " + bare, "2@3 3|4"}},
		{"quote inside quotes", "a,b\n1,\"12\" nail\"\n3,4\n", 0, []string{
			"columns a|b", "bad row 1, lines 2-2, several false: in column 2 " + behind, "2@3 3|4"}},
		{"opened and closed by a later row", "a,b\n1,\"x\n3,4\n5,\"y\"\n7,8\n", 0, []string{
			"columns a|b", "bad row 1, lines 2-2, several false: in column 2 " + behind, "2@3 3|4", "3@4 5|y", "4@5 7|8"}},
		{"opened and never closed", "a,b\n1,\"x\n3,4\n5,6\n", 0, []string{
			"columns a|b", "bad row 1, lines 2-2, several false: in column 2 " + open, "2@3 3|4", "3@4 5|6"}},
		{"text that is no row", "a,b\n1,\"x\nthis is text\n5,\"y\"\n7,8\n", 0, []string{
			"columns a|b", "bad row 1, lines 2-4, several true: in column 2 " + behind, "2@5 7|8"}},
		{"cut off in a quoted field", "a,b\n1,2\n3,\"text\nmore text", 0, []string{
			"columns a|b", "1@2 1|2", "bad row 2, lines 3-4, several true: in column 2 " + open}},
		{"one column is never guessed", "a\n\"x\ny\n", 0, []string{
			"columns a", "bad row 1, lines 2-3, several true: in column 1 " + open}},
		{"closed by a row behind, wrong count", "a,b\n1,\"x\n3,4\n\"\n5,6\n", 0, []string{
			"columns a|b", "1@2 1|x\n3,4\n", "2@5 5|6"}},
		{"the trial goes beyond the mistake", "a,b\n1,\"x\n3,\"y\nz\"\n5,6\n", 0, []string{
			"columns a|b", "bad row 1, lines 2-2, several false: in column 2 " + behind, "2@3 3|y\nz", "3@5 5|6"}},
		{"two mistakes in a trial", "a,b\n1,\"x\n2,3\n4,\"y\n5,\"z\"\n6,7\n", 0, []string{
			"columns a|b", "bad row 1, lines 2-4, several true: in column 2 " + behind, "2@5 5|z", "3@6 6|7"}},
	}
	for _, test := range tests {
		got, err := read(t, test.text, table.Options{Format: table.CSV, Delimiter: test.delimiter})
		if err != nil {
			t.Errorf("%s: got error %v", test.name, err)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", test.name, got, test.want)
		}
	}
}

func TestNDJSON(t *testing.T) {
	text := "\xEF\xBB\xBF" + `{"a":"x\ny","b":1.50,"c":true}

{"b":null,"a":"é"}
{"a":1
{"a":1} {"a":2}
{"a":1,"a":2}
[1]
{"a":{"deep":1},"z":"late"}
` + `{"a":"` + "\xFF" + `"}` + "\n" + `{"a":"end"}`
	want := []string{
		"columns a|b|c|z",
		"1@1 x\ny|1.50|true|",
		"2@3 é|||",
		"bad row 3, lines 4-4, several false: the JSON object does not end on its line",
		"bad row 4, lines 5-5, several false: something follows the JSON object",
		"bad row 5, lines 6-6, several false: member \"a\" occurs twice",
		"bad row 6, lines 7-7, several false: the row is not a JSON object",
		"7@8 \xFFnested|||late",
		"bad row 8, lines 9-9, several false: the row is not UTF-8",
		"9@10 end|||",
	}
	got, err := read(t, text, table.Options{Format: table.NDJSON})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("\ngot  %q\nwant %q", got, want)
	}
}

func TestFilesThatAreNoTables(t *testing.T) {
	tests := []struct {
		name, text string
		format     table.Format
		want       string
	}{
		{"empty", "", table.CSV, "the file is empty"},
		{"blank", "\n\n", table.CSV, "the file is empty"},
		{"UTF-16", "\xFF\xFEa\x00", table.CSV, "save it as UTF-8"},
		{"gzip", "\x1F\x8B\x08", table.CSV, "unpack it"},
		{"spreadsheet", "PK\x03\x04", table.CSV, "save it as CSV"},
		{"column twice", "a,b,a\n", table.CSV, `"a" stands for columns 1 and 3`},
		{"broken names", "a,\"b\n1,2\n", table.CSV, "the names of the columns, line 1: in column 2 a quote opens"},
		{"too many columns", strings.Repeat("x,", table.MaxColumns), table.CSV, "at most 1024"},
		{"no JSON", "gtin,name\n1,2\n", table.NDJSON, "no JSON object"},
	}
	for _, test := range tests {
		_, err := read(t, test.text, table.Options{Format: test.format})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one with %q", test.name, err, test.want)
		}
	}
	if _, err := table.NewReader(strings.NewReader("a"), table.Options{Format: table.CSV, Delimiter: '"'}); err == nil {
		t.Error("a quote as delimiter: got no error")
	}
}

// A line or a field of any size costs bounded memory and one row.
func TestOversize(t *testing.T) {
	long := strings.Repeat("x", table.MaxRow+10)
	field := strings.Repeat("y", table.MaxField+1)
	lines := strings.Repeat("line of text\n", table.MaxRow/10)
	text := "a,b\n1,2\n3," + long + "\n5,6\n7," + field + "\n8,9\n10,\"" + lines + "\"\n11,12\n"
	got, err := read(t, text, table.Options{Format: table.CSV})
	if err != nil {
		t.Fatal(err)
	}
	if got[1] != "1@2 1|2" || got[3] != "3@4 5|6" || got[5] != "5@6 8|9" || got[len(got)-1] != fmt.Sprintf("%d@%d 11|12", len(got)-1, 8+table.MaxRow/10) {
		t.Errorf("got %d rows, %.40q … %.40q", len(got), got[:6], got[len(got)-1])
	}
	for _, at := range []int{2, 4, 6} {
		if !strings.HasPrefix(got[at], "bad row ") {
			t.Errorf("got %.60q, want a bad row", got[at])
		}
	}

	got, err = read(t, "{\"a\":1}\n{\"a\":\""+long+"\"}\n{\"a\":\""+field+"\"}\n{\"a\":2}\n", table.Options{Format: table.NDJSON})
	if err != nil {
		t.Fatal(err)
	}
	if got[1] != "1@1 1" || !strings.HasPrefix(got[2], "bad row 2") || !strings.HasPrefix(got[3], "bad row 3") || got[4] != "4@4 2" {
		t.Errorf("got %.60q", got)
	}
}

// One bad row in a hundred thousand costs that row.
func TestOneBadRowInMany(t *testing.T) {
	const rows, bad = 100_000, 61_234
	var b strings.Builder
	b.WriteString("serial,name\n")
	for i := 1; i <= rows; i++ {
		if i == bad {
			fmt.Fprintf(&b, "%d,\"twelve inch 12\" nail\n", i)
			continue
		}
		fmt.Fprintf(&b, "%d,\"name\n of %d\"\n", i, i)
	}
	r, err := table.NewReader(strings.NewReader(b.String()), table.Options{Format: table.CSV})
	if err != nil {
		t.Fatal(err)
	}
	good, lost := 0, 0
	for {
		row, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			lost++
			continue
		}
		good++
		if row.Fields[0] != fmt.Sprint(row.Number) {
			t.Fatalf("row %d: got serial %s", row.Number, row.Fields[0])
		}
	}
	if good != rows-1 || lost != 1 {
		t.Errorf("got %d rows and %d errors, want %d and 1", good, lost, rows-1)
	}
}

func TestReadErrorEndsReading(t *testing.T) {
	broken := errors.New("the cable is out")
	for _, begin := range []string{"a,b\n1,2\n", "a,b\n1,2\n3,\"x\n4,5\n"} {
		r, err := table.NewReader(io.MultiReader(strings.NewReader(begin), iotest.ErrReader(broken)), table.Options{Format: table.CSV})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Next(); err != nil {
			t.Errorf("got error %v for the first row", err)
		}
		for range 2 {
			if _, err := r.Next(); !errors.Is(err, broken) {
				t.Errorf("got error %v, want %v", err, broken)
			}
		}
	}
}

// What the standard library writes and reads, we read alike.
func TestAsTheStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(2, 4).Draw(t, "columns")
		field := rapid.StringOf(rapid.SampledFrom([]rune("ab \",;\n'é漢")))
		want := rapid.SliceOf(rapid.SliceOfN(field, columns, columns)).Draw(t, "rows")
		var b strings.Builder
		w := stdcsv.NewWriter(&b)
		w.UseCRLF = rapid.Bool().Draw(t, "crlf")
		if err := w.Write(strings.Split("a,b,c,d", ",")[:columns]); err != nil {
			t.Fatal(err)
		}
		if err := w.WriteAll(want); err != nil {
			t.Fatal(err)
		}
		r, err := table.NewReader(iotest.OneByteReader(strings.NewReader(b.String())), table.Options{Format: table.CSV})
		if err != nil {
			t.Fatal(err)
		}
		for _, fields := range want {
			row, err := r.Next()
			if err != nil || !slices.Equal(row.Fields, fields) {
				t.Fatalf("got %q, %v, want %q", row.Fields, err, fields)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Fatalf("got %v, want the end", err)
		}
	})
}

// Real exports, compared row by row with the standard library.
func TestRealFiles(t *testing.T) {
	for name, count := range map[string]int{"products.csv": 6000, "equipment.csv": 4100} {
		text, err := os.ReadFile("../../../testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := stdcsv.NewReader(strings.NewReader(string(text))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		r, err := table.NewReader(strings.NewReader(string(text)), table.Options{Format: table.CSV})
		if err != nil {
			t.Fatal(err)
		}
		for i, fields := range want[1:] {
			row, err := r.Next()
			if err != nil || !slices.Equal(row.Fields, fields) {
				t.Fatalf("%s, row %d: got %q, %v, want %q", name, i+1, row.Fields, err, fields)
			}
		}
		if len(want)-1 != count {
			t.Errorf("%s: got %d rows, want %d", name, len(want)-1, count)
		}
	}
}

// Whatever a file holds, reading ends, and every line of it is accounted for once.
func FuzzRead(f *testing.F) {
	f.Add("a,b\n1,\"x\n2,3\n4,\"y\n5,\"z\"\n6,7\n", true)
	f.Add("a,b\n1,\"x\ntext\n4,\"y\"\n", true)
	f.Add("{\"a\":1}\n{\"a\":\n", false)
	f.Fuzz(func(t *testing.T, text string, isCSV bool) {
		format := table.NDJSON
		if isCSV {
			format = table.CSV
		}
		r, err := table.NewReader(strings.NewReader(text), table.Options{Format: format})
		if err != nil {
			return
		}
		last := 0
		for n := 1; ; n++ {
			row, err := r.Next()
			if err == io.EOF {
				return
			}
			line, number := row.Line, row.Number
			if bad, ok := err.(*table.RowError); ok {
				line, number = bad.Line, bad.Row
				if bad.LastLine < bad.Line {
					t.Fatalf("lines %d to %d", bad.Line, bad.LastLine)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if line <= last || number != n {
				t.Fatalf("row %d begins in line %d behind line %d", number, line, last)
			}
			last = line
			if n > len(text)+1 {
				t.Fatal("reading does not end")
			}
		}
	})
}
