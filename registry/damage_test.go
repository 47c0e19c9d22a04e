package registry_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// damages is how many bits TestDamage flips; it cuts a tenth as many files.
var damages = flag.Int("damages", 2000, "how many bits TestDamage flips")

// TestDamage changes one bit, or cuts one file short, of a folder of a few hundred
// records, again and again. It must be found when the node starts, by a check, or when
// what it hit is read; or do no harm at all: every answer is what it was, and a check
// finds nothing. Never may an answer be wrong.
func TestDamage(t *testing.T) {
	t.Parallel()
	flips := *damages
	if testing.Short() {
		flips = min(flips, 500)
	}
	cuts := flips / 10
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	whole := newSpecimen(t)
	trials := make(chan int)
	outcomes := make(map[string]int)
	var mu sync.Mutex
	var testers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		testers.Go(func() {
			s := whole.clone(fastDir(t))
			for trial := range trials {
				random := rand.New(rand.NewPCG(seed, uint64(trial)))
				hit := s.cut(random)
				if trial >= cuts {
					hit = s.flip(random)
				}
				outcome, err := s.try(hit)
				if err != nil {
					t.Errorf("trial %d: %v: %v", trial, hit, err)
				}
				mu.Lock()
				outcomes[hit.kind()+" "+outcome]++
				mu.Unlock()
			}
		})
	}
	for trial := range cuts + flips {
		if t.Failed() {
			break
		}
		trials <- trial
	}
	close(trials)
	testers.Wait()
	for _, outcome := range slices.Sorted(maps.Keys(outcomes)) {
		t.Logf("%6d %s", outcomes[outcome], outcome)
	}
}

// fastDir returns a folder in memory where there is one: the trials sync thousands of
// times, and none of it is to last.
func fastDir(t testing.TB) string {
	if dir, err := os.MkdirTemp("/dev/shm", "nameplate-"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		return dir
	}
	return t.TempDir()
}

// specimen is a folder that is damaged and put right again.
type specimen struct {
	config registry.Config
	files  map[string][]byte // by path below the folder above the node's; the used part
	sizes  map[string]int64
	ids    []identifier.ID
	want   answers
}

// answers are what a node says about every identifier of a specimen, and about its log.
type answers map[string]string

// newSpecimen makes a folder in which there is something of everything.
func newSpecimen(t *testing.T) *specimen {
	t.Helper()
	dir := fastDir(t)
	c := registry.Config{Folder: filepath.Join(dir, "node"), Anchor: filepath.Join(dir, "anchor")}
	c.Journal.SegmentSize = 32 << 10
	n := openNode(t, c)
	s := &specimen{config: c, files: make(map[string][]byte), sizes: make(map[string]int64)}
	holder, d := maker(t, n)
	there := grant("99", holder)
	there.Node = elsewhere(t)
	n.mustDelegate(there, n.root)
	n.mustDelegate(grant("77", holder), n.root)
	n.mustDelegate(&identifier.Delegation{Prefix: "77", Epoch: 2, Keyset: identifier.Keyset{Version: 2}}, n.root)
	for i := range 60 {
		var rows []identifier.Row
		for j := range 5 {
			id := mustID(t, fmt.Sprintf("88.118.%d/sn-%d", i%7, 5*i+j))
			if i == 30 && j == 4 {
				id.Suffix = strings.Repeat("very long ", 30)
			}
			s.ids = append(s.ids, id)
			rows = append(rows, put(id, nil, link(fmt.Sprintf("https://maker.example/%d/%d", i, j))))
		}
		slices.SortFunc(rows, func(a, b identifier.Row) int { return identifier.Compare(a.ID, b.ID) })
		n.mustRegister(signed(t, holder, d, rows...))
		if i%20 == 7 {
			next, err := n.changeKeys(d, keyset(d.Keyset.Version+1, 1, holder), holder)
			if err != nil {
				t.Fatal(err)
			}
			d = next
			if err := registry.SignCheckpoint(t.Context(), n.Registry); err != nil {
				t.Fatal(err)
			}
		}
		if i%10 == 9 {
			n.mustRegister(signed(t, holder, d, withdraw(n.record(s.ids[5*i].String()))))
			n.mustRegister(signed(t, holder, d, put(s.ids[5*i+1], n.record(s.ids[5*i+1].String()), link("https://maker.example/again"))))
		}
	}
	for _, text := range []string{"88.118/none", "88.118", "88", "88.118.3", "88.118.9", "99.1/x", "77/x", "66", "66/x"} {
		s.ids = append(s.ids, mustID(t, text))
	}
	n.mustStop()
	s.load(t, dir)
	s = s.clone(dir)
	s.put(nil)
	r, err := registry.Open(s.config)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var failed []error
	if s.want, failed = s.ask(r); failed != nil {
		t.Fatal(failed)
	}
	if found := strings.Count(fmt.Sprint(s.want), "https://"); found < 295 {
		t.Fatalf("the specimen has %d records", found)
	}
	return s
}

// load reads the files. What lies behind the last octet that is not zero only counts.
func (s *specimen) load(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		s.sizes[name] = int64(len(content))
		s.files[name] = []byte(strings.TrimRight(string(content), "\x00"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"anchor", "node/LOCK", "node/node.key", "node/state.db", "node/journal/0000000000000002.seg"} {
		if s.files[name] == nil {
			t.Fatalf("the specimen has no %s: %v", name, s.sizes)
		}
	}
}

// clone returns the same specimen for another folder.
func (s *specimen) clone(dir string) *specimen {
	c := *s
	c.config.Folder, c.config.Anchor = filepath.Join(dir, "node"), filepath.Join(dir, "anchor")
	return &c
}

// damage is one bit of a file, or its end.
type damage struct {
	file string
	at   int64
	mask byte // 0: the file ends here
}

func (d *damage) kind() string {
	name := filepath.Base(d.file)
	if filepath.Ext(name) == ".seg" {
		name = "segment"
	}
	if d.mask == 0 {
		return "cut " + name + ":"
	}
	return "bit of " + name + ":"
}

func (d *damage) String() string { return fmt.Sprintf("%s at %d, bits %08b", d.file, d.at, d.mask) }

// flip chooses a bit. Most are where something is.
func (s *specimen) flip(random *rand.Rand) *damage {
	names := slices.Sorted(maps.Keys(s.files))
	var segments []string
	for _, name := range names {
		if filepath.Ext(name) == ".seg" {
			segments = append(segments, name)
		}
	}
	d := &damage{file: names[random.IntN(len(names))], mask: 1 << random.IntN(8)}
	switch n := random.IntN(100); {
	case n < 45:
		d.file = "node/state.db"
	case n < 90:
		d.file = segments[random.IntN(len(segments))]
	}
	within := s.sizes[d.file]
	if used := int64(len(s.files[d.file])); used > 0 && random.IntN(20) > 0 {
		within = used
	}
	d.at = random.Int64N(within)
	return d
}

// cut chooses where a file ends.
func (s *specimen) cut(random *rand.Rand) *damage {
	names := slices.Sorted(maps.Keys(s.files))
	d := &damage{file: names[random.IntN(len(names))]}
	within := s.sizes[d.file]
	if used := int64(len(s.files[d.file])); used > 0 && random.IntN(4) > 0 {
		within = used
	}
	d.at = random.Int64N(within)
	return d
}

// put writes the folder anew, with the damage.
func (s *specimen) put(d *damage) error {
	dir := filepath.Dir(s.config.Folder)
	if err := errors.Join(os.RemoveAll(s.config.Folder), os.MkdirAll(filepath.Join(s.config.Folder, "journal"), 0o700)); err != nil {
		return err
	}
	for name, content := range s.files {
		path, size := filepath.Join(dir, name), s.sizes[name]
		err := os.WriteFile(path, content, 0o600)
		if err == nil {
			err = os.Truncate(path, size)
		}
		if d != nil && d.file == name && err == nil {
			err = d.do(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *damage) do(path string) error {
	if d.mask == 0 {
		return os.Truncate(path, d.at)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], d.at); err != nil {
		return err
	}
	b[0] ^= d.mask
	_, err = f.WriteAt(b[:], d.at)
	return err
}

// try does the damage and says how it was found.
func (s *specimen) try(d *damage) (outcome string, err error) {
	if err := s.put(d); err != nil {
		return "", err
	}
	r, err := registry.Open(s.config)
	if err != nil {
		if err := plausible(err); err != nil {
			return "", err
		}
		return "found by the start", nil
	}
	got, failed := s.ask(r)
	r.Close() // it may not be able to
	missing := ""
	for question, want := range s.want {
		switch answer, answered := got[question]; {
		case !answered || answer == want:
		case answer == "": // the worst: as if there were nothing
			missing = question
		default:
			return "", fmt.Errorf("%s: %s, not %s", question, answer, want)
		}
	}
	_, err = os.Stat(filepath.Join(s.config.Folder, "state.db.damaged"))
	switch {
	case err == nil && missing == "" && failed == nil:
		return "found by the start, and the state built again", nil
	case failed != nil && missing == "":
		return "found by reading", plausible(failed[0])
	}
	if err := s.put(d); err != nil {
		return "", err
	}
	_, err = registry.Check(context.Background(), s.config.Folder, s.config.Journal, nil)
	switch {
	case err == nil && missing != "":
		return "", fmt.Errorf("%s: nothing, not %s, and the check finds nothing", missing, s.want[missing])
	case err == nil:
		return "without effect", nil
	case missing != "":
		return "found by the check, before it an answer was missing", plausible(err)
	}
	return "found by the check", plausible(err)
}

// plausible returns an error when one is not about what was damaged.
func plausible(err error) error {
	for _, says := range []string{"damage", "node key", "anchor", "journal", "state", "checkpoint", "checksum", "table", "run index", "bbolt"} {
		if strings.Contains(err.Error(), says) {
			return nil
		}
	}
	return fmt.Errorf("an error that does not say what is damaged: %w", err)
}

// ask asks a node everything. What it cannot answer is not among the answers; what it
// says is not there has the answer "".
func (s *specimen) ask(r *registry.Registry) (got answers, failed []error) {
	ctx := context.Background()
	got = make(answers)
	note := func(question, answer string, err error) {
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", question, err))
			return
		}
		got[question] = answer
	}
	for _, id := range s.ids {
		f, err := r.Find(ctx, id)
		note("find "+id.String(), describe(f), err)
		note("below "+id.String(), strings.TrimPrefix(fmt.Sprint(f.Below), "false"), err)
		if !identifier.HashNamed(id) {
			continue
		}
		found, f, err := r.FindHashed(ctx, id.Prefix, identifier.SuffixHash(id.Suffix))
		answer := describe(f)
		if answer != "" {
			answer += found.String()
		}
		note("find hashed "+id.String(), answer, err)
	}
	for _, p := range []identifier.Prefix{"", "88", "88.118", "88.118.3", "99.1", "77"} {
		b, err := identifier.AppendDelegation(nil, r.Holder(p))
		note("holder of "+string(p), fmt.Sprintf("%q", b), err)
	}
	size, root := registry.Head(r)
	note("log", fmt.Sprint(r.LogID(), r.Key(), size, root), nil)
	for _, from := range []uint64{0, size / 2} {
		var entries []registry.Logged
		errEnd := errors.New("end")
		err := r.Watch(ctx, from, func(l registry.Logged) error {
			if entries = append(entries, l); l.Position+1 == size {
				return errEnd
			}
			return nil
		})
		if errors.Is(err, errEnd) {
			err = nil
		}
		note(fmt.Sprint("watch ", from), fmt.Sprint(rootOf(entries)), err)
	}
	return got, failed
}

// describe tells a finding, its position and log left out; "" when there is nothing.
func describe(f identifier.Finding) string {
	if f.Record == nil {
		return ""
	}
	text := string(f.Record.Values[0].Data)
	return fmt.Sprintf("%s %+v", text, *f.Record)
}
