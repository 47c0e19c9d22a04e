package http

import (
	"fmt"
	"net/http"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// typeAlias is the type of a value that names another handle, which stands for this one.
const typeAlias = "HS_ALIAS"

// maxAliases is how many aliases are followed from one to the next.
const maxAliases = 10

// aliasOf returns the alias of a record; nil when it has none.
func aliasOf(r *identifier.Record) *identifier.Value {
	for i := range r.Values {
		if r.Values[i].Type == typeAlias {
			return &r.Values[i]
		}
	}
	return nil
}

// alias redirects, for good, to the handle at the end of a chain of aliases, at this
// proxy and with the query of the request. A chain that comes back to itself or is too
// long is an error (508). Where nobody says how the chain goes on, it ends.
func (s *Server) alias(w http.ResponseWriter, r *http.Request, a *resolver.Answer, v *identifier.Value) {
	seen := map[identifier.ID]bool{a.ID: true}
	shown := *a
	var id identifier.ID
	for {
		var err error
		if id, err = identifier.Parse("hdl:" + string(v.Data)); err != nil {
			s.noLink(w, r, a, fmt.Sprintf("an alias that is no handle (value %d: %v)", v.Index, err))
			return
		}
		if seen[id] || len(seen) > maxAliases {
			w.Header().Set("Cache-Control", "no-store")
			newProblem(http.StatusLoopDetected, "alias-loop", "An alias of itself",
				fmt.Sprintf("the aliases of %s go round, or on for more than %d: ask its holder", a.ID, maxAliases)).write(w, r, true)
			return
		}
		seen[id] = true
		next, err := s.ask(r.Context(), resolver.Query{ID: id, Types: []string{typeAlias}, Recursive: true})
		if err != nil || next.Outcome != resolver.Found {
			break
		}
		if v = aliasOf(next.Record); v == nil {
			break
		}
		shown.Lifetime = min(shown.Lifetime, next.Lifetime)
	}
	setLifetime(w.Header(), &shown)
	location := handlePath(id)
	if r.URL.RawQuery != "" {
		location += "?" + escapeUnsafe(r.URL.RawQuery)
	}
	s.sendTo(w, r, a.ID, http.StatusMovedPermanently, location)
}
