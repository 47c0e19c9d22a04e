package replica

// rule names a rule of the protocol that a test leaves out, to see that it would be
// missed. A machine outside of tests leaves out none.
type rule uint8

const (
	ruleSession   rule = iota + 1 // messages of other sessions are dropped
	ruleNonce                     // a Welcome answers this stream's Hello
	ruleRoot                      // entries add up to their checkpoint
	ruleGap                       // entries follow on the mirror
	ruleSync                      // only what is synced is acknowledged
	ruleCredit                    // no more is under way than the parent has allowed
	rulePrefix                    // a child is given back only what follows on its log
	ruleReturn                    // what is given back adds up to what the child signed
	ruleRow                       // a child and a mirror below the logged row are a loss
	ruleServe                     // a node that may lack something takes in no children's logs before it has asked
	ruleMarked                    // a node that may lack something writes nothing before it has asked
	ruleAbove                     // only what the level above holds is cosigned
	ruleQuorum                    // at the top, what enough top-level nodes hold
	ruleGrow                      // a row's size never goes down
	ruleNow                       // of what a peer holds, what it says last counts
	ruleOrder                     // a peer gets of a child's log only what rests on what it has
	ruleSuccessor                 // another log of a node names the one that it continues
	ruleFirst                     // it counts with its first entry, never with a Hello alone
	ruleRepeat                    // and when it repeats the rows of the one before
	rulePast                      // or has gone on behind what it repeats
	ruleContinued                 // a log that was continued is not taken in where only the one after it came
	ruleThree                     // a top-level node that was restored hears three unmarked peers
	rulePause                     // a child that is told to wait sends nothing
	rulePointer                   // a parent that keeps pointers gets no contents, and gives nothing back
	ruleWitness                   // a parent that is a witness gets checkpoints alone
	ruleAdvance                   // and takes one only with the proof that it follows on the one before
	ruleFence                     // what a child sends up to a fence is what it had there
	ruleJoin                      // a log that is held, or was, beside the one that counts is joined with it
	ruleRecall                    // a top-level node that was restored takes from the others what they hold of its children
	ruleDrain                     // a child that is drained ends the stream only when what it has sent is acknowledged
)

// lacks reports whether a rule is broken, and not left out.
func (left rule) lacks(r rule, kept bool) bool { return !kept && left != r }
