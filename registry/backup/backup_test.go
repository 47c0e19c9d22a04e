package backup_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/backup"
	"github.com/nameplate-id/nameplate/registry/folder"
)

// begun returns the configuration of a node that has run once.
func begun(t *testing.T) registry.Config {
	t.Helper()
	c := registry.Config{Folder: filepath.Join(t.TempDir(), "node")}
	opened(t, c)
	return c
}

// opened returns what a node says of its log.
func opened(t *testing.T, c registry.Config) registry.Status {
	t.Helper()
	r, err := registry.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Status(t.Context())
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return s
}

func made(t *testing.T, c registry.Config, withKey bool) (at string, m backup.Manifest) {
	t.Helper()
	at = filepath.Join(t.TempDir(), "backup")
	m, err := backup.Make(t.Context(), c, at, withKey)
	if err != nil {
		t.Fatal(err)
	}
	return at, m
}

// What is restored is the log that was copied, signed with its key, and is marked.
func TestRestore(t *testing.T) {
	t.Parallel()
	c := begun(t)
	before := opened(t, c)
	for name, withKey := range map[string]bool{"with the key": true, "without the key": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, m := made(t, c, withKey)
			if m.Log != before.Log.String() || m.Entries != before.Position || m.NodeKey != before.Key || m.HoldsKey != withKey {
				t.Errorf("the manifest is %+v", m)
			}
			if read, err := backup.ReadManifest(at); err != nil || read != m {
				t.Errorf("the manifest says %+v, %v; want %+v", read, err, m)
			}
			if _, err := os.Stat(filepath.Join(at, folder.KeyFile)); errors.Is(err, fs.ErrNotExist) == withKey {
				t.Errorf("the key: %v", err)
			}
			to, key := registry.Config{Folder: filepath.Join(t.TempDir(), "restored")}, ""
			if !withKey {
				if _, err := backup.Restore(t.Context(), to, at, ""); err == nil || !strings.Contains(err.Error(), "does not hold the node's key") {
					t.Errorf("restored without a key: %v", err)
				}
				key = filepath.Join(c.Folder, folder.KeyFile)
			}
			if _, err := backup.Restore(t.Context(), to, at, key); err != nil {
				t.Fatal(err)
			}
			if now := opened(t, to); now.Log != before.Log || now.Key != before.Key || now.Position != before.Position || now.ReadOnly == "" {
				t.Errorf("restored is %+v, want %+v", now, before)
			}
		})
	}
}

// Nothing is written where something is wrong.
func TestRefused(t *testing.T) {
	t.Parallel()
	c := begun(t)
	at, _ := made(t, c, true)
	other := filepath.Join(begun(t).Folder, folder.KeyFile)
	manifest := func(text string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "backup.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for name, x := range map[string]struct{ from, key, to, want string }{
		"no backup":          {t.TempDir(), "", "", "is not a backup, or not a whole one"},
		"half a backup":      {filepath.Join(at, folder.JournalDir), "", "", "is not a backup, or not a whole one"},
		"no JSON":            {manifest("{"), "", "", "backup.json"},
		"a newer format":     {manifest(`{"format":2}`), "", "", "has format 2, known here is 1"},
		"another node's key": {at, other, "", "the log was begun with"},
		"no key":             {at, filepath.Join(at, "backup.json"), "", "node key"},
		"into a node":        {at, "", c.Folder, "is not empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := x.to
			if to == "" {
				to = filepath.Join(t.TempDir(), "restored")
			}
			if _, err := backup.Restore(t.Context(), registry.Config{Folder: to}, x.from, x.key); err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("got %v, want %q", err, x.want)
			}
			if _, err := os.Stat(to); x.to == "" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("something was written: %v", err)
			}
		})
	}
	if _, err := backup.Make(t.Context(), c, at, true); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("a backup over a backup: %v", err)
	}
	empty := registry.Config{Folder: t.TempDir()}
	if _, err := backup.Make(t.Context(), empty, filepath.Join(t.TempDir(), "backup"), true); err == nil {
		t.Error("a backup of nothing")
	}
}

// A backup is one when its manifest is there, and a restored folder is marked before it has
// anything, whenever the process ends.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	c := begun(t)
	at, _ := made(t, c, true)
	errCrash := errors.New("the process ends here")
	crash := func(c registry.Config, point string, do func(registry.Config)) {
		t.Helper()
		c.Hook = func(at string) {
			if at == point {
				panic(errCrash)
			}
		}
		defer func() {
			if e := recover(); e != errCrash {
				t.Errorf("%s: %v", point, e)
			}
		}()
		do(c)
	}
	for _, point := range []string{backup.HookCopied, backup.HookManifest} {
		to := filepath.Join(t.TempDir(), "backup")
		crash(c, point, func(c registry.Config) { _, _ = backup.Make(context.Background(), c, to, true) })
		if m, err := backup.ReadManifest(to); err == nil {
			t.Errorf("%s: it passes for a backup: %+v", point, m)
		}
	}
	for _, point := range []string{backup.HookMarked, backup.HookKey, backup.HookJournal} {
		to := registry.Config{Folder: filepath.Join(t.TempDir(), "restored")}
		crash(to, point, func(c registry.Config) { _, _ = backup.Restore(context.Background(), c, at, "") })
		r, err := registry.Open(to)
		if err == nil && r.ReadOnly() == "" {
			t.Errorf("%s: it passes for a node", point)
		}
		if err == nil {
			r.Close()
		}
	}
}

// Whatever stands where a backup says what it is, it is read as it is written, or refused.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"format":1,"log":"0102","nodeKey":"ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=","entries":3,"octets":4,"time":"2026-01-02T03:04:05Z","holdsKey":true}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte("null"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		at := filepath.Join(dir, "backup.json")
		if err := os.WriteFile(at, text, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := backup.ReadManifest(dir)
		if err != nil {
			return
		}
		again, err := json.Marshal(m)
		if err != nil {
			return // a year that JSON has no place for
		}
		if err := os.WriteFile(at, again, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := backup.ReadManifest(dir); err != nil || got.Log != m.Log || got.NodeKey != m.NodeKey || got.Entries != m.Entries || got.Octets != m.Octets || got.HoldsKey != m.HoldsKey || !got.Time.Equal(m.Time) {
			t.Errorf("%q: read as %+v, and again as %+v, %v", text, m, got, err)
		}
	})
}
