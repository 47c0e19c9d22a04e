package demo

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"
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
	t.Cleanup(func() {
		if n, err := network.Open(filepath.Join(o.Folder, "network"), o.Program); err == nil {
			_ = n.Down(context.Background())
		}
	})
	if err := Run(t.Context(), o); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	text := out.String()
	want := regexp.MustCompile(`\ndemo: ok: [1-9]\d{4,} identifiers, [1-9]\d{4,} answers, 11 nodes\n$`)
	if !want.MatchString(text) {
		t.Errorf("the last line is not %v:\n%s", want, text)
	}
	if strings.Contains(text, "\x1b") || strings.Contains(text, "\r") {
		t.Errorf("there are control characters in what is no terminal:\n%q", text)
	}
	tryCommands(t, text)

	down := o.Program + " network down --folder " + filepath.Join(o.Folder, "network")
	if !strings.Contains(text, "Stop them with: "+down+"\n") {
		t.Errorf("it does not say how to stop the nodes, with %s:\n%s", down, text)
	}
	again := Run(t.Context(), o)
	if again == nil || !strings.Contains(again.Error(), "stop them with "+down) {
		t.Errorf("a second demo beside the nodes that were kept: %v; want advice to stop them", again)
	}
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
		want := ".example/" // a link to one of the holders
		if strings.Contains(command, " network status ") {
			want = "11 of 11 nodes answer"
		}
		out, err := exec.Command("sh", "-c", command).CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte(want)) {
			t.Errorf("%s: %v\n%s\nwant %q in it", command, err, out, want)
		}
	}
	if tried < 3 {
		t.Errorf("%d commands could be tried, want the three of nameplate at least:\n%s", tried, text)
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
				row := d.sample(schemes[0], rand.New(rand.NewPCG(d.Seed, 0)))[0]
				says := row.says()
				if test.link != "" {
					says.link = test.link
				}
				if test.description != "" {
					says.description = test.description
				}
				_, err := d.program.run(ctx, "register", says.spelling, "--replace", "--key", d.net.Key(row.firm),
					"--server", d.net.Server(row.node, "grpcs"), "--server-key", d.net.NodeKey(row.node.Name), "--link", says.link, "--value", "DESC="+says.description)
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
	for _, x := range d.net.Nodes {
		if pid := d.net.PID(x.Name); pid != 0 {
			t.Errorf("node %s was not ended: process %d", x.Name, pid)
		}
	}
	if err := listenable(d.net.File); err != nil {
		t.Errorf("something still listens: %v", err)
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
