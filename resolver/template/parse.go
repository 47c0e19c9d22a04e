package template

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// Namespace is what an HS_NAMESPACE value says, as far as it is about templates. It does
// not change and may be used concurrently.
type Namespace struct {
	delimiter string
	delimited bool       // without a delimiter it is only there to be referred to
	templates []*element // in the order of the value
	foldCase  bool
}

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

// Parse reads the XML of an HS_NAMESPACE value. With foldCase letters compare without
// case. The error is an [*Error].
func Parse(data []byte, foldCase bool) (*Namespace, error) {
	if len(data) > MaxData {
		return nil, &Error{MaxData, fmt.Sprintf("a namespace has at most %d octets: shorten it", MaxData)}
	}
	r := &reader{data: data, d: xml.NewDecoder(bytes.NewReader(data)), ns: &Namespace{foldCase: foldCase}}
	if err := r.read(); err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{r.d.InputOffset(), "this is no well-formed XML: " + strings.TrimPrefix(err.Error(), "XML syntax error on ")}
		}
		return nil, e
	}
	return r.ns, nil
}

// Templates reports whether there is a template that is for whole prefixes.
func (n *Namespace) Templates() bool { return n.delimited && len(n.templates) > 0 }

// Delimiter returns what cuts a suffix into base and extension.
func (n *Namespace) Delimiter() string { return n.delimiter }

// Split cuts a suffix into base and extension; false when no template is for it.
func (n *Namespace) Split(suffix string) (base, extension string, ok bool) {
	switch {
	case !n.Templates() || suffix == "":
		return "", "", false
	case n.delimiter == "":
		return "", suffix, true
	}
	at := strings.Index(suffix, n.delimiter)
	if n.foldCase {
		at = strings.Index(lower(suffix), lower(n.delimiter))
	}
	if at <= 0 || at+len(n.delimiter) == len(suffix) {
		return "", "", false
	}
	return suffix[:at], suffix[at+len(n.delimiter):], true
}

// lower folds the ASCII letters, octet by octet.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// reader reads one value.
type reader struct {
	data  []byte
	d     *xml.Decoder
	ns    *Namespace
	count int // of elements
	steps int // of regular expressions
}

func (r *reader) fail(format string, args ...any) error {
	return &Error{r.d.InputOffset(), fmt.Sprintf(format, args...)}
}

// token returns the next token that says something.
func (r *reader) token() (xml.Token, error) {
	for {
		t, err := r.d.Token()
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.Comment:
			continue
		case xml.ProcInst:
			if t.Target != "xml" {
				return nil, r.fail("there are no processing instructions: leave out <?%.20s", t.Target)
			}
			continue
		case xml.Directive:
			return nil, r.fail("there is no document type: leave out <!…>")
		case xml.StartElement:
			if r.count++; r.count > MaxElements {
				return nil, r.fail("there are at most %d elements: write fewer", MaxElements)
			}
		}
		return t, nil
	}
}

// read reads the whole value.
func (r *reader) read() error {
	root, err := r.root()
	if err != nil {
		return err
	}
	switch {
	case root.Name.Local == "template":
		if err := r.template(root, 1); err != nil {
			return err
		}
	case strings.EqualFold(root.Name.Local, "namespace"):
		if err := r.namespace(); err != nil {
			return err
		}
	default:
		return r.fail("the outermost element is namespace, not %.40q", root.Name.Local)
	}
	for {
		t, err := r.token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if text, ok := t.(xml.CharData); !ok || len(bytes.TrimSpace(text)) > 0 {
			return r.fail("nothing follows the outermost element: leave it out")
		}
	}
}

func (r *reader) root() (xml.StartElement, error) {
	for {
		t, err := r.token()
		if err == io.EOF {
			return xml.StartElement{}, r.fail("there is nothing: write <namespace>…</namespace>")
		}
		if err != nil {
			return xml.StartElement{}, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			return t, nil
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return xml.StartElement{}, r.fail("text stands in front of the outermost element: leave it out")
			}
		}
	}
}

// namespace reads what is in the outermost element. What is no template is for others.
func (r *reader) namespace() error {
	for {
		t, err := r.token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.EndElement:
			return nil
		case xml.StartElement:
			if t.Name.Local == "template" {
				err = r.template(t, 2)
			} else {
				err = r.skip(2)
			}
			if err != nil {
				return err
			}
		}
	}
}

// skip reads to the end of an element.
func (r *reader) skip(depth int) error {
	for open := 1; open > 0; {
		t, err := r.token()
		if err != nil {
			return err
		}
		switch t.(type) {
		case xml.StartElement:
			if open++; depth+open > MaxDepth {
				return r.fail("elements are at most %d deep in one another", MaxDepth)
			}
		case xml.EndElement:
			open--
		}
	}
	return nil
}

// template reads a template. The delimiter of the first counts; without one there are
// no templates at all.
func (r *reader) template(start xml.StartElement, depth int) error {
	a, err := r.attributes(start, "delimiter", "ref")
	if err != nil {
		return err
	}
	delimiter, delimited := a["delimiter"]
	e := &element{kind: kindTemplate}
	if ref, ok := a["ref"]; ok {
		index, handle, found := strings.Cut(ref, ":")
		n, err := strconv.ParseUint(index, 10, 31)
		if !found || err != nil || n == 0 || handle == "" {
			return r.fail("ref %.80q is not INDEX:HANDLE: write one such as 300:0.NA/88.118", ref)
		}
		e.refIndex, e.refHandle = uint32(n), handle
	}
	if err := r.children(e, depth, false); err != nil {
		return err
	}
	if e.refHandle != "" && len(e.in) > 0 {
		return r.fail("a template with ref has nothing in it: leave out one of the two")
	}
	if len(r.ns.templates) == 0 {
		r.ns.delimiter, r.ns.delimited = delimiter, delimited
	}
	r.ns.templates = append(r.ns.templates, e)
	return nil
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
