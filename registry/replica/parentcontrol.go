package replica

import "time"

// orders is what a parent asks of the child whose log it takes in.
type orders struct {
	paused string // why the child is to wait; empty when it is not
	told   string // what it was told of that on this stream
	drain  *Control
}

// Pause asks the child to wait, and Resume to go on. The parent still takes in what was
// under way. It stays so from stream to stream.
func (p *Parent) Pause(why string) {
	if why == "" || p.paused == why {
		return
	}
	p.paused, p.ack = why, true
}

// Resume says that entries are taken in again.
func (p *Parent) Resume() {
	if p.paused != "" {
		p.paused, p.ack = "", true
	}
}

// Drain asks the child to end the stream, when what it has sent is acknowledged, and to
// come back after a while, at most [MaxAfter].
func (p *Parent) Drain(why string, after time.Duration) {
	if p.phase == greeted || p.phase == welcome {
		p.drain = &Control{Order: Drain, Detail: why, After: after}
	}
}

// allowance is the credit that the child has now.
func (p *Parent) allowance() uint64 {
	if p.left.lacks(rulePause, p.paused == "") {
		return 0
	}
	return p.credit
}

// order returns what the child is to be asked for now; nil for nothing. A pause is
// repeated with every heartbeat, for it may have been lost.
func (p *Parent) order() *Control {
	switch {
	case p.drain != nil:
		m := p.drain
		m.Session, p.drain = p.session, nil
		return m
	case p.paused == p.told:
		return nil
	case p.paused == "":
		p.told = ""
		return &Control{Session: p.session, Order: Resume}
	}
	p.told = p.paused
	return &Control{Session: p.session, Order: Pause, Detail: p.paused}
}
