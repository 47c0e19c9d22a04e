package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The examples of the documents are run as a newcomer would: every console block of
// a document goes, in order, to one shell in an empty folder, and what it prints must be
// what the document shows. An ellipsis stands for anything on its line, and a line
// that is nothing else for any number of lines.

// docsNetwork takes the place of 127.0.0. in the examples of a document, so that no node
// that runs beside the test, nor the same test in another folder, answers for them.
func docsNetwork(document int) string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.", 100+pid%100, pid/100%25*10+document)
}

// docsHTTP finds where a command serves HTTP when it says so.
var docsHTTP = regexp.MustCompile(`--http (\S+)`)

func TestDocuments(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it runs whole sessions")
	}
	for _, tool := range []string{"bash", "dig", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the examples use %s, which is not installed", tool)
		}
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(bin, "nameplate"), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for i, document := range []string{"README.md", "docs/QUICKSTART.md", "docs/TREE.md", "docs/RECEIPTS.md"} {
		t.Run(filepath.Base(document), func(t *testing.T) {
			t.Parallel()
			runDocument(t, filepath.Join("..", "..", document), bin, docsNetwork(i))
		})
	}
}

// example is one command of a document and what it shows behind it.
type example struct {
	line    int
	command string
	output  []string
}

// examples returns the commands of the console blocks of a document.
func examples(t *testing.T, path string) []example {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var found []example
	inside := false
	scanner := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; scanner.Scan(); n++ {
		line := scanner.Text()
		switch command, isCommand := strings.CutPrefix(line, "$ "); {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case !inside:
		case isCommand:
			found = append(found, example{line: n, command: command})
		case strings.HasPrefix(line, "> ") && len(found) > 0 && len(found[len(found)-1].output) == 0:
			found[len(found)-1].command += "\n" + line[2:]
		case len(found) == 0:
			t.Fatalf("%s:%d: output before any command", path, n)
		default:
			last := &found[len(found)-1]
			last.output = append(last.output, line)
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s has no console block", path)
	}
	return found
}

func runDocument(t *testing.T, path, bin, network string) {
	list := examples(t, path)
	folder := t.TempDir()
	data, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(data, filepath.Join(folder, "testdata")); err != nil {
		t.Fatal(err)
	}
	const mark = "-- example "
	address := network + "1"
	var script strings.Builder
	for i, e := range list {
		command := strings.ReplaceAll(e.command, "127.0.0.", network)
		fmt.Fprintf(&script, "echo '%s%d'\n%s\n", mark, i, command)
		if strings.HasSuffix(command, "&") {
			// A person would read what the node says before typing on.
			at := address + ":8080"
			if m := docsHTTP.FindStringSubmatch(command); m != nil {
				at = m[1]
			}
			fmt.Fprintf(&script, "for n in $(seq 100); do curl -fs http://%s/healthz >/dev/null && break; sleep 0.1; done\n", at)
		}
	}
	script.WriteString("trap - EXIT; kill $(jobs -p) 2>/dev/null; wait\n")
	shell := exec.Command("bash")
	shell.Dir = folder
	shell.Stdin = strings.NewReader(script.String())
	shell.WaitDelay = 10 * time.Second
	shell.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "TZ=UTC", "LC_ALL=C.UTF-8",
		"NAMEPLATE_DNS="+address+":5300", "NAMEPLATE_GRPC="+address+":2640", "NAMEPLATE_HTTP="+address+":8080", "NAMEPLATE_HANDLE="+address+":2641",
		"NAMEPLATE_SERVER=grpc://"+address+":2640")
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Errorf("the shell ended with %v", err)
	}
	text := strings.ReplaceAll(string(out), network, "127.0.0.")
	parts := strings.Split(text, mark)[1:]
	if len(parts) != len(list) {
		t.Fatalf("%d of %d examples ran:\n%s", len(parts), len(list), text)
	}
	for i, e := range list {
		_, got, _ := strings.Cut(parts[i], "\n")
		if want := strings.Join(e.output, "\n"); !shows(want, strings.TrimRight(got, "\n")) {
			t.Errorf("%s:%d: $ %s\ngot:\n%s\nwant:\n%s", filepath.Base(path), e.line, e.command, got, want)
		}
	}
}

// shows reports whether a document's output, with its ellipses, is what was printed.
func shows(want, got string) bool {
	pattern := regexp.QuoteMeta(want)
	pattern = regexp.MustCompile(`(?m)^…$\n?`).ReplaceAllString(pattern, `(?:.*\n?)*?`)
	pattern = strings.ReplaceAll(pattern, "…", "[^\n]*")
	return regexp.MustCompile(`^` + pattern + `$`).MatchString(got)
}

func TestShows(t *testing.T) {
	for _, c := range []struct {
		want, got string
		shows     bool
	}{
		{"a b", "a b", true},
		{"a b", "a c", false},
		{"a … c", "a anything c", true},
		{"a … c", "a\nc", false},
		{"a\n…\nz", "a\nb\nc\nz", true},
		{"a\n…\nz", "a\nb\nc", false},
		{"", "something", false},
	} {
		if got := shows(c.want, c.got); got != c.shows {
			t.Errorf("shows(%q, %q) = %v", c.want, c.got, got)
		}
	}
}
