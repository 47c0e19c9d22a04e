package folder

// rule names a rule that a test leaves out, to see that it would be missed. A folder
// outside of tests leaves out none.
type rule uint8

const (
	ruleKeep   rule = iota + 1 // the journal of before is kept
	ruleMarked                 // a journal that lacks entries is marked when it is in its place
)

// lacks reports whether a rule is broken, and not left out.
func (left rule) lacks(r rule, kept bool) bool { return !kept && left != r }
