package replica_test

import (
	"testing"

	"github.com/nameplate-id/nameplate/registry/replica"
)

// What a relay may send, asked again and again: how much it has, how long this node's own
// log is, what the other has of that.
func TestRelay(t *testing.T) {
	r := &replica.Relay{}
	for i, c := range []struct {
		have, own, acked, want uint64
		why                    string
	}{
		{10, 5, 0, 0, "nothing is known of the other"},
		{12, 7, 4, 0, "what it has may rest on what the other lacks"},
		{14, 9, 5, 10, "the other has what the first ten rest on"},
		{14, 9, 5, 10, "and not what the rest does"},
		{20, 9, 9, 20, "the other has everything"},
		{20, 9, 6, 0, "the other was restored"},
		{20, 9, 8, 0, "it has not got back yet what these rest on"},
		{20, 11, 9, 20, "now it has"},
	} {
		if got := r.May(c.have, c.own, c.acked); got != c.want {
			t.Errorf("step %d, %s: got %d, want %d", i, c.why, got, c.want)
		}
	}
}
