package registry

// rule names a rule that a test leaves out, to see that it would be missed. A registry
// outside of tests leaves out none.
type rule uint8

const (
	ruleCut     rule = iota + 1 // a mirror that contradicts the node's own log is cut
	ruleCertain                 // what a mirror has beyond the rows of a restored node is not certain
	ruleBegins                  // another log of a node begins as one that continues the one that counts
	ruleGenesis                 // with a genesis that the node has signed
	ruleEntries                 // it counts with its entries, not with a Hello
	ruleRows                    // when it repeats the rows of the one before
	ruleNewest                  // a log that continues another one repeats its newest rows
	ruleUpper                   // what is held above is logged before what the node alone has
	ruleHand                    // what collides is handed over
	ruleHanded                  // and nothing changes before that is durable
	ruleOlder                   // a log that comes before the node's own is not adopted
	ruleJoin                    // a log that is held, or was, beside the one that counts is joined with it
	ruleRecall                  // a top-level node that was restored takes from the others what they hold of its children
	rulePart                    // a part of a log that is being taken in is not taken for all of it
	ruleTold                    // when a child was told of a grant outlives a start
	ruleBack                    // a log goes from one grant of a prefix to the next, and not back
	ruleAstray                  // a mirror that a row of the joined history contradicts is set aside
	ruleSeldom                  // a child is fenced once in the time that it has for a grant
	ruleOwner                   // a log is one node's, and nobody else comes with its id
	ruleLook                    // what was looked up is looked up again where it may have changed since
)

// lacks reports whether a rule is broken, and not left out.
func (left rule) lacks(r rule, kept bool) bool { return !kept && left != r }
