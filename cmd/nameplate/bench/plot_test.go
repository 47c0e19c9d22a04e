package bench_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/cmd/nameplate/bench"
)

// A plot has a bar for the node and for each peer that was measured, the longest one
// for the largest value, and is well-formed.
func TestPlot(t *testing.T) {
	t.Parallel()
	const figures = `{"bench":"about","peers":{"nsd":"4"}}
{"bench":"dns udp uniform: cpu","value":4.5,"unit":"µs/answer","peer":"nsd","peer_value":9,"ratio":0.5}
{"bench":"dns udp uniform: cpu","value":4.5,"unit":"µs/answer","peer":"<knot>","peer_value":5}
{"bench":"dns udp uniform: cpu","value":4.5,"unit":"µs/answer","peer":"bind","absent":true}
{"bench":"dns udp uniform: cpu","value":4.5,"unit":"µs/answer","peer":"best of nsd, knot","peer_value":5}
`
	folder := t.TempDir()
	if err := bench.Plot(strings.NewReader(figures), folder); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "udp.svg"))
	if err != nil {
		t.Fatal(err)
	}
	bars := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(string(text))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			for _, a := range e.Attr {
				if a.Name.Local == "width" {
					bars[a.Value]++
				}
			}
		}
	}
	// 500 pixels are the 9 µs of nsd: 250 ours, 277.8 those of the third.
	for _, width := range []string{"500.0", "250.0", "277.8"} {
		if bars[width] != 1 {
			t.Errorf("%d bars of width %s, want 1: %v", bars[width], width, bars)
		}
	}
	if len(bars) != 4 { // and the ground
		t.Errorf("got %v", bars)
	}
	if others, _ := filepath.Glob(filepath.Join(folder, "*.svg")); len(others) != 1 {
		t.Errorf("plots of what was not measured: %v", others)
	}
	if err := bench.Plot(strings.NewReader("no figures"), folder); err == nil {
		t.Error("no error for what are no figures")
	}
}
