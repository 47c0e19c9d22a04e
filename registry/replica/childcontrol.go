package replica

import "time"

// control is what the parent has asked a child for on the stream that is open.
type control struct {
	paused string        // why the child waits; empty when it does not
	drain  bool          // the stream is to end
	after  time.Duration // and the child to stay away for so long
	why    string
}

// receiveControl takes note of what the parent asks for. Who was asked to end the stream
// ends it, whatever comes after.
func (c *Child) receiveControl(m *Control) {
	switch m.Order {
	case Pause:
		c.paused = m.Detail
		if c.paused == "" {
			c.paused = "the parent has asked for it"
		}
	case Resume:
		c.paused = ""
	case Drain:
		if !c.drain {
			c.drain, c.after, c.why = true, min(max(0, m.After), MaxAfter), m.Detail
		}
	default:
		c.end(refuse(Malformed, "a parent does not ask for %v: run the same release on both nodes", m.Order))
	}
}

// holdsBack reports whether no entries are to be sent now, because the parent has asked
// for that.
func (c *Child) holdsBack() bool { return c.left.lacks(rulePause, c.paused == "" && !c.drain) }

// drained ends a stream that is to end, once everything that was sent is acknowledged: a
// part of it would come twice otherwise.
func (c *Child) drained() bool {
	if !c.drain || c.left.lacks(ruleDrain, len(c.flights) == 0) || c.fetch || c.unit != nil {
		return false
	}
	r := refuse(Drained, "the parent is being stopped: %s", c.why)
	r.After = c.after
	c.end(r)
	return true
}
