package http_test

import (
	"encoding/json"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
)

func TestMarshal(t *testing.T) {
	r := &identifier.Record{
		ID: identifier.ID{Prefix: "88.118.8", Suffix: "sn-42"}, Spelling: "88.118.8/SN-42", Version: 3,
		Values: []identifier.Value{{Index: 1, Type: "DESC", Data: []byte("a < b")}},
	}
	answer, err := resolverhttp.MarshalAnswer(&resolver.Answer{Outcome: resolver.Found, ID: r.ID, Record: r})
	if err != nil {
		t.Fatal(err)
	}
	record, err := resolverhttp.MarshalRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	type content struct {
		Identifier string
		Version    int
		Values     []struct{ Data string }
	}
	var whole struct {
		Identifier string
		Record     content
	}
	var alone content
	if err := json.Unmarshal(answer, &whole); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(record, &alone); err != nil {
		t.Fatal(err)
	}
	if whole.Identifier != "88.118.8/sn-42" || alone.Identifier != whole.Identifier ||
		alone.Version != 3 || whole.Record.Version != 3 || alone.Values[0].Data != "a < b" {
		t.Errorf("got %s and %s", answer, record)
	}
}
