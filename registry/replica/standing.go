package replica

// Standing is what a node may do, by what it knows of its own log.
type Standing struct {
	// Marked says that entries of its own log may be missing here.
	Marked bool
	// Forked says that it has signed two histories of its own log.
	Forked bool
	// Above says that there is a parent, which answers in its place and gives back what
	// is missing.
	Above bool

	left rule
}

// Writes reports whether anything may be added to the node's own log, and so also
// whether it may sign a checkpoint of it, or cosign one of a child: what it has logged may
// not be all that it had.
func (s Standing) Writes() bool { return !s.Forked && !s.left.lacks(ruleMarked, !s.Marked) }

// TakesIn reports whether the node takes in logs of children. Where entries of its own
// log are missing, so may be what that says of them: a child that was restored at the same
// time would believe that it lacks nothing.
func (s Standing) TakesIn() bool { return !s.left.lacks(ruleServe, !s.Marked && !s.Forked) }

// Answers reports whether the node answers questions. One that may lack entries leaves
// that to its parent, whose mirror is newer; where nobody is above, what is here is the
// newest that there is.
func (s Standing) Answers() bool { return !s.Marked || !s.Above }

// Duty is what the end of a stream asks of the node whose stream it was.
type Duty uint8

const (
	// NoDuty: to come back later, or to wait for people.
	NoDuty Duty = iota
	// MarkLog: entries of the node's own log are missing. Before anything else is done
	// that is made durable, and from then on nothing is added to the log.
	MarkLog
	// SetAside: the evidence shows two histories of the log that the stream was about.
	// It is kept, durably, and nothing is added to that log any more, at either side.
	SetAside
)

// Duty returns what a refusal asks of the node that had it from its own machine. Which
// log is meant with SetAside, its Evidence says.
func (r *Refusal) Duty() Duty {
	switch {
	case r.Reason == Fork && r.Evidence != nil:
		return SetAside
	case r.Reason == Behind && !r.Remote, r.Reason == Loss, r.Reason == Succeeded:
		return MarkLog
	}
	return NoDuty
}
