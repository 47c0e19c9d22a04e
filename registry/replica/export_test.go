package replica

// Rule is a rule that a test leaves out.
type Rule = rule

const (
	RuleSession = ruleSession
	RuleNonce   = ruleNonce
	RuleRoot    = ruleRoot
	RuleGap     = ruleGap
	RuleSync    = ruleSync
	RuleCredit  = ruleCredit
	RuleAbove   = ruleAbove
	RuleQuorum  = ruleQuorum
	RuleGrow    = ruleGrow
	RulePrefix  = rulePrefix
	RuleReturn  = ruleReturn
	RuleMarked  = ruleMarked
	RuleRow     = ruleRow
	RuleServe   = ruleServe
)

func (c *Child) LeaveOut(r Rule)   { c.left = r }
func (p *Parent) LeaveOut(r Rule)  { p.left = r }
func (a *Anchors) LeaveOut(r Rule) { a.left = r }
