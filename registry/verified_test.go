package registry_test

import (
	"testing"

	"github.com/nameplate-id/nameplate/registry"
)

// What was verified under one keyset is judged again under the next one: a key that
// was taken away in between registers nothing more.
func TestVerifiedUnderOldKeys(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	holder, d := maker(t, n)
	first, err := n.Verify(t.Context(), signed(t, holder, d, put(mustID(t, serial(1)), nil, link("https://maker.example/1"))))
	if err != nil {
		t.Fatal(err)
	}
	late, err := n.Verify(t.Context(), signed(t, holder, d, put(mustID(t, serial(2)), nil, link("https://maker.example/2"))))
	if err != nil {
		t.Fatal(err)
	}
	if s := n.status(); s.Identifiers != 0 {
		t.Errorf("verifying logged something: %+v", s)
	}
	receipt, err := n.Log(t.Context(), first)
	if err != nil || receipt.Duplicate {
		t.Fatalf("got %+v, %v", receipt, err)
	}
	if again, err := n.Log(t.Context(), first); err != nil || !again.Duplicate || again.Position != receipt.Position {
		t.Errorf("logged again: got %+v, %v", again, err)
	}

	if _, err := n.changeKeys(d, keyset(2, 1, newKey(t)), holder); err != nil {
		t.Fatal(err)
	}

	_, err = n.Log(t.Context(), late)
	wantKind(t, err, registry.Denied)
	if s := n.status(); s.Identifiers != 1 {
		t.Errorf("got %d identifiers, want 1", s.Identifiers)
	}
}
