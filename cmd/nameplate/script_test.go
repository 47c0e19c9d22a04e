package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"nameplate": main})
}

// What the commands do, as somebody sees it who types them.
//
// Besides the commands of testscript a script has
//
//	serve [flag...]   starts a node on free ports and waits until it answers; its
//	                  addresses are $DNS, $GRPC and $HTTP, and $NAMEPLATE_SERVER
//	halt              asks the node to stop and waits until it has
//	crash             ends it as a power cut would
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE") != "",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": serveCommand,
			"halt":  func(ts *testscript.TestScript, _ bool, _ []string) { end(ts, syscall.SIGTERM) },
			"crash": func(ts *testscript.TestScript, _ bool, _ []string) { end(ts, syscall.SIGKILL) },
		},
		Setup: func(e *testscript.Env) error {
			e.Values[running{}] = new(*process)
			samples, err := filepath.Abs("../../testdata")
			e.Setenv("SAMPLES", samples)
			return err
		},
	})
}

// running is the key of the node that a script has running.
type running struct{}

// process is a node that runs as a process of its own.
type process struct {
	cmd   *exec.Cmd
	ended chan error
}

func serveCommand(ts *testscript.TestScript, _ bool, args []string) {
	slot := ts.Value(running{}).(**process)
	if *slot != nil {
		ts.Fatalf("a node is running already")
	}
	free := "127.0.0.1:0"
	cmd := exec.Command("nameplate", append([]string{"serve", "--log-format", "json", "--dns", free, "--grpc", free, "--http", free, "--handle", free}, args...)...)
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, "nameplate"); exec.Command(path, "version").Run() == nil {
			cmd.Path, cmd.Err = path, nil
			break
		}
	}
	cmd.Dir = ts.Getenv("WORK")
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	p := &process{cmd: cmd, ended: make(chan error, 1)}
	ts.Defer(func() { cmd.Process.Kill() })

	serving := make(chan map[string]any, 1)
	var log strings.Builder
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			log.WriteString(lines.Text() + "\n")
			var line map[string]any
			if json.Unmarshal(lines.Bytes(), &line) == nil && line["msg"] == "serving" {
				serving <- line
			}
		}
		p.ended <- cmd.Wait()
	}()
	select {
	case line := <-serving:
		for name, field := range map[string]string{"DNS": "dns", "GRPC": "grpc", "HTTP": "http", "HANDLE": "handle"} {
			ts.Setenv(name, line[field].([]any)[0].(string))
		}
		ts.Setenv("NAMEPLATE_SERVER", "grpc://"+ts.Getenv("GRPC"))
		*slot = p
	case err := <-p.ended:
		ts.Fatalf("the node ended: %v\n%s", err, log.String())
	case <-time.After(30 * time.Second):
		ts.Fatalf("the node does not answer")
	}
}

func end(ts *testscript.TestScript, signal syscall.Signal) {
	slot := ts.Value(running{}).(**process)
	if *slot == nil {
		ts.Fatalf("no node is running")
	}
	p := *slot
	*slot = nil
	ts.Check(p.cmd.Process.Signal(signal))
	select {
	case err := <-p.ended:
		if signal == syscall.SIGTERM {
			ts.Check(err)
		}
	case <-time.After(30 * time.Second):
		ts.Fatalf("the node does not end")
	}
}
