package node_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
)

// dies runs what has to kill itself before it is through.
func dies(v victim) error {
	p, err := run(v)
	if err != nil {
		return err
	}
	<-p.done
	if !p.killed.Load() {
		return fmt.Errorf("it was not killed: %s", p.said.String())
	}
	return nil
}

// finishes runs what has to come to its end.
func finishes(v victim) error {
	p, err := run(v)
	if err != nil {
		return err
	}
	<-p.done
	if !p.command.ProcessState.Success() {
		return fmt.Errorf("%v: %s", p.command.ProcessState, p.said.String())
	}
	return nil
}

// process is a victim that runs.
type process struct {
	command *exec.Cmd
	orders  io.Writer
	said    *written
	ready   chan string
	killed  atomic.Bool
	done    chan struct{}
}

// written is what a process writes, for others to read meanwhile.
type written struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func run(v victim) (*process, error) {
	order, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	notes, pipe, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &process{command: exec.Command(os.Args[0], "-test.run=^$"), said: &written{}, ready: make(chan string, 1), done: make(chan struct{})}
	p.command.Env = append(os.Environ(), victimVariable+"="+string(order))
	p.command.ExtraFiles = []*os.File{pipe}
	p.command.Stderr = p.said
	if p.orders, err = p.command.StdinPipe(); err == nil {
		err = p.command.Start()
	}
	pipe.Close()
	if err != nil {
		notes.Close()
		return nil, err
	}
	go func() {
		defer notes.Close()
		lines := bufio.NewScanner(notes)
		for lines.Scan() {
			if at, ready := strings.CutPrefix(lines.Text(), "ready "); ready {
				p.ready <- at
			} else if lines.Text() == "killed" {
				p.killed.Store(true)
			}
		}
		_ = p.command.Wait() // that it was killed is no news
		close(p.done)
	}()
	return p, nil
}

func (p *process) arm(point string, n int) error {
	_, err := fmt.Fprintf(p.orders, "%q %d\n", point, n)
	return err
}
