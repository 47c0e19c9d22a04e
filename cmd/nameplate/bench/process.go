//go:build linux

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// process is a server that is measured.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	pids []int
	took time.Duration // from its start until it answered
	done chan struct{}
}

// start starts a server on a processor and waits until it is ready.
func start(ctx context.Context, name, folder string, core int, ready func() bool, command ...string) (*process, error) {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, err
	}
	p := &process{name: name, log: filepath.Join(folder, name+".err"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}

	// The child inherits the processors of the thread that starts it, and ends with that
	// thread: so a thread stays with it, which is of no use for anything else.
	began := time.Now()
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := onCore(core)
		if err == nil {
			err = p.cmd.Start()
		}
		failed <- err
		if err == nil {
			<-p.done
		}
	}()
	if err := <-failed; err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	for !ready() {
		select {
		case <-p.done:
			return nil, p.failure("ended before it answered")
		case <-ctx.Done():
			p.stop()
			return nil, context.Cause(ctx)
		default:
		}
		if time.Since(began) > startLimit {
			p.stop()
			return nil, p.failure(fmt.Sprintf("has not answered within %v", startLimit))
		}
	}
	p.took = time.Since(began)
	p.pids = family(p.cmd.Process.Pid)
	return p, nil
}

// startLimit is for how long a server may load its data.
const startLimit = 3 * time.Minute

func (p *process) failure(what string) error {
	text, _ := os.ReadFile(p.log)
	text = bytes.TrimSpace(text)
	return fmt.Errorf("%s %s: %s", p.name, what, text[max(0, len(text)-500):])
}

// cpu returns what the server has used so far.
func (p *process) cpu() cpuTime { return cpuOf(p.pids) }

func (p *process) memory() memory { return memoryOf(p.pids) }

// stop asks the server to end, and ends it when it does not.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// freePort returns a port of loopback that is free for TCP and UDP.
func freePort() (int, error) {
	for range 32 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		l.Close()
		if err == nil {
			u.Close()
			return port, nil
		}
	}
	return 0, errors.New("no port of loopback is free")
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
