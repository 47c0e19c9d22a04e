package udp

import "time"

// Backlog tells whether what waits in the system's buffer of a socket may be older than
// anybody waits for its answer: the system does not say when a datagram came. As long as
// less comes than fits in a batch, nothing has waited longer than the batch before took.
// When batches are full again and again for as long as an asker is patient, all that still
// waits is to be thrown away at once, so that what comes then is answered in time: without
// that a server that is too slow for its load answers everything seconds too late. The zero
// Backlog is usable, by one goroutine.
type Backlog struct {
	asking  time.Time // when the last batch was asked for
	since   time.Time // the same of the first full one of those that followed one another
	full    bool      // the last one was
	overrun bool      // what waits is being thrown away
}

// silence is how long a socket has been silent at least when it surely had nothing to read.
const silence = 100 * time.Millisecond

// Asking notes that a batch is about to be received.
func (l *Backlog) Asking() { l.asking = time.Now() }

// Overdue notes that a batch came, full or not, and reports whether to throw it away: it may
// have waited longer than an asker's patience.
func (l *Backlog) Overdue(full bool, patience time.Duration) bool {
	silent := time.Since(l.asking) > silence // then nothing waited
	switch {
	case !full:
		l.full, l.overrun = false, false
	case silent:
		l.full, l.overrun, l.since = true, false, time.Now()
	case !l.full:
		l.full, l.since = true, l.asking
	default:
		l.overrun = l.overrun || l.asking.Sub(l.since) > patience
	}
	return l.overrun
}
