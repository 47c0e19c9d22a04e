package folder

// Rule is a rule that a test leaves out.
type Rule = rule

const (
	RuleKeep   = ruleKeep
	RuleMarked = ruleMarked
)

// LeaveOut lets a folder do without a rule.
func (f *Folder) LeaveOut(r Rule) { f.left = r }

// ParseSuccession reads the file SUCCESSION.
func ParseSuccession(text []byte) (Succession, error) { return parseSuccession(text) }
