package identifier_test

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// A vector is a line of a file in testdata/vectors/identifier. The name of the
// file has the verdict.
type vector struct {
	place string   // file and line
	file  string   // without extension
	ok    bool     // the verdict
	cells []string // parted by tabs; quoted ones unquoted
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	names, err := filepath.Glob("../../testdata/vectors/identifier/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	var vectors []vector
	for _, name := range names {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(file)
		base := strings.TrimSuffix(filepath.Base(name), ".txt")
		for n := 1; lines.Scan(); n++ {
			if strings.HasPrefix(lines.Text(), "#") {
				continue
			}
			v := vector{place: filepath.Base(name) + ":" + strconv.Itoa(n), file: base, ok: strings.HasPrefix(base, "ok-")}
			for cell := range strings.SplitSeq(lines.Text(), "\t") {
				if strings.HasPrefix(cell, `"`) {
					if cell, err = strconv.Unquote(cell); err != nil {
						t.Fatalf("%s: %v", v.place, err)
					}
				}
				v.cells = append(v.cells, cell)
			}
			if want := 2 + map[bool]int{false: 1}[v.ok]; len(v.cells) != want {
				t.Fatalf("%s: %d cells, want %d", v.place, len(v.cells), want)
			}
			vectors = append(vectors, v)
		}
		if err := errors.Join(lines.Err(), file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return vectors
}

func TestVectors(t *testing.T) {
	for _, v := range readVectors(t) {
		parse := identifier.Parse
		if strings.HasSuffix(v.file, "-canonical") {
			parse = identifier.ParseCanonical
		}
		id, err := parse(v.cells[0])
		if v.ok {
			if err != nil || id.String() != v.cells[1] {
				t.Errorf("%s: %q is %q, %v; want %q", v.place, v.cells[0], id, err, v.cells[1])
			}
			continue
		}
		var e *identifier.SyntaxError
		if !errors.As(err, &e) {
			t.Errorf("%s: %q is %q, %v; want a SyntaxError", v.place, v.cells[0], id, err)
			continue
		}
		if !strings.Contains(e.Rule, v.cells[1]) || strconv.Itoa(e.Offset) != v.cells[2] {
			t.Errorf("%s: %v; want %q at octet %s", v.place, err, v.cells[1], v.cells[2])
		}
		if id != (identifier.ID{}) {
			t.Errorf("%s: error with identifier %q", v.place, id)
		}
	}
}

// Every message is one line and says what to do.
func TestErrorsAreOneLine(t *testing.T) {
	for _, v := range readVectors(t) {
		if v.ok {
			continue
		}
		_, err := identifier.Parse(v.cells[0])
		if err == nil { // only its canonical form is refused
			continue
		}
		e := err.(*identifier.SyntaxError)
		if strings.ContainsAny(err.Error(), "\n\r") || e.Mend == "" || strings.HasSuffix(e.Rule, ".") {
			t.Errorf("%s: %v", v.place, err)
		}
		if e.Input != v.cells[0] && len(v.cells[0]) <= identifier.MaxText {
			t.Errorf("%s: error speaks of %q, want %q", v.place, e.Input, v.cells[0])
		}
		if e.Offset < 0 || e.Offset > len(v.cells[0]) {
			t.Errorf("%s: octet %d is outside the text", v.place, e.Offset)
		}
	}
}
