package rpc

import (
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// Tags of the fields that plain answers have: the number and the type of what follows.
const (
	asNumber = byte(protowire.VarintType)
	asOctets = byte(protowire.BytesType)

	tagResults = 1<<3 | asOctets // of ResolveBatchResponse
	tagAnswer  = 1<<3 | asOctets // of ResolveResult and of ResolveResponse

	tagOutcome      = 1<<3 | asNumber
	tagIdentifier   = 2<<3 | asOctets
	tagRecord       = 3<<3 | asOctets
	tagDefaultIndex = 4<<3 | asNumber
	tagApex         = 8<<3 | asOctets
	tagInZone       = 9<<3 | asNumber
	tagLifetime     = 10<<3 | asNumber
	tagOrigin       = 11<<3 | asOctets

	tagLog      = 1<<3 | asOctets
	tagPosition = 2<<3 | asNumber

	tagSpelling = 1<<3 | asOctets
	tagVersion  = 2<<3 | asNumber
	tagTime     = 3<<3 | asNumber
	tagRowHash  = 4<<3 | asOctets
	tagValues   = 5<<3 | asOctets

	tagIndex       = 1<<3 | asNumber
	tagType        = 2<<3 | asOctets
	tagData        = 3<<3 | asOctets
	tagTTL         = 4<<3 | asNumber
	tagPermissions = 6<<3 | asNumber
	tagTimestamp   = 7<<3 | asNumber
	tagLink        = 8<<3 | asOctets
	tagReferences  = 9<<3 | asOctets

	tagRelation  = 1<<3 | asOctets
	tagTitle     = 2<<3 | asOctets
	tagLanguages = 3<<3 | asOctets
	tagMediaType = 4<<3 | asOctets
	tagContext   = 5<<3 | asOctets
	tagDefault   = 6<<3 | asNumber

	tagHandle         = 1<<3 | asOctets
	tagReferenceIndex = 2<<3 | asNumber
)

// Guesses how many octets a length has.
const short, long = 1, 2

// appendPlain appends the result that answerToProto gives for a lent record, as a
// response to a batch has it; false when there is anything about the values that is not
// plain.
func appendPlain(b []byte, canonical []byte, loan *identifier.Loan) ([]byte, bool) {
	b, result := open(b, tagResults, long)
	b, ok := appendPlainAnswer(b, canonical, loan)
	if !ok {
		return nil, false
	}
	return end(b, result, long), true
}

// appendPlainAnswer appends the answer, the only field of a result and of the response
// to one question.
func appendPlainAnswer(b []byte, canonical []byte, loan *identifier.Loan) ([]byte, bool) {
	var lifetime time.Duration = resolver.MaxLifetime
	var link uint32 // the index of the default link
	marked, any := false, false

	b, answer := open(b, tagAnswer, long)
	b = number(b, tagOutcome, uint64(resolver.Found))
	b = text(b, tagIdentifier, canonical)
	b, record := open(b, tagRecord, long)
	spelling := loan.Stored.Spelling()
	if len(spelling) == 0 {
		spelling = canonical
	} else if !utf8.Valid(spelling) {
		return nil, false
	}
	b = text(b, tagSpelling, spelling)
	b = number(b, tagVersion, loan.Stored.Version())
	b = number(b, tagTime, uint64(loan.Stored.UnixMilli()))
	if hash := loan.Stored.RowHash(); hash != (identifier.Hash{}) {
		b = text(b, tagRowHash, hash[:])
	}
	for v := range loan.Stored.Values() {
		if v.Permissions&identifier.PublicRead == 0 || v.TTL.Absolute || !isText(&v) {
			return nil, false
		}
		any = true
		lifetime = min(lifetime, time.Duration(v.TTL.Seconds)*time.Second)
		if first := v.Link && v.Default && !marked; string(v.Type) == "URL" && (link == 0 || first) {
			link, marked = v.Index, first
		}
		var value int
		b, value = open(b, tagValues, short)
		b = appendView(b, &v)
		b = end(b, value, short)
	}
	if !any {
		return nil, false
	}
	b = end(b, record, long)
	b = number(b, tagDefaultIndex, uint64(link))
	if apex := loan.Apex; apex != "" {
		b = append(protowire.AppendVarint(append(b, tagApex), uint64(len(apex))), apex...)
	}
	b = number(b, tagInZone, 1)
	b = number(b, tagLifetime, uint64(lifetime.Milliseconds()))
	b, origin := open(b, tagOrigin, short)
	if loan.Log != (identifier.LogID{}) {
		b = text(b, tagLog, loan.Log[:])
	}
	b = number(b, tagPosition, loan.Position)
	b = end(b, origin, short)
	return end(b, answer, long), true
}

// isText reports whether what a message holds as text is UTF-8.
func isText(v *identifier.ValueView) bool {
	if !utf8.Valid(v.Type) {
		return false
	}
	if v.Link && (!utf8.Valid(v.Relation) || !utf8.Valid(v.Title) || !utf8.Valid(v.MediaType) || !utf8.Valid(v.Context)) {
		return false
	}
	for language := range v.Languages() {
		if !utf8.Valid(language) {
			return false
		}
	}
	if !v.HasReferences() {
		return true
	}
	for handle := range v.References() {
		if !utf8.Valid(handle) {
			return false
		}
	}
	return true
}

// appendView appends the fields of the message of a value.
func appendView(b []byte, v *identifier.ValueView) []byte {
	b = number(b, tagIndex, uint64(v.Index))
	b = text(b, tagType, v.Type)
	b = text(b, tagData, v.Data)
	b = number(b, tagTTL, uint64(v.TTL.Seconds))
	b = number(b, tagPermissions, uint64(v.Permissions))
	b = number(b, tagTimestamp, uint64(v.Timestamp))
	if v.Link {
		var link int
		b, link = open(b, tagLink, short)
		b = text(b, tagRelation, v.Relation)
		b = text(b, tagTitle, v.Title)
		for language := range v.Languages() {
			b = text(b, tagLanguages, language)
		}
		b = text(b, tagMediaType, v.MediaType)
		b = text(b, tagContext, v.Context)
		if v.Default {
			b = number(b, tagDefault, 1)
		}
		b = end(b, link, short)
	}
	if !v.HasReferences() {
		return b
	}
	for handle, index := range v.References() {
		var reference int
		b, reference = open(b, tagReferences, short)
		b = text(b, tagHandle, handle)
		b = number(b, tagReferenceIndex, uint64(index))
		b = end(b, reference, short)
	}
	return b
}

// number appends a field that is a number, nothing for 0.
func number(b []byte, tag byte, n uint64) []byte {
	if n == 0 {
		return b
	}
	if n < 0x80 {
		return append(b, tag, byte(n))
	}
	return protowire.AppendVarint(append(b, tag), n)
}

// text appends a field of octets, nothing for none.
func text(b []byte, tag byte, octets []byte) []byte {
	if len(octets) == 0 {
		return b
	}
	if len(octets) < 0x80 {
		return append(append(b, tag, byte(len(octets))), octets...)
	}
	return append(protowire.AppendVarint(append(b, tag), uint64(len(octets))), octets...)
}

// open begins a field that is a message, with room for the octets that its length is
// guessed to have, and returns where the message begins.
func open(b []byte, tag byte, guess int) ([]byte, int) {
	if guess == short {
		b = append(b, tag, 0)
	} else {
		b = append(b, tag, 0, 0)
	}
	return b, len(b)
}

// end writes the length of the message that began at a place and has all its fields.
func end(b []byte, at, guess int) []byte {
	n := len(b) - at
	switch {
	case guess == short && n < 1<<7:
		b[at-1] = byte(n)
		return b
	case guess == long && 1<<7 <= n && n < 1<<14:
		b[at-2], b[at-1] = byte(n)|0x80, byte(n>>7)
		return b
	}
	octets := protowire.SizeVarint(uint64(n))
	switch {
	case octets > guess:
		b = append(b, make([]byte, octets-guess)...)
		copy(b[at+octets-guess:], b[at:at+n])
	case octets < guess:
		copy(b[at+octets-guess:], b[at:])
		b = b[:len(b)+octets-guess]
	}
	protowire.AppendVarint(b[:at-guess], uint64(n))
	return b
}
