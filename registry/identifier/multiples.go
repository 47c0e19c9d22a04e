package identifier

import (
	"encoding/binary"

	"filippo.io/edwards25519"
)

// multiples are those multiples of one point of the curve that its product with any scalar
// is a sum of: place j of row i is (j+1)·2^(width·i) times the point. So a product takes an
// addition for each row and no doubling. They are only read once they are made.
type multiples struct {
	width int // bits of a digit, 2 to 16
	rows  [][]addend
}

// scalarBits is one bit more than a scalar has: a number below the order of the group,
// which is less than 2^253. So the last digit leaves nothing to be carried.
const scalarBits = 254

// newMultiples needs 2^(width-1) additions, and 120 octets, for each row.
func newMultiples(of *edwards25519.Point, width int) *multiples {
	m := &multiples{width: width, rows: make([][]addend, (scalarBits+width-1)/width)}
	first := new(edwards25519.Point).Set(of)
	row := make([]edwards25519.Point, 1<<(width-1))
	for i := range m.rows {
		row[0].Set(first)
		for j := 1; j < len(row); j++ {
			row[j].Add(&row[j-1], first)
		}
		m.rows[i] = addends(row)
		last := &row[len(row)-1]
		first.Add(last, last)
	}
	return m
}

// addProduct adds the product of the point and a scalar, the least octet first, to a sum. How
// long it takes tells of the scalar, so this is nothing for secrets.
func (m *multiples) addProduct(to *pointSum, scalar *[32]byte) {
	half, carry := 1<<(m.width-1), 0
	for i := range m.rows {
		// From -half+1 to half, so that half as many multiples do.
		digit := bitsAt(scalar, i*m.width, m.width) + carry
		carry = 0
		if digit > half {
			digit -= 2 * half
			carry = 1
		}
		switch {
		case digit > 0:
			to.add(&m.rows[i][digit-1])
		case digit < 0:
			to.subtract(&m.rows[i][-digit-1])
		}
	}
}

// bitsAt returns bits [at, at+width) of a number; there are zeros behind the last.
func bitsAt(number *[32]byte, at, width int) int {
	var octets [4]byte
	copy(octets[:], number[at/8:])
	return int(binary.LittleEndian.Uint32(octets[:])>>(at%8)) & (1<<width - 1)
}
