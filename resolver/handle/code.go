package handle

import "strconv"

// Opcode is an operation (RFC 3652, section 2.2.2.1).
type Opcode uint32

// The operations. Those from 2000 on are of IDIS, those from 1000 on between servers of
// Handle.Net; 106 is of DO-IRP 3.
const (
	OpResolution      Opcode = 1
	OpSiteInfo        Opcode = 2
	OpCreate          Opcode = 100
	OpDelete          Opcode = 101
	OpAddValues       Opcode = 102
	OpRemoveValues    Opcode = 103
	OpModifyValues    Opcode = 104
	OpListHandles     Opcode = 105
	OpListPrefixes    Opcode = 106
	OpChallengeAnswer Opcode = 200
	OpVerify          Opcode = 201
	OpHome            Opcode = 300
	OpUnhome          Opcode = 301
	OpListHomed       Opcode = 302
	OpSessionSetup    Opcode = 400
	OpSessionEnd      Opcode = 401
	OpSessionKey      Opcode = 402
	OpNextTransaction Opcode = 1000
	OpTransactions    Opcode = 1001
	OpDump            Opcode = 1002
	OpBackup          Opcode = 1003
	OpPasswordLogin   Opcode = 2000
	OpPublicKeyLogin  Opcode = 2001
)

// Code is a response code; 0 in a request.
type Code uint32

// The response codes (RFC 3652, section 2.2.2.2), with those of IDIS.
const (
	Success               Code = 1
	Failed                Code = 2
	TooBusy               Code = 3
	ProtocolError         Code = 4
	NotSupported          Code = 5
	RecursionTooDeep      Code = 6
	ReadOnly              Code = 7
	NotFound              Code = 100
	Exists                Code = 101
	InvalidHandle         Code = 102
	ValuesNotFound        Code = 200
	ValueExists           Code = 201
	InvalidValue          Code = 202
	SiteInfoOutOfDate     Code = 300
	NotResponsible        Code = 301
	ServiceReferral       Code = 302
	PrefixReferral        Code = 303
	InvalidAdministrator  Code = 400
	NotPermitted          Code = 401
	AuthenticationNeeded  Code = 402
	AuthenticationFailed  Code = 403
	InvalidCredential     Code = 404
	AuthenticationTimeout Code = 405
	CannotAuthenticate    Code = 406
	LoginAgain            Code = 407
	LoginFirst            Code = 408
	SessionTimeout        Code = 500
	SessionFailed         Code = 501
	InvalidSessionKey     Code = 502
	NeedsRSAKey           Code = 503
	InvalidSessionSetup   Code = 504
	DuplicateMessage      Code = 505
	CredentialNotVerified Code = 3001
)

// For returns the code as a client of this version knows it: before 2.5 there were
// fewer.
func (c Code) For(v Version) Code {
	if v.Compare(Version{2, 5}) < 0 {
		switch c {
		case ReadOnly:
			return PrefixReferral
		case InvalidValue:
			return ValueExists
		}
	}
	return c
}

func (c Code) String() string { return "response code " + strconv.FormatUint(uint64(c), 10) }

// Flags are the bits of a header (RFC 3652, section 2.2.2.3).
type Flags uint32

// The flags.
const (
	FlagAuthoritative Flags = 0x80000000 // AT: not from a cache
	FlagCertified     Flags = 0x40000000 // CT: sign the answer
	FlagEncrypted     Flags = 0x20000000 // ENC
	FlagRecursive     Flags = 0x10000000 // REC
	FlagCacheCertify  Flags = 0x08000000 // CA
	FlagContinuous    Flags = 0x04000000 // CN: more messages follow
	FlagKeepOpen      Flags = 0x02000000 // KC
	FlagPublicOnly    Flags = 0x01000000 // PO
	FlagDigest        Flags = 0x00800000 // RD
	FlagOverwrite     Flags = 0x00400000 // OWE
	FlagMint          Flags = 0x00200000 // MNS
	FlagDoNotRefer    Flags = 0x00100000 // DNR
	// FlagAnswer is Nameplate's own: the answer says all that Handle has no place for.
	FlagAnswer        Flags = 0x00000800
	FlagPassIdentity  Flags = 0x00000004 // of IDIS
	FlagTrustedQuery  Flags = 0x00000002 // of IDIS
	FlagTrustedAnswer Flags = 0x00000001 // of IDIS
)
