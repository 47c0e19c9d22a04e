package registry_test

import (
	"context"
	"sync"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// keysetSince is a keyset that says since when the one before is suspect.
func keysetSince(log identifier.LogID, since, version uint64, keys ...identifier.PrivateKey) identifier.Keyset {
	k := keyset(version, 1, keys...)
	k.Suspect = &identifier.Suspicion{Log: log, Since: since}
	return k
}

// What a stolen key registered is told as suspect: here, in the mirror above, after a
// start and after the state was built anew; nothing else is, and what its holder
// registers again is not any more.
func TestSuspect(t *testing.T) {
	f := newFamily(t)
	other, thief := newKey(t), f.holder
	register := func(key identifier.PrivateKey, d *identifier.Delegation, text string) uint64 {
		t.Helper()
		var before *identifier.Record
		if found := f.child.find(text); found.Record != nil {
			before = found.Record
		}
		return f.child.mustRegister(signed(t, key, d, put(mustID(t, text), before, link("https://x.example/")))).Position
	}
	early := f.child.mustDelegate(grant("88.118.1", other), f.holder)
	register(f.holder, f.delegation, "88.118/good")
	since := register(thief, f.delegation, "88.118/bad")
	register(thief, f.delegation, "88.118/renewed")
	register(other, early, "88.118.1/other") // by who has keys of its own
	late := f.child.mustDelegate(grant("88.118.2", thief), thief)
	register(thief, late, "88.118.2/bad") // by whom the thief let in

	holder := newKey(t)
	d, err := f.child.changeKeys(f.delegation, keysetSince(f.child.LogID(), since, 2, holder), thief)
	if err != nil {
		t.Fatal(err)
	}
	register(holder, d, "88.118/renewed")
	register(holder, d, "88.118/new")
	f.send()

	want := map[string]bool{
		"88.118/good": false, "88.118/bad": true, "88.118/renewed": false, "88.118.1/other": false, "88.118.2/bad": true, "88.118/new": false,
	}
	check := func(where string) {
		t.Helper()
		for text, suspect := range want {
			if got := f.child.find(text).Record; got == nil || got.Suspect != suspect {
				t.Errorf("%s, at the node: %s: %+v, want suspect %v", where, text, got, suspect)
			}
			if got := f.mirrored(text).Record; got == nil || got.Suspect != suspect {
				t.Errorf("%s, in the mirror: %s: %+v, want suspect %v", where, text, got, suspect)
			}
			id := mustID(t, text)
			loans := []identifier.Loan{{Prefix: []byte(id.Prefix), Key: identifier.AppendKey(nil, id)}}
			err := f.child.Lend(loans, func() {
				if lent := loans[0].Stored != nil; lent == suspect || loans[0].Absent {
					t.Errorf("%s: %s is lent: %v, though suspect %v", where, text, lent, suspect)
				}
			})
			if err != nil {
				t.Error(err)
			}
		}
		var exported int
		err := f.child.Export(t.Context(), "", identifier.ID{}, func(r *identifier.Record) error {
			exported++
			if r.Suspect != want[r.ID.String()] {
				t.Errorf("%s: %s is exported as suspect %v", where, r.ID, r.Suspect)
			}
			return nil
		})
		if err != nil || exported != len(want) {
			t.Errorf("%s: %d are exported, %v", where, exported, err)
		}
		part := registry.Suspicion{Log: f.child.LogID(), Prefix: "88.118", Since: since, Until: since + 5}
		for node, s := range map[string]registry.Status{"node": f.child.status(), "parent": f.parent.status()} {
			if len(s.Suspicions) != 1 || s.Suspicions[0] != part {
				t.Errorf("%s, status of the %s: %+v, want %+v", where, node, s.Suspicions, part)
			}
		}
	}
	check("at once")
	for _, n := range []*node{f.child, f.parent} {
		n.check()
		n.start()
	}
	f.join()
	check("after a start")

	// A keyset that has no suspicion of its own takes none away.
	if _, err := f.child.changeKeys(d, keyset(3, 1, holder, newKey(t)), holder); err != nil {
		t.Fatal(err)
	}
	f.send()
	check("after another keyset")
	if got := f.parent.Mirrors()[0].Bad; got != 0 {
		t.Errorf("%d entries are marked bad", got)
	}
}

// The control: where a keyset says nothing, or means another log, nothing is suspect.
func TestNothingIsSuspect(t *testing.T) {
	n := newNode(t)
	holder, d := maker(t, n)
	fill(t, n, holder, d, 0, 3)
	var err error
	if d, err = n.changeKeys(d, keysetSince(identifier.LogID{1}, 0, 2, holder), holder); err != nil {
		t.Fatal(err)
	}
	if _, err = n.changeKeys(d, keyset(3, 1, newKey(t)), holder); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if n.record(serial(i)).Suspect {
			t.Errorf("%s is suspect", serial(i))
		}
	}
	if s := n.status().Suspicions; len(s) != 0 {
		t.Errorf("status %+v", s)
	}
}

// A prefix that is taken back can say so, too.
func TestRevokedAndSuspect(t *testing.T) {
	n := newNode(t)
	holder, d := maker(t, n)
	fill(t, n, holder, d, 0, 3)
	back := &identifier.Delegation{Prefix: d.Prefix, Epoch: 2, Keyset: identifier.Keyset{Version: 2, Suspect: &identifier.Suspicion{Log: n.LogID(), Since: 0}}}
	n.mustDelegate(back, n.root)
	for i := range 3 {
		if !n.record(serial(i)).Suspect {
			t.Errorf("%s is not suspect", serial(i))
		}
	}
	n.check()
	n.start()
	if !n.record(serial(1)).Suspect {
		t.Error("after a start it is not suspect")
	}
}

// Keys are replaced without a gap: with a keyset that has both, and then with the new one
// alone. Whoever registers meanwhile, with the old key or the new one while that is in
// force, is never refused, whether he has heard of the newest keyset or not; the old key
// is refused at once when it is out.
func TestKeysRotateWithoutAGap(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	old, d := maker(t, n)
	type turn struct {
		key identifier.PrivateKey
		d   *identifier.Delegation
	}
	// Held while something is signed and registered: the old key goes when nobody is at it
	// with it any more.
	var mu sync.RWMutex
	current := turn{old, d}
	ctx, stop := context.WithCancel(t.Context())
	var registering sync.WaitGroup
	counts := make([]int, 4)
	for w := range counts {
		registering.Go(func() {
			for ; ctx.Err() == nil; counts[w]++ {
				mu.RLock()
				c := current
				id := mustID(t, serial(1_000_000*w+counts[w]))
				_, err := n.Register(t.Context(), signed(t, c.key, c.d, put(id, nil, link("https://x.example/"))))
				mu.RUnlock()
				if err != nil {
					t.Errorf("refused with keyset version %d: %v", c.d.Keyset.Version, err)
					return
				}
			}
		})
	}
	const rotations = 30
	for range rotations {
		was, next := current, newKey(t)
		version := was.d.Keyset.Version
		both, err := n.changeKeys(was.d, keyset(version+1, 1, was.key, next), was.key)
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		current = turn{next, both}
		mu.Unlock()
		// Whoever has not heard of it yet goes on as before.
		fill(t, n, was.key, was.d, 500_000+int(version), 500_001+int(version))
		n.mustRegister(signed(t, was.key, both, put(mustID(t, serial(600_000+int(version))), nil, link("https://x.example/"))))
		alone, err := n.changeKeys(both, keyset(version+2, 1, next), next)
		if err != nil {
			t.Fatal(err)
		}
		_, err = n.Register(t.Context(), signed(t, was.key, both, put(mustID(t, serial(700_000+int(version))), nil, link("https://x.example/"))))
		wantKind(t, err, registry.Denied)
		_, err = n.Register(t.Context(), signed(t, was.key, alone, put(mustID(t, serial(700_000+int(version))), nil, link("https://x.example/"))))
		wantKind(t, err, registry.Unauthenticated)
		mu.Lock()
		current = turn{next, alone}
		mu.Unlock()
	}
	stop()
	registering.Wait()
	total := 0
	for _, c := range counts {
		total += c
	}
	t.Logf("%d changes were registered over %d rotations", total, rotations)
	n.restart()
	n.check()
}
