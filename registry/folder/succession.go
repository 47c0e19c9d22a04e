package folder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// A node gets another log in two ways. It adopts the one that its parent mirrors, of which
// it has nothing or only what stood before it (Config.Adopt of the registry); or it begins the next
// incarnation of its own (Config.Resolve). Both build a whole folder beside the node's
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
)

// ResolutionFile is where whoever builds another log tells what became of the one before.
// It is kept beside that one's journal.
const ResolutionFile = "resolution.json"

// Points of the hook of [Open], in the order in which a change of logs passes them.
const (
	HookBegun     = "registry.next.begun"   // the place for another log is made, with nothing but the key in it
	HookDecided   = "registry.next.decided" // it is decided that it takes the place of the one that is here
	HookAside     = "registry.next.aside"   // that one is put aside, or gone
	HookInPlace   = "registry.next.placed"  // the other one is in its place
	HookSucceeded = "registry.next.done"    // all is done, and nothing says so yet
)

// Succession says what becomes of the folder when another log takes the place of its own.
// The file SUCCESSION holds it.
type Succession struct {
	// Before is the id of the log whose journal is put aside; empty to delete it, because
	// there is nothing in it.
	Before string `json:"before,omitempty"`
	// Mark is why entries may be missing in the new journal; empty when none are.
	Mark string `json:"mark,omitempty"`
}

// parseSuccession reads the file SUCCESSION. A journal is moved, or deleted, by what it
// says, so it has to say that in full, and name no other place than one beside it.
func parseSuccession(text []byte) (s Succession, err error) {
	if !bytes.HasPrefix(text, []byte("{")) {
		return s, errors.New("it is no JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, err
	}
	if rest := bytes.TrimSpace(text[d.InputOffset():]); len(rest) > 0 {
		return s, errors.New("something stands behind its end")
	}
	if strings.ContainsFunc(s.Before, func(c rune) bool { return c > unicode.MaxASCII || !unicode.IsLetter(c) && !unicode.IsDigit(c) }) {
		return s, fmt.Errorf("%q is not the id of a log", s.Before)
	}
	return s, nil
}

// Begin makes an empty place to build the folder of another log in, with the node's key.
func (f *Folder) Begin() (scratch string, err error) {
	if err := f.Finish(); err != nil {
		return "", err
	}
	scratch = f.Join(incarnationDir)
	if err := errors.Join(os.RemoveAll(scratch), os.Mkdir(scratch, 0o700)); err != nil {
		return "", err
	}
	key, err := os.ReadFile(f.Join(KeyFile))
	if err != nil {
		return "", err
	}
	err = WriteFile(filepath.Join(scratch, KeyFile), key, 0o600)
	f.hook(HookBegun)
	return scratch, err
}

// Succeed puts what was built in the place of the journal, durably at return. After an
// error the next Finish goes on, unless nothing says yet that all is built.
func (f *Folder) Succeed(s Succession) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := WriteFile(f.Join(successionFile), append(text, '\n'), 0o640); err != nil {
		return err
	}
	f.hook(HookDecided)
	return f.Finish()
}

// Finish goes on where a change of logs was interrupted. Call it before the journal is
// read.
func (f *Folder) Finish() error {
	text, err := os.ReadFile(f.Join(successionFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	s, err := parseSuccession(text)
	if err != nil {
		return fmt.Errorf("data folder %s: file %s does not say what becomes of the journal: %w: when there is a folder %q, remove the file, and the node goes on with that; when there is none, write {\"mark\":\"restored\"} into it, and the node asks whether entries are missing",
			f.path, successionFile, err, JournalDir)
	}
	built, here := filepath.Join(f.Join(incarnationDir), JournalDir), f.Join(JournalDir)
	if _, err := os.Stat(built); err == nil {
		if err := f.replaceJournal(built, here, s); err != nil {
			return fmt.Errorf("data folder: %w", err)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("data folder: %w", err)
	}
	err = f.keepResolution(s.Before)
	if err == nil {
		err = os.RemoveAll(f.Join(incarnationDir))
	}
	if err == nil {
		f.hook(HookSucceeded)
		err = errors.Join(gone(f.Join(successionFile)), syncDir(f.path))
	}
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return nil
}

// replaceJournal puts a journal that was built in the place of the one that is here. Each
// step needs those before it: what is in place without its mark would be written to.
func (f *Folder) replaceJournal(built, here string, s Succession) error {
	if err := errors.Join(gone(f.Join(StateFile)), gone(f.Join(IndexFile)), f.putAside(s.Before, here)); err != nil {
		return err
	}
	f.hook(HookAside)
	if err := f.markOr(s.Mark); f.left.lacks(ruleMarked, err == nil) {
		return err
	}
	err := errors.Join(os.Rename(built, here), syncDir(f.path))
	f.hook(HookInPlace)
	return err
}

// putAside moves a journal to where those of earlier logs are kept.
func (f *Folder) putAside(log, from string) error {
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
	return errors.Join(os.Rename(from, filepath.Join(to, JournalDir)), syncDir(to), syncDir(f.Join(beforeDir)))
}

// aside returns where a journal of a log is kept that is put aside: the place of the newest
// one when taken says so, else the first that is free. One log may come back, from a backup,
// and be put aside again.
func (f *Folder) aside(log string, taken bool) (string, error) {
	place, last := filepath.Join(f.Join(beforeDir), log), ""
	for n := 2; ; n++ {
		_, err := os.Stat(filepath.Join(place, JournalDir))
		switch {
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return "", err
		case err != nil && taken && last != "":
			return last, nil
		case err != nil:
			return place, nil
		}
		last, place = place, filepath.Join(f.Join(beforeDir), fmt.Sprintf("%s-%d", log, n))
	}
}

// keepResolution puts what is told of a change of logs beside the journal of before.
func (f *Folder) keepResolution(log string) error {
	from := filepath.Join(f.Join(incarnationDir), ResolutionFile)
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
	return errors.Join(os.Rename(from, filepath.Join(to, ResolutionFile)), syncDir(to)) // before what it came from goes
}

// Resolutions returns where the files are in which it is told what became of the logs that
// were put aside.
func (f *Folder) Resolutions() ([]string, error) {
	return filepath.Glob(filepath.Join(f.Join(beforeDir), "*", ResolutionFile))
}
