package resolvertest

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// Ways are two ways in which a server answers octets: in full whatever comes, and plainly,
// which gives nil for what it leaves to the full way.
type Ways struct {
	Full, Plain func(message []byte) []byte
}

// Same checks that a plain answer is that of the full way, and reports whether there is
// one.
func (w Ways) Same(t testing.TB, message []byte) bool {
	t.Helper()
	kept := slices.Clone(message)
	got := w.Plain(message)
	if !bytes.Equal(message, kept) {
		t.Fatalf("%x: the message was changed", kept)
	}
	if got == nil {
		return false
	}
	if want := w.Full(message); !bytes.Equal(got, want) {
		t.Fatalf("%x:\ngot  %x\nwant %x", message, got, want)
	}
	return true
}

// Messages are what both ways are asked.
type Messages struct {
	// Many is how many there are, drawn in so many Worlds.
	Many, Worlds int
	// World makes something to ask, and what draws a message about it.
	World func(*rand.Rand) (Ways, func() []byte)
	// Mutate breaks a message, or makes another of it.
	Mutate func(*rand.Rand, []byte) []byte
}

// Agree checks that both ways give the same answers to generated messages, half of them
// mutated, and that enough of them are answered plainly for that to mean something.
func (m Messages) Agree(t *testing.T) {
	t.Helper()
	plainly, mutated := 0, 0
	for seed := range m.Worlds {
		r := rand.New(rand.NewPCG(uint64(seed), 5))
		ways, draw := m.World(r)
		for i := range m.Many / m.Worlds {
			message := draw()
			if i%2 == 1 {
				message = m.Mutate(r, message)
			}
			if ways.Same(t, message) {
				plainly++
				mutated += i % 2
			}
		}
	}
	t.Logf("%d messages, %d plain, of these %d mutated", m.Many, plainly, mutated)
	if plainly < m.Many/20 || mutated < m.Many/200 {
		t.Errorf("got %d plain answers, %d of them to mutated messages; want more, or nothing is tested", plainly, mutated)
	}
}

// Differ reports whether both ways ever differ.
func (m Messages) Differ() bool {
	for seed := range m.Worlds {
		r := rand.New(rand.NewPCG(uint64(seed), 5))
		ways, draw := m.World(r)
		for i := range m.Many / m.Worlds {
			message := draw()
			if i%2 == 1 {
				message = m.Mutate(r, message)
			}
			if got := ways.Plain(message); got != nil && !bytes.Equal(got, ways.Full(message)) {
				return true
			}
		}
	}
	return false
}
