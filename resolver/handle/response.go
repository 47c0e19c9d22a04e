package handle

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// readResponse reads the answer to a query. What the server says of itself is a
// [*resolver.Error]; any other error means that it makes no sense.
func readResponse(m *Message, q *resolver.Query) (resolver.Answer, error) {
	_, body, err := m.ParseBody()
	if err != nil {
		return resolver.Answer{}, err
	}
	extra, text := "", ""
	var values []identifier.Value
	switch b := body.(type) {
	case Values:
		extra, text, values = b.Extra, b.Handle, b.Values
	case Refer:
		extra, values = b.Extra, b.Values
	case Challenge:
		extra = b.Extra
	case Failure:
		extra, text = b.Extra, b.Message
	}
	switch {
	case extra == "":
		return readStock(m.Code, text, values, q)
	case extra[0] == extensionError:
		return resolver.Answer{}, told(m.Code, text+extra[1:])
	}
	id := q.ID
	if text != "" {
		if id, err = readHandle(text); err != nil {
			return resolver.Answer{}, err
		}
	}
	a, err := readAnswer(extra, id, slices.Clip(values))
	if err == nil {
		err = check(&a, m.Code, q)
	}
	return a, err
}

// check checks that an answer is to the query, and has the code that such an answer has.
func check(a *resolver.Answer, code Code, q *resolver.Query) error {
	hashed := q.SuffixHash != nil && a.Outcome == resolver.Found
	switch {
	case !hashed && a.ID != q.ID,
		hashed && (a.ID.Prefix != q.ID.Prefix || identifier.SuffixHash(a.ID.Suffix) != *q.SuffixHash):
		return fmt.Errorf("it is for %.80q", a.ID.String())
	case (a.Outcome == resolver.Found) != (a.Record != nil), (a.Outcome == resolver.Referral) != (a.Delegation != nil):
		return fmt.Errorf("it has not what an answer %q has", a.Outcome)
	case !slices.Contains(resolver.CaseOf(*a, nil).Codes().Handle, uint32(code)):
		return fmt.Errorf("%v with an answer %q", code, a.Outcome)
	}
	return nil
}

// told is what a server says of itself.
func told(code Code, detail string) *resolver.Error {
	kind := resolver.Unavailable
	for _, k := range []resolver.Kind{resolver.Malformed, resolver.Overloaded, resolver.Unauthenticated} {
		if slices.Contains(k.Case().Codes().Handle, uint32(code)) {
			kind = k
		}
	}
	if detail == "" {
		detail = code.String()
	}
	return &resolver.Error{Kind: kind, Detail: resolver.OneLine(detail)}
}

// readStock reads the answer of a server that is no Nameplate node.
func readStock(code Code, text string, values []identifier.Value, q *resolver.Query) (resolver.Answer, error) {
	a := resolver.Answer{ID: q.ID, InZone: true, Lifetime: resolver.NegativeTTL, Apex: q.ID.Prefix}
	switch code {
	case Success:
		if id, err := readHandle(text); err != nil || id != q.ID {
			return resolver.Answer{}, fmt.Errorf("it is for %.80q", text)
		}
		found(&a, values, q)
	case ValuesNotFound:
		found(&a, nil, q)
	case NotFound:
		a.Outcome = resolver.Absent
	case NotPermitted:
		a.Outcome = resolver.Refused
	case NotResponsible:
		a.Outcome, a.InZone, a.Apex = resolver.Refused, false, ""
	case ServiceReferral, PrefixReferral:
		node := nodeOf(values)
		if node == nil {
			return resolver.Answer{}, fmt.Errorf("it refers to %.80q, and to no address", text)
		}
		a.Outcome, a.Lifetime = resolver.Referral, resolver.ReferralTTL
		a.Delegation = &identifier.Delegation{Prefix: q.ID.Prefix, Node: node}
	default:
		return resolver.Answer{}, told(code, text)
	}
	return a, nil
}

// found makes the answer one about a record with these values.
func found(a *resolver.Answer, values []identifier.Value, q *resolver.Query) {
	slices.SortFunc(values, func(v, w identifier.Value) int { return cmp.Compare(v.Index, w.Index) })
	values = q.Select(values)
	a.Outcome = resolver.Found
	a.Record = &identifier.Record{ID: q.ID, Spelling: q.ID.String(), Values: values}
	if link, ok := a.Record.DefaultLink(); ok {
		a.Default = &link
	}
	now := time.Now()
	for i := range values {
		left := min(values[i].TTL.Left(now), resolver.MaxLifetime)
		if i == 0 || left < a.Lifetime {
			a.Lifetime = left
		}
	}
}

// nodeOf returns the node at the addresses that sites tell; nil when they tell none.
func nodeOf(values []identifier.Value) *identifier.Node {
	n := &identifier.Node{Name: "handle"}
	for i := range values {
		if values[i].Type != typeSite && !strings.HasPrefix(values[i].Type, "HS_SITE.") {
			continue
		}
		site, err := ParseSite(values[i].Data)
		if err != nil {
			continue
		}
		for _, s := range site.Servers {
			port := questionPort(&s)
			if port == 0 || len(n.Addresses) == identifier.MaxAddresses {
				continue
			}
			n.Addresses = append(n.Addresses, identifier.Address{IP: s.IP().String(), Handle: port})
		}
	}
	if len(n.Addresses) == 0 {
		return nil
	}
	return n
}

// questionPort returns the first port where a server answers questions over UDP or TCP.
func questionPort(s *SiteServer) uint16 {
	for _, f := range s.Interfaces {
		if f.Kind&interfaceQuery != 0 && f.Protocol <= TCP && f.Port > 0 {
			return uint16(f.Port)
		}
	}
	return 0
}
