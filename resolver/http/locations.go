package http

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// locations is the data of a 10320/loc value: places of one thing, and how to choose
// among them.
type locations struct {
	chooseBy []string
	list     []location
}

// location is one place.
type location struct {
	href       string // "" where there is a template only
	weight     float64
	attributes []xml.Attr // all of them, in their order
}

// attribute returns an attribute by name; "" when there is none.
func (l *location) attribute(name string) string {
	for i := range l.attributes {
		if l.attributes[i].Name.Local == name {
			return l.attributes[i].Value
		}
	}
	return ""
}

// typeLocations is the type of such a value.
const typeLocations = "10320/loc"

// Limits of a 10320/loc value.
const (
	maxLocationsXML = 64 << 10
	maxLocations    = 256
	maxAttributes   = 32
	maxElements     = 1024 // of any kind
)

// How a location is chosen when the value does not say.
var defaultChoice = [...]string{"locatt", "address", "country", "score", "weighted"}

// parseLocations reads the XML of a 10320/loc value: an element locations with elements
// location in it, each with an href or an href_template. Elements with other names are passed over.
// Document types are refused; so is what is no XML to its last octet.
func parseLocations(data []byte) (*locations, error) {
	if len(data) > maxLocationsXML {
		return nil, fmt.Errorf("it has more than %d octets", maxLocationsXML)
	}
	p := locationParser{d: xml.NewDecoder(bytes.NewReader(data)), l: &locations{}}
	for {
		token, err := p.d.Token()
		if err == io.EOF && p.rooted {
			return p.l, nil
		}
		if err == io.EOF {
			err = errors.New("it has no element locations")
		}
		if err == nil {
			err = p.take(token)
		}
		if err != nil {
			return nil, err
		}
	}
}

// locationParser is the way through one document.
type locationParser struct {
	d        *xml.Decoder
	l        *locations
	rooted   bool // the root was there
	depth    int
	elements int
}

func (p *locationParser) take(token xml.Token) error {
	switch t := token.(type) {
	case xml.Directive:
		return errors.New("it has a document type")
	case xml.ProcInst:
		if t.Target != "xml" {
			return errors.New("it has a processing instruction")
		}
	case xml.CharData:
		if p.depth == 0 && len(bytes.TrimSpace(t)) > 0 {
			return errors.New("it has text around its element")
		}
	case xml.EndElement:
		p.depth--
	case xml.StartElement:
		p.depth++
		if p.elements++; p.elements > maxElements {
			return fmt.Errorf("it has more than %d elements", maxElements)
		}
		if err := checkAttributes(t.Attr); err != nil {
			return err
		}
		switch {
		case p.depth == 1 && (p.rooted || t.Name.Local != "locations"):
			return errors.New("it is one element locations")
		case p.depth == 1:
			p.rooted = true
			p.l.begin(t.Attr)
		case p.depth == 2 && t.Name.Local == "location":
			return p.l.add(t.Attr)
		}
	}
	return nil
}

// checkAttributes refuses what XML does: two attributes of one name (XML 1.0, section
// 3.1).
func checkAttributes(attributes []xml.Attr) error {
	if len(attributes) > maxAttributes {
		return fmt.Errorf("an element has more than %d attributes", maxAttributes)
	}
	for i := range attributes {
		for j := range i {
			if attributes[i].Name == attributes[j].Name {
				return fmt.Errorf("an element has the attribute %.40q twice", attributes[i].Name.Local)
			}
		}
	}
	return nil
}

func (l *locations) begin(attributes []xml.Attr) {
	l.chooseBy = defaultChoice[:]
	for _, a := range attributes {
		if a.Name.Local != "chooseby" || strings.TrimSpace(a.Value) == "" {
			continue
		}
		l.chooseBy = nil
		for method := range strings.SplitSeq(a.Value, ",") {
			l.chooseBy = append(l.chooseBy, strings.ToLower(strings.TrimSpace(method)))
		}
	}
}

func (l *locations) add(attributes []xml.Attr) error {
	if len(l.list) == maxLocations {
		return fmt.Errorf("it has more than %d locations", maxLocations)
	}
	place := location{weight: 1, attributes: slices.Clone(attributes)}
	if place.href = strings.TrimSpace(place.attribute("href")); place.href == "" && strings.TrimSpace(place.attribute(hrefTemplate)) == "" {
		return errors.New("a location has no href and no href_template")
	}
	if text := place.attribute("weight"); text != "" {
		weight, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || !(weight >= 0 && weight <= 1e6) {
			return fmt.Errorf("the weight %.40q is not a number from 0 to 1000000", text)
		}
		place.weight = weight
	}
	l.list = append(l.list, place)
	return nil
}

// appendXML writes locations as XML.
func appendXML(b []byte, list []location) []byte {
	out := bytes.NewBuffer(append(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<locations>\n"...))
	for i := range list {
		out.WriteString("  <location")
		for _, a := range list[i].attributes {
			if a.Name.Space != "" {
				continue
			}
			out.WriteString(" " + a.Name.Local + `="`)
			_ = xml.EscapeText(out, []byte(a.Value))
			out.WriteString(`"`)
		}
		out.WriteString("/>\n")
	}
	out.WriteString("</locations>\n")
	return out.Bytes()
}
