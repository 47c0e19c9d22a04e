package handle

import (
	"encoding/binary"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// Body is the body of a message, read.
type Body interface {
	// Append appends the body.
	Append(b []byte) []byte
}

// The bodies. What has the same shape has one type.
type (
	// Resolution asks for values (1), and is a login with a password (2000): the user's
	// name as the handle, the password as the only type.
	Resolution struct {
		Handle  string
		Indexes []uint32
		Types   []string
		// Extra is what follows with [FlagAnswer]; empty otherwise.
		Extra string
	}
	// Values are those of a handle: the answer to 1, the request of 100, 102 and 104.
	Values struct {
		Handle string
		Values []identifier.Value
		Extra  string
	}
	// Name is a handle or another text: the request of 2, 101, 105, 106, 300, 301 and
	// 302, and the answer to 100 that minted one.
	Name struct{ Handle string }
	// Removal names values to remove (103).
	Removal struct {
		Handle  string
		Indexes []uint32
	}
	// Names are handles: the answer to 105, 106 and 302.
	Names struct{ Handles []string }
	// SiteInfo is the answer to 2.
	SiteInfo struct{ Site *Site }
	// ChallengeAnswer proves who asks (200).
	ChallengeAnswer struct {
		Type   string // HS_SECKEY or HS_PUBKEY
		Who    identifier.Reference
		Answer []byte
	}
	// Verification asks whether an answer is that of a key (201).
	Verification struct {
		Key   identifier.Reference
		Nonce []byte
		// Digest is that of the request; Type 0 stands for the old form, octets of any
		// kind with a length in front.
		Digest Digest
		Answer []byte
	}
	// Verdict is the answer to 201.
	Verdict struct{ Good bool }
	// Setup begins a session (400).
	Setup struct {
		Mode    SessionMode
		Timeout uint32 // seconds
		Who     identifier.Reference
		Key     []byte               // with modes 1 and 4
		KeyAt   identifier.Reference // with mode 3
		// Padded says that two zero octets follow, as stock software sends them.
		Padded bool
	}
	// SetupAnswer is the answer to 400.
	SetupAnswer struct {
		Mode   SessionMode
		Key    []byte // of the session, encrypted, or the server's part of it
		Padded bool
	}
	// Login is a login with a public key (2001).
	Login struct{ Who identifier.Reference }
	// Challenge is the answer 402.
	Challenge struct {
		Nonce []byte
		Extra string
	}
	// Refer is the answer 302 or 303. It has values only without a handle.
	Refer struct {
		Handle string
		Values []identifier.Value
		Extra  string
	}
	// Failure is the answer with any other code.
	Failure struct {
		// Told says that there is a message, Listed that a list of indexes follows it.
		Told, Listed bool
		Message      string
		Indexes      []uint32
		Extra        string
	}
	// Opaque is a body that is not looked into: between servers, of an operation that is
	// unknown, or the answer to an operation that a challenge delayed.
	Opaque []byte
)

// SessionMode is how the key of a session comes about.
type SessionMode uint16

// The modes.
const (
	ClientKey SessionMode = 1 + iota
	ServerKey
	HandleKey
	DiffieHellman
)

// ParseBody reads the body as the operation, the code and the flags say. An answer to a
// request that had [FlagDigest] begins with a digest; the zero Digest otherwise.
func (m *Message) ParseBody() (Digest, Body, error) {
	c := cursor{what: "body", b: m.Body}
	if m.Code == 0 {
		body := m.request(&c)
		return Digest{}, body, c.end()
	}
	var d Digest
	if m.Flags&FlagDigest != 0 {
		d = c.digest()
	}
	var body Body
	switch m.Code {
	case Success:
		body = m.success(&c)
	case AuthenticationNeeded:
		challenge := Challenge{Nonce: c.octets()}
		challenge.Extra = m.extra(&c)
		body = challenge
	case ServiceReferral, PrefixReferral:
		r := Refer{Handle: c.handle()}
		if r.Handle == "" {
			r.Values = c.values()
		}
		r.Extra = m.extra(&c)
		body = r
	default:
		body = m.failure(&c)
	}
	return d, body, c.end()
}

// extra reads what only Nameplate writes.
func (m *Message) extra(c *cursor) string {
	if m.Flags&FlagAnswer == 0 || c.left() == 0 {
		return ""
	}
	at := c.off
	s := c.text()
	if s == "" {
		c.fail(at, "what follows is not empty")
	}
	return s
}

func (m *Message) failure(c *cursor) Body {
	f := Failure{}
	if f.Told = c.left() > 0; f.Told {
		f.Message = c.text()
	}
	if f.Listed = c.left() > 0; f.Listed {
		f.Indexes = c.indexes()
	}
	f.Extra = m.extra(c)
	return f
}

func (m *Message) request(c *cursor) Body {
	switch m.Opcode {
	case OpResolution, OpPasswordLogin:
		r := Resolution{Handle: c.handle(), Indexes: c.indexes(), Types: c.texts(MaxValues)}
		r.Extra = m.extra(c)
		return r
	case OpSiteInfo, OpDelete, OpListHandles, OpListPrefixes, OpHome, OpUnhome, OpListHomed:
		return Name{c.handle()}
	case OpCreate, OpAddValues, OpModifyValues:
		return Values{Handle: c.handle(), Values: c.values()}
	case OpRemoveValues:
		return Removal{c.handle(), c.indexes()}
	case OpChallengeAnswer:
		return ChallengeAnswer{c.text(), c.reference(), c.octets()}
	case OpVerify:
		return c.verification()
	case OpSessionSetup:
		return c.setup()
	case OpPublicKeyLogin:
		return Login{c.reference()}
	}
	return Opaque(c.take(c.left()))
}

func (m *Message) success(c *cursor) Body {
	switch m.Opcode {
	case OpResolution:
		v := Values{Handle: c.handle(), Values: c.values()}
		v.Extra = m.extra(c)
		return v
	case OpSiteInfo:
		return SiteInfo{c.site()}
	case OpCreate:
		if c.left() > 0 {
			return Name{c.handle()}
		}
	case OpListHandles, OpListPrefixes, OpListHomed:
		return Names{c.texts(MaxMessage / 4)}
	case OpVerify:
		at := c.off
		n := c.u8()
		if n > 1 {
			c.fail(at, "the verdict is 0 or 1, not %d", n)
		}
		return Verdict{n == 1}
	case OpSessionSetup:
		a := SetupAnswer{Mode: SessionMode(c.u16()), Key: c.octets()}
		a.Padded = c.padding()
		return a
	}
	return Opaque(c.take(c.left()))
}

func (c *cursor) reference() identifier.Reference {
	return identifier.Reference{Handle: c.handle(), Index: c.u32()}
}

// verification tells the two forms of a digest apart: a length begins with a zero.
func (c *cursor) verification() Verification {
	v := Verification{Key: c.reference(), Nonce: c.octets()}
	if c.left() > 0 && c.b[c.off] == 0 {
		v.Digest.Sum = c.text()
	} else {
		v.Digest = c.digest()
	}
	v.Answer = c.octets()
	return v
}

func (c *cursor) setup() Setup {
	at := c.off
	s := Setup{Mode: SessionMode(c.u16()), Timeout: c.u32(), Who: c.reference()}
	switch s.Mode {
	case ClientKey, DiffieHellman:
		s.Key = c.octets()
	case HandleKey:
		s.KeyAt = c.reference()
	case ServerKey:
	default:
		c.fail(at, "the mode of a session is 1 to 4, not %d", s.Mode)
	}
	s.Padded = c.padding()
	return s
}

// padding reads the two zero octets that stock software puts behind a session's set-up.
func (c *cursor) padding() bool {
	if c.left() != 2 {
		return false
	}
	at := c.off
	if c.u16() != 0 {
		c.fail(at, "what follows is two zero octets")
	}
	return true
}

func appendExtra(b []byte, extra string) []byte {
	if extra == "" {
		return b
	}
	return appendText(b, extra)
}

func appendReference(b []byte, r identifier.Reference) []byte {
	return binary.BigEndian.AppendUint32(appendText(b, r.Handle), r.Index)
}

func appendPadding(b []byte, padded bool) []byte {
	if padded {
		return append(b, 0, 0)
	}
	return b
}

// Append implements [Body].
func (r Resolution) Append(b []byte) []byte {
	return appendExtra(appendTexts(appendIndexes(appendText(b, r.Handle), r.Indexes), r.Types), r.Extra)
}

// Append implements [Body].
func (v Values) Append(b []byte) []byte {
	return appendExtra(AppendValues(appendText(b, v.Handle), v.Values), v.Extra)
}

// Append implements [Body].
func (n Name) Append(b []byte) []byte { return appendText(b, n.Handle) }

// Append implements [Body].
func (r Removal) Append(b []byte) []byte { return appendIndexes(appendText(b, r.Handle), r.Indexes) }

// Append implements [Body].
func (n Names) Append(b []byte) []byte { return appendTexts(b, n.Handles) }

// Append implements [Body].
func (s SiteInfo) Append(b []byte) []byte { return s.Site.Append(b) }

// Append implements [Body].
func (a ChallengeAnswer) Append(b []byte) []byte {
	return appendText(appendReference(appendText(b, a.Type), a.Who), a.Answer)
}

// Append implements [Body].
func (v Verification) Append(b []byte) []byte {
	b = appendText(appendReference(b, v.Key), v.Nonce)
	if v.Digest.Type == 0 {
		b = appendText(b, v.Digest.Sum)
	} else {
		b = v.Digest.append(b)
	}
	return appendText(b, v.Answer)
}

// Append implements [Body].
func (v Verdict) Append(b []byte) []byte {
	if v.Good {
		return append(b, 1)
	}
	return append(b, 0)
}

// Append implements [Body].
func (s Setup) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(s.Mode))
	b = appendReference(binary.BigEndian.AppendUint32(b, s.Timeout), s.Who)
	switch s.Mode {
	case ClientKey, DiffieHellman:
		b = appendText(b, s.Key)
	case HandleKey:
		b = appendReference(b, s.KeyAt)
	}
	return appendPadding(b, s.Padded)
}

// Append implements [Body].
func (a SetupAnswer) Append(b []byte) []byte {
	return appendPadding(appendText(binary.BigEndian.AppendUint16(b, uint16(a.Mode)), a.Key), a.Padded)
}

// Append implements [Body].
func (l Login) Append(b []byte) []byte { return appendReference(b, l.Who) }

// Append implements [Body].
func (c Challenge) Append(b []byte) []byte { return appendExtra(appendText(b, c.Nonce), c.Extra) }

// Append implements [Body].
func (r Refer) Append(b []byte) []byte {
	b = appendText(b, r.Handle)
	if r.Handle == "" {
		b = AppendValues(b, r.Values)
	}
	return appendExtra(b, r.Extra)
}

// Append implements [Body].
func (f Failure) Append(b []byte) []byte {
	if f.Told {
		b = appendText(b, f.Message)
	}
	if f.Listed {
		b = appendIndexes(b, f.Indexes)
	}
	return appendExtra(b, f.Extra)
}

// Append implements [Body].
func (o Opaque) Append(b []byte) []byte { return append(b, o...) }
