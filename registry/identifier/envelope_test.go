package identifier_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"pgregory.net/rapid"
)

// The example of the DSSE specification (v1.0.2, protocol.md).
func TestPAEOfTheSpecification(t *testing.T) {
	e := identifier.Envelope{PayloadType: "http://example.com/HelloWorld", Payload: []byte("hello world")}
	if got, want := string(e.PAE()), "DSSEv1 29 http://example.com/HelloWorld 11 hello world"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// dsseKeys are the keys of the DSSE project's test vectors: those of RFC 8032,
// section 7.1, tests 1 and 2.
func dsseKeys(t *testing.T) (a, b identifier.PrivateKey) {
	t.Helper()
	key := func(seed string) identifier.PrivateKey {
		octets, err := hex.DecodeString(seed)
		if err != nil {
			t.Fatal(err)
		}
		k, err := identifier.NewPrivateKey(bytes.NewReader(octets))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	return key("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),
		key("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
}

// Signatures of the DSSE project's test vectors (testvectors/vectors.json) over
// what each names.
func TestSignaturesOfTheDSSEVectors(t *testing.T) {
	const inToto, statement = "application/vnd.in-toto+json", `{"_type":"https://in-toto.io/Statement/v1"}`
	a, b := dsseKeys(t)
	tests := []struct {
		name, payloadType, payload string
		key                        identifier.PrivateKey
		want                       string
	}{
		{"single-signature", inToto, statement, a, "2WAfaHm5jluo0w+0rk8uVkluELJYWjSmU9x7EUzx+AyteDGJ4/nqyJXfmAUVFIAoQafWm7AxBZNw5M9ixNHiCA=="},
		{"url-safe-base64", inToto, "\xfb\xff\xbf>?", a, "P+/KHICeR7tI6S/YyejJTRtrXhcQyQ2LYPaL8h90KjC9qN8HU/svOQ6TuDOT1HIrsGW886DbWNWcCmX5twLrAw=="},
		{"non-ascii-payload-type", "application/vnd.exämple+json", statement, a, "xmSk/ug66ysT7ayhkCIjhAq42zgZXSsEWuzUaNL7w2eGAdF/NU6/fRXPtmfN+5DNSAs5/i2lUnHjbbjPsu0tAw=="},
		{"empty-payload", inToto, "", a, "gSggCAaTLTYyRH6FIDBem6meyIynsYy8RTHVzwx9tnTb7Bg/1jMWnuVgI/gffqmbsC2VX5/jHfkkDqsj7CDbDg=="},
		{"threshold-two", inToto, statement, b, "c1+67/aT0yqEpwx8PsVY3MLHsj9D0CZ014/Fv/QlG59P+9CobUZ7xECJ/V3USG0Ob9CiE5LjReEZUzNF2l7eBw=="},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := identifier.Sign(test.payloadType, []byte(test.payload), test.key)
			if got := base64.StdEncoding.EncodeToString(e.Signatures[0].Signature); got != test.want {
				t.Errorf("signature %s, want %s", got, test.want)
			}
			if got := e.SignedBy([]identifier.PublicKey{test.key.Public()}); got != 1 {
				t.Errorf("signed by %d, want 1", got)
			}
		})
	}
}

func TestSignedByCountsDistinctKeys(t *testing.T) {
	a, b := dsseKeys(t)
	e := identifier.Sign("application/example", []byte("payload"), a, b)
	both := []identifier.PublicKey{a.Public(), b.Public()}
	change := func(harm func(e *identifier.Envelope)) identifier.Envelope {
		c := identifier.Envelope{PayloadType: e.PayloadType, Payload: bytes.Clone(e.Payload)}
		for _, s := range e.Signatures {
			c.Signatures = append(c.Signatures, identifier.Signature{Key: s.Key, Signature: bytes.Clone(s.Signature)})
		}
		harm(&c)
		return c
	}
	tests := []struct {
		name string
		e    identifier.Envelope
		keys []identifier.PublicKey
		want int
	}{
		{"two keys", e, both, 2},
		{"one of them", e, both[:1], 1},
		{"none of them", e, []identifier.PublicKey{newKey(t, 9).Public()}, 0},
		{"the same key twice in the set", e, []identifier.PublicKey{both[0], both[0]}, 1},
		{"one key signs twice", change(func(e *identifier.Envelope) { e.Signatures[1] = e.Signatures[0] }), both, 1},
		{"key ids not told", change(func(e *identifier.Envelope) {
			e.Signatures[0].Key, e.Signatures[1].Key = identifier.KeyID{}, identifier.KeyID{}
		}), both, 2},
		{"a bad signature before the good one", change(func(e *identifier.Envelope) {
			e.Signatures = append([]identifier.Signature{{Key: both[0].ID(), Signature: []byte("bad")}}, e.Signatures...)
		}), both, 2},
		{"payload type swapped", change(func(e *identifier.Envelope) { e.PayloadType = "application/other" }), both, 0},
		{"payload changed", change(func(e *identifier.Envelope) { e.Payload[0] ^= 1 }), both, 0},
		{"no payload type", change(func(e *identifier.Envelope) { e.PayloadType = "" }), both, 0},
		{"a kind of key that is unknown", change(func(e *identifier.Envelope) {
			k := identifier.PublicKey{Type: 7, Raw: both[0].Raw}
			e.Signatures[0].Key = k.ID()
		}), []identifier.PublicKey{{Type: 7, Raw: both[0].Raw}, both[1]}, 1},
		{"17 signatures", change(func(e *identifier.Envelope) {
			for len(e.Signatures) < 17 {
				e.Signatures = append(e.Signatures, e.Signatures[0])
			}
		}), both, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.e.SignedBy(test.keys); got != test.want {
				t.Errorf("signed by %d, want %d", got, test.want)
			}
		})
	}
}

// Different types and payloads never have the same octets signed.
func TestPAEIsInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) identifier.Envelope {
			return identifier.Envelope{
				PayloadType: rapid.StringOfN(rapid.RuneFrom([]rune("a1 ")), 0, 4, -1).Draw(t, name+" type"),
				Payload:     []byte(rapid.StringOfN(rapid.RuneFrom([]rune("a1 ")), 0, 4, -1).Draw(t, name+" payload")),
			}
		}
		x, y := draw("x"), draw("y")
		same := x.PayloadType == y.PayloadType && bytes.Equal(x.Payload, y.Payload)
		if bytes.Equal(x.PAE(), y.PAE()) != same {
			t.Fatalf("%q and %q", x.PAE(), y.PAE())
		}
	})
}
