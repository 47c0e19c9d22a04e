package history

// rule names a rule that a test leaves out, to see that it would be missed. Outside of tests
// none is left out.
type rule uint8

const (
	ruleAddsUp rule = iota + 1 // what comes from above adds up to what the node has signed
)

// lacks reports whether a rule is broken, and not left out.
func (left rule) lacks(r rule, kept bool) bool { return !kept && left != r }
