package template

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

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
			switch t.Name.Local {
			case "template":
				err = r.template(t, 2)
			case "locs":
				err = r.locations()
			default:
				_, err = r.skip(2)
			}
			if err != nil {
				return err
			}
		}
	}
}

// locations reads the handle of a service with locations. The first counts.
func (r *reader) locations() error {
	text, err := r.skip(2)
	switch handle := strings.TrimSpace(text); {
	case err != nil:
		return err
	case handle == "" || len(handle) > identifier.MaxID:
		return r.fail("locs has a handle in it: write one such as <locs>88.118/SERV</locs>")
	case r.ns.locations == "":
		r.ns.locations = handle
	}
	return nil
}

// skip reads to the end of an element, and returns the text that stands in it.
func (r *reader) skip(depth int) (string, error) {
	var text strings.Builder
	for open := 1; open > 0; {
		t, err := r.token()
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if open++; depth+open > MaxDepth {
				return "", r.fail("elements are at most %d deep in one another", MaxDepth)
			}
		case xml.EndElement:
			open--
		case xml.CharData:
			text.Write(t)
		}
	}
	return text.String(), nil
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
