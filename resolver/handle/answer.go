package handle

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// validity is how long a message counts, as stock software has it.
const validity = 12 * time.Hour

// answerFlags are those of a request that its answer repeats.
const answerFlags = FlagDigest | FlagKeepOpen | FlagPublicOnly

// maxRecursion is how many servers a request may have passed.
const maxRecursion = 40

// tooBig is told instead of an answer that passes a limit of the protocol.
const tooBig = "the values pass 262,144 octets: ask for some of them by type or index"

// answer returns the answer to a request.
func (s *Server) answer(ctx context.Context, request *Message) *Message {
	m := &Message{
		Envelope: Envelope{Version: request.Envelope.answer(), Session: request.Session, Request: request.Request},
		Opcode:   request.Opcode, Serial: s.serial(), Recursion: request.Recursion,
		Flags:      request.Flags & answerFlags,
		Expiration: uint32(time.Now().Add(validity).Unix()),
	}
	m.Suggested = own(request.Version)
	code, body := s.operate(ctx, request)
	if extended(body) {
		m.Flags |= FlagAnswer
	}
	s.write(m, request, code, body)
	if m.length()+maxCredential > MaxMessage {
		s.write(m, request, Failed, failure(request, tooBig))
	}
	s.certify(m, request)
	return m
}

// maxCredential is more than a signature takes.
const maxCredential = 1024

// certify signs an answer to who wants that. Without a key it is not signed, as it is
// by those who have none: the asker sees it.
func (s *Server) certify(m, request *Message) {
	if request.Flags&FlagCertified == 0 || s.o.Identity == nil {
		return
	}
	key, err := s.o.Identity.Key()
	if err == nil {
		err = m.certify(key)
	}
	if err != nil {
		s.o.Log.Error("an answer is not signed", "error", err)
	}
}

// write puts a code and a body into an answer.
func (s *Server) write(m, request *Message, code Code, body Body) {
	m.Code = code.For(m.Version)
	m.Body = nil
	if request.Flags&FlagDigest != 0 {
		m.Body = request.Digest().append(nil)
	}
	m.Body = body.Append(m.Body)
}

// extended reports whether a body ends in what only Nameplate reads.
func extended(body Body) bool {
	switch b := body.(type) {
	case Values:
		return b.Extra != ""
	case Refer:
		return b.Extra != ""
	case Challenge:
		return b.Extra != ""
	case Failure:
		return b.Extra != ""
	}
	return false
}

// failure is the body of an answer that says why there is none.
func failure(request *Message, detail string) Failure {
	f := Failure{Told: detail != "", Message: detail}
	if request.Flags&FlagAnswer != 0 {
		f.Told, f.Listed, f.Extra = true, true, string([]byte{extensionError})
	}
	return f
}

// operate does what a request asks. Administration will stand here.
func (s *Server) operate(ctx context.Context, request *Message) (Code, Body) {
	switch {
	case request.Compressed || request.Encrypted || request.Code != 0:
		return ProtocolError, failure(request, "a request is neither compressed nor encrypted, and has response code 0")
	case request.Opcode != OpResolution && request.Opcode != OpSiteInfo:
		return NotSupported, failure(request, "this node answers resolution (1) and site information (2) only")
	case request.Recursion > maxRecursion:
		code := RecursionTooDeep
		if throws(request) {
			code = Failed
		}
		return code, failure(request, "the request has passed more than 40 servers: look for a circle")
	}
	_, body, err := request.ParseBody()
	if err != nil {
		return ProtocolError, failure(request, err.Error())
	}
	if r, ok := body.(Resolution); ok {
		if s.outOfDate(request) {
			return SiteInfoOutOfDate, failure(request, "the site information of this server has changed: ask for it (operation 2)")
		}
		return s.resolve(ctx, request, &r)
	}
	if sites := s.ownSites(); len(sites) > 0 {
		return Success, SiteInfo{sites[0]}
	}
	return Failed, failure(request, "this node tells no address for Handle: its operator sets one")
}

// outOfDate reports whether an asker goes by site information that is not this node's of
// now, and can be told so.
func (s *Server) outOfDate(request *Message) bool {
	return request.Serial != NoSerial && request.Serial != s.serial() && !throws(request)
}

// throws reports whether a request may be one of the SDK of CAICT, which suggests version
// 2.10, and throws on the codes 300, 301, 6 and 7 where others read on.
func throws(request *Message) bool { return request.Suggested == Version{2, 10} }

// resolve answers a question.
func (s *Server) resolve(ctx context.Context, request *Message, r *Resolution) (Code, Body) {
	q := resolver.Query{
		Types: r.Types, Indexes: r.Indexes,
		Recursive:     request.Flags&FlagRecursive != 0,
		Authoritative: request.Flags&FlagAuthoritative != 0,
	}
	if request.Flags&FlagAnswer != 0 {
		if err := readAsked(r.Extra, &q); err != nil {
			return ProtocolError, failure(request, err.Error())
		}
	}
	var err error
	if q.ID, err = readHandle(r.Handle); err != nil {
		return InvalidHandle, failure(request, err.Error())
	}
	if request.Flags&FlagAnswer == 0 && strings.EqualFold(r.Handle, RootHandle) {
		q.ID = identifier.ID{} // what stock software calls the root
	}
	a, err := s.resolver.Resolve(ctx, q)
	code := Code(resolver.CaseOf(a, err).Codes().Handle[0])
	if unheld, ok := errors.AsType[*resolver.UnheldError](err); ok && request.Flags&FlagAnswer == 0 {
		if made := selected(&q, s.unheldValues(&unheld.Answer)); len(made) > 0 {
			return Success, Values{Handle: r.Handle, Values: made}
		}
	}
	if err != nil {
		detail := "cannot answer now: ask again later"
		if e, ok := err.(*resolver.Error); ok {
			detail = e.Detail
		}
		if code == AuthenticationNeeded {
			return code, challenge(request, detail)
		}
		return code, failure(request, detail)
	}
	if request.Flags&FlagAnswer != 0 {
		return s.whole(request, code, &a)
	}
	return s.stock(ctx, request, r, code, &q, &a)
}

// challenge is the body of an answer that wants to know who asks.
func challenge(request *Message, detail string) Challenge {
	c := Challenge{Nonce: make([]byte, 16)}
	rand.Read(c.Nonce)
	if request.Flags&FlagAnswer != 0 {
		c.Extra = string([]byte{extensionError}) + detail
	}
	return c
}

// readHandle reads the handle of a request. The text is not guessed at: what looks
// like a GTIN is a prefix here.
func readHandle(text string) (identifier.ID, error) { return identifier.Parse("hdl:" + text) }

// whole is the answer to who reads all of it.
func (s *Server) whole(request *Message, code Code, a *resolver.Answer) (Code, Body) {
	extra, err := appendAnswer(a)
	if err != nil {
		return Failed, failure(request, "the answer cannot be written")
	}
	switch {
	case a.Outcome == resolver.Referral:
		return referralCode(a), Refer{Values: s.referralValues(a), Extra: extra}
	case code == Success:
		return code, Values{Handle: writeHandle(a.ID), Values: a.Record.Values, Extra: extra}
	}
	return code, Failure{Told: true, Listed: true, Message: writeHandle(a.ID), Extra: extra}
}

// stock is the answer to stock software.
func (s *Server) stock(ctx context.Context, request *Message, r *Resolution, code Code, q *resolver.Query, a *resolver.Answer) (Code, Body) {
	if a.Outcome == resolver.Referral {
		return s.refer(request, r, q, a)
	}
	var values []identifier.Value
	if a.Record != nil {
		values = a.Record.Values
	}
	known := a.Outcome == resolver.Found || a.Outcome == resolver.Absent && (a.Below || a.ID.Prefix == a.Apex)
	if a.ID.IsPrefix() && a.InZone && known {
		var own []identifier.Value
		if s.o.Recursive {
			own = s.passedOn(ctx, q, a)
		} else {
			own = s.zoneValues(a)
		}
		made := selected(q, own)
		if a.Outcome == resolver.Absent && len(made) == 0 && len(own) > 0 {
			return ValuesNotFound, failure(request, "")
		}
		values = slices.Concat(values, made)
	}
	if len(values) > 0 {
		return Success, Values{Handle: r.Handle, Values: values}
	}
	return code, failure(request, "")
}

// refer is the answer where another node answers.
func (s *Server) refer(request *Message, r *Resolution, q *resolver.Query, a *resolver.Answer) (Code, Body) {
	switch {
	case a.ID.IsPrefix() && a.ID.Prefix == a.Delegation.Prefix:
		all := s.delegatedValues(a.Delegation)
		values := selected(q, all)
		switch {
		case len(values) > 0:
			return Success, Values{Handle: r.Handle, Values: values}
		case len(all) > 0:
			return ValuesNotFound, failure(request, "")
		}
	case request.Flags&FlagDoNotRefer != 0 && !throws(request):
		return NotResponsible, failure(request, "another node answers for "+a.Delegation.Prefix.String())
	}
	return referralCode(a), Refer{Values: s.referralValues(a)}
}

func referralCode(a *resolver.Answer) Code {
	codes := resolver.CaseReferral.Codes().Handle
	if a.ID.IsPrefix() {
		return Code(codes[0])
	}
	return Code(codes[1])
}

// writeHandle writes an identifier as a handle: a prefix as its record below 0.NA.
func writeHandle(id identifier.ID) string {
	if id.IsPrefix() {
		return prefixHandles + strings.ToUpper(id.String())
	}
	return id.String()
}

// prefixHandles stands in front of a prefix in the handle of its record.
const prefixHandles = "0.NA/"
