package demo

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary builds the program once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "nameplate-demo-test-")
	if err != nil {
		return "", err
	}
	file := filepath.Join(folder, "nameplate")
	out, err := exec.Command("go", "build", "-o", file, "..").CombinedOutput()
	if err != nil {
		os.Stderr.Write(out)
	}
	return file, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if !testing.Short() {
		if file, err := binary(); err == nil {
			os.RemoveAll(filepath.Dir(file))
		}
	}
	os.Exit(code)
}

// options are those of a small demo in a folder of its own.
func options(t *testing.T, out *bytes.Buffer) Options {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes for seconds")
	}
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Program: file, Folder: filepath.Join(t.TempDir(), "demo-data"), Testdata: "../../../testdata",
		Seed: 8471, Small: true, Out: out,
	}
}

// A whole demo; and what it says that one can type works.
func TestDemo(t *testing.T) {
	var out bytes.Buffer
	o := options(t, &out)
	o.Keep = true
	if err := Run(t.Context(), o); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	text := out.String()
	pid := keptPID(t, text)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })

	want := regexp.MustCompile(`\ndemo: ok: [1-9]\d{4,} identifiers, [1-9]\d{4,} answers, 1 nodes\n$`)
	if !want.MatchString(text) {
		t.Errorf("the last line is not %v:\n%s", want, text)
	}
	if strings.Contains(text, "\x1b") || strings.Contains(text, "\r") {
		t.Errorf("there are control characters in what is no terminal:\n%q", text)
	}
	tryCommands(t, text)

	again := Run(t.Context(), o)
	if again == nil || !strings.Contains(again.Error(), "stop it with kill "+strconv.Itoa(pid)) {
		t.Errorf("a second demo beside the node that was kept: %v; want advice to stop it", again)
	}
}

// keptPID returns the process that a demo says it left running.
func keptPID(t *testing.T, text string) int {
	t.Helper()
	match := regexp.MustCompile(`Stop it with: kill (\d+)\n`).FindStringSubmatch(text)
	if match == nil {
		t.Fatalf("it does not say how to stop the node:\n%s", text)
	}
	pid, err := strconv.Atoi(match[1])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// tryCommands runs what the demo says can be tried.
func tryCommands(t *testing.T, text string) {
	t.Helper()
	_, commands, _ := strings.Cut(text, "\nTry:\n")
	tried := 0
	for line := range strings.Lines(commands) {
		command, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "  ")
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(command, " ")
		if _, err := exec.LookPath(name); err != nil {
			t.Logf("%s is not installed", name)
			continue
		}
		tried++
		out, err := exec.Command("sh", "-c", command).CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte(".example/")) {
			t.Errorf("%s: %v\n%s\nwant a link to one of the holders", command, err, out)
		}
	}
	if tried < 2 {
		t.Errorf("%d commands could be tried, want the two of nameplate resolve at least:\n%s", tried, text)
	}
}

// A node whose data are not those of the CSV file is found out.
func TestDifferenceIsFound(t *testing.T) {
	var out bytes.Buffer
	o := options(t, &out)
	for _, test := range []struct{ name, link, description, want string }{
		{"link", "https://elsewhere.example/", "", "the link is"},
		{"description", "", "Something else", "the description is"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var run *demo
			o.altered = func(ctx context.Context, d *demo) error {
				run = d
				im := d.imports[0] // whose sample is drawn first
				row := rand.New(rand.NewPCG(d.Seed, 0)).Perm(len(im.rows))[0]
				says := im.says(im.rows[row])
				if test.link != "" {
					says.link = test.link
				}
				if test.description != "" {
					says.description = test.description
				}
				_, err := d.program.run(ctx, "register", says.spelling, "--replace", "--key", d.key(im.holder),
					"--server", d.node.server(), "--link", says.link, "--value", "DESC="+says.description)
				return err
			}
			err := Run(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), "answers are not what the CSV rows say: row ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v; want one that names the row and says %q", err, test.want)
			}
			wantNothingLeft(t, run)
		})
	}
}

// An interrupted demo leaves nothing.
func TestInterrupt(t *testing.T) {
	var out bytes.Buffer
	o := options(t, &out)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var run *demo
	o.altered = func(_ context.Context, d *demo) error {
		run = d
		cancel()
		return nil
	}
	err := Run(ctx, o)
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("error %v; want that it was interrupted", err)
	}
	wantNothingLeft(t, run)
}

func wantNothingLeft(t *testing.T, d *demo) {
	t.Helper()
	if d == nil {
		t.Fatal("the demo did not come to the comparison")
	}
	if _, err := os.Stat(d.Folder); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
	if d.node.process != nil {
		t.Error("the node was not ended")
	}
	if p := d.node.at; p.probe() != nil {
		t.Errorf("something still listens on %+v", d.node.at)
	}
}

// A folder with somebody's files in it is not removed.
func TestForeignFolder(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "thesis.txt")
	if err := os.WriteFile(file, []byte("all of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), Options{Program: "nameplate", Folder: folder, Out: new(bytes.Buffer)})
	if err == nil || !strings.Contains(err.Error(), "not the folder of an earlier demo") {
		t.Errorf("error %v; want that the folder is not a demo's", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

// A node that does not start is an error that repeats its own words.
func TestNodeThatDoesNotStart(t *testing.T) {
	var out bytes.Buffer
	o := options(t, &out)
	script := filepath.Join(t.TempDir(), "nameplate")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho nameplate: no room for it >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	o.Program = script
	began := time.Now()
	err := Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "no room for it") {
		t.Errorf("error %v; want the words of the node", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("that took %v", took)
	}
}
