package bench

import (
	"context"
	"fmt"
	"slices"
)

// Check measures what does not depend on the speed of the machine, prints it, and
// compares it with the baseline in a file; update writes that file instead. The error
// names every figure that is worse. System calls are counted with strace; where that is
// not installed or may not trace, their figures are left out, and said so.
func Check(ctx context.Context, o Options, file string, update bool) error {
	return check(ctx, o, file, update)
}

// Guarded is a figure that does not depend on how fast a machine is, as a baseline
// keeps it.
type Guarded struct {
	Bench string  `json:"bench"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Most is what it may be before the check fails. It is set by hand or by the
	// margin of its unit when the baseline is written.
	Most float64 `json:"most"`
}

// Units of guarded figures, and the margins: a share of the value, and something for
// values near nothing.
const (
	unitAllocations = "allocations/answer"
	unitBytes       = "bytes/identifier"
	unitCalls       = "system calls/1,000 answers"
)

func margin(unit string, value float64) float64 {
	switch unit {
	case unitAllocations: // what runs beside the answers allocates too
		return value*1.2 + 0.5
	case unitBytes: // depends on how commits fall
		return value * 1.1
	}
	return value*1.5 + 20 // how full a batch is depends on when the questions come
}

// Regression is a figure that is worse than its baseline allows.
type Regression struct{ Now, Baseline Guarded }

func (r Regression) String() string {
	return fmt.Sprintf("%s: %v %s, at most %v are allowed (%v when the baseline was written)", r.Now.Bench, r.Now.Value, r.Now.Unit, r.Baseline.Most, r.Baseline.Value)
}

// Compare returns the figures that are worse than a baseline allows, and those of the
// baseline that were not measured.
func Compare(now, baseline []Guarded) (worse []Regression, missing []string) {
	for _, b := range baseline {
		i := slices.IndexFunc(now, func(g Guarded) bool { return g.Bench == b.Bench })
		switch {
		case i < 0:
			missing = append(missing, b.Bench)
		case !(now[i].Value <= b.Most): // also where it is no number
			worse = append(worse, Regression{now[i], b})
		}
	}
	return worse, missing
}
