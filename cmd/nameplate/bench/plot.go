package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// plot is one picture: bars for this node and for what it is compared with, one group
// for each figure. The writer is our own: bars and words are some forty lines, and a
// library for plots would be the largest dependency of the module.
type plot struct {
	file, title string
	unit        string
	better      string // "less is better"
	figures     []figure
}

// figure is a group of bars: all lines with one name.
type figure struct{ bench, title string }

func plots() []plot {
	cpu := func(bench, title string) figure { return figure{bench + ": cpu", title} }
	return []plot{
		{"udp.svg", "Names over UDP: CPU of the server for an answer", "µs", "less is better",
			[]figure{cpu("dns udp uniform", "uniform"), cpu("dns udp zipf", "Zipf 1.1")}},
		{"tcp.svg", "Names over TCP, 8 connections with 100 questions under way", "µs", "less is better",
			[]figure{cpu("dns tcp pipelined", "CPU of the server for an answer")}},
		{"calls.svg", "gRPC and HTTP: CPU of the server for an answer", "µs", "less is better",
			[]figure{cpu("grpc unary, 256 in flight", "gRPC unary, 256 in flight"), cpu("http redirect 256 connections", "HTTP redirect, 256 connections")}},
		{"writing.svg", "Durable registrations of single identifiers, 64 at a time", "rows/s", "more is better",
			[]figure{{"register: " + verifiedWriters, "in process, signatures verified before"}, {"register over grpc: " + manyWriters, "over gRPC"}}},
	}
}

// Names of some ways to register, for what is compared with them and for the plots.
const (
	verifiedWriters = "64 writers, signatures verified before"
	manyWriters     = "64 writers"
)

// Plot draws the figures that a run has printed into SVG files of a folder. A plot
// whose figures were not measured is left as it is.
func Plot(figures io.Reader, folder string) error {
	var lines []Line
	s := bufio.NewScanner(figures)
	for s.Scan() {
		var l Line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			return fmt.Errorf("line %d of the figures: %w", len(lines)+1, err)
		}
		lines = append(lines, l)
	}
	if err := s.Err(); err != nil {
		return err
	}
	for _, p := range plots() {
		text := p.draw(lines)
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(folder, p.file), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// bar is one value.
type bar struct {
	name  string
	value float64
	ours  bool
}

// bars returns those of one figure: this node first, then the peers in their order.
func (f figure) bars(lines []Line) []bar {
	var all []bar
	for _, l := range lines {
		if l.Bench != f.bench {
			continue
		}
		if len(all) == 0 {
			all = append(all, bar{"nameplate", l.Value, true})
		}
		if l.PeerValue != nil && !strings.HasPrefix(l.Peer, "best of") && !strings.HasPrefix(l.Peer, "disk:") {
			all = append(all, bar{l.Peer, *l.PeerValue, false})
		}
	}
	return all
}

// Measures of a plot, in pixels.
const (
	plotWidth = 720
	nameWidth = 110
	textWidth = 110 // right of a bar
	barHeight = 18
	rowHeight = 24
)

// draw returns the SVG; "" where nothing was measured.
func (p plot) draw(lines []Line) string {
	var groups [][]bar
	most, rows := 0.0, 0
	for _, f := range p.figures {
		g := f.bars(lines)
		groups = append(groups, g)
		rows += len(g)
		for _, b := range g {
			most = max(most, b.value)
		}
	}
	if rows == 0 || most == 0 {
		return ""
	}
	var b strings.Builder
	height := 44 + len(groups)*34 + rows*rowHeight
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", plotWidth, height, plotWidth, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	fmt.Fprintf(&b, `<text x="12" y="24" font-size="15" font-weight="bold" fill="#222">%s</text>`+"\n", html.EscapeString(p.title))
	fmt.Fprintf(&b, `<text x="%d" y="24" text-anchor="end" fill="#666">%s, %s</text>`+"\n", plotWidth-12, p.unit, p.better)
	y := 40
	for i, g := range groups {
		if len(g) == 0 {
			continue
		}
		fmt.Fprintf(&b, `<text x="12" y="%d" fill="#444">%s</text>`+"\n", y+18, html.EscapeString(p.figures[i].title))
		y += 28
		for _, x := range g {
			color := "#9aa7b4"
			if x.ours {
				color = "#1f6feb"
			}
			width := x.value / most * (plotWidth - nameWidth - textWidth)
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end" fill="#222">%s</text>`, nameWidth-8, y+14, html.EscapeString(x.name))
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, nameWidth, y, max(width, 1), barHeight, color)
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" fill="#222">%v</text>`+"\n", nameWidth+width+6, y+14, x.value)
			y += rowHeight
		}
		y += 6
	}
	b.WriteString("</svg>\n")
	return b.String()
}
