package http

import (
	"context"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// hrefTemplate is the attribute of a location whose address is made for each handle: {hdl}
// in it stands for the handle, percent-encoded but for its slashes. So one value redirects
// for all handles of a registration agency.
const hrefTemplate = "href_template"

// at gives the locations without an address of their own the one that they have for a
// handle.
func (l *locations) at(handle string) {
	for i := range l.list {
		if p := &l.list[i]; p.href == "" {
			p.href = strings.ReplaceAll(p.attribute(hrefTemplate), "{hdl}", encodeHandle(handle))
			p.attributes = append(p.attributes, xml.Attr{Name: xml.Name{Local: "href"}, Value: p.href})
		}
	}
}

// encodeHandle percent-encodes what may not stand in a path, and what would end or divide
// a part of one (RFC 3986, sections 2.3 and 3.3).
func encodeHandle(handle string) string { return strings.ReplaceAll(escapeAll(handle), "%2F", "/") }

// negotiates reports whether a location is for requests that negotiate.
func (l *location) negotiates() bool {
	return l.attribute("http_role") == roleNegotiates || l.attribute("ctype") != ""
}

// locationsOf returns the first 10320/loc value of a record that can be read; nil for
// none, and why not.
func locationsOf(r *identifier.Record) (l *locations, why string) {
	for i := range r.Values {
		v := &r.Values[i]
		if v.Type != typeLocations {
			continue
		}
		l, err := parseLocations(v.Data)
		if err == nil {
			l.at(r.ID.String())
			return l, ""
		}
		why = fmt.Sprintf("no location that can be read (value %d: %v)", v.Index, err)
	}
	return nil, why
}

// withService returns the locations of a record with those behind them of the service
// that the namespace of its prefix names, for requests that negotiate and find nothing
// for them in the record itself; own is nil where the record has none, and then its link
// is one. So neither browsers nor the other links of the record take another way. It also
// returns the answer with the lifetime that this has.
func (s *Server) withService(ctx context.Context, a *resolver.Answer, own *locations, link []byte) (*locations, resolver.Answer) {
	kept := *a
	if own != nil && slices.ContainsFunc(own.list, func(p location) bool { return p.negotiates() }) {
		return own, kept
	}
	service := s.serviceLocations(ctx, &kept)
	switch {
	case service == nil:
		return own, kept
	case own != nil:
		return &locations{own.chooseBy, slices.Concat(own.list, service.list)}, kept
	case link != nil:
		service.list = append([]location{{href: string(link), weight: 1}}, service.list...)
	}
	return service, kept
}

// serviceLocations returns the locations that the namespace of a handle's prefix names
// for everything below, as they are for this handle; nil for none. Only the record of the
// very prefix counts: whoever holds that wrote it. It lowers the lifetime of the answer to
// that of what it has read.
func (s *Server) serviceLocations(ctx context.Context, a *resolver.Answer) *locations {
	if a.ID.IsPrefix() {
		return nil
	}
	n, err := s.ask(ctx, resolver.Query{ID: identifier.ID{Prefix: a.ID.Prefix}, Types: []string{resolver.NamespaceType}, Recursive: true})
	if err != nil || n.Outcome != resolver.Found {
		return nil
	}
	handle, ok := resolver.LocationsHandle(n.Record)
	if !ok {
		return nil
	}
	id, err := identifier.Parse("hdl:" + handle)
	if err != nil {
		return nil
	}
	found, err := s.ask(ctx, resolver.Query{ID: id, Types: []string{typeLocations}, Recursive: true})
	if err != nil || found.Outcome != resolver.Found {
		return nil
	}
	a.Lifetime = min(a.Lifetime, n.Lifetime, found.Lifetime)
	for i := range found.Record.Values {
		if v := &found.Record.Values[i]; v.Type == typeLocations {
			if l, err := parseLocations(v.Data); err == nil {
				l.at(a.ID.String())
				return l
			}
		}
	}
	return nil
}
