package bench

import (
	"encoding/json"
	"io"
	"math"
	"slices"
)

// Line is one figure as it is printed, one JSON object on one line.
type Line struct {
	// Bench names what was measured, from the general to the particular.
	Bench string `json:"bench"`
	// Value is the median of the rounds. Min and Max are those of the same rounds.
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Peer is what Value is compared with; empty for nothing. PeerValue is its
	// median; null when it is not installed.
	Peer      string   `json:"peer,omitempty"`
	PeerValue *float64 `json:"peer_value,omitempty"`
	// Ratio is the median over the rounds of value ÷ peer value.
	Ratio *float64 `json:"ratio,omitempty"`
	// Absent says that the peer is not installed.
	Absent bool    `json:"absent,omitempty"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Rounds int     `json:"rounds"`
	// Discarded is how many runs were repeated because answers were missing.
	Discarded int `json:"discarded,omitempty"`
	// Others is how many processors the rest of the machine used meanwhile (median).
	Others float64 `json:"others_cpu,omitempty"`
	// Note says what the value does not say by itself.
	Note string `json:"note,omitempty"`
}

// About is the first line: what was measured with what on what.
type About struct {
	Bench       string            `json:"bench"` // "about"
	Version     string            `json:"version"`
	Go          string            `json:"go"`
	Kernel      string            `json:"kernel"`
	Processor   string            `json:"processor"`
	Processors  int               `json:"processors"`
	FileSystem  string            `json:"file_system"`
	Peers       map[string]string `json:"peers"` // their versions, or "absent"
	Identifiers int               `json:"identifiers"`
	Rounds      int               `json:"rounds"`
	Round       string            `json:"round"`
}

// series are the values of one figure, one for each round.
type series []float64

func (s series) median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// over returns the ratios to another series, round by round.
func (s series) over(other series) series {
	var ratios series
	for i := range min(len(s), len(other)) {
		if other[i] != 0 {
			ratios = append(ratios, s[i]/other[i])
		}
	}
	return ratios
}

// least returns the smaller of two series, round by round; one that has no rounds is
// none.
func (s series) least(other series) series {
	if len(s) == 0 {
		return other
	}
	var smaller series
	for i := range min(len(s), len(other)) {
		smaller = append(smaller, min(s[i], other[i]))
	}
	return smaller
}

// line begins a line with what a series says.
func (s series) line(bench, unit string) Line {
	l := Line{Bench: bench, Unit: unit, Rounds: len(s), Value: round(s.median())}
	if len(s) > 0 {
		l.Min, l.Max = round(slices.Min(s)), round(slices.Max(s))
	}
	return l
}

// against compares with a peer.
func (s series) against(l Line, peer string, of series) Line {
	l.Peer = peer
	if len(of) == 0 {
		l.Absent = true
		return l
	}
	value := round(of.median())
	l.PeerValue = &value
	if ratios := s.over(of); len(ratios) > 0 {
		ratio := round(ratios.median())
		l.Ratio = &ratio
	}
	return l
}

// round keeps four significant digits: no figure here has more.
func round(v float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-3)
	if unit >= 1 {
		return math.Round(v/unit) * unit
	}
	places := math.Round(1 / unit)
	return math.Round(v*places) / places
}

// printer writes lines.
type printer struct{ w io.Writer }

func (p printer) print(v any) error {
	e := json.NewEncoder(p.w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
