package handle_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver/handle"
)

// rule is one rule of the reference, and what holds it: a check here, a test, or the
// reason why there is none yet.
type rule struct {
	section, rule string
	check         func(t *testing.T)
	test          string // "file TestName", from this folder
	later         string
}

// Every section of the reference (testdata/sections.txt) has rules, at least one of which
// is checked, and every rule is held by something that exists.
func TestRules(t *testing.T) {
	text, err := os.ReadFile("testdata/sections.txt")
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]bool{}
	for _, r := range rules {
		held[r.section] = held[r.section] || r.later == ""
		switch {
		case r.check != nil:
			t.Run(r.section+" "+r.rule, r.check)
		case r.test != "":
			file, name, _ := strings.Cut(r.test, " ")
			source, err := os.ReadFile(filepath.FromSlash(file))
			if err != nil || !bytes.Contains(source, []byte("\nfunc "+name+"(")) {
				t.Errorf("%s, %s: there is no %s: %v", r.section, r.rule, r.test, err)
			}
		case r.later == "":
			t.Errorf("%s, %s: nothing holds it", r.section, r.rule)
		}
	}
	for line := range strings.Lines(string(text)) {
		number, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if number = strings.TrimSuffix(number, "."); strings.Contains(number, ".") && !held[number] {
			t.Errorf("section %s has no rule here that is checked", strings.TrimSpace(line))
		}
		delete(held, number)
	}
	for number := range held {
		t.Errorf("rules speak of section %s, which the reference does not have", number)
	}
}

// octetsOf reads hex with spaces.
func octetsOf(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// codeOf returns the code of the answer to a resolution, changed.
func codeOf(t *testing.T, text string, flags handle.Flags, change func(*handle.Message)) handle.Code {
	t.Helper()
	m := request(handle.OpResolution, flags, handle.Resolution{Handle: text})
	if change != nil {
		change(m)
	}
	answer, _, _ := tell(t, newServer(), m)
	return answer.Code
}

func wantCode(text string, flags handle.Flags, want handle.Code, change func(*handle.Message)) func(*testing.T) {
	return func(t *testing.T) {
		if got := codeOf(t, text, flags, change); got != want {
			t.Errorf("%s: got %v; want %v", text, got, want)
		}
	}
}

// flagsOf checks which flags of a request its answer has.
func flagsOf(asked, want handle.Flags) func(*testing.T) {
	return func(t *testing.T) {
		m, _, _ := tell(t, newServer(), request(handle.OpResolution, asked, handle.Resolution{Handle: "88.1/sn"}))
		if m.Code != handle.Success || m.Flags != want {
			t.Errorf("got %v, flags %x; want them found, flags %x", m.Code, m.Flags, want)
		}
	}
}

// sameOctets checks that something is written as stock software writes it, and read back.
func sameOctets(kind, want string, write func() []byte) func(*testing.T) {
	return func(t *testing.T) {
		b := octetsOf(t, want)
		if got := write(); !bytes.Equal(got, b) {
			t.Errorf("got %X; want %X", got, b)
		}
		if got, err := reread[kind](b); err != nil || !bytes.Equal(got, b) {
			t.Errorf("read and written again: got %X, %v; want %X", got, err, b)
		}
	}
}

const (
	administration = "administration is a later issue; its operations answer 5 until then"
	ofSessions     = "sessions are a later issue; their operations answer 5 until then"
)

var rules = []rule{
	// 3.1 envelope
	{section: "3.1", rule: "integers are big-endian, strings have their length in front", test: "codec_test.go TestVectors"},
	{section: "3.1", rule: "the major is 2 or 3", check: func(t *testing.T) {
		for major := range 256 {
			e := handle.Envelope{Version: handle.Version{Major: uint8(major), Minor: 3}, Length: 100}
			if _, err := handle.ParseEnvelope(e.Append(nil)); (err == nil) != (major == 2 || major == 3) {
				t.Errorf("major %d: got %v", major, err)
			}
		}
	}},
	{section: "3.1", rule: "the flags and five bits of the suggested major", check: func(t *testing.T) {
		for flags := range 256 {
			b := (&handle.Envelope{Version: handle.Version{Major: 2, Minor: 3}, Length: 100}).Append(nil)
			b[2] = byte(flags)
			e, err := handle.ParseEnvelope(b)
			if err != nil || e.Compressed != (flags&0x80 != 0) || e.Encrypted != (flags&0x40 != 0) || e.Truncated != (flags&0x20 != 0) || e.Suggested.Major != uint8(flags&0x1f) {
				t.Errorf("flags %#x: got %+v, %v", flags, e, err)
			}
		}
	}},
	{section: "3.1", rule: "more than 262,144 octets are refused", check: func(t *testing.T) {
		for length, good := range map[uint32]bool{262144: true, 262145: false, 1<<32 - 1: false} {
			e := handle.Envelope{Version: handle.Version{Major: 2, Minor: 3}, Length: length}
			if _, err := handle.ParseEnvelope(e.Append(nil)); (err == nil) != good {
				t.Errorf("%d octets: got %v", length, err)
			}
		}
	}},
	{section: "3.1", rule: "the answer has the lower of both versions, and the message's where none is suggested", test: "server_test.go TestVersions"},
	{section: "3.1", rule: "a client that does not know the server sends 2.3", test: "rules_test.go TestOurRequests"},
	{section: "3.1", rule: "our client is told the same in versions 2.1 to 2.11 and 3.0", test: "versions_test.go TestClientInEveryVersion"},
	{section: "3.1", rule: "the request id is echoed", test: "server_test.go TestResolution"},
	// 3.2 header
	{section: "3.2", rule: "header, body, credential", test: "property_test.go TestRoundTrip"},
	{section: "3.2", rule: "a past expiration is ignored", check: wantCode("88.1/sn", 0, handle.Success, func(m *handle.Message) { m.Expiration = 1 })},
	{section: "3.2", rule: "an answer expires after 12 hours", test: "rules_test.go TestOurRequests"},
	{section: "3.2", rule: "the serial 65535 is unknown, another one is out of date", test: "certify_test.go TestOutOfDate"},
	{section: "3.2", rule: "a message may lack the length of its credential", test: "plain_test.go TestPathsAgree"},
	{section: "3.2", rule: "the recursion count is passed on", check: func(t *testing.T) {
		q := request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/sn"})
		q.Recursion = 7
		if m, _, _ := tell(t, newServer(), q); m.Recursion != 7 {
			t.Errorf("got %d; want 7", m.Recursion)
		}
	}},
	// 3.3 flags
	{section: "3.3", rule: "AT and REC are asked of the resolver", test: "server_test.go TestFlags"},
	{section: "3.3", rule: "CT: the answer is signed", test: "certify_test.go TestCertifiedLayouts"},
	{section: "3.3", rule: "PO and KC are repeated", check: flagsOf(handle.FlagPublicOnly|handle.FlagKeepOpen, handle.FlagPublicOnly|handle.FlagKeepOpen)},
	{section: "3.3", rule: "RD: the answer begins with the digest of the request", test: "server_test.go TestDigest"},
	{section: "3.3", rule: "DNR: no referral, 301", check: wantCode("88.118/x", handle.FlagDoNotRefer, handle.NotResponsible, nil)},
	{section: "3.3", rule: "OWE and MNS mean nothing to a question", check: flagsOf(handle.FlagOverwrite|handle.FlagMint, 0)},
	{section: "3.3", rule: "CA, CN and those of IDIS are not repeated: nothing is trusted here", check: flagsOf(handle.FlagCacheCertify|handle.FlagContinuous|handle.FlagPassIdentity|handle.FlagTrustedQuery|handle.FlagTrustedAnswer, 0)},
	{section: "3.3", rule: "ENC: encrypt with the session key", later: ofSessions},
	// 3.4 operations
	{section: "3.4", rule: "1: resolution", test: "server_test.go TestResolution"},
	{section: "3.4", rule: "2: one raw HS_SITE record, no length in front", check: func(t *testing.T) {
		m, _, _ := tell(t, newServer(), request(handle.OpSiteInfo, 0, handle.Name{Handle: "/"}))
		if site, err := handle.ParseSite(m.Body); err != nil || site.Format != 1 {
			t.Errorf("got %X, %v; want a site and nothing else", m.Body, err)
		}
	}},
	{section: "3.4", rule: "the bodies of all operations", test: "codec_test.go TestVectors"},
	{section: "3.4", rule: "every other operation: not supported", test: "server_test.go TestNotSupported"},
	{section: "3.4", rule: "every operation in every version, to the octet", test: "golden_test.go TestGolden"},
	{section: "3.4", rule: "100 to 106: changes and lists", later: administration},
	{section: "3.4", rule: "300 to 302: homing", later: administration},
	{section: "3.4", rule: "2000, 2001: logins of IDIS", later: ofSessions},
	// 3.5 codes
	{section: "3.5", rule: "the codes of our outcomes", test: "conformance_test.go TestConformance"},
	{section: "3.5", rule: "before 2.5 codes 7 and 202 are 303 and 201", test: "codec_test.go TestOldClients"},
	{section: "3.5", rule: "an error body is empty, or a message, or that and indexes", test: "codec_test.go TestVectors"},
	{section: "3.5", rule: "302 and 303: an empty handle and values", test: "server_test.go TestResolution"},
	{section: "3.5", rule: "402: a nonce of 16 octets; the answer keeps the operation", check: func(t *testing.T) {
		m, _, body := tell(t, newServer(), request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/who"}))
		if c, ok := body.(handle.Challenge); !ok || len(c.Nonce) != 16 || m.Opcode != handle.OpResolution {
			t.Errorf("got operation %d, %+v", m.Opcode, body)
		}
	}},
	{section: "3.5", rule: "the digest is SHA-256 of header and body", test: "server_test.go TestDigest"},
	{section: "3.5", rule: "an unknown operation is told so with its own id and number, where stock software gives 0, 2 and no id", test: "server_test.go TestNotSupported"},
	{section: "3.5", rule: "6: a request has passed more than 40 servers", check: wantCode("88.1/sn", 0, handle.RecursionTooDeep, func(m *handle.Message) { m.Recursion = 41 })},
	// 3.6 values
	{section: "3.6", rule: "a value", test: "property_test.go TestRoundTrip"},
	{section: "3.6", rule: "at most 2,048 values, handles of at most 2,048 octets", check: func(t *testing.T) {
		for _, c := range []struct {
			body handle.Body
			good bool
		}{
			{handle.Resolution{Handle: strings.Repeat("x", 2048)}, true}, {handle.Resolution{Handle: strings.Repeat("x", 2049)}, false},
			{handle.Resolution{Handle: "x", Indexes: make([]uint32, 2048)}, true}, {handle.Resolution{Handle: "x", Indexes: make([]uint32, 2049)}, false},
		} {
			if _, _, err := request(handle.OpResolution, 0, c.body).ParseBody(); (err == nil) != c.good {
				t.Errorf("got %v; want good %v", err, c.good)
			}
		}
	}},
	{section: "3.6", rule: "ASCII letters compare without case; the answer echoes the request's", check: func(t *testing.T) {
		_, _, body := tell(t, newServer(), request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/Sn"}))
		if v, ok := body.(handle.Values); !ok || v.Handle != "88.1/Sn" {
			t.Errorf("got %+v", body)
		}
	}},
	{section: "3.6", rule: "index and type filters are a union; a trailing dot matches subtypes", test: "server_test.go TestResolution"},
	{section: "3.6", rule: "PO set: public values only", test: "plain_test.go TestPlainQuestions"},
	{section: "3.6", rule: "PO clear and hidden values match: 402", later: "nobody can answer a challenge before sessions; until then hidden values are as if they were not there"},
	// 3.7 types
	{section: "3.7", rule: "HS_SITE, HS_ADMIN, HS_VLIST, HS_PUBKEY, HS_SERV", test: "codec_test.go TestVectors"},
	{section: "3.7", rule: "the legacy form of HS_ADMIN is tolerated", check: func(t *testing.T) {
		a, err := handle.ParseAdmin(octetsOf(t, "0FF3 00000001 61 0000012C 0000"))
		if err != nil || !a.Legacy || a.Who.Index != 300 {
			t.Errorf("got %+v, %v", a, err)
		}
	}},
	{section: "3.7", rule: "no trailing octets in HS_SITE", test: "codec_test.go TestVectors"},
	{section: "3.7", rule: "HS_NAMESPACE computes values", test: "../dns/template_test.go TestTemplatesHaveNames"},
	{section: "3.7", rule: "the server of a handle", test: "walk_test.go TestHash"},
	{section: "3.7", rule: "HS_ALIAS is data", check: func(t *testing.T) {
		s := stored("88.1/alias")
		id := identifier.ID{Prefix: "88.1", Suffix: "alias"}
		s.Records[id].Values = []identifier.Value{{Index: 1, Type: "HS_ALIAS", Data: []byte("88.1/sn"), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions}}
		ways := view(t, s)
		b := ways.Full(request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/alias", Types: []string{"URL", "HS_ALIAS"}}).AppendStream(nil))
		if !bytes.Contains(b, []byte("HS_ALIAS")) || bytes.Contains(b, []byte("maker.example")) {
			t.Errorf("got %q; want the alias itself", b)
		}
	}},
	// 3.8 and 3.9
	{section: "3.8", rule: "the signed text of each version", test: "certify_test.go TestCertifiedLayouts"},
	{section: "3.8", rule: "the client verifies what is certified", test: "certify_test.go TestForgedAnswers"},
	{section: "3.8", rule: "the client compares the digest with that of its request", test: "rules_test.go TestOurRequests"},
	{section: "3.8", rule: "challenge and answer; 201 verifies for others", later: administration},
	{section: "3.9", rule: "set-up bodies with two octets too many are read and written", test: "codec_test.go TestVectors"},
	{section: "3.9", rule: "sessions", later: ofSessions},
	// 3.10 transport
	{section: "3.10", rule: "UDP: fragments, accepted without the mark", test: "serve_test.go TestRequestInFragments"},
	{section: "3.10", rule: "UDP: fragments, marked, of 512 octets", test: "serve_test.go TestAnswerInFragments"},
	{section: "3.10", rule: "TCP: kept open, answered as ready", test: "serve_test.go TestPipeline"},
	{section: "3.10", rule: "clients try UDP, TCP, HTTP", test: "certify_test.go TestFallback"},
	{section: "3.10", rule: "and HTTPS last; the key is that of HS_SITE", test: "walksecure_test.go TestWalkOverHTTPS"},
	{section: "3.10", rule: "over UDP they ask again after 0.5, 1 and 1.5 s", test: "walk_test.go TestWalkAsksAgain"},
	{section: "3.10", rule: "the tunnel always has a Content-Length", test: "tunnel_test.go TestTunnel"},
	{section: "3.10", rule: "the first octet decides for TLS; the certificate is of the key in HS_SITE", test: "certify_test.go TestTLS"},
	// 3.11 vectors
	{section: "3.11", rule: "envelope", check: sameOctets("envelope", "020B020B 00000000 00000001 00000000 0000003B", func() []byte {
		v := handle.Version{Major: 2, Minor: 11}
		return (&handle.Envelope{Version: v, Suggested: v, Request: 1, Length: 59}).Append(nil)
	})},
	{section: "3.11", rule: "value", check: sameOctets("value", "00000001 5E0BE100 00 00015180 0E 00000003 55524C 00000009 687474703A2F2F612F 00000000", func() []byte {
		v, err := handle.ParseValue([]byte("\x00\x00\x00\x01\x5e\x0b\xe1\x00\x00\x00\x01\x51\x80\x0e\x00\x00\x00\x03URL\x00\x00\x00\x09http://a/\x00\x00\x00\x00"))
		if err != nil || v.Index != 1 || v.Type != "URL" || string(v.Data) != "http://a/" || v.TTL != identifier.DefaultTTL || v.Permissions != identifier.DefaultPermissions {
			return nil
		}
		return handle.AppendValue(nil, &v)
	})},
	{section: "3.11", rule: "HS_ADMIN", check: sameOctets("admin", "0FF3 0000000B 302E4E412F38382E313233 0000012C", func() []byte {
		return (&handle.Admin{Permissions: 0x0ff3, Who: identifier.Reference{Handle: "0.NA/88.123", Index: 300}}).Append(nil)
	})},
	{section: "3.11", rule: "hashes", test: "walk_test.go TestHash"},
	{section: "3.12", rule: "HS_SITE has no length in front in a get-site-info answer, whatever tshark expects", check: func(t *testing.T) {
		m, _, _ := tell(t, newServer(), request(handle.OpSiteInfo, 0, handle.Name{Handle: "/"}))
		if !bytes.HasPrefix(m.Body, []byte{0, 1, 2, 11}) {
			t.Errorf("got %X; want format 1 and version 2.11 first", m.Body)
		}
	}},
	{section: "3.12", rule: "a reference has an index, which tshark does not read", check: func(t *testing.T) {
		v := identifier.Value{Index: 1, Type: "X", References: []identifier.Reference{{Handle: "88.1/x", Index: 0x01020304}}}
		if b := handle.AppendValue(nil, &v); !bytes.HasSuffix(b, []byte("\x00\x00\x00\x01\x00\x00\x00\x0688.1/x\x01\x02\x03\x04")) {
			t.Errorf("got %X; want handle and index last", b)
		}
	}},
	{section: "3.12", rule: "an oracle to be used by hand", later: "it runs from captures only, and the tshark of Debian has no dissector for Handle"},
	{section: "3.13", rule: "1000 to 1003: not supported, for nodes replicate by their own protocol", test: "server_test.go TestNotSupported"},
	// 3.14 the walk
	{section: "3.14", rule: "the walk from the root", test: "walk_test.go TestWalkOfThreeLevels"},
	{section: "3.14", rule: "signed at every step, where sites have keys; the parent publishes its child's", test: "walkcertified_test.go TestCertifiedWalk"},
	{section: "3.14", rule: "HS_SERV and HS_SERV.PREFIX are resolved, 20 deep; one that is named again is passed over", test: "walk_test.go TestWalk"},
	{section: "3.14", rule: "0.NA/P has HS_SERV, for who asks for no site", test: "server_test.go TestResolution"},
	{section: "3.14", rule: "302, 303: the values or the handle of a referral; nothing found, once more authoritatively", test: "walk_test.go TestWalk"},
	{section: "3.14", rule: "300: the site information is asked for again", test: "walk_test.go TestWalk"},
	{section: "3.14", rule: "a bootstrap file, and what stock software writes into it", test: "bootstrap_test.go TestBootstrapOfStockSoftware"},
	{section: "3.14", rule: "a second site, not primary, answers where the first is dead", test: "mirror_test.go TestMirrorAddress"},
	{section: "3.14", rule: "root, secondary, enterprise, with a dead secondary, from the file alone", test: "../../cmd/nameplate/network/scenario_test.go TestScenarios"},
	{section: "3.14", rule: "through our own servers", test: "walk_test.go TestWalkThroughOurOwnServers"},
	{section: "3.14", rule: "0.NA/P is found with HS_SITE; below it 303 with HS_SITE.PREFIX, 302 with HS_SITE", test: "server_test.go TestResolution"},
	{section: "3.14", rule: "HS_SERV that a record has is data", check: func(t *testing.T) {
		s := stored("88.1")
		s.Records[identifier.ID{Prefix: "88.1"}].Values = []identifier.Value{{Index: 1, Type: "HS_SERV", Data: []byte("88.1/service"), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions}}
		ways := view(t, s)
		b := ways.Full(request(handle.OpResolution, 0, handle.Resolution{Handle: "0.NA/88.1", Types: []string{"HS_SERV"}}).AppendStream(nil))
		if !bytes.Contains(b, []byte("88.1/service")) {
			t.Errorf("got %q; want the service", b)
		}
	}},
	{section: "3.14", rule: "a referral is bounded", test: "walk_test.go TestWalkIsBounded"},
	// 3.15 IDIS
	{section: "3.15", rule: "site information first, on the same connection", test: "serve_test.go TestPipeline"},
	{section: "3.15", rule: "the first interface of the first server is TCP for both", test: "server_test.go TestResolution"},
	{section: "3.15", rule: "an unknown session is no error: the SDK of Teleinfo sends its own", check: wantCode("88.1/sn", 0, handle.Success, func(m *handle.Message) { m.Session = 10001 })},
	{section: "3.15", rule: "lookups are not challenged: public values are served", check: wantCode("88.1/sn", 0, handle.Success, nil)},
	{section: "3.15", rule: "no 300 to the SDK of CAICT", test: "certify_test.go TestOutOfDate"},
	{section: "3.15", rule: "a bare prefix is asked for HS_SITE", test: "server_test.go TestResolution"},
	{section: "3.15", rule: "and a recursive node, which tells the site of who answers for it", test: "mirror_test.go TestRecursiveSites"},
	{section: "3.15", rule: "no 301 to the SDK of CAICT, whatever it says of referrals", check: func(t *testing.T) {
		for suggested, want := range map[uint8]handle.Code{10: handle.ServiceReferral, 11: handle.NotResponsible} {
			got := codeOf(t, "88.118/x", handle.FlagDoNotRefer, func(m *handle.Message) { m.Version.Minor, m.Suggested.Minor = 3, suggested })
			if got != want {
				t.Errorf("2.3 suggesting 2.%d: got %v; want %v", suggested, got, want)
			}
		}
	}},
	{section: "3.15", rule: "no 6 to the SDK of CAICT", check: wantCode("88.1/sn", 0, handle.Failed, func(m *handle.Message) {
		m.Recursion, m.Version.Minor, m.Suggested.Minor = 41, 3, 10
	})},
	{section: "3.15", rule: "envelope and message are written in one go", test: "serve_test.go TestOneWrite"},
	{section: "3.15", rule: "logins", later: ofSessions},
	{section: "3.16", rule: "names of handles in DNS", test: "../dns/name_test.go TestNameRoundTrip"},
	// 4 HTTP
	{section: "4.1", rule: "the REST interface", test: "../../cmd/nameplate/node/handlehttp_test.go TestHandleHTTP"},
	{section: "4.1", rule: "changes and authentication over REST", later: administration},
	{section: "4.2", rule: "the proxy", test: "../../cmd/nameplate/node/handlehttp_test.go TestHandleHTTP"},
}

// What our client sends, as a server sees it; and that it believes no other digest.
func TestOurRequests(t *testing.T) {
	var seen *handle.Message
	address := echo(t, func(m *handle.Message) *handle.Message {
		seen = m
		answer := *m
		answer.Code, answer.Body = handle.NotFound, append(append([]byte{byte(handle.DigestSHA256)}, m.Digest().Sum...), []byte("\x00\x00\x00\x00")...)
		return &answer
	})
	q := identifier.ID{Prefix: "88.1", Suffix: "sn"}
	ask := func(address string) error {
		_, err := handle.NewClient(address, handle.ClientOptions{OnlyTCP: true}).Resolve(t.Context(), query(q))
		return err
	}
	if err := ask(address); err != nil {
		t.Fatal(err)
	}
	if want := (handle.Version{Major: 2, Minor: 3}); seen.Version != want || seen.Suggested != (handle.Version{Major: 2, Minor: 11}) || seen.Serial != handle.NoSerial || seen.Flags&handle.FlagDigest == 0 {
		t.Errorf("got %+v", seen)
	}
	_, body, err := seen.ParseBody()
	if want := (handle.Resolution{Handle: "88.1/sn"}); err != nil || !reflect.DeepEqual(body, want) {
		t.Errorf("got %+v, %v; want %+v", body, err, want)
	}
	answer, _, _ := tell(t, newServer(), request(handle.OpResolution, 0, handle.Resolution{Handle: "88.1/sn"}))
	for _, m := range []*handle.Message{seen, answer} {
		if left := secondsLeft(m); left < 12*3600-60 || left > 12*3600 {
			t.Errorf("a message counts for %d seconds; want 12 hours", left)
		}
	}
	wrong := echo(t, func(m *handle.Message) *handle.Message {
		answer := *m
		answer.Code, answer.Body = handle.NotFound, append(append([]byte{byte(handle.DigestSHA256)}, bytes.Repeat([]byte{1}, 32)...), []byte("\x00\x00\x00\x00")...)
		return &answer
	})
	if err := ask(wrong); err == nil {
		t.Error("the answer to another request is believed")
	}
}
