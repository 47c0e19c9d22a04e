package node_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
	"github.com/nameplate-id/nameplate/resolver"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// aMinute is within what a key that was revoked is refused everywhere.
const aMinute = time.Minute

// rekey replaces the key of a member's prefix, at the node above, which signs.
func rekey(from, m *member, k identifier.Keyset) error {
	payload, err := identifier.AppendKeysetChange(nil, &identifier.KeysetChange{Prefix: m.prefix, Epoch: 1, Keyset: k})
	if err != nil {
		return err
	}
	_, err = with(from, func(ctx context.Context, c *registryrpc.Client) (registry.Receipt, error) {
		return c.Delegate(ctx, identifier.Sign(identifier.KeysetType, payload, from.key))
	})
	return err
}

// tries registers with a key that is to be refused.
func (b *branch) tries(at *member, prefix identifier.Prefix, key identifier.PrivateKey) error {
	b.mu.Lock()
	b.count++
	id := identifier.ID{Prefix: prefix, Suffix: fmt.Sprintf("late-%d", b.count)}
	b.mu.Unlock()
	change, err := identifier.SignChange(identifier.Header{
		Prefix: prefix, Epoch: 1, KeysetVersion: 1, Expiry: time.Now().Add(time.Hour).Truncate(time.Second),
	}, []identifier.Row{identifier.NextRow(id, nil)}, nil, key)
	if err != nil {
		return err
	}
	_, err = with(at, func(ctx context.Context, c *registryrpc.Client) (registry.Receipt, error) {
		return c.Register(ctx, change)
	})
	return err
}

// A key that the node above revokes is refused at every node of three levels within a
// minute, though somebody goes on registering with it and the node that answers is dead when
// it is revoked; and what it has registered since it was stolen is told as suspect at every
// level.
func TestRevokedEverywhere(t *testing.T) {
	t.Parallel()
	b := newBranch(t)
	stolen, prefix := b.leaf.key, b.leaf.prefix
	if err := b.during([]*member{b.leaf, b.leaf}, func() error { return b.registerSome(20) }); err != nil {
		t.Fatal(err)
	}
	if err := b.settle(); err != nil {
		t.Fatal(err)
	}
	before, s := b.known[0], must(b.leaf.status())(t)
	if err := b.during([]*member{b.leaf}, func() error { return b.registerSome(20) }); err != nil {
		t.Fatal(err)
	}
	after := b.known[len(b.known)-1]
	if err := b.settle(); err != nil {
		t.Fatal(err)
	}
	// The control: before it is revoked the key is good, at the node that answers.
	if err := b.tries(b.leaf, prefix, stolen); err != nil {
		t.Fatalf("before it is revoked: %v", err)
	}

	b.leaf.kill()
	fresh, err := identifier.NewPrivateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	err = rekey(b.mid, b.leaf, identifier.Keyset{
		Version: 2, Threshold: 1, Keys: []identifier.PublicKey{fresh.Public()}, Suspect: &identifier.Suspicion{Log: s.Log, Since: s.Position},
	})
	if err == nil {
		err = b.leaf.start("", 0)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, b.said())
	}
	for name, m := range map[string]*member{"leaf": b.leaf, "mid": b.mid, "top": b.top} {
		for {
			err := b.tries(m, prefix, stolen)
			if e, ok := errors.AsType[*registry.Error](err); ok && (e.Kind == registry.Denied || e.Kind == registry.Unauthenticated) {
				break
			}
			if time.Since(began) > aMinute {
				t.Fatalf("after a minute node %s says %v", name, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	t.Logf("refused at all three levels %v after it was revoked", time.Since(began).Round(time.Millisecond))

	// Everybody tells the same of what was registered before and after it was stolen, and
	// no mirror marks what came in time.
	for name, x := range map[string]struct {
		at *member
		q  resolver.Query
	}{"leaf": {b.leaf, resolver.Query{Authoritative: true}}, "its mirror": {b.mid, resolver.Query{Mirror: true}}} {
		err := awaitAll(func() error {
			for _, c := range []struct {
				id      identifier.ID
				suspect bool
			}{{before.id, false}, {after.id, true}} {
				if err := told(t, x.at, x.q, c.id, c.suspect); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	for _, m := range must(b.mid.status())(t).Mirrors {
		if m.Bad != 0 {
			t.Errorf("%d entries are marked", m.Bad)
		}
	}
	if got := must(b.mid.status())(t).Suspicions; len(got) != 1 || got[0].Prefix != prefix || got[0].Since != s.Position {
		t.Errorf("the node above tells %+v", got)
	}
}

func told(t *testing.T, at *member, q resolver.Query, id identifier.ID, suspect bool) error {
	c, err := resolverrpc.NewClient(at.victim.Listen, resolverrpc.ClientOptions{})
	if err != nil {
		return err
	}
	defer c.Close()
	q.ID = id
	a, err := c.Resolve(t.Context(), q)
	if err != nil || a.Outcome != resolver.Found || a.Record.Suspect != suspect {
		return fmt.Errorf("%s: %v, want suspect %v: %+v", id, err, suspect, a)
	}
	return nil
}

// must ends the test where there is an error.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
