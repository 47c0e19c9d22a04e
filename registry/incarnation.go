package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
)

// A node gets another log in two ways. It adopts the one that its parent mirrors, of which
// it has nothing or only what stood before it ([Config.Adopt]); or it begins the next
// incarnation of its own ([Config.Resolve]). Both build a whole folder beside the node's
// journal, while the node does not run, and then put that in its place:
//
//   - incarnation.new is where it is built. What a crash leaves of it goes with the next
//     attempt, until the file SUCCESSION says that it is whole.
//   - From then on the change is finished whatever happens, by this process or by the next
//     one that opens the folder: the journal of before moves to before/LOG, the new one to
//     its place, and the state, which belongs to the old one, goes.
//
// The journal of before stays there as evidence, with all that is not in the new one.
const (
	incarnationDir = "incarnation.new"
	successionFile = "SUCCESSION"
	beforeDir      = "before"
	resolutionFile = "resolution.json"
)

// succession is what the file SUCCESSION says.
type succession struct {
	// Before is the id of the log whose journal is put aside; empty to delete it, because
	// there is nothing in it.
	Before string `json:"before,omitempty"`
	// Mark is why entries may be missing in the new journal; empty when none are.
	Mark string `json:"mark,omitempty"`
}

// beginIncarnation makes an empty place to build a folder in, with the node's key.
func (f *folder) beginIncarnation() (string, error) {
	if err := f.finishSuccession(); err != nil {
		return "", err
	}
	scratch := f.join(incarnationDir)
	if err := errors.Join(os.RemoveAll(scratch), os.Mkdir(scratch, 0o700)); err != nil {
		return "", err
	}
	key, err := os.ReadFile(f.join(keyFile))
	if err != nil {
		return "", err
	}
	err = writeFile(filepath.Join(scratch, keyFile), key, 0o600)
	f.pass(HookIncarnation)
	return scratch, err
}

// succeed puts what was built in the place of the journal.
func (f *folder) succeed(s succession) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := writeFile(f.join(successionFile), append(text, '\n'), 0o640); err != nil {
		return err
	}
	f.pass(HookSuccession)
	return f.finishSuccession()
}

// finishSuccession goes on where a change of logs was interrupted.
func (f *folder) finishSuccession() error {
	text, err := os.ReadFile(f.join(successionFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var s succession
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return fmt.Errorf("data folder: %s: %w", successionFile, err)
	}
	built, here := filepath.Join(f.join(incarnationDir), journalDir), f.join(journalDir)
	if _, err := os.Stat(built); err == nil {
		if err := f.replaceJournal(built, here, s); err != nil {
			return fmt.Errorf("data folder: %w", err)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("data folder: %w", err)
	}
	err = f.keepResolution(s.Before)
	if err == nil {
		err = os.RemoveAll(f.join(incarnationDir))
	}
	if err == nil {
		f.pass(HookSucceeded)
		err = errors.Join(gone(f.join(successionFile)), syncDir(f.path))
	}
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return nil
}

// replaceJournal puts a journal that was built in the place of the one that is here. Each
// step needs those before it: what is in place without its mark would be written to.
func (f *folder) replaceJournal(built, here string, s succession) error {
	if err := errors.Join(gone(f.join(stateFile)), gone(f.join(indexFile)), f.putAside(s.Before, here)); err != nil {
		return err
	}
	f.pass(HookAside)
	if err := f.markOr(s.Mark); f.left.lacks(ruleMarked, err == nil) {
		return err
	}
	err := errors.Join(os.Rename(built, here), syncDir(f.path))
	f.pass(HookInPlace)
	return err
}

// putAside moves a journal to where those of earlier logs are kept.
func (f *folder) putAside(log, from string) error {
	if _, err := os.Stat(from); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if log == "" || f.left == ruleKeep {
		return os.RemoveAll(from)
	}
	to, err := f.aside(log, false)
	if err == nil {
		err = os.MkdirAll(to, 0o750)
	}
	if err != nil {
		return err
	}
	return errors.Join(os.Rename(from, filepath.Join(to, journalDir)), syncDir(to), syncDir(f.join(beforeDir)))
}

// aside returns where a journal of a log is kept that is put aside: the place of the newest
// one when taken says so, else the first that is free. One log may come back, from a backup,
// and be put aside again.
func (f *folder) aside(log string, taken bool) (string, error) {
	place, last := filepath.Join(f.join(beforeDir), log), ""
	for n := 2; ; n++ {
		_, err := os.Stat(filepath.Join(place, journalDir))
		switch {
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return "", err
		case err != nil && taken && last != "":
			return last, nil
		case err != nil:
			return place, nil
		}
		last, place = place, filepath.Join(f.join(beforeDir), fmt.Sprintf("%s-%d", log, n))
	}
}

// keepResolution puts what is told of a change of logs beside the journal of before.
func (f *folder) keepResolution(log string) error {
	from := filepath.Join(f.join(incarnationDir), resolutionFile)
	if _, err := os.Stat(from); err != nil || log == "" {
		return nil
	}
	to, err := f.aside(log, true)
	if err == nil {
		err = os.MkdirAll(to, 0o750)
	}
	if err != nil {
		return err
	}
	return os.Rename(from, filepath.Join(to, resolutionFile))
}

func (f *folder) markOr(why string) error {
	if why == "" {
		return gone(f.join(restoreFile))
	}
	return f.mark(why)
}

func gone(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Upper is where a node's own log is mirrored: its parent, or another top-level node.
type Upper interface {
	// Mirrored returns what is held of the log that counts there, with the unit that has the
	// entry at a position. The error wraps [ErrNotMirrored] when nothing is held.
	Mirrored(ctx context.Context, position uint64) (Mirrored, error)
}

// ErrAgain is what [Registry.Run] returns when the node is to be opened again, because it
// is to have another log.
var ErrAgain = errors.New("the node begins again with another log")

// Lacks reports whether the node may have to adopt another log: its own has nothing but
// its beginning, or was restored from a backup.
func (r *Registry) Lacks() bool {
	return r.beginning() || r.restored.Load()
}

// mostBeginning is how many entries a log may have at the most in which there is nothing of
// the node's own.
const mostBeginning = 256

// beginning reports whether there is nothing in the log but what a first start writes, and
// what was granted from above.
func (r *Registry) beginning() bool {
	size := r.published.Load()
	if size > mostBeginning || r.base.Load() > 0 || len(r.logs.mirrors()) > 0 {
		return false
	}
	for position := range size {
		e, err := r.readEntry(position)
		if err != nil || e.Kind != identifier.EntryGenesis && e.Kind != identifier.EntryGrant && e.Kind != identifier.EntryKeyset {
			return false
		}
	}
	return true
}

// Due reports whether the next incarnation of the log is to be begun before the node goes
// on: it is a top-level node that was restored and has healed.
func (r *Registry) Due() bool {
	marker, err := r.folder.marker()
	return err == nil && marker == incarnationDue
}

// incarnationDue is the mark of a top-level node that has healed.
const incarnationDue = "this top-level node was restored and has everything that three others hold: it continues its log as another one"

// Adopts reports whether the node is to adopt the log that is held above in place of its
// own: another one than its own, which does not come before it, and of which there are whole
// entries.
func (r *Registry) Adopts(held Mirrored) bool {
	after, err := r.continues()
	return err == nil && r.Lacks() && held.Policy == identifier.PolicyMirror && held.Size > 0 && held.Log != r.log && !r.config.left.lacks(ruleOlder, after == nil || after.Log != held.Log)
}

// continues returns which log the node's own one continues; nil for none.
func (r *Registry) continues() (*identifier.Predecessor, error) {
	note, err := r.note(genesisNote)
	if err != nil || note == nil {
		return nil, err
	}
	g, err := identifier.ParseGenesis(note)
	if err != nil {
		return nil, err
	}
	return g.After, nil
}

// loadResolution reads what became of the log that this one continues, where the folder
// still tells.
func (r *Registry) loadResolution() error {
	var err error
	if r.after, err = r.continues(); err != nil || r.after == nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(r.folder.join(beforeDir), "*", resolutionFile))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var told Resolution
		if err := json.Unmarshal(text, &told); err != nil {
			r.config.Log.Warn("what is told of the log before cannot be read", "file", file, "error", err)
			continue
		}
		if told.Log == r.log.String() {
			r.resolution = &told
		}
	}
	return nil
}

// Adopt makes the log that is held above the node's own, beginning with what one question
// gives. The node must not run. When it is opened again it is marked, and gets the rest as
// one that was restored does. The journal that it had is kept, unless there was nothing in
// it.
func (c Config) Adopt(ctx context.Context, upper Upper) error {
	c = c.withDefaults()
	old, err := Open(c)
	if err != nil {
		return err
	}
	before, empty := old.log, old.beginning()
	if err := old.Close(); err != nil {
		return err
	}
	held, err := upper.Mirrored(ctx, 0)
	if err == nil && held.Unit == nil {
		err = ErrNotMirrored
	}
	if err != nil {
		return err
	}
	f, err := openFolder(c.Folder)
	if err != nil {
		return err
	}
	defer f.close()
	f.hook, f.left = c.Hook, c.left
	scratch, err := f.beginIncarnation()
	if err != nil {
		return err
	}
	if err := c.adoptInto(ctx, scratch, held); err != nil {
		return fmt.Errorf("the log that is held above cannot be taken in: %w", err)
	}
	c.Hook(HookAdopted)
	s := succession{Before: before.String(), Mark: fmt.Sprintf("restored from what is held above of log %s, with %d entries", held.Log, held.Size)}
	if empty {
		s.Before = ""
	}
	c.Log.Warn("the node adopts the log that is held above", "log", held.Log, "entries", held.Size, "before", before, "kept", s.Before != "")
	return f.succeed(s)
}

// adoptInto begins a journal with the first unit of a log that is there already.
func (c Config) adoptInto(ctx context.Context, scratch string, held Mirrored) error {
	c.Folder, c.Anchor, c.Bare = scratch, "", true
	r, err := Open(c)
	if err != nil {
		return err
	}
	why := "it is being adopted"
	r.marked.Store(&why)
	size, root, err := journal.VerifyCheckpoint(held.Unit.Checkpoint, held.Log, r.key.Public())
	if err == nil && size != held.Unit.End() {
		err = fmt.Errorf("the checkpoint is over %d entries, and there are %d", size, held.Unit.End())
	}
	if err == nil {
		u := *held.Unit
		u.Root = root
		err = r.Source().TakeBack(ctx, &u)
	}
	return errors.Join(err, r.Close())
}

// Again ends the registry's run with [ErrAgain], when another log may have to be adopted. It
// reports whether it does.
func (s *Source) Again() bool {
	if s.r.settled || !s.r.Lacks() || time.Since(s.r.opened) < againEvery {
		return false
	}
	s.r.fail(ErrAgain)
	return true
}

// Settle says that those who can be asked were, and hold no log that this node could adopt:
// it does not begin again for that. Call it before Run.
func (r *Registry) Settle() { r.settled = true }

// againEvery is how often a node may begin again, so that a parent which changes its mind
// costs little.
const againEvery = 2 * time.Second
