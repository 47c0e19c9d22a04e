package registry_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/history"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
)

// upper is what a parent holds of a node's log.
type upper struct {
	parent *node
	key    identifier.PublicKey
	log    identifier.LogID // of all zeros for the one that counts
}

func (u upper) Of(log identifier.LogID) history.Upper { return upper{u.parent, u.key, log} }

func (u upper) Mirrored(_ context.Context, position uint64) (history.Held, error) {
	held, err := u.parent.MirroredFor(u.key, u.key, u.log, position)
	if r, ok := err.(*replica.Refusal); ok && r.Reason == replica.UnknownNode {
		return held, history.ErrNotMirrored
	}
	return held, err
}

// fork makes two histories of the child's log: shared entries, then others in the mirror and
// at the child. Both sides know of it.
func (f *family) fork(shared, upper, own [][]identifier.Row) {
	f.parent.t.Helper()
	register := func(changes [][]identifier.Row) func() {
		return func() {
			f.parent.t.Helper()
			for _, rows := range changes {
				f.child.mustRegister(signed(f.parent.t, f.holder, f.delegation, rows...))
			}
		}
	}
	f.forkBy(register(shared), register(upper), register(own))
}

// forkBy makes two histories of what is done.
func (f *family) forkBy(shared, upper, own func()) {
	t := f.parent.t
	t.Helper()
	shared()
	f.send()
	f.child.mustStop()
	old := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(old, os.DirFS(f.child.config.Folder)); err != nil {
		t.Fatal(err)
	}
	f.child.start()
	upper()
	f.send()
	f.child.mustStop()
	f.child.config.Folder = old
	f.child.start()
	if healed, err := f.child.Source().Heal(); err != nil || !healed { // nobody has noticed
		t.Fatal(healed, err)
	}
	own()
	f.setAside()
}

// setAside lets both sides know that the child's log has forked.
func (f *family) setAside() {
	t := f.parent.t
	t.Helper()
	size := min(f.child.status().Position, f.size)
	note, _, err := f.child.Source().SignCheckpoint(size)
	if err != nil {
		t.Fatal(err)
	}
	held, root, proof := f.evidence(size)
	e := &replica.Evidence{Node: f.child.root.Public(), Log: f.child.LogID(), Held: held, Signed: note}
	if size < f.size {
		e.Root, e.Proof = root, proof
	}
	if err := f.child.Source().Forked(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	f.mirror.Refused(&replica.Refusal{Reason: replica.Fork, Evidence: e})
	if f.child.status().Quarantine == nil || f.parent.Mirrors()[0].Quarantine == nil {
		t.Fatal("the fork is not known")
	}
}

// evidence returns the checkpoint of the mirror, and how it leads back to a size.
func (f *family) evidence(size uint64) ([]byte, identifier.Hash, []identifier.Hash) {
	t := f.parent.t
	t.Helper()
	m, err := f.mirror.Open()
	if err != nil {
		t.Fatal(err)
	}
	if size == m.Size {
		return m.Checkpoint, identifier.Hash{}, nil
	}
	root, err := f.mirror.Root(size)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := f.mirror.Prove(size, m.Size)
	if err != nil {
		t.Fatal(err)
	}
	return m.Checkpoint, root, proof
}

// resolve continues the child's log as another one, and returns what was handed over.
func (f *family) resolve() (told registry.Resolution, handed []registry.Handed) {
	t := f.parent.t
	t.Helper()
	f.child.mustStop()
	told, err := f.child.config.Resolve(t.Context(), upper{parent: f.parent, key: f.child.root.Public()}, "handed.ndjson", func(h *registry.Handed) error {
		if h != nil {
			handed = append(handed, *h)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.child.start()
	return told, handed
}

// The two histories of a forked log are joined in another log: all that was registered in
// either resolves at the child and at its parent, except what collides, which is handed
// over. The quarantine ends with the first entries, and not before.
func TestForkResolve(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	row := func(i int, text string) []identifier.Row {
		return []identifier.Row{put(mustID(t, serial(i)), nil, link("https://maker.example/"+text))}
	}
	f.fork(
		[][]identifier.Row{row(1, "shared"), row(2, "shared")},
		[][]identifier.Row{row(3, "upper"), row(4, "upper"), row(5, "both"), row(7, "upper")},
		[][]identifier.Row{row(4, "own"), row(5, "both"), row(6, "own")},
	)
	before := f.child.LogID()
	serialOf := func() uint64 { return f.mirrored(serial(1)).Position }
	highest := max(serialOf(), f.child.find(serial(1)).Position)

	told, handed := f.resolve()
	if told.Why != "fork" || told.Shared != 4 || told.Upper != 4 || told.Own != 3 || told.There != 1 || told.Handed != 1 {
		t.Errorf("resolution %+v", told)
	}
	if len(handed) != 1 || !handed[0].Collides || handed[0].Branch != "node" || handed[0].Row.ID != mustID(t, serial(4)) || string(handed[0].Row.Values[0].Data) != "https://maker.example/own" {
		t.Errorf("handed over: %+v", handed)
	}
	if f.child.LogID() == before || f.child.status().Quarantine != nil || f.child.ReadOnly() != "" {
		t.Fatalf("the child goes on with log %s: %+v", f.child.LogID(), f.child.status())
	}
	if _, err := os.Stat(filepath.Join(f.child.config.Folder, "before", before.String(), "journal")); err != nil {
		t.Error(err)
	}

	// The Hello alone changes nothing: neither what answers nor what is set aside.
	f.grants = 0
	f.join()
	if got := f.mirrored(serial(1)).Log; got != before {
		t.Errorf("after the Hello log %s answers, want %s", got, before)
	}
	payloads, err := f.child.Source().Entries(0, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if r := f.mirror.Begins(payloads[0]); r != nil {
		t.Fatal(r)
	}
	f.send()
	check := func() {
		t.Helper()
		for i, text := range []string{1: "shared", 2: "shared", 3: "upper", 4: "upper", 5: "both", 6: "own", 7: "upper"} {
			if i == 0 {
				continue
			}
			for name, found := range map[string]identifier.Finding{"child": f.child.find(serial(i)), "mirror": f.mirrored(serial(i))} {
				if found.Record == nil || string(found.Record.Values[0].Data) != "https://maker.example/"+text || found.Log != f.child.LogID() {
					t.Errorf("%s: %s is %+v, want %s", name, serial(i), found, text)
				}
				if found.Position <= highest {
					t.Errorf("%s: position %d does not go on from %d", name, found.Position, highest)
				}
			}
		}
		list := f.parent.Mirrors()
		if len(list) != 2 || list[0].Counts || list[0].Quarantine == nil || !list[1].Counts || list[1].Bad != 0 || list[1].After == nil || list[1].After.Log != before {
			t.Errorf("mirrors %+v", list)
		}
	}
	check()
	if _, err := f.parent.Mirror(t.Context(), before, f.child.root.Public(), f.child.root.Public(), 1); err == nil || err.(*replica.Refusal).Reason != replica.Succeeded {
		t.Errorf("the log of before is let in: %v", err)
	}
	f.parent.restart()
	f.child.restart()
	check()
	f.child.mustRegister(signed(t, f.holder, f.delegation, row(9, "later")...))
	f.grants = 0
	f.join()
	f.send()
	if got := f.mirrored(serial(9)); got.Record == nil {
		t.Error("the mirror is not added to")
	}
	f.parent.check()
	f.child.check()
	f.parent.start()
	// There is nothing more to resolve.
	_, err = f.child.config.Resolve(t.Context(), upper{parent: f.parent, key: f.child.root.Public()}, "", nil)
	if !errors.Is(err, registry.ErrNothingToResolve) {
		t.Error(err)
	}
}

// What was signed together with a row that collides, or follows on it, is handed over too,
// each row by its name. Where that cannot be written down nothing has changed.
func TestForkResolveHandsOverWholeChanges(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	row := func(i int, text string) identifier.Row {
		return put(mustID(t, serial(i)), nil, link("https://maker.example/"+text))
	}
	f.fork(nil, [][]identifier.Row{{row(1, "upper")}}, [][]identifier.Row{{row(1, "own"), row(2, "own")}, {row(3, "own")}})
	f.child.mustStop()
	want := errors.New("the results cannot be written")
	calls := 0
	_, err := f.child.config.Resolve(t.Context(), upper{parent: f.parent, key: f.child.root.Public()}, "handed.ndjson", func(*registry.Handed) error { calls++; return want })
	if !errors.Is(err, want) || calls != 1 {
		t.Fatalf("after %d calls: %v", calls, err)
	}
	f.child.start()
	if f.child.status().Quarantine == nil {
		t.Fatal("the fork is forgotten")
	}
	told, handed := f.resolve()
	if told.Handed != 2 || len(handed) != 2 {
		t.Fatalf("%+v, %+v", told, handed)
	}
	if h := handed[0]; !h.Collides || h.Row.ID != mustID(t, serial(1)) || h.Version != 1 || !strings.Contains(h.Reason, "version 1 is there with other content") {
		t.Errorf("the row that collides: %+v", h)
	}
	if h := handed[1]; h.Collides || h.Row.ID != mustID(t, serial(2)) || !strings.Contains(h.Reason, "signed together") {
		t.Errorf("the row beside it: %+v", h)
	}
	if got := f.child.record(serial(3)); string(got.Values[0].Data) != "https://maker.example/own" {
		t.Errorf("%+v", got)
	}
}

// A change of logs that was interrupted is finished by the next one who opens the folder,
// wherever it was.
func TestInterruptedSuccession(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	row := func(i int, text string) [][]identifier.Row {
		return [][]identifier.Row{{put(mustID(t, serial(i)), nil, link("https://maker.example/"+text))}}
	}
	f.fork(nil, row(1, "upper"), row(2, "own"))
	f.child.mustStop()
	copyTo := func(to, from string) {
		t.Helper()
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	old, before := filepath.Join(t.TempDir(), "old"), f.child.LogID()
	copyTo(old, f.child.config.Folder)
	f.child.start()
	f.resolve()
	next := f.child.LogID()
	f.child.mustStop()
	for name, harm := range map[string]func(folder string) error{
		"before anything": func(string) error { return nil },
		"without the state": func(folder string) error {
			return os.Remove(filepath.Join(folder, "state.db"))
		},
		"with the old journal aside": func(folder string) error {
			to := filepath.Join(folder, "before", before.String())
			return errors.Join(os.Remove(filepath.Join(folder, "state.db")), os.MkdirAll(to, 0o700), os.Rename(filepath.Join(folder, "journal"), filepath.Join(to, "journal")))
		},
		"with the new journal in its place": func(folder string) error {
			to := filepath.Join(folder, "before", before.String())
			return errors.Join(os.Remove(filepath.Join(folder, "state.db")), os.MkdirAll(to, 0o700), os.Rename(filepath.Join(folder, "journal"), filepath.Join(to, "journal")),
				os.Rename(filepath.Join(folder, "incarnation.new", "journal"), filepath.Join(folder, "journal")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := f.child.config
			c.Folder = filepath.Join(t.TempDir(), "folder")
			copyTo(c.Folder, old)
			copyTo(filepath.Join(c.Folder, "incarnation.new", "journal"), filepath.Join(f.child.config.Folder, "journal"))
			if err := os.WriteFile(filepath.Join(c.Folder, "SUCCESSION"), []byte(`{"before":"`+before.String()+`"}`), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := harm(c.Folder); err != nil {
				t.Fatal(err)
			}
			n := openNode(t, c)
			if n.LogID() != next || n.status().Quarantine != nil {
				t.Errorf("log %s, want %s", n.LogID(), next)
			}
			for _, name := range []string{"SUCCESSION", "incarnation.new"} {
				if _, err := os.Stat(filepath.Join(c.Folder, name)); err == nil {
					t.Errorf("%s is left", name)
				}
			}
			if _, err := os.Stat(filepath.Join(c.Folder, "before", before.String(), "journal")); err != nil {
				t.Error(err)
			}
		})
	}
}

// Of a log that was mirrored, nothing is left at the parent but the row that says so: the
// child goes on with what it has, as another log, and what is lost is said. The row may be
// of a log that came after the one that the child has.
func TestForkResolveAfterEverythingWasLost(t *testing.T) {
	t.Parallel()
	for name, log := range map[string]identifier.LogID{"the log that it has": {}, "a later log": {15: 9}} {
		t.Run(name, func(t *testing.T) {
			f := newFamily(t)
			f.child.mustRegister(signed(t, f.holder, f.delegation, put(mustID(t, "88.118/a"), nil, link("https://maker.example/a"))))
			size, before := f.child.status().Position, f.child.LogID()
			row := identifier.ChildRow{Log: before, Node: f.child.root.Public(), Size: size + 5, Signature: make([]byte, 64)}
			if log != (identifier.LogID{}) {
				row.Log = log
			}
			_, err := f.parent.Mirrored(row.Node, 0)
			if r, ok := err.(*replica.Refusal); !ok || r.Reason != replica.UnknownNode {
				t.Errorf("before anything was logged of it: %v", err)
			}
			if err := registry.LogChildren(t.Context(), f.parent.Registry, []identifier.ChildRow{row}); err != nil {
				t.Fatal(err)
			}
			told, handed := f.resolve()
			if told.Why != identifier.AfterLoss.String() || told.Entries < size || len(handed) > 0 {
				t.Errorf("told %+v, handed over %v", told, handed)
			}
			if after := f.child.status().After; after == nil || after.Log != row.Log || after.Base < size {
				t.Errorf("it continues %+v, want log %s", after, row.Log)
			}
			f.join()
			f.send()
			if held, err := f.parent.Mirrored(row.Node, 0); err != nil || held.Log != f.child.LogID() {
				t.Errorf("the parent shows %+v, %v", held, err)
			}
			f.child.record("88.118/a")
		})
	}
}

// A backup of a history that was given up is known by what the parent holds; the beginning of
// that is none, nor is a folder that nobody has restored.
func TestContradicted(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	folders := t.TempDir()
	register := func(i int, text string) {
		f.child.mustRegister(signed(t, f.holder, f.delegation, oneRow(t, i, text)[0]...))
	}
	copied := func(name string) string {
		f.child.mustStop()
		folder := filepath.Join(folders, name)
		if err := os.CopyFS(folder, os.DirFS(f.child.config.Folder)); err != nil {
			t.Fatal(err)
		}
		f.child.start()
		return folder
	}
	register(1, "shared")
	f.send()
	first := copied("first")
	register(2, "given")
	given := copied("given")
	f.child.mustStop()
	f.child.config.Folder = first
	f.child.start()
	if healed, err := f.child.Source().Heal(); err != nil || !healed {
		t.Fatal(healed, err)
	}
	before := copied("before")
	register(3, "now")
	f.join()
	f.send()
	for _, c := range []struct {
		folder       string
		mark         string
		contradicted bool
	}{{given, "", false}, {given, "restored from a backup", true}, {before, "restored from a backup", false}} {
		f.child.mustStop()
		f.child.config.Folder = c.folder
		if c.mark != "" {
			if err := os.WriteFile(filepath.Join(c.folder, "RESTORED"), []byte(c.mark+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		} else if err := os.RemoveAll(filepath.Join(c.folder, "RESTORED")); err != nil {
			t.Fatal(err)
		}
		f.child.start()
		if got, err := f.child.Contradicted(t.Context(), upper{parent: f.parent, key: f.child.root.Public()}); err != nil || got != c.contradicted {
			t.Errorf("%s, %q: contradicted %v, %v", filepath.Base(c.folder), c.mark, got, err)
		}
	}
}
