package http_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// answers is a resolver that knows some identifiers and remembers what it was
// asked last.
type answers struct {
	known map[string]resolver.Answer
	err   error
	last  resolver.Query
}

func (a *answers) Resolve(_ context.Context, q resolver.Query) (resolver.Answer, error) {
	a.last = q
	if a.err != nil {
		return resolver.Answer{}, a.err
	}
	answer, ok := a.known[q.ID.String()]
	if !ok {
		return resolver.Answer{Outcome: resolver.Absent, ID: q.ID, InZone: true, Lifetime: resolver.NegativeTTL}, nil
	}
	answer.ID = q.ID
	if r := answer.Record; r != nil {
		narrowed := *r
		narrowed.Values = q.Select(r.Values)
		if link, ok := r.DefaultLink(); ok {
			answer.Default = &link
		}
		answer.Record = &narrowed
	}
	return answer, nil
}

const gtin = "gs1.9.5.0.6.0.0.0.1.3.4.3.5/010"

// know makes a resolver of records by canonical text.
func know(records map[string][]identifier.Value) *answers {
	a := &answers{known: map[string]resolver.Answer{}}
	for text, values := range records {
		a.known[text] = found(text, values...)
	}
	return a
}

func found(text string, values ...identifier.Value) resolver.Answer {
	id, err := identifier.ParseCanonical(text)
	if err != nil {
		panic(err)
	}
	return resolver.Answer{
		Outcome: resolver.Found, ID: id, InZone: true, Lifetime: time.Hour,
		Origin: resolver.Origin{Log: identifier.LogID{1}, Position: 9},
		Record: &identifier.Record{ID: id, Version: 3, Time: time.Unix(1795000000, 0), RowHash: identifier.Hash{0xab, 0xcd}, Values: values},
	}
}

func value(index uint32, typ, data string) identifier.Value {
	return identifier.Value{Index: index, Type: typ, Data: []byte(data), TTL: identifier.TTL{Seconds: 3600}, Permissions: identifier.DefaultPermissions}
}

func link(index uint32, relation, target string, languages ...string) identifier.Value {
	v := value(index, "URL", target)
	v.Link = &identifier.Link{Relation: relation, Languages: languages}
	return v
}

func byDefault(v identifier.Value) identifier.Value {
	if v.Link == nil {
		v.Link = &identifier.Link{}
	}
	l := *v.Link
	l.Default = true
	v.Link = &l
	return v
}

// do sends a request to a handler. The target is the path as on the wire.
func do(t testing.TB, h http.Handler, method, target string, header map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for name, text := range header {
		r.Header.Set(name, text)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(t testing.TB, h http.Handler, target string, header map[string]string) (string, http.Header) {
	t.Helper()
	w := do(t, h, http.MethodGet, target, header)
	return w.Body.String(), w.Header()
}
