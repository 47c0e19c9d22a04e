package resolver

import "errors"

// Protocol is one of the wires that a node answers on.
type Protocol string

const (
	DNS    Protocol = "dns"
	GRPC   Protocol = "grpc"
	HTTP   Protocol = "http"
	Handle Protocol = "handle"
)

// Case is a row of the table of outcomes: what can come of a request, as finely
// as some protocol tells it apart. What comes before CaseMalformed is an
// [Answer], the rest an [Error].
type Case uint8

const (
	CaseFound Case = iota
	// CaseFoundInMirror: found, in a parent's copy.
	CaseFoundInMirror
	// CaseNoValues: found, without a value of what was asked for.
	CaseNoValues
	CaseReferral
	CaseAbsent
	// CaseAbsentAbove: absent, with something below.
	CaseAbsentAbove
	CaseRefused
	// CaseRefusedOutside: refused, because this node has no authority there.
	CaseRefusedOutside
	CaseMalformed
	// CaseConflict: a change does not follow on the current version. No question
	// ends like this.
	CaseConflict
	CaseUnauthenticated
	CaseOverloaded
	CaseUnavailable
	caseEnd
)

// Codes is how a case looks on each wire. A nil pointer means that the protocol
// has no such case.
type Codes struct {
	// Name is what the case is called in logs, metrics and machine output.
	Name string
	DNS  *DNSCodes
	// GRPC is a status code of gRPC. Every answer is OK (0).
	GRPC uint32
	// HTTP is the status of GET /resolve/…; Redirect that of a request that follows
	// the link instead, where it differs.
	HTTP, Redirect int
	// Handle are response codes (RFC 3652, section 2.2.2), the usual one first.
	Handle []uint32
}

// DNSCodes is how a case looks in DNS.
type DNSCodes struct {
	// Rcode as in RFC 1035, section 4.1.1.
	Rcode int
	// Authoritative is the AA bit.
	Authoritative bool
	// Extended is the INFO-CODE of an extended error (RFC 8914); -1 for none.
	Extended int
	// Drop says that the datagram is better not answered, or answered with TC only.
	Drop bool
}

const (
	rcodeNoError  = 0
	rcodeServFail = 2
	rcodeNXDomain = 3
	rcodeRefused  = 5

	// Extended errors of RFC 8914, section 4.
	extendedNone             = -1
	extendedOther            = 0
	extendedNotReady         = 14
	extendedProhibited       = 18
	extendedNotAuthoritative = 20
)

// table is the one table of outcomes, never written to.
var table = [caseEnd]Codes{
	CaseFound: {
		Name: "found", HTTP: 200, Redirect: 307, Handle: []uint32{1},
		DNS: &DNSCodes{Rcode: rcodeNoError, Authoritative: true, Extended: extendedNone},
	},
	CaseFoundInMirror: {
		Name: "found in a mirror", HTTP: 200, Redirect: 307, Handle: []uint32{1, 302},
		DNS: &DNSCodes{Rcode: rcodeNoError, Authoritative: true, Extended: extendedOther},
	},
	CaseNoValues: {
		Name: "found without values", HTTP: 404, Handle: []uint32{200},
		DNS: &DNSCodes{Rcode: rcodeNoError, Authoritative: true, Extended: extendedNone},
	},
	CaseReferral: {
		Name: "referral", HTTP: 303, Handle: []uint32{303, 302},
		DNS: &DNSCodes{Rcode: rcodeNoError, Extended: extendedNone},
	},
	CaseAbsent: {
		Name: "absent", HTTP: 404, Handle: []uint32{100},
		DNS: &DNSCodes{Rcode: rcodeNXDomain, Authoritative: true, Extended: extendedNone},
	},
	CaseAbsentAbove: {
		Name: "absent with names below", HTTP: 404, Handle: []uint32{100},
		DNS: &DNSCodes{Rcode: rcodeNoError, Authoritative: true, Extended: extendedNone},
	},
	CaseRefused: {
		Name: "refused", HTTP: 403, Handle: []uint32{401},
		DNS: &DNSCodes{Rcode: rcodeNoError, Authoritative: true, Extended: extendedProhibited},
	},
	CaseRefusedOutside: {
		Name: "refused outside the zone", HTTP: 403, Handle: []uint32{401},
		DNS: &DNSCodes{Rcode: rcodeRefused, Extended: extendedNotAuthoritative},
	},
	CaseMalformed: {
		Name: "malformed", GRPC: 3, HTTP: 400, Handle: []uint32{102},
		DNS: &DNSCodes{Rcode: rcodeNXDomain, Authoritative: true, Extended: extendedNone},
	},
	CaseConflict:        {Name: "conflict", GRPC: 10, HTTP: 409, Handle: []uint32{101, 201}},
	CaseUnauthenticated: {Name: "not authenticated", GRPC: 16, HTTP: 401, Handle: []uint32{402}},
	CaseOverloaded: {
		Name: "overloaded", GRPC: 8, HTTP: 429, Handle: []uint32{3},
		DNS: &DNSCodes{Drop: true, Extended: extendedNone},
	},
	CaseUnavailable: {
		Name: "unavailable", GRPC: 14, HTTP: 503, Handle: []uint32{2},
		DNS: &DNSCodes{Rcode: rcodeServFail, Extended: extendedNotReady},
	},
}

// Codes returns the row of the table. What it points to must not be changed.
func (c Case) Codes() Codes { return table[c] }

func (c Case) String() string { return table[c].Name }

// On reports whether the protocol has the case.
func (c Case) On(p Protocol) bool { return p != DNS || table[c].DNS != nil }

// Cases returns all cases in the order of the table.
func Cases() []Case {
	cases := make([]Case, caseEnd)
	for i := range cases {
		cases[i] = Case(i)
	}
	return cases
}

// CaseOf says which case the result of a Resolver is. An error that is not an
// [*Error] counts as unavailable.
func CaseOf(a Answer, err error) Case {
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			return e.Kind.Case()
		}
		return CaseUnavailable
	}
	switch a.Outcome {
	case Found:
		switch {
		case a.Record == nil || len(a.Record.Values) == 0:
			return CaseNoValues
		case a.Origin.Mirror:
			return CaseFoundInMirror
		}
		return CaseFound
	case Referral:
		return CaseReferral
	case Absent:
		if a.Below {
			return CaseAbsentAbove
		}
		return CaseAbsent
	case Refused:
		if !a.InZone {
			return CaseRefusedOutside
		}
		return CaseRefused
	}
	return CaseUnavailable
}

// Case returns the row of the table for a kind of error.
func (k Kind) Case() Case {
	switch k {
	case Malformed:
		return CaseMalformed
	case Overloaded:
		return CaseOverloaded
	case Unauthenticated:
		return CaseUnauthenticated
	}
	return CaseUnavailable
}

func (k Kind) String() string { return k.Case().String() }

var outcomeNames = [...]string{Found: "found", Referral: "referral", Absent: "absent", Refused: "refused"}

func (o Outcome) String() string {
	if int(o) < len(outcomeNames) && outcomeNames[o] != "" {
		return outcomeNames[o]
	}
	return "unknown"
}
