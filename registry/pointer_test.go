package registry_test

import (
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// sendAs is send with entries that are made other ones first.
func (f *family) sendAs(change func([]byte) ([]byte, error)) {
	t := f.parent.t
	t.Helper()
	source := f.child.Source()
	for tip, _ := source.Growth(); f.size < tip; {
		payloads, err := source.Entries(f.size, 3, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		u := &replica.Unit{Start: f.size}
		for _, p := range payloads {
			if p, err = change(p); err != nil {
				t.Fatal(err)
			}
			u.Payloads = append(u.Payloads, p)
		}
		if u.Checkpoint, u.Root, err = source.SignCheckpoint(u.End()); err != nil {
			t.Fatal(err)
		}
		synced := make(chan struct{})
		if err := f.mirror.Append(t.Context(), u, func() { close(synced) }); err != nil {
			t.Fatal(err)
		}
		<-synced
		f.size = u.End()
	}
}

func whole(payload []byte) ([]byte, error) { return payload, nil }

// A parent that keeps pointers knows what is registered, judges it by the rules of any
// mirror, and answers with no copy; all of it is so after a start, and by a check.
func TestPointers(t *testing.T) {
	f := newKept(t, identifier.PolicyPointer)
	if got := f.mirror.Policy(); got != identifier.PolicyPointer {
		t.Fatalf("policy %v", got)
	}
	register := func(text string) {
		t.Helper()
		var before *identifier.Record
		if found := f.child.find(text); found.Record != nil {
			before = found.Record
		}
		f.child.mustRegister(signed(t, f.holder, f.delegation, put(mustID(t, text), before, link("https://maker.example/"+text))))
	}
	for _, text := range []string{"88.118/a", "88.118/b", "88.118/c", "88.118/a"} {
		register(text)
	}
	f.child.mustRegister(signed(t, f.holder, f.delegation, withdraw(f.child.record("88.118/b"))))
	register("88.118/d")
	f.sendAs(identifier.SealEntry)

	check := func(where string) {
		t.Helper()
		if err := f.parent.WaitApplied(t.Context()); err != nil { // which counts
			t.Fatal(err)
		}
		s := f.parent.Mirrors()[0]
		if s.Policy != "pointer" || s.Bad != 0 || s.Size != f.child.status().Position || s.Identifiers != 3 {
			t.Errorf("%s: %+v, want 3 identifiers, nothing bad", where, s)
		}
		if c, _ := f.parent.CopyOf(f.child.root.Public()); c != nil {
			t.Errorf("%s: there is a copy to answer from", where)
		}
		if found := f.parent.find("88.118/a"); found.Record != nil || found.Delegation == nil || found.Delegation.Policy != identifier.PolicyPointer {
			t.Errorf("%s: found %+v, want the delegation alone", where, found)
		}
	}
	check("at once")
	f.parent.check()
	f.parent.start()
	f.join()
	check("after a start")

	// The same rules: what follows on another version is marked, and so is what came with
	// its contents.
	forged := put(mustID(t, "88.118/e"), nil, link("https://maker.example/e"))
	f.child.mustRegister(signed(t, f.holder, f.delegation, forged))
	f.sendAs(whole)
	if s := f.parent.Mirrors()[0]; s.Bad != 1 || s.Identifiers != 3 {
		t.Errorf("contents that nobody asked for: %+v, want one marked", s)
	}
	next := put(mustID(t, "88.118/e"), f.child.record("88.118/e"), link("https://maker.example/e2"))
	f.child.mustRegister(signed(t, f.holder, f.delegation, next))
	f.sendAs(identifier.SealEntry)
	if s := f.parent.Mirrors()[0]; s.Bad != 2 {
		t.Errorf("a version that follows on nothing here: %+v, want two marked", s)
	}
	f.parent.check()
}

// The control: a mirror does not take entries without their contents for good.
func TestMirrorWantsContents(t *testing.T) {
	f := newFamily(t)
	f.child.mustRegister(signed(t, f.holder, f.delegation, put(mustID(t, "88.118/a"), nil, link("https://maker.example/a"))))
	f.sendAs(identifier.SealEntry)
	if s := f.parent.Mirrors()[0]; s.Bad != 1 || s.Policy != "mirror" {
		t.Errorf("%+v, want one marked", s)
	}
	if f.mirrored("88.118/a").Record != nil {
		t.Error("a record without its contents is found")
	}
	// And nobody registers so.
	c := signed(t, f.holder, f.delegation, put(mustID(t, "88.118/b"), nil, link("https://maker.example/b")))
	c.Rows[0].Sealed = &identifier.Hash{1}
	c.Rows[0].Values = nil
	_, err := f.child.Register(t.Context(), c)
	wantKind(t, err, registry.Malformed)
}
