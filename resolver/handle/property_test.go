package handle_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver/handle"

	"pgregory.net/rapid"
)

func drawReference(t *rapid.T) identifier.Reference {
	return identifier.Reference{Handle: rapid.String().Draw(t, "handle"), Index: rapid.Uint32().Draw(t, "index")}
}

func drawValue(t *rapid.T) identifier.Value {
	v := identifier.Value{
		Index:       rapid.Uint32().Draw(t, "index"),
		Type:        rapid.String().Draw(t, "type"),
		Data:        append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "data")...),
		TTL:         identifier.TTL{Absolute: rapid.Bool().Draw(t, "absolute"), Seconds: rapid.Uint32().Draw(t, "TTL")},
		Permissions: identifier.Permissions(rapid.Byte().Draw(t, "permissions")),
	}
	if stamp := rapid.Uint32().Draw(t, "timestamp"); stamp != 0 {
		v.Timestamp = time.Unix(int64(stamp), 0).UTC()
	}
	for range rapid.IntRange(0, 3).Draw(t, "references") {
		v.References = append(v.References, drawReference(t))
	}
	return v
}

func drawBody(t *rapid.T) (handle.Opcode, handle.Code, handle.Body) {
	name := rapid.String().Draw(t, "name")
	octets := append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "octets")...)
	var values []identifier.Value
	for range rapid.IntRange(0, 4).Draw(t, "values") {
		values = append(values, drawValue(t))
	}
	var indexes []uint32
	for range rapid.IntRange(0, 4).Draw(t, "indexes") {
		indexes = append(indexes, rapid.Uint32().Draw(t, "index"))
	}
	switch rapid.IntRange(0, 8).Draw(t, "body") {
	case 0:
		return handle.OpResolution, 0, handle.Resolution{Handle: name, Indexes: indexes, Types: []string{name, ""}}
	case 1:
		return handle.OpResolution, handle.Success, handle.Values{Handle: name, Values: values}
	case 2:
		return handle.OpModifyValues, 0, handle.Values{Handle: name, Values: values}
	case 3:
		return handle.OpRemoveValues, 0, handle.Removal{Handle: name, Indexes: indexes}
	case 4:
		return handle.OpResolution, handle.ServiceReferral, handle.Refer{Values: values}
	case 5:
		return handle.OpChallengeAnswer, 0, handle.ChallengeAnswer{Type: name, Who: drawReference(t), Answer: octets}
	case 6:
		return handle.OpResolution, handle.AuthenticationNeeded, handle.Challenge{Nonce: octets}
	case 7:
		return handle.OpVerify, 0, handle.Verification{Key: drawReference(t), Nonce: octets, Digest: handle.Digest{Type: handle.DigestSHA1, Sum: name}, Answer: octets}
	}
	return handle.OpModifyValues, handle.InvalidValue, handle.Failure{Told: true, Listed: true, Message: name, Indexes: indexes}
}

// What is written is read as it was, in every version.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		op, code, body := drawBody(t)
		if v, ok := body.(handle.Verification); ok {
			v.Digest.Sum = (v.Digest.Sum + "01234567890123456789")[:20]
			body = v
		}
		want := handle.Message{
			Envelope: handle.Envelope{
				Version:   handle.Version{Major: 2, Minor: uint8(rapid.IntRange(1, 11).Draw(t, "minor"))},
				Suggested: handle.Version{Major: uint8(rapid.IntRange(0, 31).Draw(t, "major"))},
				Session:   rapid.Uint32().Draw(t, "session"), Request: rapid.Uint32().Draw(t, "request"),
			},
			Opcode: op, Code: code, Serial: rapid.Uint16().Draw(t, "serial"), Recursion: rapid.Uint8().Draw(t, "recursion"),
			Expiration: rapid.Uint32().Draw(t, "expiration"), Body: body.Append(nil), Credential: []byte{},
		}
		if rapid.Bool().Draw(t, "major 3") {
			want.Version = handle.Version{Major: 3}
		}
		b := want.AppendStream(nil)
		e, err := handle.ParseEnvelope(b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := handle.ParseMessage(e, b[20:])
		if err != nil {
			t.Fatal(err)
		}
		want.Length = uint32(len(b) - 20)
		if len(want.Body) == 0 {
			want.Body = []byte{}
		}
		if !reflect.DeepEqual(*got, want) {
			t.Fatalf("got %+v; want %+v", *got, want)
		}
		if _, again, err := got.ParseBody(); err != nil || !reflect.DeepEqual(again, body) {
			t.Fatalf("got %+v, %v; want %+v", again, err, body)
		}
	})
}
