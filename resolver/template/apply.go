package template

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Input is what a computation is made from.
type Input struct {
	// Handle is the identifier's canonical text, Base and Extension as [Namespace.Split]
	// cut it, Base with the prefix in front.
	Handle, Base, Extension string
	// Values are those of the base, by index; none when it is not stored.
	Values []identifier.Value
	// Refer returns the data of a value that a template refers to; false when it cannot
	// be had. nil for nothing.
	Refer func(index uint32, handle string) ([]byte, bool)
	// Trace is told what is done and why, line by line; nil for nobody.
	Trace func(Step)
}

// Step is one line of how a result came about.
type Step struct {
	Depth int // of the element in others
	Line  int // where the element stands in the value
	Text  string
}

// Apply computes the values of an identifier. It returns false when there is no such
// identifier. Values are in ascending order of their indexes; they share data with those
// of the base. The error says that a limit is passed.
func (n *Namespace) Apply(in Input) ([]identifier.Value, bool, error) {
	c := &computation{Input: in, foldCase: n.foldCase, left: MaxWork, octets: MaxOutput}
	names := &scope{name: "handle", text: in.Handle}
	names = names.with("base", in.Base).with("extension", in.Extension)
	if err := c.templates(n.templates, names, 0); err != nil {
		if err == errNotFound {
			return nil, false, nil
		}
		return nil, false, err
	}
	return c.values, len(c.values) > 0, nil
}

// perReference is what reading a template costs that is referred to, beside its length.
const perReference = 64 << 10

// errNotFound ends a computation that met notfound.
var errNotFound = errors.New("there is no such identifier")

// scope is a name and what it stands for, in front of those that were there before.
type scope struct {
	name   string
	text   string
	groups []string // of a match, the whole first; nil for a text
	above  *scope
	depth  int
}

func (s *scope) with(name, text string) *scope {
	return &scope{name: name, text: text, above: s, depth: s.depth + 1}
}

func (s *scope) find(name string) *scope {
	for ; s != nil; s = s.above {
		if s.name == name {
			return s
		}
	}
	return nil
}

// computation is one on its way.
type computation struct {
	Input
	foldCase bool
	values   []identifier.Value
	left     int // units of work
	octets   int // that may still be given
}

func (c *computation) say(depth int, e *element, format string, args ...any) {
	if c.Trace != nil {
		c.Trace(Step{Depth: depth, Line: e.line, Text: fmt.Sprintf(format, args...)})
	}
}

// work takes units of work.
func (c *computation) work(n int) error {
	if c.left -= n; c.left < 0 {
		return fmt.Errorf("a template does at most %d units of work: write simpler expressions", MaxWork)
	}
	return nil
}

// templates goes through the templates of a value.
func (c *computation) templates(list []*element, names *scope, references int) error {
	for _, e := range list {
		if e.refHandle == "" {
			if err := c.inside(e, names, nil, 1); err != nil {
				return err
			}
			continue
		}
		c.say(0, e, "template of value %d of %s", e.refIndex, e.refHandle)
		if references == MaxReferences {
			return fmt.Errorf("there are at most %d references from template to template", MaxReferences)
		}
		var data []byte
		ok := false
		if c.Refer != nil {
			data, ok = c.Refer(e.refIndex, e.refHandle)
		}
		if !ok {
			return fmt.Errorf("value %d of %s, which a template refers to, cannot be had here", e.refIndex, e.refHandle)
		}
		if err := c.work(perReference + 16*len(data)); err != nil {
			return err
		}
		n, err := Parse(data, c.foldCase)
		if err != nil {
			return fmt.Errorf("value %d of %s: %w", e.refIndex, e.refHandle, err)
		}
		if err := c.templates(n.templates, names, references+1); err != nil {
			return err
		}
	}
	return nil
}

// inside does what is in an element; of is the value at hand within foreach.
func (c *computation) inside(parent *element, names *scope, of *identifier.Value, depth int) error {
	for _, e := range parent.in {
		var err error
		if err = c.work(1); err != nil {
			return err
		}
		switch e.kind {
		case kindValue:
			err = c.value(e, names, of, depth)
		case kindIf, kindElse:
			var within *scope
			if within, err = c.condition(e, names, depth); err == nil && within != nil {
				err = c.inside(e, within, of, depth+1)
			}
		case kindNotFound:
			c.say(depth, e, "notfound: there is no such identifier")
			err = errNotFound
		case kindForeach:
			err = c.each(e, names, depth)
		case kindDef:
			names, err = c.define(e, names, of, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// each goes through the values of the base.
func (c *computation) each(e *element, names *scope, depth int) error {
	if len(c.Values) == 0 {
		c.say(depth, e, "foreach: %s has no values", c.Base)
	}
	for i := range c.Values {
		v := &c.Values[i]
		c.say(depth, e, "foreach: value %d, %s", v.Index, v.Type)
		within := names.with("type", v.Type).with("data", string(v.Data)).with("index", fmt.Sprint(v.Index))
		if err := c.work(len(v.Data)); err != nil {
			return err
		}
		if err := c.inside(e, within, v, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// define gives the data of the first value in an element a name.
func (c *computation) define(e *element, names *scope, of *identifier.Value, depth int) (*scope, error) {
	if names.depth > maxParameters {
		return nil, fmt.Errorf("a template has at most %d names at a time", maxParameters)
	}
	kept := c.values
	c.values = nil
	err := c.inside(e, names, of, depth+1)
	made := c.values
	c.values = kept
	if err != nil || len(made) == 0 {
		return names, err
	}
	c.say(depth, e, "%s is %.80q", e.parameter, made[0].Data)
	return names.with(e.parameter, string(made[0].Data)), nil
}

// condition returns the names within an if whose condition holds; nil when it does not.
func (c *computation) condition(e *element, names *scope, depth int) (*scope, error) {
	if names.depth > maxParameters {
		return nil, fmt.Errorf("a template has at most %d names at a time", maxParameters)
	}
	text, err := c.named(e.of, names)
	if err != nil {
		return nil, err
	}
	var groups []string
	holds := false
	if e.matches == nil {
		holds = text == e.equals || c.foldCase && lower(text) == lower(e.equals)
	} else {
		if err := c.work(e.steps * (len(text) + 1)); err != nil {
			return nil, err
		}
		groups = e.matches.FindStringSubmatch(text)
		holds = groups != nil
	}
	c.tellCondition(e, text, holds, depth)
	if holds == e.negate {
		return nil, nil
	}
	within := names.with(e.parameter, text)
	if !e.negate {
		within.groups = groups
	}
	return within, nil
}

func (c *computation) tellCondition(e *element, text string, holds bool, depth int) {
	if c.Trace == nil {
		return
	}
	verb, expression := "equals", e.equals
	if e.matches != nil {
		verb, expression = "matches", e.expression
	}
	if !holds {
		verb = "is not " + expression
		if e.matches != nil {
			verb = "does not match " + expression
		}
		expression = ""
	}
	name := "if"
	if e.kind == kindElse {
		name = "else"
	}
	said := "passed over"
	if holds != e.negate {
		said = "taken"
	}
	c.say(depth, e, "%s %s: %.80q %s", name, said, text, strings.TrimSpace(verb+" "+expression))
}

// named returns what a name of an if stands for.
func (c *computation) named(name string, names *scope) (string, error) {
	var b bytes.Buffer
	err := c.put(&b, name, names)
	return b.String(), err
}

// value gives a value.
func (c *computation) value(e *element, names *scope, of *identifier.Value, depth int) error {
	v := identifier.Value{Index: 1, TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions}
	if of != nil {
		v = *of
	}
	if e.index != 0 {
		v.Index = e.index
	}
	if e.typ != "" {
		typ, err := c.replace(e.typ, names, false)
		if err != nil {
			return err
		}
		v.Type = typ
	}
	if e.hasData {
		data, err := c.replace(e.data, names, e.elements)
		if err != nil {
			return err
		}
		v.Data = []byte(data)
	}
	if v.Type == "URL" {
		v.Data = []byte(encodeURI(string(v.Data)))
	} else {
		v.Link = nil
	}
	at, taken := slices.BinarySearchFunc(c.values, v.Index, func(w identifier.Value, index uint32) int { return cmp.Compare(w.Index, index) })
	for taken {
		v.Index++
		at++
		taken = at < len(c.values) && c.values[at].Index == v.Index
	}
	if len(c.values) == MaxValues {
		return fmt.Errorf("a template gives at most %d values", MaxValues)
	}
	if c.octets -= len(v.Type) + len(v.Data); c.octets < 0 {
		return fmt.Errorf("a template gives at most %d octets", MaxOutput)
	}
	c.say(depth, e, "value %d, %s: %.200q", v.Index, v.Type, v.Data)
	if err := check(&v); err != nil {
		c.say(depth, e, "left out: %v", err)
		return nil
	}
	c.values = slices.Insert(c.values, at, v)
	return nil
}

// check checks that a value is one that a holder could have registered: what is told
// must be fit for every wire.
func check(v *identifier.Value) error {
	return identifier.CheckValues([]identifier.Value{*v})
}

// replace puts in what names stand for. In XML it is escaped.
func (c *computation) replace(text string, names *scope, escaped bool) (string, error) {
	var out, one bytes.Buffer
	put := func(name string) error {
		if !escaped {
			return c.put(&out, name, names)
		}
		one.Reset()
		if err := c.put(&one, name, names); err != nil {
			return err
		}
		return xml.EscapeText(&out, one.Bytes())
	}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
			out.WriteByte(text[i])
		case text[i] == '$' && i+1 < len(text) && text[i+1] == '{' && strings.IndexByte(text[i:], '}') > 0:
			end := i + strings.IndexByte(text[i:], '}')
			if err := put(text[i+2 : end]); err != nil {
				return "", err
			}
			i = end
		case text[i] == '$' && i+1 < len(text) && isDigit(text[i+1]):
			end := i + 1
			for end < len(text) && isDigit(text[end]) {
				end++
			}
			if err := put(text[i+1 : end]); err != nil {
				return "", err
			}
			i = end - 1
		default:
			out.WriteByte(text[i])
		}
		if out.Len() > identifier.MaxValueData {
			return "", fmt.Errorf("a value has at most %d octets", identifier.MaxValueData)
		}
	}
	return out.String(), c.work(out.Len())
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// put writes what a reference stands for: a name, a name with a group, or a group of
// extension.
func (c *computation) put(b *bytes.Buffer, reference string, names *scope) error {
	name, group, grouped := reference, 0, false
	switch open := strings.LastIndexByte(reference, '['); {
	case reference != "" && isDigit(reference[0]):
		if n, ok := number(reference); ok {
			name, group, grouped = "extension", n, true
		}
	case open >= 0 && strings.HasSuffix(reference, "]"):
		if n, ok := number(reference[open+1 : len(reference)-1]); ok {
			name, group, grouped = reference[:open], n, true
		}
	}
	s := names.find(name)
	switch {
	case s == nil:
		return nil
	case !grouped || group == 0:
		b.WriteString(s.text)
	case group < len(s.groups):
		b.WriteString(s.groups[group])
	}
	return c.work(len(s.text) + 1)
}

// number reads a short decimal number.
func number(s string) (int, bool) {
	if s == "" || len(s) > 4 {
		return 0, false
	}
	n := 0
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

// encodeURI percent-encodes what a URI cannot hold (RFC 3986, section 2).
func encodeURI(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		ch := s[i]
		escape := i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2])
		if ch == '%' && escape || ch != '%' && isURI(ch) {
			b.WriteByte(ch)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[ch>>4])
		b.WriteByte(hex[ch&15])
	}
	return b.String()
}

func isURI(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || isDigit(c) || strings.IndexByte("-._~:/?#[]@!$&'()*+,;=", c) >= 0
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
