package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// place is where a node answers.
type place struct {
	host            string
	dns, grpc, http int
}

func (p place) at(port int) string { return net.JoinHostPort(p.host, strconv.Itoa(port)) }

// node is a node in a process of its own.
type node struct {
	name, data, log string
	at              place
	program         *program
	process         *exec.Cmd
	ended           chan struct{} // closed when the process has
	err             error         // with which it ended; read it after ended
	detached        bool          // it outlives the demo
}

func newNode(name string, p *program, data, log string) *node {
	return &node{name: name, data: data, log: log, program: p}
}

func (n *node) server() string { return "grpc://" + n.at.at(n.at.grpc) }

func (n *node) pid() int { return n.process.Process.Pid }

// arguments are those of serve.
func (n *node) arguments() []string {
	return []string{"serve", "--name", n.name, "--data", n.data,
		"--dns", n.at.at(n.at.dns), "--grpc", n.at.at(n.at.grpc), "--http", n.at.at(n.at.http)}
}

// start starts the node, where it was before if it was, and waits until it answers.
func (n *node) start(ctx context.Context) (time.Duration, error) {
	if n.at.host == "" {
		var err error
		if n.at, err = findPlace(); err != nil {
			return 0, err
		}
	}
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	began := time.Now()
	// It is not the end of ctx that ends a node: the demo does.
	n.process = n.program.command(context.WithoutCancel(ctx), n.arguments()...)
	n.process.Stdout, n.process.Stderr = log, log
	if n.detached {
		n.process.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	}
	if err := n.process.Start(); err != nil {
		n.process = nil
		return 0, err
	}
	ended := make(chan struct{})
	n.ended = ended
	go func(process *exec.Cmd) {
		n.err = process.Wait()
		close(ended)
	}(n.process)
	err = n.awaitHealth(ctx)
	return time.Since(began), err
}

// patience is how long a node may take to start or to stop.
const patience = 30 * time.Second

// awaitHealth waits until the node says that it can answer.
func (n *node) awaitHealth(ctx context.Context) error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	limit := time.After(patience)
	for {
		if response, err := client.Get("http://" + n.at.at(n.at.http) + "/healthz"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-n.ended:
			return fmt.Errorf("the node ended while it started: %s", n.lastWords())
		case <-limit:
			return fmt.Errorf("the node does not answer %v after its start", patience)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// lastWords are the end of its log.
func (n *node) lastWords() string {
	text, err := os.ReadFile(n.log)
	if err != nil || len(text) == 0 {
		return fmt.Sprint(n.err)
	}
	return lastLine(text)
}

// kill ends the node at once, as a power cut would; it does nothing when it has ended.
func (n *node) kill() error {
	if n.process == nil {
		return nil
	}
	if err := killGroup(n.process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-n.ended
	n.process = nil
	return nil
}

// stop asks the node to end, and waits until it has.
func (n *node) stop(ctx context.Context) error {
	if err := n.process.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the node: %w", err)
	}
	select {
	case <-n.ended:
		n.process = nil
		if n.err != nil {
			return fmt.Errorf("the node was asked to stop and ended with %w: %s", n.err, n.lastWords())
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("the node does not end %v after it was asked to", patience)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// The demo's own address on loopback, with the ports that a node has by default:
// nothing else is likely to be there.
var usual = place{host: "127.88.0.1", dns: 5300, grpc: 2640, http: 8080}

// findPlace returns addresses that are free: the usual ones, or else any on the same
// host, or else any on 127.0.0.1 where a system has no other address on loopback.
func findPlace() (place, error) {
	var err error
	for _, p := range []place{usual, {host: usual.host}, {host: "127.0.0.1"}} {
		if err = p.probe(); err == nil {
			return p, nil
		}
	}
	return place{}, fmt.Errorf("no free ports: %w", err)
}

// probe opens the ports, all at once, and closes them again; those that are 0 become
// what the system chose.
func (p *place) probe() error {
	for _, port := range []*int{&p.grpc, &p.http} {
		l, err := net.Listen("tcp", p.at(*port))
		if err != nil {
			return err
		}
		defer l.Close()
		*port = l.Addr().(*net.TCPAddr).Port
	}
	tcp, err := net.Listen("tcp", p.at(p.dns))
	if err != nil {
		return err
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		return err
	}
	defer udp.Close()
	p.dns = tcp.Addr().(*net.TCPAddr).Port
	return nil
}

// stillRunning returns an error when the process of a file is a node that an earlier
// demo was told to keep.
func stillRunning(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 || syscall.Kill(pid, 0) != nil {
		return nil
	}
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err == nil && !strings.Contains(string(line), "\x00serve\x00") {
		return nil // the number has gone to another process
	}
	return fmt.Errorf("the node of an earlier demo is still running: stop it with kill %d", pid)
}
