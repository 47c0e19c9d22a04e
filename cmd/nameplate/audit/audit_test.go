package audit_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/audit"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// book makes the entries of a log.
type book struct {
	t       *testing.T
	node    identifier.PrivateKey
	log     identifier.LogID
	entries []*identifier.Entry
	tree    *journal.Tree
}

func newBook(t *testing.T) *book {
	b := &book{t: t, node: newKey(t), log: identifier.LogID{7}, tree: new(journal.Tree)}
	payload, err := identifier.AppendGenesis(nil, &identifier.Genesis{Log: b.log, Key: b.node.Public(), Format: identifier.LogFormat})
	b.must(err)
	b.add(identifier.EntryGenesis, identifier.Sign(identifier.GenesisType, payload, b.node))
	b.delegate(identifier.EntryGrant, "", 1, 1, b.node.Public(), b.node)
	return b
}

func newKey(t *testing.T) identifier.PrivateKey {
	t.Helper()
	k, err := identifier.NewPrivateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (b *book) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *book) add(kind identifier.EntryKind, e identifier.Envelope) *identifier.Entry {
	entry := &identifier.Entry{Kind: kind, Time: time.UnixMilli(1_700_000_000_000).UTC(), Envelope: e}
	b.entries = append(b.entries, entry)
	return entry
}

func (b *book) delegate(kind identifier.EntryKind, p identifier.Prefix, epoch, version uint64, to identifier.PublicKey, by identifier.PrivateKey) {
	d := &identifier.Delegation{Prefix: p, Epoch: epoch, Keyset: identifier.Keyset{Version: version, Threshold: 1, Keys: []identifier.PublicKey{to}}}
	payload, err := identifier.AppendDelegation(nil, d)
	b.must(err)
	b.add(kind, identifier.Sign(identifier.DelegationType, payload, by))
}

func (b *book) rotate(p identifier.Prefix, epoch, version uint64, to identifier.PublicKey, by identifier.PrivateKey) {
	k := &identifier.KeysetChange{Prefix: p, Epoch: epoch, Keyset: identifier.Keyset{Version: version, Threshold: 1, Keys: []identifier.PublicKey{to}}}
	payload, err := identifier.AppendKeysetChange(nil, k)
	b.must(err)
	b.add(identifier.EntryKeyset, identifier.Sign(identifier.KeysetType, payload, by))
}

func (b *book) change(p identifier.Prefix, epoch, version uint64, by identifier.PrivateKey, ids ...string) *identifier.Entry {
	return b.changeAs(identifier.Header{Prefix: p, Epoch: epoch, KeysetVersion: version}, by, ids...)
}

func (b *book) changeAs(h identifier.Header, by identifier.PrivateKey, ids ...string) *identifier.Entry {
	b.t.Helper()
	h.Expiry = time.Unix(1_800_000_000, 0)
	var rows []identifier.Row
	for _, text := range ids {
		id, err := identifier.Parse(text)
		b.must(err)
		rows = append(rows, identifier.Row{Op: identifier.Put, ID: id, Version: 1})
	}
	c, err := identifier.SignChange(h, rows, nil, by)
	b.must(err)
	e := b.add(identifier.EntryChange, c.Envelope)
	e.IDSeed, e.ValueSeed, e.Rows = c.IDSeed, c.ValueSeed, c.Rows
	return e
}

// children logs a row for the log of a child.
func (b *book) children(child, signer identifier.PrivateKey, size uint64) *identifier.Entry {
	b.t.Helper()
	r := identifier.ChildRow{Log: identifier.LogID{9}, Node: child.Public(), Size: size, Root: identifier.Hash{byte(size)}}
	note, err := journal.SignCheckpoint(r.Size, r.Root, r.Log, signer)
	b.must(err)
	r.Signature, err = journal.CheckpointSignature(note, r.Log, signer.Public())
	b.must(err)
	rows := []identifier.ChildRow{r}
	header, _, err := identifier.HashChildren(rows)
	b.must(err)
	e := b.add(identifier.EntryChildren, identifier.Sign(identifier.ChildrenType, header.Append(nil), b.node))
	e.Children = rows
	return e
}

// fence logs from where on the log of a child is judged by a delegation.
func (b *book) fence(log identifier.LogID, signer identifier.PrivateKey) {
	b.t.Helper()
	d := identifier.Delegation{Prefix: "88.118", Epoch: 2, Keyset: identifier.Keyset{Version: 4}}
	payload, err := identifier.AppendFence(nil, &identifier.Fence{Log: log, Size: 5, Delegation: d})
	b.must(err)
	b.add(identifier.EntryFence, identifier.Sign(identifier.FenceType, payload, signer))
}

// verify audits the log, with a checkpoint behind every entry from first on.
func (b *book) verify(a *audit.Auditor) error {
	for n, e := range b.entries {
		if err := a.Entry(uint64(n), e); err != nil {
			return err
		}
		b.tree.Append(identifier.AppendLeaf(nil, e))
		note, err := journal.SignCheckpoint(b.tree.Size(), b.tree.Root(), b.log, b.node)
		b.must(err)
		if err := a.Checkpoint(note); err != nil {
			return err
		}
	}
	return nil
}

// whole fills a log with one of everything.
func whole(b *book, maker, next identifier.PrivateKey) {
	b.delegate(identifier.EntryDelegation, "88.118", 1, 1, maker.Public(), b.node)
	b.change("88.118", 1, 1, maker, "88.118/a", "88.118.8/b")
	b.rotate("88.118", 1, 2, next.Public(), maker)
	b.change("88.118", 1, 2, next, "88.118/c")
	b.rotate("88.118", 1, 3, maker.Public(), b.node) // who holds what lies above may too
	b.delegate(identifier.EntryDelegation, "88.118.8", 1, 1, next.Public(), maker)
	b.change("88.118.8", 1, 1, next, "88.118.8/d")
	b.changeAs(identifier.Header{Prefix: "88.118", Epoch: 1, KeysetVersion: 3, Agent: "user", AgentMethod: "handle"}, b.node, "88.118/e")
	b.delegate(identifier.EntryDelegation, "88.118.8", 2, 2, maker.Public(), maker)
	b.change("88.118.8", 2, 2, maker, "88.118.8/f")
	b.children(next, next, 5)
	b.children(next, next, 7)
	b.fence(identifier.LogID{9}, b.node)
}

func TestGoodLog(t *testing.T) {
	b := newBook(t)
	whole(b, newKey(t), newKey(t))
	a := audit.New(b.node.Public())
	if err := b.verify(a); err != nil {
		t.Fatal(err)
	}
	s := a.Summary()
	if s.Log != b.log || s.Node != b.node.Public() || s.Entries != 15 || s.Rows != 6 || s.Delegations != 6 ||
		s.Checkpoints != 15 || s.Size != 15 || s.Root != b.tree.Root() {
		t.Errorf("got %+v", s)
	}
	if err := newBookOf(b).verify(audit.New(identifier.PublicKey{})); err != nil {
		t.Errorf("without the key of the node: %v", err)
	}
}

// A node below another one has grants and keysets that are signed above. They are taken as
// they stand, as long as none goes back; what they say of who may sign is held.
func TestLogOfAChild(t *testing.T) {
	above, maker, next := newKey(t), newKey(t), newKey(t)
	child := func() *book {
		b := newBook(t)
		b.entries = b.entries[:1]
		b.delegate(identifier.EntryGrant, "88.118", 1, 1, maker.Public(), above)
		b.change("88.118", 1, 1, maker, "88.118/a")
		b.rotate("88.118", 1, 3, next.Public(), above) // it was away when there was a second
		b.change("88.118", 1, 3, next, "88.118/b")
		return b
	}
	b := child()
	if err := b.verify(audit.New(b.node.Public())); err != nil {
		t.Error(err)
	}
	for name, harm := range map[string]func(b *book){
		"the old key goes on":    func(b *book) { b.change("88.118", 1, 1, maker, "88.118/c") },
		"a keyset that is older": func(b *book) { b.rotate("88.118", 1, 2, maker.Public(), above) },
		"of what it delegated": func(b *book) {
			b.delegate(identifier.EntryDelegation, "88.118.8", 1, 1, maker.Public(), next)
			b.rotate("88.118.8", 1, 2, maker.Public(), above)
		},
	} {
		b := child()
		harm(b)
		if b.verify(audit.New(b.node.Public())) == nil {
			t.Errorf("%s: it is not found", name)
		}
	}
}

func newBookOf(b *book) *book {
	c := *b
	c.tree = new(journal.Tree)
	return &c
}

// Whatever is done to a log is found.
func TestChangedLog(t *testing.T) {
	maker, next, stranger := newKey(t), newKey(t), newKey(t)
	tests := []struct {
		name string
		make func(b *book)
		want string
	}{
		{"an entry is left out", func(b *book) {
			whole(b, maker, next)
			b.entries = append(b.entries[:2:2], b.entries[3:]...)
		}, `prefix "88.118" is not delegated`},
		{"two genesis", func(b *book) { b.entries = append(b.entries, b.entries[0]) }, "has no other"},
		{"no genesis", func(b *book) { b.entries = b.entries[1:] }, "begins with a genesis"},
		{"another node's genesis", func(b *book) { b.node = stranger }, "begun by key"},
		{"the root is granted by a stranger", func(b *book) {
			b.entries = b.entries[:1]
			b.delegate(identifier.EntryGrant, "", 1, 1, stranger.Public(), stranger)
		}, "not signed by the node"},
		{"a delegation by a stranger", func(b *book) {
			b.delegate(identifier.EntryDelegation, "88.118", 1, 1, stranger.Public(), stranger)
		}, "0 good signatures"},
		{"an epoch that does not follow", func(b *book) {
			b.delegate(identifier.EntryDelegation, "88.118", 2, 1, maker.Public(), b.node)
		}, "do not follow on 0 and 0"},
		{"a keyset of nothing", func(b *book) { b.rotate("88.118", 1, 1, maker.Public(), b.node) }, "not delegated"},
		{"a keyset by a stranger", func(b *book) {
			whole(b, maker, next)
			b.rotate("88.118", 1, 4, stranger.Public(), stranger)
		}, "0 good signatures"},
		{"a change by a stranger", func(b *book) {
			whole(b, maker, next)
			b.change("88.118", 1, 3, stranger, "88.118/x")
		}, "0 good signatures"},
		{"a change by an old key", func(b *book) {
			whole(b, maker, next)
			b.change("88.118", 1, 2, next, "88.118/x")
		}, "in force are 1 and 3"},
		{"a row of another holder", func(b *book) {
			whole(b, maker, next)
			b.change("88.118", 1, 3, maker, "88.118.8/x")
		}, `belongs to who holds prefix "88.118.8"`},
		{"an agent that is not the node", func(b *book) {
			whole(b, maker, next)
			b.changeAs(identifier.Header{Prefix: "88.118", Epoch: 1, KeysetVersion: 3, Agent: "user", AgentMethod: "handle"}, stranger, "88.118/x")
		}, "not signed by the node"},
		{"a row that was not signed", func(b *book) {
			whole(b, maker, next)
			e := b.change("88.118", 1, 3, maker, "88.118/x")
			e.Rows[0].ID.Suffix = "y"
		}, "the root in the header is not that of the rows"},
		{"a row of a child that goes down", func(b *book) {
			whole(b, maker, next)
			b.children(next, next, 6)
		}, "one before it has 7"},
		{"a row that its child did not sign", func(b *book) {
			b.children(next, stranger, 6)
		}, "are not what was signed"},
		{"rows of children that were not signed", func(b *book) {
			b.children(next, next, 6).Children[0].Size++
		}, "those that the header was signed over"},
		{"rows of children by a stranger", func(b *book) {
			e := b.children(next, next, 6)
			e.Envelope = identifier.Sign(identifier.ChildrenType, e.Envelope.Payload, stranger)
		}, "not signed by the node"},
		{"a fence by a stranger", func(b *book) { b.fence(identifier.LogID{9}, stranger) }, "not signed by the node"},
		{"a fence of no log", func(b *book) { b.fence(identifier.LogID{}, b.node) }, "not all zeros"},
		{"a kind in disguise", func(b *book) {
			whole(b, maker, next)
			b.entries[len(b.entries)-1].Kind = identifier.EntryDelegation
		}, "unknown here, or wrong"},
	}
	for _, test := range tests {
		b := newBook(t)
		key := b.node.Public()
		test.make(b)
		a := audit.New(key)
		if test.name == "another node's genesis" {
			a = audit.New(stranger.Public())
		}
		if err := b.verify(a); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

func TestCheckpoints(t *testing.T) {
	b := newBook(t)
	whole(b, newKey(t), newKey(t))
	a := audit.New(b.node.Public())
	if err := b.verify(a); err != nil {
		t.Fatal(err)
	}
	sign := func(size uint64, root identifier.Hash, log identifier.LogID, key identifier.PrivateKey) []byte {
		note, err := journal.SignCheckpoint(size, root, log, key)
		b.must(err)
		return note
	}
	root := b.tree.Root()
	tests := []struct {
		name string
		note []byte
		want string
	}{
		{"another root", sign(15, identifier.Hash{1}, b.log, b.node), "was changed after it was signed"},
		{"another size", sign(5, root, b.log, b.node), "was changed after it was signed"},
		{"entries that are missing", sign(16, root, b.log, b.node), "entries are missing"},
		{"another log", sign(15, root, identifier.LogID{8}, b.node), "checkpoint of log"},
		{"another key", sign(15, root, b.log, newKey(t)), "checkpoint of log"},
		{"no checkpoint", []byte("hello"), "checkpoint of log"},
	}
	for _, test := range tests {
		if err := a.Checkpoint(test.note); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
	if err := a.Entry(20, b.entries[3]); err == nil {
		t.Error("a gap: got no error")
	}
}

// Every octet of every signed payload and signature counts.
func TestFlippedBits(t *testing.T) {
	b := newBook(t)
	whole(b, newKey(t), newKey(t))
	for n := range b.entries {
		e := *b.entries[n]
		for at := 0; at < len(e.Envelope.Payload); at += 7 {
			changed := *b.entries[n]
			changed.Envelope.Payload = append([]byte(nil), e.Envelope.Payload...)
			changed.Envelope.Payload[at] ^= 1
			c := newBookOf(b)
			c.entries = append(append([]*identifier.Entry(nil), b.entries[:n]...), append([]*identifier.Entry{&changed}, b.entries[n+1:]...)...)
			if err := c.verify(audit.New(b.node.Public())); err == nil {
				t.Fatalf("entry %d, octet %d of the payload: got no error", n, at)
			}
		}
	}
}
