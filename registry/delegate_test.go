package registry_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

func TestOnlyWhoHoldsWhatLiesAboveDelegates(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	region, maker, stranger := newKey(t), newKey(t), newKey(t)

	_, err := n.delegate(grant("88", region), stranger)
	wantKind(t, err, registry.Unauthenticated)
	n.mustDelegate(grant("88", region), n.root)
	_, err = n.delegate(grant("88.118", maker), n.root)
	wantKind(t, err, registry.Unauthenticated) // the root no longer holds 88
	_, err = n.delegate(grant("88.118", maker), maker)
	wantKind(t, err, registry.Unauthenticated)
	n.mustDelegate(grant("88.118", maker), region)
	n.mustDelegate(grant("99.7", maker), n.root) // 99 itself was never delegated

	if f := n.find("88.118/x"); f.Delegation == nil || f.Delegation.Prefix != "88.118" || !f.InZone || f.Apex != "" {
		t.Errorf("88.118/x: %+v", f)
	}
	if f := n.find("88.117/x"); f.Delegation == nil || f.Delegation.Prefix != "88" {
		t.Errorf("88.117/x: %+v", f)
	}
	if f := n.find("99/x"); f.Delegation != nil || !f.Below && f.Record != nil {
		t.Errorf("99/x: %+v", f)
	}
	if f := n.find("99"); !f.Below {
		t.Errorf("99: nothing below: %+v", f)
	}
}

func TestDelegationEpochsFollow(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	first, second := newKey(t), newKey(t)
	d := n.mustDelegate(grant("88", first), n.root)

	for _, test := range []struct {
		name           string
		epoch, version uint64
	}{
		{"the same again with another key", 1, 1},
		{"epoch left out", 3, 2},
		{"keyset version starts again", 2, 1},
		{"keyset version left out", 2, 3},
	} {
		next := grant("88", second)
		next.Epoch, next.Keyset.Version = test.epoch, test.version
		_, err := n.delegate(next, n.root)
		if e := wantKind(t, err, registry.Conflict); !strings.Contains(e.Detail, "epoch 1 with keyset version 1") {
			t.Errorf("%s: the error does not name what is current: %v", test.name, e)
		}
	}
	next := grant("88", second)
	next.Epoch, next.Keyset.Version = 2, 2
	_, err := n.delegate(next, first)
	wantKind(t, err, registry.Unauthenticated) // the holder cannot give it away
	n.mustDelegate(next, n.root)

	row := put(mustID(t, "88/a"), nil, link("https://a.example/"))
	_, err = n.Register(t.Context(), signed(t, first, d, row))
	wantKind(t, err, registry.Denied) // the old epoch
	stale := *next
	stale.Epoch = 1
	_, err = n.Register(t.Context(), signed(t, second, &stale, row))
	wantKind(t, err, registry.Denied)
	_, err = n.Register(t.Context(), signed(t, first, next, row))
	wantKind(t, err, registry.Unauthenticated) // the right epoch, the old key
	n.mustRegister(signed(t, second, next, row))
}

func TestDelegationAgainIsNotLoggedAgain(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	d := grant("88", newKey(t))
	first, err := n.delegate(d, n.root)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		again, err := n.delegate(d, n.root)
		if err != nil || !again.Duplicate || again.Position != first.Position || again.Level != registry.Local {
			t.Errorf("round %d: %+v, %v; first %+v", round, again, err, first)
		}
		n.restart()
	}
	if s := n.status(); s.Position != 3 || s.Delegations != 1 {
		t.Errorf("status %+v", s)
	}
}

func TestKeysetChange(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	a, b, c, above := newKey(t), newKey(t), newKey(t), newKey(t)
	n.mustDelegate(grant("88", above), n.root)
	d := n.mustDelegate(grant("88.118", a), above)

	_, err := n.changeKeys(d, keyset(2, 1, b), b)
	wantKind(t, err, registry.Unauthenticated) // the new key cannot bring itself in
	_, err = n.changeKeys(d, keyset(3, 1, b), a)
	wantKind(t, err, registry.Conflict)
	wrong := *d
	wrong.Epoch = 2
	_, err = n.changeKeys(&wrong, keyset(2, 1, b), a)
	wantKind(t, err, registry.Conflict)
	_, err = n.changeKeys(grant("88.119", a), keyset(2, 1, b), a)
	wantKind(t, err, registry.Denied) // never delegated

	byHolder, err := n.changeKeys(d, keyset(2, 1, b), a)
	if err != nil {
		t.Fatal(err)
	}
	row := put(mustID(t, "88.118/a"), nil, link("https://a.example/"))
	_, err = n.Register(t.Context(), signed(t, a, d, row))
	wantKind(t, err, registry.Denied)
	n.mustRegister(signed(t, b, byHolder, row))
	_, err = n.changeKeys(byHolder, keyset(3, 1, a), a)
	wantKind(t, err, registry.Unauthenticated) // a is out
	_, err = n.changeKeys(byHolder, keyset(3, 1, c), n.root)
	wantKind(t, err, registry.Unauthenticated) // above, but not next above
	fromAbove, err := n.changeKeys(byHolder, keyset(3, 1, c), above)
	if err != nil {
		t.Fatal(err)
	}
	n.restart()
	n.mustRegister(signed(t, c, fromAbove, put(mustID(t, "88.118/b"), nil, link("https://b.example/"))))
	if got := n.find("88.118/a").Delegation; got.Epoch != 1 || got.Keyset.Version != 3 {
		t.Errorf("delegation %+v", got)
	}
	n.check()
}

// Revoking counts on, and the keys that the root's grant names can be replaced.
func TestRootKeyset(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	office := newKey(t)
	root := n.Holder("")
	if root == nil || root.Prefix != "" || root.Keyset.Keys[0] != n.root.Public() {
		t.Fatalf("holder of the root: %+v", root)
	}
	_, err := n.delegate(&identifier.Delegation{Prefix: "", Epoch: 2, Keyset: keyset(2, 1, office)}, n.root)
	wantKind(t, err, registry.Denied) // nobody holds what lies above
	if _, err := n.changeKeys(root, keyset(2, 1, office), n.root); err != nil {
		t.Fatal(err)
	}
	n.restart()
	_, err = n.delegate(grant("88", newKey(t)), n.root)
	wantKind(t, err, registry.Unauthenticated)
	n.mustDelegate(grant("88", newKey(t)), office)
	if f := n.find("99/x"); !f.InZone || f.Delegation != nil {
		t.Errorf("the zone: %+v", f)
	}
	n.check()
}

func TestThreshold(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	a, b, c := newKey(t), newKey(t), newKey(t)
	d := grant("88", a, b, c)
	d.Keyset.Threshold = 2
	n.mustDelegate(d, n.root)
	row := put(mustID(t, "88/a"), nil, link("https://a.example/"))
	for _, test := range []struct {
		name string
		keys []identifier.PrivateKey
		ok   bool
	}{
		{"one of two", []identifier.PrivateKey{a}, false},
		{"the same twice", []identifier.PrivateKey{a, a}, false},
		{"one and a stranger", []identifier.PrivateKey{a, newKey(t)}, false},
		{"one and the node", []identifier.PrivateKey{a, n.root}, false},
		{"two", []identifier.PrivateKey{c, a}, true},
		{"all three", []identifier.PrivateKey{c, b, a}, true},
		{"two and a stranger", []identifier.PrivateKey{newKey(t), b, a}, true},
	} {
		_, err := n.Register(t.Context(), sign(t, header(d), []identifier.Row{row}, test.keys...))
		if test.ok && err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if !test.ok {
			wantKind(t, err, registry.Unauthenticated)
		}
	}
	_, err := n.changeKeys(d, keyset(2, 1, a), a)
	wantKind(t, err, registry.Unauthenticated)
	if _, err := n.changeKeys(d, keyset(2, 1, a), a, b); err != nil {
		t.Fatal(err)
	}
	// The grantor's threshold counts too.
	above := grant("99", a, b)
	above.Keyset.Threshold = 2
	n.mustDelegate(above, n.root)
	_, err = n.delegate(grant("99.1", c), a)
	wantKind(t, err, registry.Unauthenticated)
	n.mustDelegate(grant("99.1", c), a, b)
}

func TestRevocationFallsBackToTheHolderAbove(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	above, maker := newKey(t), newKey(t)
	region := n.mustDelegate(grant("88", above), n.root)
	d := n.mustDelegate(grant("88.118", maker), above)
	row := put(mustID(t, "88.118/a"), nil, link("https://a.example/1"))
	n.mustRegister(signed(t, maker, d, row))

	_, err := n.Register(t.Context(), signed(t, above, region, put(mustID(t, "88.118/b"), nil, link("https://b.example/"))))
	if e := wantKind(t, err, registry.Denied); len(e.Rows) != 1 {
		t.Errorf("rows %+v", e.Rows)
	}
	revoked := &identifier.Delegation{Prefix: "88.118", Epoch: 2, Keyset: identifier.Keyset{Version: 2}}
	_, err = n.delegate(revoked, maker)
	wantKind(t, err, registry.Unauthenticated)
	n.mustDelegate(revoked, above)
	for range 2 {
		if s := n.status(); s.Delegations != 1 {
			t.Errorf("status %+v", s)
		}
		f := n.find("88.118/a")
		if f.Delegation == nil || f.Delegation.Prefix != "88" || f.Record == nil {
			t.Errorf("after revocation: %+v", f)
		}
		_, err = n.Register(t.Context(), signed(t, maker, d, put(mustID(t, "88.118/c"), nil, link("https://c.example/"))))
		wantKind(t, err, registry.Denied)
		n.restart()
	}
	_, err = n.changeKeys(revoked, keyset(3, 1, maker), above)
	wantKind(t, err, registry.Denied) // there is nothing to change the keys of

	// What is there belongs to the holder above now, and goes on counting.
	n.mustRegister(signed(t, above, region, put(mustID(t, "88.118/a"), n.record("88.118/a"), link("https://a.example/2"))))

	// Delegated anew, its epoch and keyset version count on.
	_, err = n.delegate(grant("88.118", maker), above)
	wantKind(t, err, registry.Conflict)
	again := grant("88.118", maker)
	again.Epoch, again.Keyset.Version = 3, 3
	n.mustDelegate(again, above)
	n.mustRegister(signed(t, maker, again, put(mustID(t, "88.118/a"), n.record("88.118/a"), link("https://a.example/3"))))
	if got := n.record("88.118/a").Version; got != 3 {
		t.Errorf("version %d, want 3", got)
	}
	n.check()
}

func TestNoAgents(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder, stranger := newKey(t), newKey(t)
	open := n.mustDelegate(grant("88", holder), n.root)
	closed := grant("89", holder)
	closed.NoAgents = true
	n.mustDelegate(closed, n.root)

	byAgent := func(d *identifier.Delegation, key identifier.PrivateKey) error {
		h := header(d)
		h.Agent, h.AgentMethod = "300:0.NA/88", "handle"
		id := identifier.ID{Prefix: d.Prefix, Suffix: "a"}
		_, err := n.Register(t.Context(), sign(t, h, []identifier.Row{put(id, nil, link("https://a.example/"))}, key))
		return err
	}
	wantKind(t, byAgent(open, stranger), registry.Unauthenticated)
	wantKind(t, byAgent(open, holder), registry.Unauthenticated) // the node says what it authenticated, not the holder
	wantKind(t, byAgent(closed, n.root), registry.Denied)
	if err := byAgent(open, n.root); err != nil {
		t.Error(err)
	}
	// Without naming an agent the node's key is just a stranger's.
	_, err := n.Register(t.Context(), signed(t, n.root, open, put(mustID(t, "88/b"), nil, link("https://b.example/"))))
	wantKind(t, err, registry.Unauthenticated)
}

func elsewhere(t *testing.T) *identifier.Node {
	return &identifier.Node{Name: "maker", Key: newKey(t).Public(), Addresses: []identifier.Address{{IP: "192.0.2.1", DNS: 53, GRPC: 2640}}}
}

func TestPrefixAnsweredByAnotherNode(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder := newKey(t)
	here := n.mustDelegate(grant("88.118", holder), n.root)
	n.mustRegister(signed(t, holder, here, put(mustID(t, "88.118/a"), nil, link("https://a.example/"))))

	there := grant("88.118", holder)
	there.Epoch, there.Keyset.Version, there.Node = 2, 2, elsewhere(t)
	n.mustDelegate(there, n.root)
	for range 2 {
		for _, text := range []string{"88.118/a", "88.118.7/a", "88.118", "88.118/nothing"} {
			f := n.find(text)
			if f.Record != nil || f.Delegation == nil || f.Delegation.Node == nil || f.Delegation.Node.Name != "maker" {
				t.Errorf("%s: %+v", text, f)
			}
		}
		_, err := n.Register(t.Context(), signed(t, holder, there, put(mustID(t, "88.118/b"), nil, link("https://b.example/"))))
		wantKind(t, err, registry.Denied)
		_, err = n.delegate(grant("88.118.7", newKey(t)), holder)
		wantKind(t, err, registry.Denied)
		if got := exported(t, n, "", identifier.ID{}); len(got) != 0 {
			t.Errorf("exported %v", got)
		}
		n.restart()
	}
	// Its keys can still be changed here, where the delegation is logged.
	if _, err := n.changeKeys(there, keyset(3, 1, newKey(t)), holder); err != nil {
		t.Error(err)
	}
	// A delegation that names this node itself is answered here.
	own := grant("88.118", holder)
	own.Epoch, own.Keyset.Version, own.Node = 3, 4, &identifier.Node{Name: "self", Key: n.root.Public(), Addresses: elsewhere(t).Addresses}
	n.mustDelegate(own, n.root)
	if n.record("88.118/a").Version != 1 {
		t.Error("what was there is not there any more")
	}
	n.mustRegister(signed(t, holder, own, put(mustID(t, "88.118/b"), nil, link("https://b.example/"))))
}

// A prefix that moves takes with it what was delegated below it, and brings it back.
func TestMovingAPrefixHidesWhatIsDelegatedBelow(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	region, maker := newKey(t), newKey(t)
	above := n.mustDelegate(grant("88", region), n.root)
	below := n.mustDelegate(grant("88.118", maker), region)
	n.mustRegister(signed(t, maker, below, put(mustID(t, "88.118/a"), nil, link("https://a.example/"))))

	moved := *above
	moved.Epoch, moved.Keyset.Version, moved.Node = 2, 2, elsewhere(t)
	n.mustDelegate(&moved, n.root)
	for range 2 {
		for _, text := range []string{"88", "88/x", "88.118", "88.118/a", "88.118.7/x"} {
			f := n.find(text)
			if f.Record != nil || f.Delegation == nil || f.Delegation.Prefix != "88" || f.Delegation.Node == nil {
				t.Errorf("%s: %+v; want the delegation of 88", text, f)
			}
			id := mustID(t, text)
			loans := []identifier.Loan{{Prefix: []byte(id.Prefix), Key: identifier.AppendKey(nil, id)}}
			err := n.Lend(loans, func() {})
			if l := &loans[0]; err != nil || !l.InZone || l.Stored != nil || l.Delegation == nil || l.Delegation.Prefix != "88" {
				t.Errorf("%s: lent %+v, %v; want as it is found", text, l, err)
			}
		}
		_, err := n.Register(t.Context(), signed(t, maker, below, put(mustID(t, "88.118/b"), nil, link("https://b.example/"))))
		wantKind(t, err, registry.Denied)
		_, err = n.delegate(grant("88.119", newKey(t)), region)
		wantKind(t, err, registry.Denied)
		if got := exported(t, n, "", identifier.ID{}); len(got) != 0 {
			t.Errorf("exported %v", got)
		}
		n.restart()
	}
	back := *above
	back.Epoch, back.Keyset.Version = 3, 3
	n.mustDelegate(&back, n.root)
	if f := n.find("88.118/a"); f.Record == nil || f.Delegation.Prefix != "88.118" {
		t.Errorf("came back as %+v", f)
	}
	n.mustRegister(signed(t, maker, below, put(mustID(t, "88.118/b"), nil, link("https://b.example/"))))
}

func TestPrivateIsPartOfWhatIsFound(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder := newKey(t)
	d := grant("88", holder)
	d.Private = true
	n.mustDelegate(d, n.root)
	n.mustRegister(signed(t, holder, d, put(mustID(t, "88/a"), nil, link("https://a.example/"))))
	n.restart()
	for _, text := range []string{"88/a", "88/none", "88.1/none"} {
		if f := n.find(text); f.Delegation == nil || !f.Delegation.Private {
			t.Errorf("%s: %+v", text, f)
		}
	}
}

func TestMalformedDelegations(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	key := newKey(t)
	good := delegationPayload(t, grant("88", key))
	twice := grant("88", key, key)
	for _, test := range []struct {
		name     string
		envelope identifier.Envelope
	}{
		{"no signature", identifier.Envelope{PayloadType: identifier.DelegationType, Payload: good}},
		{"nothing", identifier.Envelope{}},
		{"another type", identifier.Sign(identifier.ChangeType, good, n.root)},
		{"a genesis", identifier.Sign(identifier.GenesisType, good, n.root)},
		{"a keyset that is a delegation", identifier.Sign(identifier.KeysetType, good, n.root)},
		{"cut short", identifier.Sign(identifier.DelegationType, good[:len(good)-1], n.root)},
		{"too long", identifier.Sign(identifier.DelegationType, append(good[:len(good):len(good)], 0), n.root)},
		{"a key twice", identifier.Sign(identifier.DelegationType, delegationPayload(t, twice), n.root)},
		{"epoch 0", identifier.Sign(identifier.DelegationType, delegationPayload(t, &identifier.Delegation{Prefix: "88", Keyset: keyset(1, 1, key)}), n.root)},
		{"upper case", identifier.Sign(identifier.DelegationType, delegationPayload(t, grant("88.AB", key)), n.root)},
		{"reserved", identifier.Sign(identifier.DelegationType, delegationPayload(t, grant("ecode", key)), n.root)},
		{"signatures beyond the limit", identifier.Sign(identifier.DelegationType, good, manyKeys(n.root, identifier.MaxSignatures+1)...)},
	} {
		_, err := n.Delegate(t.Context(), test.envelope)
		var e *registry.Error
		if !errors.As(err, &e) || e.Kind != registry.Malformed {
			t.Errorf("%s: %v, want malformed", test.name, err)
		}
	}
	if s := n.status(); s.Position != 2 {
		t.Errorf("the log has %d entries", s.Position)
	}
}

func manyKeys(k identifier.PrivateKey, n int) []identifier.PrivateKey {
	keys := make([]identifier.PrivateKey, n)
	for i := range keys {
		keys[i] = k
	}
	return keys
}
