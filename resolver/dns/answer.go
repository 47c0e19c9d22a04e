package dns

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"

	"github.com/miekg/dns"
)

// question is a request whose name has been read.
type question struct {
	*request
	text string // the name as it was sent, escaped
	of   Name
}

// above returns the name of a prefix in the letters in which it stands in the
// question's own name, so that it can be compressed and a resolver that sent
// random case sees it again.
func (q *question) above(zone Zone, p identifier.Prefix) string {
	labels := zone.labels + p.Depth()
	if starts := dns.Split(q.text); len(starts) >= labels && p.Covers(q.of.ID.Prefix) {
		return q.text[starts[len(starts)-labels]:]
	}
	return text(zone.AppendPrefixName(nil, p))
}

// isPrefix reports whether the question's name is that of a prefix.
func (q *question) isPrefix(p identifier.Prefix) bool {
	return q.of.Kind == KindIdentifier && q.of.Link == "" && q.of.ID == identifier.ID{Prefix: p}
}

// reply answers a request that is well formed.
func (s *Server) reply(ctx context.Context, r *request, text string) *reply {
	name, err := s.zone.Parse(r.name)
	q := &question{request: r, text: text, of: name}
	switch {
	case errors.Is(err, ErrOutside), errors.Is(err, ErrBroken), r.class != dns.ClassINET && r.class != dns.ClassANY:
		return (&reply{}).as(resolver.CaseRefusedOutside, "")
	case r.rrtype == dns.TypeAXFR || r.rrtype == dns.TypeIXFR:
		return (&reply{rcode: dns.RcodeRefused}).explained(int(dns.ExtendedErrorCodeProhibited), "this zone is not transferred")
	}
	a, err := s.resolve(ctx, q)
	var rep *reply
	if unheld, ok := errors.AsType[*resolver.UnheldError](err); ok {
		a = unheld.Answer
		rep = s.unheld(ctx, q, &a, err)
	} else if err != nil {
		return failed(err)
	} else {
		rep = s.judge(ctx, q, &a)
	}
	rep.place = placeOf(&a)
	if a.Origin.Mirror {
		rep.explained(resolver.CaseFoundInMirror.Codes().DNS.Extended, mirrorText(a.Origin.Age))
	}
	if a.Origin.Stale {
		rep.explained(int(dns.ExtendedErrorCodeStaleAnswer), staleText(a.Origin.Age))
	}
	if a.Record != nil && a.Record.Suspect {
		rep.explained(int(dns.ExtendedErrorCodeOther), suspectText)
	}
	return rep
}

// suspectText is told with whatever rests on a record that is suspect.
const suspectText = "suspect: its holder has said that a key was in the wrong hands when this was registered"

// as gives a reply the codes that the table of outcomes has for a case.
func (r *reply) as(c resolver.Case, text string) *reply {
	codes := c.Codes().DNS
	r.rcode, r.authoritative = codes.Rcode, codes.Authoritative
	return r.explained(codes.Extended, text)
}

// errInconsistent is why an answer is not given that contradicts the question.
func errInconsistent() error {
	return &resolver.Error{Kind: resolver.Unavailable, Detail: "what this node would answer does not belong to the question: ask another node"}
}

// failed is the reply when there is no answer.
func failed(err error) *reply {
	c := resolver.CaseOf(resolver.Answer{}, err)
	codes := c.Codes().DNS
	detail := ""
	if e, ok := errors.AsType[*resolver.Error](err); ok {
		detail = e.Detail
	}
	switch {
	case codes != nil && codes.Drop:
		return &reply{overloaded: true}
	case codes == nil || codes.Rcode == dns.RcodeNameError:
		// Nobody knows whose zone this is, or DNS has no way to do what is wanted.
		c = resolver.CaseUnavailable
	}
	return (&reply{}).as(c, detail)
}

// resolve asks the Resolver. What it calls malformed gets the answer for the prefix
// above, which tells the zone, and becomes a malformed name.
func (s *Server) resolve(ctx context.Context, q *question) (resolver.Answer, error) {
	query := resolver.Query{ID: q.of.ID, Relation: q.of.Link, Recursive: q.desired, Authoritative: q.edns.noCopies(), Mirror: q.edns.mirror()}
	if q.of.Kind == KindHashed {
		s.counts.hashed.Add(1)
		query.SuffixHash = &q.of.Hash
	}
	a, err := s.resolver.Resolve(ctx, query)
	above := identifier.ID{Prefix: q.of.ID.Prefix}
	for range 2 {
		if e, ok := errors.AsType[*resolver.Error](err); !ok || e.Kind != resolver.Malformed {
			break
		}
		q.of = Name{Kind: KindMalformed, ID: above}
		query = resolver.Query{ID: above, Recursive: query.Recursive, Authoritative: query.Authoritative, Mirror: query.Mirror}
		a, err = s.resolver.Resolve(ctx, query)
		above = identifier.ID{}
	}
	return a, err
}

// judge turns an answer into a reply, by what the name stands for.
func (s *Server) judge(ctx context.Context, q *question, a *resolver.Answer) *reply {
	if a.Outcome == resolver.Referral && a.Delegation != nil {
		if q.rrtype == dns.TypeDS && q.isPrefix(a.Delegation.Prefix) {
			return s.noData(q, a) // DS stands on the parent's side of a cut
		}
		return s.referral(q, a)
	}
	if !a.InZone {
		return (&reply{}).as(resolver.CaseRefusedOutside, "")
	}
	if rep := s.infrastructure(ctx, q, a); rep != nil {
		return rep
	}
	switch {
	case a.Outcome == resolver.Refused:
		return s.negative(q, a, resolver.CaseRefused)
	case q.of.Kind == KindAbove && q.exists(a):
		return s.noData(q, a)
	case q.of.Kind != KindIdentifier && q.of.Kind != KindHashed:
		return s.negative(q, a, resolver.CaseAbsent)
	case a.Outcome == resolver.Found:
		return s.found(q, a)
	case a.Outcome != resolver.Absent:
		return failed(errInconsistent())
	case q.of.Link == "" && q.of.ID.IsPrefix() && q.of.Kind == KindIdentifier && q.exists(a):
		return s.noData(q, a)
	case q.of.Above && s.somethingBelow(ctx, q):
		return s.noData(q, a)
	}
	return s.negative(q, a, resolver.CaseAbsent)
}

// unheld answers from a mirror that has no record of the identifier. What it knows it
// says, so that a resolver which asks name by name (RFC 9156) gets past it: who serves
// the zone, that a name is there because something lies below it, and that a name is
// none of an identifier. It never says that a name is not there which may be.
func (s *Server) unheld(ctx context.Context, q *question, a *resolver.Answer, err error) *reply {
	if rep := s.infrastructure(ctx, q, a); rep != nil {
		return rep
	}
	mayBe := q.of.Kind == KindIdentifier || q.of.Kind == KindHashed
	switch {
	case q.of.Kind == KindAbove && !q.exists(a):
		return failed(err)
	case q.of.Kind == KindAbove:
		return s.noData(q, a)
	case !mayBe:
		return s.negative(q, a, resolver.CaseAbsent)
	case q.of.Link != "" || hasType(q.rrtype):
		return failed(err) // a record would show
	case q.of.ID.IsPrefix() && q.of.Kind == KindIdentifier && q.exists(a), q.of.Above && s.knownBelow(ctx, q):
		return s.noData(q, a)
	}
	return failed(err)
}

// hasType reports whether the names of identifiers can have records of a type.
func hasType(rrtype uint16) bool {
	switch rrtype {
	case dns.TypeTXT, dns.TypeURI, dns.TypeNAPTR, dns.TypeANY:
		return true
	}
	return false
}

// knownBelow reports whether a mirror knows of anything below the prefix of a name which
// may be an empty non-terminal.
func (s *Server) knownBelow(ctx context.Context, q *question) bool {
	a, err := s.resolver.Resolve(ctx, resolver.Query{ID: identifier.ID{Prefix: q.of.ID.Prefix}, Mirror: q.edns.mirror()})
	if unheld, ok := errors.AsType[*resolver.UnheldError](err); ok {
		a, err = unheld.Answer, nil
	}
	return err == nil && q.exists(&a)
}

// exists reports whether the answer for a prefix says that its name, or names below
// it, are there.
func (q *question) exists(a *resolver.Answer) bool {
	return a.Outcome == resolver.Found || a.Below || a.Apex == q.of.ID.Prefix
}

// somethingBelow reports whether anything is there below the prefix of a name which
// may be an empty non-terminal. Saying yes too often does no harm.
func (s *Server) somethingBelow(ctx context.Context, q *question) bool {
	a, err := s.resolver.Resolve(ctx, resolver.Query{ID: identifier.ID{Prefix: q.of.ID.Prefix}, Recursive: q.desired})
	return err != nil || a.Outcome != resolver.Absent || q.exists(&a)
}

// infrastructure answers for what a zone has whether its apex is an identifier or
// not; nil when the question is about something else.
func (s *Server) infrastructure(ctx context.Context, q *question, a *resolver.Answer) *reply {
	if q.of.ID.Prefix != a.Apex || s.o.Recursive && q.rrtype != dns.TypeSOA {
		return nil
	}
	zone := s.zoneOf(q, a)
	rep := &reply{authoritative: true}
	switch q.of.Kind {
	case KindServers:
		return s.noData(q, a)
	case KindServer:
		return s.server(q, a, zone)
	case KindIdentifier:
		if !q.isPrefix(a.Apex) {
			return nil
		}
	default:
		return nil
	}
	switch q.rrtype {
	case dns.TypeSOA:
		rep.answer = []dns.RR{s.soa(q, a)}
	case dns.TypeNS:
		rep.answer, rep.additional = zone.ns(), zone.addresses()
	case dns.TypeSVCB:
		if rep.answer = zone.svcb(); len(rep.answer) == 0 {
			return nil
		}
		rep.aside = zone.addresses()
	case dns.TypeDS:
		return s.noDS(ctx, q, a)
	case dns.TypeANY:
		rep.answer = []dns.RR{anyRecord(q.text, infrastructureTTL)}
	default:
		return nil
	}
	return rep
}

// noDS answers a question for DS at an apex. Where this node answers for the zone
// above as well, that is where it belongs.
func (s *Server) noDS(ctx context.Context, q *question, a *resolver.Answer) *reply {
	if parent, ok := a.Apex.Parent(); ok {
		b, err := s.resolver.Resolve(ctx, resolver.Query{ID: identifier.ID{Prefix: parent}, Recursive: q.desired})
		if err == nil && b.InZone && b.Apex != a.Apex && b.Apex.Covers(parent) {
			return s.noData(q, &b)
		}
	}
	return s.noData(q, a)
}

// server answers for the name of a name server.
func (s *Server) server(q *question, a *resolver.Answer, zone *cut) *reply {
	rep := &reply{authoritative: true}
	known := false
	for i := range zone.nodes {
		one := cut{zone: zone.zone, nodes: zone.nodes[i : i+1]}
		if !strings.EqualFold(one.server(&zone.nodes[i]), q.text) {
			continue
		}
		known = true
		for _, rr := range one.addresses() {
			if rr.Header().Rrtype == q.rrtype {
				rr.Header().Name = q.text
				rep.answer = append(rep.answer, rr)
			}
		}
	}
	switch {
	case !known:
		return s.negative(q, a, resolver.CaseAbsent)
	case q.rrtype == dns.TypeANY:
		rep.answer = []dns.RR{anyRecord(q.text, infrastructureTTL)}
	case len(rep.answer) == 0:
		return s.noData(q, a)
	}
	return rep
}

// referral sends to another node: NS in authority, its addresses in additional, and
// SVCB there too for our own walker.
func (s *Server) referral(q *question, a *resolver.Answer) *reply {
	rep := (&reply{}).as(resolver.CaseReferral, "")
	below := s.delegated(q, a.Delegation)
	rep.authority, rep.additional, rep.aside = below.ns(), below.addresses(), below.svcb()
	if len(rep.authority) == 0 {
		return failed(errInconsistent())
	}
	return rep
}

// found answers with the records at a name.
func (s *Server) found(q *question, a *resolver.Answer) *reply {
	if !q.isAbout(a) {
		return failed(errInconsistent())
	}
	if q.of.Kind == KindHashed && !identifier.HashNamed(a.ID) {
		return s.negative(q, a, resolver.CaseAbsent) // another form of a name that has room
	}
	rep := &reply{authoritative: true}
	r := &records{owner: q.text, answer: a, now: time.Now()}
	switch q.rrtype {
	case dns.TypeURI:
		rep.answer = r.uris()
	case dns.TypeNAPTR:
		rep.answer = r.naptrs()
	case dns.TypeTXT:
		rep.answer = r.texts()
	case dns.TypeANY:
		rep.answer = []dns.RR{anyRecord(q.text, r.texts()[0].Header().Ttl)}
	}
	if len(rep.answer) == 0 {
		return s.noData(q, a)
	}
	if a.Origin.Mirror {
		rep.asideAuthority = []dns.RR{s.soa(q, a)}
	}
	return rep
}

// isAbout reports whether an answer is one to this question.
func (q *question) isAbout(a *resolver.Answer) bool {
	switch {
	case a.Record == nil:
		return false
	case q.of.Kind == KindHashed:
		return a.ID.Prefix == q.of.ID.Prefix && identifier.SuffixHash(a.ID.Suffix) == q.of.Hash && a.Record.ID == a.ID
	}
	return a.ID == q.of.ID && a.Record.ID == a.ID
}

// noData says that the name is there and nothing of the asked type.
func (s *Server) noData(q *question, a *resolver.Answer) *reply {
	return s.negative(q, a, resolver.CaseAbsentAbove)
}

// negative answers without records, with the SOA of the zone (RFC 2308).
func (s *Server) negative(q *question, a *resolver.Answer, c resolver.Case) *reply {
	rep := (&reply{}).as(c, "")
	rep.authority = []dns.RR{s.soa(q, a)}
	return rep
}

// anyRecord is the one record that stands for all (RFC 8482, section 4.2).
func anyRecord(owner string, ttl uint32) dns.RR {
	return &dns.HINFO{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeHINFO, Class: dns.ClassINET, Ttl: ttl}, Cpu: "RFC8482"}
}
