package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// compare compares everything that can be asked.
func (p *pair) compare(t *rapid.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p.compareAnswers(t)
	// The log: dense, and its tree that of its entries.
	errEnd := errors.New("end")
	if len(p.watch) < p.entries {
		err := p.r.Watch(ctx, uint64(len(p.watch)), func(l registry.Logged) error {
			if l.Position != uint64(len(p.watch)) {
				return fmt.Errorf("entry %d where %d should come", l.Position, len(p.watch))
			}
			if p.watch = append(p.watch, l); len(p.watch) == p.entries {
				return errEnd
			}
			return nil
		})
		if !errors.Is(err, errEnd) {
			t.Fatalf("watch: %v; %d of %d entries", err, len(p.watch), p.entries)
		}
	}
	if size, root := registry.Head(p.r); size != uint64(p.entries) || root != rootOf(p.watch) {
		t.Fatalf("the log has %d entries with root %x, want %d with %x", size, root, p.entries, rootOf(p.watch))
	}
	s := settled(t, p.r)
	live, withdrawn, delegations := p.count()
	if s.Position != uint64(p.entries) || s.Identifiers != live || s.Withdrawn != withdrawn || s.Delegations != delegations || s.ReadOnly != "" {
		t.Fatalf("status %+v, want %d entries, %d live, %d withdrawn, %d delegations", s, p.entries, live, withdrawn, delegations)
	}
	var exported []string
	err := p.r.Export(ctx, "", identifier.ID{}, func(r *identifier.Record) error {
		exported = append(exported, fmt.Sprintf("%s %d %s", r.ID, r.Version, r.Values[0].Data))
		return nil
	})
	if want := p.exported(); err != nil || !slices.Equal(exported, want) {
		t.Fatalf("export %q, %v, want %q", exported, err, want)
	}
}

// settled returns the status once the state has taken over what was published.
func settled(t *rapid.T, r *registry.Registry) registry.Status {
	for late := time.Now().Add(time.Minute); ; {
		s, err := r.Status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if s.Applied >= registry.Published(r) {
			return s
		}
		if time.Now().After(late) {
			t.Fatalf("the state takes over nothing any more: %d of %d entries", s.Applied, registry.Published(r))
		}
		time.Sleep(100 * time.Microsecond)
	}
}

func (p *pair) compareAnswers(t *rapid.T) {
	ctx := context.Background()
	for _, id := range twinIDs {
		f, err := p.r.Find(ctx, id)
		if err != nil {
			t.Fatalf("find %s: %v", id, err)
		}
		p.compareFinding(t, id, f)
		if identifier.HashNamed(id) {
			found, f, err := p.r.FindHashed(ctx, id.Prefix, identifier.SuffixHash(id.Suffix))
			if err != nil {
				t.Fatalf("find hashed %s: %v", id, err)
			}
			if f.Record != nil && found != id {
				t.Fatalf("found %s by the hash of %s", found, id)
			}
			p.compareFinding(t, id, f)
		}
	}
	for _, prefix := range append([]identifier.Prefix{"", "88.118", "88.1.8.8", "99.9", "77"}, twinPrefixes...) {
		if got, want := p.r.Holder(prefix), p.of(prefix); !sameEncoded(got, want) {
			t.Fatalf("holder of %q: %+v, want %+v", prefix, got, want)
		}
		if prefix == "" {
			continue
		}
		f, err := p.r.Find(ctx, identifier.ID{Prefix: prefix})
		if d := p.of(prefix); err != nil || (d.Node == nil && f.Below != p.below(prefix)) {
			t.Fatalf("below %s: %v, %v, want %v", prefix, f.Below, err, p.below(prefix))
		}
	}
}

func (p *pair) compareFinding(t *rapid.T, id identifier.ID, f identifier.Finding) {
	want, holder := p.records[id], p.of(id.Prefix)
	there := want.version > 0 && !want.withdrawn && holder.Node == nil
	switch {
	case !f.InZone || f.Apex != "" || f.Position != uint64(p.entries):
		t.Fatalf("find %s: %+v, want position %d", id, f, p.entries)
	case holder.Prefix == "" && f.Delegation != nil || holder.Prefix != "" && !sameEncoded(f.Delegation, holder):
		t.Fatalf("find %s: delegation %+v, want %+v", id, f.Delegation, holder)
	case there != (f.Record != nil):
		t.Fatalf("find %s: %+v, want %+v", id, f.Record, want)
	case there && (f.Record.Version != want.version || f.Record.RowHash != want.hash || string(f.Record.Values[0].Data) != string(want.row.Values[0].Data)):
		t.Fatalf("find %s: %+v, want %+v", id, f.Record, want)
	}
}

func sameEncoded(a, b *identifier.Delegation) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, errX := identifier.AppendDelegation(nil, a)
	y, errY := identifier.AppendDelegation(nil, b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
