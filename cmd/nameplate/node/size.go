package node

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of octets. In a file it is a number with the unit KiB, MiB or GiB
// behind it, such as 64MiB, or without one for octets.
type Size int64

// sizeUnits are the units of a Size, the largest first.
var sizeUnits = []struct {
	name   string
	octets int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// ParseSize reads a size as a file has it.
func ParseSize(text string) (Size, error) {
	number, unit := text, int64(1)
	for _, u := range sizeUnits {
		if before, found := strings.CutSuffix(text, u.name); found {
			number, unit = strings.TrimSuffix(before, " "), u.octets
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is not a size such as 64MiB", text)
	}
	return Size(int64(n) * unit), nil
}

// String returns the size in the largest unit that it is a whole number of.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if int64(s) >= u.octets && int64(s)%u.octets == 0 {
			return strconv.FormatInt(int64(s)/u.octets, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText implements [encoding.TextMarshaler].
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Size) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSize(string(text))
	return err
}
