package template

import (
	"fmt"
	"regexp"
	"regexp/syntax"
)

// compile makes a regular expression that matches whole texts, and returns of how many
// steps it is made, about.
func compile(expression string, foldCase bool) (*regexp.Regexp, int, error) {
	if len(expression) > MaxExpression {
		return nil, 0, fmt.Errorf("a regular expression has at most %d octets: shorten it", MaxExpression)
	}
	flags := syntax.Perl
	if foldCase {
		flags |= syntax.FoldCase
	}
	tree, err := syntax.Parse(expression, flags)
	if err != nil {
		return nil, 0, fmt.Errorf("%.200q is no regular expression of RE2: %w", expression, err)
	}
	steps := size(tree)
	if steps > MaxProgram {
		return nil, 0, fmt.Errorf("%.80q takes more than %d steps: repeat less", expression, MaxProgram)
	}
	whole := `\A(?:` + expression + `)\z`
	if foldCase {
		whole = "(?i)" + whole
	}
	re, err := regexp.Compile(whole)
	if err != nil {
		return nil, 0, fmt.Errorf("%.200q is no regular expression of RE2: %w", expression, err)
	}
	return re, steps, nil
}

// size is how many steps an expression is made of, about. It stops counting when there
// are too many.
func size(re *syntax.Regexp) int {
	n := 1
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass:
		n = 1 + len(re.Rune)/64
	}
	for _, sub := range re.Sub {
		if n += size(sub); n > MaxProgram {
			return MaxProgram + 1
		}
	}
	if re.Op == syntax.OpRepeat {
		times := max(re.Max, re.Min+1)
		if n > MaxProgram/max(1, times) {
			return MaxProgram + 1
		}
		n *= times
	}
	return n
}
