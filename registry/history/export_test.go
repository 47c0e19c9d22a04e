package history

// Rule names a rule that a test leaves out.
type Rule = rule

// Rules.
const RuleAddsUp = ruleAddsUp

// LeaveOut leaves out a rule.
func (p *Parting) LeaveOut(r Rule) { p.left = r }
