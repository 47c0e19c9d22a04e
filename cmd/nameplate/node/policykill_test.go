package node_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/resolver"
)

// policyPoints are where a parent is killed that is to keep a log in another way, or the
// child, and the most passings until then.
var policyPoints = []struct {
	child bool
	point string
	most  int
}{
	{false, registry.HookHello, 1},
	{false, registry.HookNumber, 1},
	{false, registry.HookMirror, 2},
	{false, registry.HookMirrorSynced, 2},
	{false, registry.HookMirrorTaken, 2},
	{false, journal.HookWrite, 6},
	{false, journal.HookSynced, 6},
	{false, registry.HookCosigned, 2},
	{true, registry.HookGrant, 1},
	{true, registry.HookSendSigned, 2},
	{true, registry.HookReceiptKept, 2},
}

// policyRound are the changes of a policy, each to each, one after the other, from mirror
// back to mirror.
var policyRound = []identifier.Policy{
	identifier.PolicyPointer, identifier.PolicyMirror, identifier.PolicyWitness, identifier.PolicyPointer, identifier.PolicyWitness, identifier.PolicyMirror,
}

// changePolicyAt gives the middle node's prefix anew, with another policy, kills one of the
// two at a point of that while others register, and starts it again.
func (b *branch) changePolicyAt(policy identifier.Policy, killed *member, point string, n int) error {
	b.mid.epoch++
	if err := killed.arm(point, n); err != nil {
		return err
	}
	again := make(chan error, 1)
	go func() { // it may die before it has answered, or heard
		err := killed.awaitDeath()
		if err == nil {
			err = killed.start("", 0)
		}
		again <- err
	}()
	if err := b.grantAs(b.top, b.mid, "88", policy); err != nil {
		return err
	}
	if err := b.awaitEpoch(); err != nil {
		return err
	}
	return b.during([]*member{b.mid, b.mid}, func() error { return errors.Join(b.registerSome(5), <-again) })
}

// What a parent keeps of a log is changed, from each policy to each, while it or the child is
// killed at named points, with files that lose what was not synced. Each time the parent has
// all of the log in the end as it is to have it, and has cosigned it, and nothing that was
// acknowledged is lost.
func TestPolicyChangeKilled(t *testing.T) {
	t.Parallel()
	b := newPair(t, identifier.PolicyMirror)
	if err := b.awaitKeptAs(identifier.PolicyMirror); err != nil {
		t.Fatalf("%v\n%s", err, b.said())
	}
	killed, from := 0, identifier.PolicyMirror
	for range *kills {
		for _, p := range policyPoints {
			if !strings.Contains(p.point, *killedAt) {
				continue
			}
			to, who := policyRound[killed%len(policyRound)], b.top
			if p.child {
				who = b.mid
			}
			began := time.Now()
			err := b.changePolicyAt(to, who, p.point, 1+rand.IntN(p.most))
			if err == nil {
				err = b.awaitKeptAs(to)
			}
			if err == nil {
				err = b.checkKept()
			}
			if err != nil {
				t.Fatalf("%v to %v, %s killed at %s: %v\n%s", from, to, who.victim.Name, p.point, err, b.said())
			}
			t.Logf("%v to %v, %s killed at %s: whole after %v", from, to, who.victim.Name, p.point, time.Since(began).Round(time.Millisecond))
			killed, from = killed+1, to
		}
	}
	t.Logf("%d changes of a policy, each with a kill; %d registrations acknowledged, none lost", killed, len(b.known))
	if killed == 0 {
		t.Skip("no point is named like that")
	}
}

// checkKept asks the middle node for what it acknowledged since the last time.
func (b *branch) checkKept() error {
	fresh := b.known[b.seen:]
	b.seen = len(b.known)
	return b.checkAt(b.mid, resolver.Query{Authoritative: true}, b.mid, fresh)
}

// The control: a parent whose journal does not sync has not what it acknowledged and cosigned.
func TestPolicyChangeKilledNotices(t *testing.T) {
	t.Parallel()
	b := newPair(t, identifier.PolicyMirror)
	if err := b.awaitKeptAs(identifier.PolicyMirror); err != nil {
		t.Fatalf("%v\n%s", err, b.said())
	}
	if err := b.top.kill(); err != nil {
		t.Fatal(err)
	}
	b.top.victim.IgnoreSync = true
	if err := b.top.start("", 0); err != nil {
		t.Fatal(err)
	}
	b.top.victim.IgnoreSync = false
	err := b.changePolicyAt(identifier.PolicyPointer, b.top, registry.HookCosigned, 2)
	if err == nil {
		err = b.awaitKeptAs(identifier.PolicyPointer)
	}
	if err == nil {
		t.Fatal("a parent that never wrote what it acknowledged was killed, and nobody noticed")
	}
	t.Logf("noticed: %v", err)
}
