package resolvertest

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

// fixture is one identifier and what the backend says about it.
type fixture struct {
	name   string
	id     identifier.ID
	answer resolver.Answer
	err    *resolver.Error
	// ways are further queries; the identifier is filled in.
	ways []resolver.Query
	// large says that the answer does not fit a DNS message.
	large bool
}

// queries returns all ways in which the fixture is asked for: plainly first.
func (f *fixture) queries() []resolver.Query {
	queries := []resolver.Query{{ID: f.id}}
	for _, q := range f.ways {
		q.ID = f.id
		queries = append(queries, q)
	}
	return queries
}

// describe names what a query asks for beside the identifier.
func describe(q resolver.Query) string {
	s := ""
	if len(q.Types) > 0 {
		s += fmt.Sprintf(" types %q", q.Types)
	}
	if len(q.Indexes) > 0 {
		s += fmt.Sprintf(" indexes %d", q.Indexes)
	}
	if q.Relation != "" {
		s += fmt.Sprintf(" relation %q", q.Relation)
	}
	if q.Recursive {
		s += " recursive"
	}
	if q.Authoritative {
		s += " authoritative"
	}
	if q.SuffixHash != nil {
		s += " by hash"
	}
	return s
}

// hashed is an identifier with the hash of its suffix only.
type hashed struct {
	prefix identifier.Prefix
	hash   identifier.Hash
}

func hashOf(id identifier.ID) hashed {
	return hashed{id.Prefix, sha256.Sum256([]byte(id.Suffix))}
}

// backend knows the fixtures. Asked by hash it behaves as an authority does: it
// tells the identifier with a record and otherwise repeats the prefix.
type backend struct {
	fixtures []fixture
	byID     map[identifier.ID]*fixture
	byHash   map[hashed]*fixture
}

func newBackend(fixtures []fixture) *backend {
	b := &backend{fixtures: fixtures, byID: map[identifier.ID]*fixture{}, byHash: map[hashed]*fixture{}}
	for i := range fixtures {
		f := &fixtures[i]
		if b.byID[f.id] != nil {
			panic(fmt.Sprintf("two fixtures for %v", f.id))
		}
		b.byID[f.id] = f
		b.byHash[hashOf(f.id)] = f
	}
	return b
}

// Resolve implements [resolver.Resolver].
func (b *backend) Resolve(_ context.Context, q resolver.Query) (resolver.Answer, error) {
	f := b.byID[q.ID]
	if q.SuffixHash != nil {
		f = b.byHash[hashed{q.ID.Prefix, *q.SuffixHash}]
	}
	switch {
	case f == nil:
		return b.unknown(q), nil
	case f.err != nil:
		return resolver.Answer{}, f.err
	}
	answer := f.answer
	answer.ID = q.ID
	if answer.Record != nil {
		answer.ID = f.id
		narrowed := *answer.Record
		narrowed.Values = q.Select(narrowed.Values)
		if link, ok := answer.Record.DefaultLink(); ok {
			answer.Default = &link
		}
		answer.Record = &narrowed
	}
	return answer, nil
}

// unknown is the answer for what is no fixture: some protocols ask for the names
// above an identifier too.
func (b *backend) unknown(q resolver.Query) resolver.Answer {
	answer := resolver.Answer{Outcome: resolver.Absent, ID: q.ID, InZone: true, Lifetime: resolver.NegativeTTL}
	for id := range b.byID {
		if q.ID.IsPrefix() && q.SuffixHash == nil && q.ID.Prefix.Covers(id.Prefix) {
			answer.Below = true
		}
	}
	return answer
}

// result is what asking comes to.
type result struct {
	answer resolver.Answer
	err    *resolver.Error
}

func (r result) error() error {
	if r.err == nil {
		return nil
	}
	return r.err
}

// expect is what the client must say: what the backend does.
func (b *backend) expect(ctx context.Context, q resolver.Query) result {
	answer, err := b.Resolve(ctx, q)
	if err != nil {
		return result{err: b.byID[q.ID].err}
	}
	return result{answer: answer}
}
