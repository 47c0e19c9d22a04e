package template

import "fmt"

// Limits of what is read, and of what comes of it.
const (
	MaxData       = 64 << 10 // octets of an HS_NAMESPACE value
	MaxDepth      = 16       // elements in one another
	MaxElements   = 512      // in one value
	MaxExpression = 1024     // octets of a regular expression
	MaxProgram    = 1000     // steps that it is made of
	MaxReferences = 4        // references from template to template
	MaxValues     = 256      // values of an identifier
	MaxOutput     = 128 << 10
	MaxWork       = 4 << 20
	maxParameters = 64
	maxName       = 64 // octets of a parameter's name
)

// Error says what is wrong with a template, where, and what to do about it.
type Error struct {
	Offset int64 // octets from the beginning of the value
	Rule   string
}

func (e *Error) Error() string { return fmt.Sprintf("HS_NAMESPACE, octet %d: %s", e.Offset, e.Rule) }
