package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/backup"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/receipt"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
	"github.com/nameplate-id/nameplate/resolver"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// Each policy with real processes: what the parent has on its disk, how it answers while
// the child is dead, what it can give back, and that its cosignature proves a registration
// either way.
func TestPolicies(t *testing.T) {
	t.Parallel()
	for _, policy := range []identifier.Policy{identifier.PolicyMirror, identifier.PolicyPointer, identifier.PolicyWitness} {
		t.Run(policy.String(), func(t *testing.T) {
			mirror, witness := policy == identifier.PolicyMirror, policy == identifier.PolicyWitness
			b := newPair(t, policy)
			// The parent is killed meanwhile.
			whole := func() error { return awaitAll(func() error { return mirrored(b.mid, b.top) }) }
			err := whole()
			if err == nil {
				err = b.during([]*member{b.mid, b.mid}, func() error {
					if err := b.registerSome(20); err != nil {
						return err
					}
					b.top.kill()
					if err := b.top.start("", 0); err != nil {
						return err
					}
					return b.registerSome(20)
				})
			}
			if err = errors.Join(err, whole()); err != nil {
				t.Fatalf("%v\n%s", err, b.said())
			}
			err = awaitAll(func() error {
				s, err := b.top.status() // which counts what is applied
				want := len(b.known)
				if witness {
					want = 0
				}
				if err != nil || len(s.Mirrors) != 1 || s.Mirrors[0].Policy != policy.String() || int(s.Mirrors[0].Identifiers) != want {
					return fmt.Errorf("the parent tells %+v, %v, want policy %v and %d identifiers", s.Mirrors, err, policy, want)
				}
				up, err := b.mid.status()
				if err != nil || up.Upstream == nil || up.Upstream.Policy != policy.String() {
					return fmt.Errorf("the child tells %+v, %v, want policy %v", up.Upstream, err, policy)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			known := b.known[0].id
			if got := onDisk(t, b.top.victim.Folder, linkOf(known)); got != mirror {
				t.Errorf("the parent has the value on its disk: %v, want %v", got, mirror)
			}
			if got := onDisk(t, b.top.victim.Folder, known.Suffix); got == witness {
				t.Errorf("the parent knows what is registered: %v, want %v", got, !witness)
			}

			// Its cosignature proves the registration, whatever it keeps.
			proof, err := with(b.mid, func(ctx context.Context, c *registryrpc.Client) (*receipt.Receipt, error) {
				r, _, err := c.Prove(ctx, known, registry.Anchored, 4*time.Second)
				return r, err
			})
			if err != nil {
				t.Fatal(err)
			}
			child, parent := []identifier.PublicKey{b.mid.key.Public()}, []identifier.PublicKey{b.top.key.Public()}
			v, err := proof.Verify(receipt.Keys{Holders: child, Nodes: child, Parents: parent, Tops: parent})
			if err != nil || v.Level() == registry.Local.String() || string(proof.Row.Values[0].Data) != linkOf(known) {
				t.Errorf("the receipt proves %+v, %v", v, err)
			}

			backup := b.backupOf(t, b.mid)
			if err := b.during([]*member{b.mid}, func() error { return b.registerSome(5) }); err != nil {
				t.Fatal(err)
			}
			if err := whole(); err != nil {
				t.Fatal(err)
			}
			b.mid.kill()
			c, err := resolverrpc.NewClient(b.top.victim.Listen, resolverrpc.ClientOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			a, err := c.Resolve(t.Context(), resolver.Query{ID: known, Mirror: true})
			switch {
			case err != nil:
				t.Error(err)
			case mirror && (a.Outcome != resolver.Found || !a.Origin.Mirror):
				t.Errorf("while the child is dead its parent says %+v, want found in the mirror", a)
			case !mirror && a.Outcome != resolver.Referral:
				t.Errorf("while the child is dead its parent says %+v, want a referral", a)
			}

			// A child that was restored gets back what it lacks, or is told that it cannot.
			if err := b.restoreTo(b.mid, backup); err != nil {
				t.Fatal(err)
			}
			if err := b.mid.start("", 0); err != nil {
				t.Fatal(err)
			}
			if mirror {
				if err := b.pairWhole(); err != nil {
					t.Error(err)
				}
				return
			}
			err = awaitAll(func() error {
				s, err := b.mid.status()
				if err != nil || s.ReadOnly == "" || s.Upstream == nil || !strings.Contains(s.Upstream.Reason, "and cannot give them back") {
					return fmt.Errorf("the restored child says %q, %+v, %v", s.ReadOnly, s.Upstream, err)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// What a parent keeps is changed while both run, to less and to more: the child says Hello
// again by itself, or after its parent was killed, and in the end the parent has what it is to
// have, answers as it says, and has cosigned all of it.
func TestPolicyChange(t *testing.T) {
	t.Parallel()
	b := newPair(t, identifier.PolicyMirror)
	whole := func() error { return awaitAll(func() error { return mirrored(b.mid, b.top) }) }
	register := func() error {
		return errors.Join(b.during([]*member{b.mid}, func() error { return b.registerSome(20) }), whole())
	}
	if err := errors.Join(whole(), register()); err != nil {
		t.Fatalf("%v\n%s", err, b.said())
	}
	for i, policy := range []identifier.Policy{identifier.PolicyWitness, identifier.PolicyMirror, identifier.PolicyPointer} {
		b.mid.epoch++
		if err := b.grantAs(b.top, b.mid, "88", policy); err != nil {
			t.Fatal(err)
		}
		err := b.awaitEpoch()
		if i > 0 {
			b.top.kill()
			err = errors.Join(err, b.top.start("", 0))
		}
		if err = errors.Join(err, register()); err != nil {
			t.Fatalf("%v\n%s", err, b.said())
		}
		if err := b.awaitKeptAs(policy); err != nil {
			t.Fatalf("to %v: %v\n%s", policy, err, b.said())
		}
	}
	if strings.Contains(b.said(), "it was restored") {
		t.Errorf("somebody was taken for restored\n%s", b.said())
	}
}

// newPair is the upper two nodes of a branch, of which one keeps the other's log as a policy
// says.
func newPair(t *testing.T, policy identifier.Policy) *branch {
	t.Helper()
	b := &branch{t: t, dir: t.TempDir()}
	t.Cleanup(b.end)
	b.top = b.member("top", nil)
	b.top.victim.Anchor = filepath.Join(b.dir, "anchor")
	if err := b.top.start("", 0); err != nil {
		t.Fatal(err)
	}
	b.mid = b.member("mid", b.top)
	if err := errors.Join(b.mid.start("", 0), b.grantAs(b.top, b.mid, "88", policy)); err != nil {
		t.Fatal(err)
	}
	return b
}

// awaitEpoch waits until the middle node has the newest grant of its prefix.
func (b *branch) awaitEpoch() error {
	return awaitAll(func() error {
		d, err := with(b.mid, func(ctx context.Context, c *registryrpc.Client) (*identifier.Delegation, error) {
			return c.Holder(ctx, "88")
		})
		if err != nil || d.Epoch != 1+b.mid.epoch {
			return fmt.Errorf("the child holds %+v, %v", d, err)
		}
		return nil
	})
}

// awaitKeptAs waits until the parent has all of the middle node's log as a policy says, and
// has cosigned it, and nobody takes anybody for restored.
func (b *branch) awaitKeptAs(policy identifier.Policy) error {
	return awaitAll(func() error {
		up, err := b.top.status()
		if err != nil {
			return err
		}
		down, err := b.mid.status()
		if err != nil {
			return err
		}
		if len(up.Mirrors) != 1 || down.Upstream == nil {
			return fmt.Errorf("the parent tells %+v, the child that it keeps %+v", up.Mirrors, down.Upstream)
		}
		m := up.Mirrors[0]
		if m.Policy != policy.String() || m.Next != "" || m.Bad != 0 || m.Lost != 0 || down.Upstream.Lost != 0 ||
			down.Upstream.Policy != policy.String() || down.Anchored != down.Position {
			return fmt.Errorf("the parent tells %+v, the child that it keeps %+v, %d of %d are anchored", up.Mirrors, down.Upstream, down.Anchored, down.Position)
		}
		return mirrored(b.mid, b.top)
	})
}

// backupOf makes a backup of a node that runs, and returns where.
func (b *branch) backupOf(t *testing.T, m *member) string {
	t.Helper()
	v := m.victim
	v.BackupTo = b.scratch()
	p, err := run(v)
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	if _, err := backup.ReadManifest(v.BackupTo); err != nil {
		t.Fatalf("%v\n%s", err, p.said.String())
	}
	return v.BackupTo
}

// restoreTo puts a dead node back to a backup.
func (b *branch) restoreTo(m *member, backup string) error {
	if err := os.RemoveAll(m.victim.Folder); err != nil {
		return err
	}
	v := m.victim
	v.RestoreFrom = backup
	p, err := run(v)
	if err != nil {
		return err
	}
	<-p.done
	if _, err := os.Stat(m.victim.Folder); err != nil {
		return fmt.Errorf("%w\n%s", err, p.said.String())
	}
	return nil
}

// onDisk reports whether some octets stand in any file of a folder.
func onDisk(t *testing.T, folder, text string) (found bool) {
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || found {
			return err
		}
		octets, err := os.ReadFile(path)
		found = err == nil && bytes.Contains(octets, []byte(text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
