package replica

import "github.com/nameplate-id/nameplate/registry/identifier"

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
	RulePointer = rulePointer
	RuleFence   = ruleFence
	RulePause   = rulePause
	RuleDrain   = ruleDrain
	RuleOrder   = ruleOrder
	RuleWitness = ruleWitness
	RuleAdvance = ruleAdvance
	RuleNow     = ruleNow

	RuleSuccessor = ruleSuccessor
	RuleFirst     = ruleFirst
	RuleRepeat    = ruleRepeat
	RulePast      = rulePast
	RuleContinued = ruleContinued
	RuleThree     = ruleThree
	RuleJoin      = ruleJoin
	RuleRecall    = ruleRecall
)

func (c *Child) LeaveOut(r Rule)   { c.left = r }
func (p *Parent) LeaveOut(r Rule)  { p.left = r }
func (a *Anchors) LeaveOut(r Rule) { a.left = r }
func (r *Relay) LeaveOut(x Rule)   { r.left = x }

func (l *Lineage) LeaveOut(r Rule)  { l.left = r }
func (r *Recovery) LeaveOut(x Rule) { r.left = x }

// Prove lets a child check signatures in another way.
func (c *ChildConfig) Prove(p func(key identifier.PublicKey, message, signature []byte) bool) {
	c.proves = p
}

// CheckHelloBy is CheckHello, with signatures checked in another way.
func CheckHelloBy(m *Hello, c *Challenge, p func(key identifier.PublicKey, message, signature []byte) bool) *Refusal {
	return checkHello(m, c, p)
}

// Without returns a standing that leaves out a rule.
func (s Standing) Without(r Rule) Standing { s.left = r; return s }
