package replica_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	"github.com/nameplate-id/nameplate/registry/replica/replicatest"
)

// What a parent that keeps pointers gets, and what it does not give: with the rule, and
// without it.
func TestPolicyRules(t *testing.T) {
	for name, play := range map[string]func(*testing.T, replica.Rule) error{
		"contents are not sent":     noContents,
		"nothing can be given back": nothingBack,
	} {
		t.Run(name, func(t *testing.T) {
			if err := play(t, 0); err != nil {
				t.Errorf("with all rules: %v", err)
			}
			if err := play(t, replica.RulePointer); err == nil {
				t.Error("without the rule: nothing is wrong")
			}
		})
	}
}

const private = "what only the maker knows"

// changes appends signed changes to a log.
func changes(t *testing.T, l *replicatest.Log, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		id := identifier.ID{Prefix: "88.118", Suffix: fmt.Sprint("sn-", i)}
		row := identifier.NextRow(id, nil)
		row.Values = []identifier.Value{{Index: 1, Type: "DESC", Data: []byte(private), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions}}
		c, err := identifier.SignChange(identifier.Header{Prefix: "88.118", Epoch: 1, KeysetVersion: 1, Expiry: time.Unix(1<<31, 0)}, []identifier.Row{row}, nil, l.Key)
		if err != nil {
			t.Fatal(err)
		}
		b, err := identifier.AppendEntry(nil, &identifier.Entry{
			Kind: identifier.EntryChange, Time: time.UnixMilli(int64(i)), Envelope: c.Envelope, IDSeed: c.IDSeed, ValueSeed: c.ValueSeed, Rows: c.Rows,
		})
		if err != nil {
			t.Fatal(err)
		}
		l.Append(b)
	}
	l.Sync()
}

// duo is a child and its parent with nothing between them.
type duo struct {
	child  *replica.Child
	parent *replica.Parent
	log    *replicatest.Log
	stored []*replica.Unit
	row    replica.Row
	policy identifier.Policy
	left   replica.Rule
	drawn  byte
}

// History of what is stored.
func (d *duo) payloads() (all [][]byte) {
	for _, u := range d.stored {
		all = append(all, u.Payloads...)
	}
	return all
}
func (d *duo) Root(size uint64) (identifier.Hash, error) {
	return replicatest.Root(d.payloads()[:size]), nil
}
func (d *duo) Prove(old, size uint64) ([]identifier.Hash, error) {
	return replicatest.Prove(d.payloads()[:size], old)
}
func (d *duo) Unit(position uint64) (*replica.Unit, error) {
	for _, u := range d.stored {
		if u.Start <= position && position < u.End() {
			return u, nil
		}
	}
	return nil, errors.New("there is none")
}

func newDuo(t *testing.T, entries int, policy identifier.Policy, left replica.Rule) *duo {
	t.Helper()
	d := &duo{log: replicatest.NewLog(1), policy: policy, left: left}
	changes(t, d.log, 0, entries)
	d.restart(t)
	return d
}

// restart makes the two sides anew, with what is stored.
func (d *duo) restart(t *testing.T) {
	t.Helper()
	d.child = replica.NewChild(replica.ChildConfig{Signer: d.log.Key, ID: d.log.ID, Log: d.log, Verify: replicatest.VerifyCheckpoint})
	var err error
	var found replica.Mirror
	if n := len(d.stored); n > 0 {
		found = replica.Mirror{Checkpoint: d.stored[n-1].Checkpoint, Size: d.stored[n-1].End(), Subtrees: replicatest.Subtrees(d.payloads())}
	}
	d.parent, err = replica.NewParent(replica.ParentConfig{
		Signer: replicatest.NodeKey(200), ID: replicatest.LogID(200), Child: d.log.Key.Public(), Log: d.log.ID,
		Verify: replicatest.VerifyCheckpoint, Policy: d.policy, History: d, Row: func() (replica.Row, error) { return d.row, nil },
	}, found)
	if err != nil {
		t.Fatal(err)
	}
	d.child.LeaveOut(d.left)
	d.parent.LeaveOut(d.left)
}

// meet opens a stream and lets both say what they have to.
func (d *duo) meet() {
	d.drawn++
	d.child.Open(replica.Nonce{d.drawn})
	d.child.Grow(d.log.Synced())
	d.child.Receive(&replica.Challenge{Nonce: replica.Nonce{d.drawn, 1}, Parent: replicatest.NodeKey(200).Public()})
	for busy := true; busy; {
		busy = false
		for m := d.child.Next(); m != nil; m = d.child.Next() {
			busy = true
			if hello, ok := m.(*replica.Hello); ok {
				d.parent.Open(hello, replica.Session{d.drawn})
			} else if u := d.parent.Receive(m); u != nil {
				d.stored = append(d.stored, u)
				d.parent.Stored()
			}
		}
		for m := d.parent.Next(); m != nil; m = d.parent.Next() {
			busy = true
			d.child.Receive(m)
			if d.child.Returned() != nil {
				d.child.Restored(true)
			}
		}
	}
}

func noContents(t *testing.T, left replica.Rule) error {
	d := newDuo(t, 600, identifier.PolicyPointer, left)
	d.meet()
	if s := d.child.Status(); s.Acked != 600 || !s.Connected {
		t.Fatalf("%+v", s)
	}
	if root, err := d.log.Root(600); err != nil || root != d.parent.Status().Root {
		t.Errorf("the roots differ: %v", err)
	}
	for _, p := range d.payloads() {
		if bytes.Contains(p, []byte(private)) {
			return errors.New("the parent has got a value")
		}
		e, err := identifier.ParseEntry(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := e.Change().Check(); err != nil {
			return fmt.Errorf("what it has got cannot be judged: %w", err)
		}
		if !e.Sealed() {
			return errors.New("the parent has got the seed of the values")
		}
	}
	return nil
}

func nothingBack(t *testing.T, left replica.Rule) error {
	d := newDuo(t, 9, identifier.PolicyPointer, left)
	d.meet()
	d.log.Restore(4)
	d.child = replica.NewChild(replica.ChildConfig{Signer: d.log.Key, ID: d.log.ID, Log: d.log, Verify: replicatest.VerifyCheckpoint})
	d.child.LeaveOut(left)
	d.meet()
	r := d.child.Refusal()
	if r == nil || r.Reason != replica.Loss || r.Duty() != replica.MarkLog {
		return fmt.Errorf("a child that lacks entries is told %v, want loss", r)
	}
	// One that has written anew shows a fork all the same.
	changes(t, d.log, 100, 103)
	d.child = replica.NewChild(replica.ChildConfig{Signer: d.log.Key, ID: d.log.ID, Log: d.log, Verify: replicatest.VerifyCheckpoint})
	d.meet()
	if r := d.child.Refusal(); r == nil || r.Reason != replica.Fork || r.Evidence == nil {
		t.Errorf("a child that has forked is told %v", r)
	}
	return nil
}
