package replica

// Relay says how much of a child's log a top-level node may send to another one. What the
// child logged may rest on what this node has granted it, and the other judges in the
// order in which it gets things: so it gets of the child's log what the part of this
// node's own log covers that it has on its disk. The zero Relay is ready. It may not be
// used by several goroutines at once.
type Relay struct {
	// size may be sent. waiting may be once the other has after entries of this node's
	// own log. acked is what it had when it was asked last.
	size, waiting, after, acked uint64

	left rule
}

// May returns how many entries of the child's log may be sent: of have that are here, when
// the other node has acked entries of this node's own log, as far as it has said on the
// stream that is open now, and that had own after have was read. It goes down only when
// acked does: the other node may have been restored, and judges what it gets anew.
func (r *Relay) May(have, own, acked uint64) uint64 {
	if acked < r.acked {
		r.size, r.waiting = 0, 0
	}
	r.acked = acked
	if r.waiting > r.size && acked >= r.after {
		r.size = r.waiting
	}
	if r.left.lacks(ruleOrder, acked >= own) {
		if r.waiting <= r.size {
			r.waiting, r.after = have, own
		}
		return r.size
	}
	r.size = max(r.size, have)
	return r.size
}
