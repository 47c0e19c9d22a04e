package template

import (
	"bytes"
	"encoding/xml"
	"regexp"
	"strconv"
	"strings"
)

// kind is what an element does.
type kind uint8

const (
	kindTemplate kind = iota
	kindValue
	kindIf
	kindElse
	kindForeach
	kindDef
	kindNotFound
)

var kindNames = [...]string{
	kindTemplate: "template", kindValue: "value", kindIf: "if", kindElse: "else",
	kindForeach: "foreach", kindDef: "def", kindNotFound: "notfound",
}

// element is one element of a template.
type element struct {
	kind kind
	in   []*element
	line int

	// template
	refIndex  uint32
	refHandle string // empty for none

	// value
	index    uint32 // 0 for none
	typ      string
	data     string
	hasData  bool
	elements bool // data is XML

	// if, and of the if that an else belongs to; def has a parameter
	of         string
	parameter  string
	negate     bool
	equals     string
	matches    *regexp.Regexp
	expression string // of matches, as written
	steps      int
}

// attributes returns the attributes of an element, which are among those that it has.
func (r *reader) attributes(start xml.StartElement, known ...string) (map[string]string, error) {
	a := map[string]string{}
	for _, attr := range start.Attr {
		if attr.Name.Space == "xmlns" || attr.Name.Local == "xmlns" && attr.Name.Space == "" {
			continue
		}
		ok := false
		for _, k := range known {
			ok = ok || attr.Name.Local == k
		}
		if _, twice := a[attr.Name.Local]; !ok || twice {
			return nil, r.fail("%s has no such attribute twice or at all: %.40q; it has %q", start.Name.Local, attr.Name.Local, known)
		}
		a[attr.Name.Local] = attr.Value
	}
	return a, nil
}

// children reads what is in an element of a template.
func (r *reader) children(parent *element, depth int, each bool) error {
	if depth >= MaxDepth {
		return r.fail("elements are at most %d deep in one another", MaxDepth)
	}
	var condition *element
	for {
		t, err := r.token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.EndElement:
			return nil
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return r.fail("there is no text in %s: put it into a value", kindNames[parent.kind])
			}
		case xml.StartElement:
			e, err := r.element(t, condition, depth+1, each)
			if err != nil {
				return err
			}
			if e.kind == kindIf {
				condition = e
			}
			parent.in = append(parent.in, e)
		}
	}
}

// element reads one element of a template.
func (r *reader) element(start xml.StartElement, condition *element, depth int, each bool) (*element, error) {
	e := &element{}
	e.line, _ = r.d.InputPos()
	known := false
	for k := kindValue; k <= kindNotFound; k++ {
		if start.Name.Local == kindNames[k] {
			e.kind, known = k, true
		}
	}
	if !known {
		return nil, r.fail("element %.40q is unknown: a template has value, if, else, foreach, def and notfound", start.Name.Local)
	}
	var err error
	switch e.kind {
	case kindValue:
		return e, r.value(e, start, depth, each)
	case kindIf:
		err = r.condition(e, start)
	case kindElse:
		if condition == nil {
			return nil, r.fail("an else follows an if: write the if in front")
		}
		of := *condition
		of.kind, of.in, of.line, of.negate = kindElse, nil, e.line, !condition.negate
		*e = of
		_, err = r.attributes(start)
	case kindForeach:
		if each {
			return nil, r.fail("there is no foreach in another: put it beside")
		}
		each = true
		_, err = r.attributes(start)
	case kindDef:
		err = r.parameter(e, start)
	default:
		_, err = r.attributes(start)
	}
	if err == nil {
		err = r.children(e, depth, each)
	}
	if err == nil && e.kind == kindNotFound && len(e.in) > 0 {
		err = r.fail("notfound has nothing in it: write <notfound/>")
	}
	return e, err
}

// parameter reads the name of a def.
func (r *reader) parameter(e *element, start xml.StartElement) error {
	a, err := r.attributes(start, "parameter")
	if err != nil {
		return err
	}
	if e.parameter = a["parameter"]; e.parameter == "" || len(e.parameter) > maxName {
		return r.fail("a def has a parameter of 1 to %d octets: name it", maxName)
	}
	return nil
}

// condition reads the attributes of an if.
func (r *reader) condition(e *element, start xml.StartElement) error {
	a, err := r.attributes(start, "value", "parameter", "test", "negate", "expression")
	if err != nil {
		return err
	}
	e.of = "extension"
	if of, ok := a["value"]; ok {
		e.of = of
	}
	e.parameter = e.of
	if p, ok := a["parameter"]; ok {
		e.parameter = p
	}
	if len(e.of) == 0 || len(e.of) > maxName || len(e.parameter) == 0 || len(e.parameter) > maxName {
		return r.fail("a name has 1 to %d octets: shorten it", maxName)
	}
	switch negate := a["negate"]; negate {
	case "", "false":
	case "true":
		e.negate = true
	default:
		return r.fail("negate is true or false, not %.40q", negate)
	}
	expression, ok := a["expression"]
	if !ok {
		return r.fail("an if has an expression to compare with: write expression=\"…\"")
	}
	switch test := a["test"]; test {
	case "", "equals":
		e.equals = expression
	case "matches":
		e.expression = expression
		if e.matches, e.steps, err = compile(expression, r.ns.foldCase); err != nil {
			return r.fail("%v", err)
		}
		if r.steps += e.steps; r.steps > MaxProgram {
			return r.fail("the regular expressions of a value take at most %d steps together: write fewer", MaxProgram)
		}
	default:
		return r.fail("test is equals or matches, not %.40q", test)
	}
	return nil
}

// value reads a value.
func (r *reader) value(e *element, start xml.StartElement, depth int, each bool) error {
	a, err := r.attributes(start, "index", "type", "data")
	if err != nil {
		return err
	}
	if index, ok := a["index"]; ok {
		n, err := strconv.ParseUint(index, 10, 31)
		if err != nil || n == 0 {
			return r.fail("index %.40q is not a number from 1 to 2147483647", index)
		}
		e.index = uint32(n)
	}
	e.typ = a["type"]
	e.data, e.hasData = a["data"]
	begin := r.d.InputOffset()
	end := begin
	var text strings.Builder
	for open := 1; open > 0; {
		end = r.d.InputOffset()
		t, err := r.token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			e.elements = true
			if open++; depth+open > MaxDepth {
				return r.fail("elements are at most %d deep in one another", MaxDepth)
			}
		case xml.EndElement:
			open--
		case xml.CharData:
			text.Write(t)
		}
	}
	inner := strings.TrimSpace(text.String())
	if e.elements {
		inner = strings.TrimSpace(string(r.data[begin:end]))
	}
	switch {
	case e.hasData && inner != "":
		return r.fail("a value has its data as an attribute or in it, not both: leave one out")
	case inner != "":
		e.data, e.hasData = inner, true
	}
	if !each && (e.typ == "" || !e.hasData) {
		return r.fail("outside of foreach a value has a type and data: give both")
	}
	return nil
}
