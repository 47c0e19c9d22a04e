package registry

// rule names a rule that a test leaves out, to see that it would be missed. A registry
// outside of tests leaves out none.
type rule uint8

const (
	ruleCut     rule = iota + 1 // a mirror that contradicts the node's own log is cut
	ruleCertain                 // what a mirror has beyond the rows of a restored node is not certain
)
