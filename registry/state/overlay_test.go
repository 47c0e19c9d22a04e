package state_test

import (
	"testing"

	"github.com/nameplate-id/nameplate/registry/state"
)

// A value that another one replaces counts on, since it may lie in one piece of memory with
// others; but not where the new one is the old one with something behind it.
func TestOverlayCountsWhatIsReplaced(t *testing.T) {
	const size = 1000
	room := make([]byte, 3*size)
	tile := func(value []byte) state.Mutation {
		return state.Mutation{Table: state.Tiles, Key: state.AppendTileKey(nil, 0, 0), Value: value}
	}
	for _, c := range []struct {
		name     string
		old, new []byte
		want     int64 // more than before
	}{
		{"another value", room[:size], make([]byte, size), size},
		{"appended to in place", room[:size], room[:size+36], 36},
		{"the same again", room[:size], room[:size], 0},
		{"appended to, elsewhere", room[:size], make([]byte, size+36), size + 36},
		{"its own end", room[:size], room[size/2 : size], size / 2},
		{"its own beginning", room[:size], room[:size/2], size / 2},
		{"in place of nothing", nil, room[:size], size},
		{"nothing", room[:size], nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, state.Options{})
			publish(t, s, tile(c.old))
			before := s.Stats().OverlayBytes
			publish(t, s, tile(c.new))
			if got := s.Stats().OverlayBytes - before; got != c.want {
				t.Errorf("%d octets more are counted, want %d", got, c.want)
			}
		})
	}
}
