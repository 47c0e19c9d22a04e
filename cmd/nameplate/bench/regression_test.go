package bench_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/cmd/nameplate/bench"
)

// A figure fails where it is above what its baseline allows, or no number; one that was
// not measured is named.
func TestCompare(t *testing.T) {
	baseline := []bench.Guarded{
		{Bench: "dns udp: allocations", Value: 0.1, Unit: "allocations/answer", Most: 0.6},
		{Bench: "dns udp: system calls", Value: 60, Unit: "system calls/1,000 answers", Most: 110},
		{Bench: "disk: state", Value: 240, Unit: "bytes/identifier", Most: 264},
	}
	for _, c := range []struct {
		name           string
		now            []float64
		worse, missing []string
	}{
		{"the same", []float64{0.1, 60, 240}, nil, nil},
		{"at the limit", []float64{0.6, 110, 264}, nil, nil},
		{"better", []float64{0, 20, 100}, nil, nil},
		{"one allocation more", []float64{1.1, 60, 240}, []string{"dns udp: allocations"}, nil},
		{"a call for each datagram", []float64{0.1, 2000, 240}, []string{"dns udp: system calls"}, nil},
		{"everything", []float64{3, 2000, 500}, []string{"dns udp: allocations", "dns udp: system calls", "disk: state"}, nil},
		{"no number", []float64{math.NaN(), 60, 240}, []string{"dns udp: allocations"}, nil},
		{"without strace", []float64{0.1}, nil, []string{"dns udp: system calls", "disk: state"}},
	} {
		var now []bench.Guarded
		for i, v := range c.now {
			g := baseline[i]
			g.Value = v
			now = append(now, g)
		}
		regressions, missing := bench.Compare(now, baseline)
		var worse []string
		for _, r := range regressions {
			worse = append(worse, r.Now.Bench)
			if !strings.Contains(r.String(), r.Now.Bench) || !strings.Contains(r.String(), r.Now.Unit) {
				t.Errorf("%s: %q does not say what is worse", c.name, r)
			}
		}
		if !slices.Equal(worse, c.worse) || !slices.Equal(missing, c.missing) {
			t.Errorf("%s: got worse %v, missing %v; want %v, %v", c.name, worse, missing, c.worse, c.missing)
		}
	}
}
