package network_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// mutant is the program with a rule left out, for tests that are to fail on it. The rule is
// named by its text in the source, and the program built with an overlay (go help build):
// nothing of it is in the program that people run, and a text that is not there any more
// fails the test.
type mutant struct {
	name  string
	edits []edit
}

// edit is a text in a file, below the module, and what stands there instead.
type edit struct{ file, from, to string }

// forgetful are nodes that never sync their journals: a process that is killed has written
// nothing.
var forgetful = mutant{"forgetful", []edit{files("IgnoreSync: true")}}

// hasty are nodes that acknowledge, show and count as synced what is not synced for up to
// 300 ms. The state is built again at each start, so that it does not tell of more; and the
// log goes up later than that, so that nobody else has it either.
var hasty = mutant{"hasty", []edit{
	files(""),
	{"registry/journal/commit.go", "	if err := j.active.Sync(); err != nil {\n		return fmt.Errorf(\"sync the journal", "	if time.Now().UnixMilli()%400 > 100 {\n	} else if err := j.active.Sync(); err != nil {\n		return fmt.Errorf(\"sync the journal"},
	{"registry/open.go", "	path := r.folder.Join(folder.StateFile)\n	options := r.config.State\n", "	path := r.folder.Join(folder.StateFile)\n	os.Remove(path)\n	options := r.config.State\n"},
	{"registry/source.go", "	return s.r.published.Load(), grew\n", "	size := s.r.published.Load()\n	time.Sleep(500 * time.Millisecond)\n	return size, grew\n"},
	{"registry/source.go", "	\"sync\"\n", "	\"sync\"\n	\"time\"\n"},
}}

// files lays the journal on files that keep in memory what is written, with an option.
func files(option string) edit {
	return edit{"cmd/nameplate/node/node.go", "create(c, version, log, workings{})", `create(c, version, log, workings{registry: registry.Config{Journal: journal.Options{FS: &journaltest.WriteBack{` + option + `}}}})`}
}

// imports are what an edit of a file needs beside what is there.
var imports = map[string]string{
	"cmd/nameplate/node/node.go": `	"github.com/nameplate-id/nameplate/registry/journal"
	"github.com/nameplate-id/nameplate/registry/journal/journaltest"
`,
}

// leftOut tells whether the program lies in a folder that names a rule.
const leftOut = `package identifier

import (
	"os"
	"path/filepath"
)

func LeftOut(rule string) bool {
	file, err := os.Executable()
	return err == nil && filepath.Base(filepath.Dir(file)) == "without-"+rule
}
`

// identifiers is the package that all others import.
const identifiers = "github.com/nameplate-id/nameplate/registry/identifier"

var packageClause = regexp.MustCompile(`(?m)^package \w+$`)

var (
	mutantsMu sync.Mutex
	mutants   = map[string]func() (string, error){}
)

// build builds it, once for all tests.
func (m mutant) build() (string, error) {
	mutantsMu.Lock()
	once := mutants[m.name]
	if once == nil {
		once = sync.OnceValues(m.compile)
		mutants[m.name] = once
	}
	mutantsMu.Unlock()
	return once()
}

// changed returns the files that it has other than the program, by their paths below the
// module, of which root is the folder.
func (m mutant) changed(root string) (map[string]string, error) {
	texts := map[string]string{"registry/identifier/leftout.go": leftOut}
	for _, e := range m.edits {
		if texts[e.file] == "" {
			text, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				return nil, err
			}
			texts[e.file] = string(text)
			if more := imports[e.file]; more != "" && strings.Contains(e.to, "journaltest") {
				texts[e.file] = strings.Replace(texts[e.file], "import (\n", "import (\n"+more, 1)
			}
		}
		if n := strings.Count(texts[e.file], e.from); n != 1 {
			return nil, fmt.Errorf("%s: %q stands %d times in %s, and should once: say anew what is to be left out", m.name, e.from, n, e.file)
		}
		texts[e.file] = strings.Replace(texts[e.file], e.from, e.to, 1)
		if strings.Contains(e.to, "identifier.LeftOut") && !strings.Contains(texts[e.file], identifiers) {
			texts[e.file] = packageClause.ReplaceAllString(texts[e.file], "$0\nimport \""+identifiers+"\"\n")
		}
	}
	return texts, nil
}

// What mutants leave out stands in the source, also of those that are built by hand alone.
func TestMutants(t *testing.T) {
	for _, m := range []mutant{forgetful, hasty, withRules()} {
		if _, err := m.changed("../../.."); err != nil {
			t.Error(err)
		}
	}
}

func (m mutant) compile() (string, error) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		return "", err
	}
	texts, err := m.changed(root)
	if err != nil {
		return "", err
	}
	dir, err := folder()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, m.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	overlay := map[string]map[string]string{"Replace": {}}
	for file, text := range texts {
		to := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		overlay["Replace"][filepath.Join(root, file)] = to
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		return "", err
	}
	return build(m.name, "-overlay", list)
}
