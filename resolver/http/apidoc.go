package http

import (
	"encoding/base64"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// apiDoc is an answer of the Handle REST interface. Its names are those of stock
// software.
type apiDoc struct {
	ResponseCode   uint32     `json:"responseCode"`
	Message        string     `json:"message,omitempty"`
	Handle         string     `json:"handle,omitempty"`
	ReferralHandle string     `json:"referralHandle,omitempty"`
	Values         []apiValue `json:"values,omitzero"` // there when empty, not when nil
	Site           any        `json:"site,omitempty"`
}

// apiValue is one value.
type apiValue struct {
	Index       uint32         `json:"index"`
	Type        string         `json:"type"`
	Data        apiData        `json:"data"`
	TTL         apiTTL         `json:"ttl"`
	Timestamp   string         `json:"timestamp,omitempty"`
	Permissions string         `json:"permissions,omitempty"` // where they are not 1110
	References  []referenceDoc `json:"references,omitempty"`
}

// apiData is the data of a value in one of its forms.
type apiData struct {
	Format string `json:"format"`
	Value  any    `json:"value"`
}

// apiTTL is a number of seconds, or a time.
type apiTTL identifier.TTL

// MarshalJSON implements [json.Marshaler].
func (t apiTTL) MarshalJSON() ([]byte, error) {
	if t.Absolute {
		return fmt.Appendf(nil, "%q", isoTime(time.Unix(int64(t.Seconds), 0))), nil
	}
	return fmt.Appendf(nil, "%d", t.Seconds), nil
}

// newAPIDoc writes an answer to a question about a handle.
func newAPIDoc(a HandleAnswer, handle string, describe func(*identifier.Value) (string, any)) apiDoc {
	d := apiDoc{ResponseCode: a.Code, Message: a.Message, Handle: handle}
	switch a.Code {
	case codeServiceReferral, codePrefixReferral:
		d.ReferralHandle = a.Handle
	case codeSuccess, codeValuesNotFound:
		d.Values = []apiValue{}
	}
	for i := range a.Values {
		d.Values = append(d.Values, newAPIValue(&a.Values[i], describe))
	}
	return d
}

func newAPIValue(v *identifier.Value, describe func(*identifier.Value) (string, any)) apiValue {
	d := apiValue{Index: v.Index, Type: v.Type, TTL: apiTTL(v.TTL)}
	d.Data.Format, d.Data.Value = describe(v)
	if !v.Timestamp.IsZero() {
		d.Timestamp = isoTime(v.Timestamp)
	}
	if v.Permissions != identifier.DefaultPermissions {
		d.Permissions = fmt.Sprintf("%04b", uint8(v.Permissions))
	}
	for _, r := range v.References {
		d.References = append(d.References, referenceDoc(r))
	}
	return d
}

// describePlain is the JSON form of data whose type means nothing here.
func describePlain(data []byte) (format string, form any) {
	if utf8.Valid(data) {
		return "string", string(data)
	}
	return "base64", base64.StdEncoding.EncodeToString(data)
}
