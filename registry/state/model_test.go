package state_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry/state"
)

// machineCommitRows is how many rows a commit of the machine takes at most, but for the rest of
// a batch: a few batches, so that several generations wait.
const machineCommitRows = 12

// machine drives a store through random operations beside its twin. Commits run
// step by step, so that everything else happens between any two of their steps.
type machine struct {
	folder  string
	files   int
	journal []state.Batch // everything ever published

	store     *state.Store
	committed int // batches of the journal that bbolt holds
	taken     int // of the commit that is under way
	point     string
	reached   chan string // points, and "" when a commit has ended
	release   chan struct{}
}

var journalID = [16]byte{'t', 'w', 'i', 'n'}

func (m *machine) path() string { return filepath.Join(m.folder, fmt.Sprint(m.files, ".db")) }

func (m *machine) index() string { return m.path() + ".index" }

func (m *machine) open(t *rapid.T) {
	m.reached, m.release = make(chan string), make(chan struct{})
	reached, release := m.reached, m.release
	s, err := state.Open(m.path(), state.Options{Journal: journalID, Index: m.index(), CommitRows: machineCommitRows, Hook: func(point string) {
		if point != state.PointView {
			reached <- point
			<-release
		}
	}})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	m.store = s
}

// publish draws one to three batches and publishes them at once.
func (m *machine) publish(t *rapid.T) {
	now := twinOf(m.journal)
	var batches []state.Batch
	for range rapid.IntRange(1, 3).Draw(t, "batches") {
		b := state.Batch{Log: rapid.SampledFrom(twinLogs).Draw(t, "log"), At: now.end + uint64(rapid.IntRange(0, 30).Draw(t, "gap"))}
		b.End = b.At + uint64(rapid.SampledFrom([]int{1, 300, 20_000, 70_000}).Draw(t, "octets"))
		b.Position = now.positions[b.Log] + uint64(rapid.SampledFrom([]int{0, 1, 1, 100, 256, 1000}).Draw(t, "entries"))
		for range rapid.IntRange(0, 5).Draw(t, "rows") {
			b.Mutations = append(b.Mutations, m.mutations(t, now, b.Log)...)
		}
		now.apply(b)
		batches = append(batches, b)
	}
	if err := m.store.Publish(t.Context(), batches...); err != nil {
		t.Fatalf("Publish: %v", err)
	}
	m.journal = append(m.journal, batches...)
}

// mutations draws a row, sometimes with a version that is too low behind it.
func (m *machine) mutations(t *rapid.T, now *twin, log uint32) []state.Mutation {
	mutation := state.Mutation{
		Table: rapid.SampledFrom(twinTables).Draw(t, "table"),
		Key:   []byte(rapid.SampledFrom(twinKeys).Draw(t, "key")),
	}
	text := rapid.StringN(0, 5, 1000).Draw(t, "text")
	if !versioned(mutation.Table) {
		if rapid.Bool().Draw(t, "there") {
			mutation.Value = append([]byte{}, text...)
		}
		return []state.Mutation{mutation}
	}
	version := uint64(rapid.IntRange(1, 3).Draw(t, "step"))
	mutation.Withdrawn = rapid.Bool().Draw(t, "withdrawn")
	if old, ok := now.rows[rowName{mutation.Table, log, string(mutation.Key)}]; ok {
		if rapid.IntRange(0, 3).Draw(t, "repeated") == 0 { // the same version in other octets
			version, mutation.Withdrawn = 0, old.withdrawn
		}
		version += versionOf(old.value)
	}
	mutation.Value = content(version, text)
	stale := mutation
	stale.Value = content(version-uint64(rapid.IntRange(0, 1).Draw(t, "late")), text+"stale")
	return []state.Mutation{mutation, stale}[:rapid.IntRange(1, 2).Draw(t, "stale")]
}

// again publishes some of the journal a second time.
func (m *machine) again(t *rapid.T) {
	if len(m.journal) == 0 {
		t.Skip()
	}
	from := rapid.IntRange(0, len(m.journal)-1).Draw(t, "from")
	if err := m.store.Publish(t.Context(), m.journal[from:]...); err != nil {
		t.Fatalf("Publish again: %v", err)
	}
}

// misplaced publishes what does not follow.
func (m *machine) misplaced(t *rapid.T) {
	now := twinOf(m.journal)
	if now.end == 0 {
		t.Skip()
	}
	log := rapid.SampledFrom(twinLogs).Draw(t, "log")
	wrong := []state.Batch{
		{Log: log, Position: now.positions[log] + 1, At: now.end - 1, End: now.end},
		{Log: log, Position: now.positions[log] + 1, At: now.end - 1, End: now.end + 5},
		{Log: log, Position: now.positions[log], At: now.end, End: now.end},
	}
	if now.positions[log] > 0 {
		wrong = append(wrong, state.Batch{Log: log, Position: now.positions[log] - 1, At: now.end, End: now.end + 1})
	}
	for i := range wrong {
		wrong[i].Mutations = []state.Mutation{{Table: state.Notes, Key: []byte("a\x00"), Value: []byte("misplaced")}}
		if err := m.store.Publish(t.Context(), wrong[i]); err == nil {
			t.Fatalf("Publish(%+v) after offset %d and position %d: no error", wrong[i], now.end, now.positions[log])
		}
	}
}

// commit begins a commit, or lets the one under way do its next step.
func (m *machine) commit(t *rapid.T) {
	if m.point != "" {
		m.release <- struct{}{}
	} else {
		store, reached := m.store, m.reached
		go func() {
			err := store.Apply()
			if err != nil {
				panic(err)
			}
			reached <- ""
		}()
	}
	m.point = <-m.reached
	switch m.point {
	case state.PointFreeze:
		m.freeze(t)
	case state.PointCommit:
		m.committed = m.taken
	}
}

// freeze notes what the commit that begins takes: whole batches, all that follow on those
// before where they are few, and in any case not many.
func (m *machine) freeze(t *rapid.T) {
	end, rows, more := m.store.Committing()
	m.taken = m.committed
	last := 0
	for m.taken < len(m.journal) && m.journal[m.taken].End <= end {
		last = len(m.journal[m.taken].Mutations) + 2 // its run
		m.taken++
	}
	if rows >= machineCommitRows+last || m.taken == m.committed || twinOf(m.journal[:m.taken]).end != end {
		t.Fatalf("a commit takes %d rows and batches %d to %d, up to offset %d", rows, m.committed, m.taken, end)
	}
	if !more && m.taken < len(m.journal) {
		t.Fatalf("a commit takes batches %d to %d of %d, and none waits", m.committed, m.taken, len(m.journal))
	}
}

func (m *machine) finishCommit(t *rapid.T) {
	for m.point != "" {
		m.commit(t)
	}
}

// crash takes the file as it is, between any two steps of a commit, and goes on
// with it. What was published since is read from the journal again, from
// somewhere at or before the first frame that is missing.
func (m *machine) crash(t *rapid.T) {
	text, err := os.ReadFile(m.path())
	if err != nil {
		t.Fatal(err)
	}
	// Of the index as it is, or as it would become, any part may be on the disk.
	before, err := os.ReadFile(m.index())
	if err != nil {
		t.Fatal(err)
	}
	m.finishCommitOf(t, m.store)
	index, err := os.ReadFile(m.index())
	if err != nil {
		t.Fatal(err)
	}
	if page := rapid.IntRange(0, len(before)/4096).Draw(t, "page"); rapid.Bool().Draw(t, "earlier") {
		copy(index[page*4096:], before[page*4096:])
	}
	m.files++
	if err := os.WriteFile(m.path(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.index(), index, 0o600); err != nil {
		t.Fatal(err)
	}
	m.open(t)
	if got, want := m.store.Applied(), twinOf(m.journal[:m.committed]).end; got != want {
		t.Fatalf("Applied() = %d after a crash, want %d", got, want)
	}
	if err := m.compareVisible(m.committed); err != nil {
		t.Fatalf("before the journal is read again: %v", err)
	}
	from := rapid.IntRange(0, m.committed).Draw(t, "from")
	for _, b := range m.journal[from:] {
		if err := m.store.Publish(t.Context(), b); err != nil {
			t.Fatalf("Publish after a crash: %v", err)
		}
	}
}

// indexSome lets the index take in what it does not know, unless a commit is under way.
func (m *machine) indexSome() {
	if m.point == "" {
		m.store.IndexSome()
	}
}

// finishCommitOf lets the old store come to its end, without a trace in m.
func (m *machine) finishCommitOf(t *rapid.T, s *state.Store) {
	committed := m.committed
	m.finishCommit(t)
	m.committed = committed
	if err := s.Abandon(); err != nil {
		t.Fatal(err)
	}
}

// stop closes the store and opens it again.
func (m *machine) stop(t *rapid.T) {
	m.finishCommit(t)
	closed := make(chan error)
	go func() { closed <- m.store.Close() }()
	for open := true; open; {
		select {
		case <-m.reached:
			m.release <- struct{}{}
		case err := <-closed:
			if err != nil {
				t.Fatalf("Close: %v", err)
			}
			open = false
		}
	}
	m.committed = len(m.journal)
	m.open(t)
}

// check compares everything that can be read with the twin.
func (m *machine) check(t *rapid.T) {
	if err := m.compareVisible(len(m.journal)); err != nil {
		t.Fatalf("at %q: %v", m.point, err)
	}
	if err := m.compareCommitted(t); err != nil {
		t.Fatalf("at %q: %v", m.point, err)
	}
}

func (m *machine) compareVisible(n int) error {
	w := twinOf(m.journal[:n])
	if got := m.store.Published(); got != w.end {
		return fmt.Errorf("Published() = %d, want %d", got, w.end)
	}
	for log, position := range m.store.Positions() {
		if want := w.positions[log]; position != want {
			return fmt.Errorf("Positions()[%d] = %d, want %d", log, position, want)
		}
	}
	return m.store.View(func(r *state.Reader) error { return compareView(r, w) })
}

// compareCommitted compares what bbolt holds.
func (m *machine) compareCommitted(t *rapid.T) error {
	w := twinOf(m.journal[:m.committed])
	for _, log := range twinLogs {
		for _, table := range twinTables {
			names := w.names(table, log)
			for row, err := range m.store.Ascend(t.Context(), table, log, nil) {
				if err != nil {
					return err
				}
				if len(names) == 0 || !sameRow(row, names[0], w.rows[names[0]]) {
					return fmt.Errorf("Ascend(%v, %d) gives %+v, want the first of %v", table, log, row, names)
				}
				names = names[1:]
			}
			if len(names) > 0 {
				return fmt.Errorf("Ascend(%v, %d) ends before %v", table, log, names)
			}
		}
		if m.point == state.PointCommit {
			continue // the totals follow in the next step
		}
		got := m.store.Totals()[log]
		got.Records, got.Others, got.Local = state.Digest{}, state.Digest{}, state.Digest{}
		if want := w.totals(log); got != want {
			return fmt.Errorf("Totals()[%d] = %+v, want %+v", log, got, want)
		}
	}
	if m.point != "" {
		return nil
	}
	if got := m.store.Applied(); got != w.end {
		return fmt.Errorf("Applied() = %d, want %d", got, w.end)
	}
	return m.store.Check(t.Context(), nil)
}

// Whatever happens in whatever order, readers find what was published, bbolt
// holds what was committed, and a crash at any step of a commit loses nothing that
// the journal does not bring back.
func TestAgainstTwin(t *testing.T) {
	folder := t.TempDir()
	cases := 0
	rapid.Check(t, func(t *rapid.T) {
		cases++
		m := &machine{folder: filepath.Join(folder, fmt.Sprint(cases))}
		if err := os.Mkdir(m.folder, 0o700); err != nil {
			t.Fatal(err)
		}
		m.open(t)
		defer func() {
			m.finishCommit(t)
			if err := m.store.Abandon(); err != nil && !errors.Is(err, state.ErrClosed) {
				t.Fatal(err)
			}
			os.RemoveAll(m.folder)
		}()
		t.Repeat(map[string]func(*rapid.T){
			"publish":   m.publish,
			"publish2":  m.publish, // twice as often
			"again":     m.again,
			"misplaced": m.misplaced,
			"commit":    m.commit,
			"commit2":   m.commit,
			"commit3":   m.commit,
			"finish":    m.finishCommit,
			"crash":     m.crash,
			"stop":      m.stop,
			"index":     func(*rapid.T) { m.indexSome() },
			"":          m.check,
		})
	})
}
