package http

import (
	"bytes"
	"encoding/json"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// MarshalAnswer returns an answer as /resolve/ sends it, on one line.
func MarshalAnswer(a *resolver.Answer) ([]byte, error) { return compact(newDocument(a)) }

// MarshalRecord returns a record on one line, with the members that it has in an
// answer and the identifier in front.
func MarshalRecord(r *identifier.Record) ([]byte, error) {
	return compact(struct {
		Identifier string `json:"identifier"`
		*recordDoc
	}{r.ID.String(), newRecordDoc(r)})
}

// compact writes JSON without the escapes that only HTML needs, and without a line
// break behind it.
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
