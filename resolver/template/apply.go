package template

import (
	"cmp"
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
