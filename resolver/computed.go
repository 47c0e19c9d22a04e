package resolver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver/template"
)

// NamespaceType is the type of the values that hold templates, and name the service with
// the locations of what is below a prefix.
const NamespaceType = "HS_NAMESPACE"

// namespaces remembers how values read that are asked for again and again. What a value
// says follows from its octets alone, so nothing here is ever out of date.
type namespaces struct {
	mu    sync.Mutex
	known map[namespaceKey]parsedNamespace
}

type parsedNamespace struct {
	namespace *template.Namespace
	err       error
}

type namespaceKey struct {
	data     string
	foldCase bool
}

// maxNamespaces is how many are remembered; then all are forgotten.
const maxNamespaces = 256

func (n *namespaces) parse(data []byte, foldCase bool) (*template.Namespace, error) {
	n.mu.Lock()
	found, ok := n.known[namespaceKey{string(data), foldCase}]
	n.mu.Unlock()
	if ok {
		return found.namespace, found.err
	}
	found.namespace, found.err = template.Parse(data, foldCase)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil || len(n.known) >= maxNamespaces {
		n.known = make(map[namespaceKey]parsedNamespace)
	}
	n.known[namespaceKey{string(data), foldCase}] = found
	return found.namespace, found.err
}

// Template is the template that stands for what is below a prefix.
type Template struct {
	// Prefix is whose record has it, Record that record, Index which of its values.
	Prefix    identifier.Prefix
	Record    *identifier.Record
	Index     uint32
	Namespace *template.Namespace
}

// FindTemplate returns the template of the nearest prefix at or above p that has any, not
// above top, the prefix that p's holder has; nil when there is none. record returns the
// record of a prefix, nil for none. A value that cannot be read is no template, and ends
// the search with the error why.
func FindTemplate(p, top identifier.Prefix, record func(identifier.Prefix) (*identifier.Record, error)) (*Template, error) {
	return findTemplate(p, top, record, template.Parse)
}

func findTemplate(p, top identifier.Prefix, record func(identifier.Prefix) (*identifier.Record, error),
	parse func([]byte, bool) (*template.Namespace, error)) (*Template, error) {
	fold := p.Scheme() == identifier.Handle
	for p != "" {
		r, err := record(p)
		if err != nil {
			return nil, err
		}
		if v := namespaceOf(r); v != nil {
			n, err := parse(v.Data, fold)
			switch {
			case err != nil:
				return nil, err
			case n.Templates():
				return &Template{Prefix: p, Record: r, Index: v.Index, Namespace: n}, nil
			}
		}
		if p == top {
			break
		}
		p, _ = p.Parent()
		if !top.Covers(p) {
			break
		}
	}
	return nil, nil
}

// Compute returns the values that the template gives for an identifier; false when it
// says that there is no such identifier. values returns what all may read of a record,
// none when there is none. trace may be nil.
func (t *Template) Compute(id identifier.ID, trace func(template.Step), values func(identifier.ID) ([]identifier.Value, error)) ([]identifier.Value, bool, error) {
	base, extension, ok := t.Namespace.Split(id.Suffix)
	if !ok {
		return nil, false, nil
	}
	of := identifier.ID{Prefix: id.Prefix, Suffix: base}
	in := template.Input{Handle: id.String(), Base: of.String(), Extension: extension, Trace: trace}
	if _, err := identifier.New(of.Prefix, of.Suffix); err == nil {
		if in.Values, err = values(of); err != nil {
			return nil, false, err
		}
	}
	in.Refer = func(index uint32, handle string) ([]byte, bool) {
		to, err := identifier.Parse("hdl:" + handle)
		if err != nil {
			return nil, false
		}
		found, _ := values(to)
		for i := range found {
			if found[i].Index == index {
				return found[i].Data, true
			}
		}
		return nil, false
	}
	return t.Namespace.Apply(in)
}

// namespaceOf returns the value with templates of a record: the HS_NAMESPACE with the
// lowest index that all may read.
func namespaceOf(r *identifier.Record) *identifier.Value {
	if r == nil || r.Withdrawn {
		return nil
	}
	for i := range r.Values {
		if v := &r.Values[i]; v.Type == NamespaceType && v.Permissions&identifier.PublicRead != 0 {
			return v
		}
	}
	return nil
}

// LocationsHandle returns the handle of the service that the namespace of a prefix names
// for the locations of everything below; false for none, and where the namespace cannot be
// read.
func LocationsHandle(r *identifier.Record) (string, bool) {
	v := namespaceOf(r)
	if v == nil {
		return "", false
	}
	n, err := template.Parse(v.Data, true)
	if err != nil || n.Locations() == "" {
		return "", false
	}
	return n.Locations(), true
}

// templateFor returns the template that stands for what is below a prefix.
func (a *Authority) templateFor(ctx context.Context, p identifier.Prefix, f *identifier.Finding) (*Template, error) {
	top := f.Apex
	if d := f.Delegation; d != nil && !d.Revoked() {
		top = d.Prefix
	}
	t, err := findTemplate(p, top, func(p identifier.Prefix) (*identifier.Record, error) {
		found, err := a.store.Find(ctx, identifier.ID{Prefix: p})
		return found.Record, err
	}, a.namespaces.parse)
	if errors.As(err, new(*template.Error)) {
		return nil, nil // its holder sees it with 'template test'
	}
	return t, err
}

var errOnlyHash = errors.New("only its hash was asked for")

// compute answers for what is not stored: what a template gives. It leaves the answer
// absent when there is none, or when it says so.
func (a *Authority) compute(ctx context.Context, answer *Answer, q *Query, f *identifier.Finding) error {
	if f.Withdrawn || f.Record != nil {
		return nil // its holder says that it is not there
	}
	if q.ID.IsPrefix() && q.SuffixHash == nil {
		return a.below(ctx, answer, q, f)
	}
	t, err := a.templateFor(ctx, q.ID.Prefix, f)
	switch {
	case err != nil:
		return unreadable(ctx, q, err)
	case t == nil:
		return nil
	case q.SuffixHash != nil:
		return &Error{Kind: Unavailable, Err: errOnlyHash, Detail: fmt.Sprintf(
			"what stands below %s is computed from whole identifiers: ask over gRPC, HTTP or Handle", t.Prefix)}
	}
	values, ok, err := t.Compute(q.ID, nil, func(of identifier.ID) ([]identifier.Value, error) { return a.readable(ctx, of) })
	switch {
	case err != nil:
		return &Error{Kind: Unavailable, Err: err, Detail: fmt.Sprintf(
			"the template of %s gives no answer for %s: its holder tries it with 'nameplate template test'", t.Prefix, q.ID)}
	case ok:
		answer.found(&identifier.Record{
			ID: q.ID, Spelling: q.ID.String(), Version: t.Record.Version, Time: t.Record.Time, Suspect: t.Record.Suspect, Values: values,
		}, *q, time.Now())
	}
	return nil
}

// below says that there is something below a prefix for which a template stands that a
// prefix above has.
func (a *Authority) below(ctx context.Context, answer *Answer, q *Query, f *identifier.Finding) error {
	up, ok := q.ID.Prefix.Parent()
	if answer.Below || !ok || !f.Apex.Covers(up) || f.Delegation != nil && !f.Delegation.Prefix.Covers(up) {
		return nil
	}
	t, err := a.templateFor(ctx, up, f)
	if err != nil {
		return unreadable(ctx, q, err)
	}
	answer.Below = t != nil
	return nil
}

// readable returns the values of a record that this authority would tell anybody; none
// when it would not.
func (a *Authority) readable(ctx context.Context, id identifier.ID) ([]identifier.Value, error) {
	f, err := a.store.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	d := f.Delegation
	if d != nil && d.Revoked() {
		d = nil
	}
	switch {
	case !f.InZone, f.Record == nil, f.Record.Withdrawn, d != nil && d.Node != nil && !a.is(d.Node.Key),
		d != nil && d.Private && (id.Prefix != d.Prefix || id.Suffix != ""):
		return nil, nil
	}
	return keep(f.Record.Values, func(v *identifier.Value) bool { return v.Permissions&identifier.PublicRead != 0 }), nil
}
