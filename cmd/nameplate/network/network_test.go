package network_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

var built = flag.String("program", "", "the program to test, such as one that is broken on purpose; built when empty")

// folder is where programs are built for the tests.
var folder = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "nameplate-network-test-") })

// binary builds the program once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	if *built != "" {
		return *built, nil
	}
	return build("nameplate")
})

// build builds the program in a folder of its own, below a name.
func build(name string, flags ...string) (string, error) {
	dir, err := folder()
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, name, "nameplate")
	out, err := exec.Command("go", append(append([]string{"build", "-o", file}, flags...), "..")...).CombinedOutput()
	if err != nil {
		os.Stderr.Write(out)
	}
	return file, err
}

func TestMain(m *testing.M) {
	code := m.Run()
	if !testing.Short() {
		if dir, err := folder(); err == nil {
			os.RemoveAll(dir)
		}
	}
	os.Exit(code)
}

// program returns the program, or skips the test.
func program(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes for seconds")
	}
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// claim finds a net 127.88.X for one test alone, also among tests of other processes,
// until release is called.
func claim() (subnet string, release func(), err error) {
	for x := 100 + os.Getpid()%64; x < 255; x++ {
		subnet = fmt.Sprintf("127.88.%d", x)
		if l, failure := net.Listen("tcp", subnet+".254:5299"); failure == nil {
			return subnet, func() { l.Close() }, nil
		}
	}
	return "", nil, errors.New("no net below 127.88.0.0/16 is free")
}

// up brings up a network in a folder of its own, and takes it down after the test.
func up(t *testing.T, text string) (*network.Network, string) {
	t.Helper()
	program := program(t)
	subnet, release, err := claim()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	f, err := network.Parse([]byte(strings.ReplaceAll(text, "NET", subnet)))
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "network")
	n, err := network.New(f, folder, program)
	if err != nil {
		t.Fatal(err)
	}
	n.Attached = true
	t.Cleanup(func() {
		if err := n.Down(context.Background()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, x := range n.Nodes {
				text, _ := os.ReadFile(n.Log(x.Name))
				t.Logf("log of %s:\n%s", x.Name, text)
			}
		}
	})
	if err := n.Up(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return n, folder
}

const small = `nodes:
  - {name: east, address: NET.1}
  - {name: pumps, parent: east, prefixes: ["88.118"], address: NET.2}
  - {name: maker, parent: pumps, prefixes: ["88.118.8"], address: NET.3}
holders:
  - {name: acme, prefixes: ["88.118.9"]}
`

// statuses returns the status of every node by its name.
func statuses(t *testing.T, n *network.Network) map[string]network.NodeStatus {
	t.Helper()
	all := map[string]network.NodeStatus{}
	for _, s := range n.Status(t.Context()) {
		all[s.Node.Name] = s
	}
	return all
}

func TestNetwork(t *testing.T) {
	n, folder := up(t, small)
	first := statuses(t, n)
	for name, s := range first {
		if s.Err != nil || s.PID == 0 {
			t.Errorf("%s: got process %d, error %v", name, s.PID, s.Err)
		}
	}

	// What is delegated is where the file says.
	for _, test := range []struct{ node, prefix, refersTo string }{
		{"east", "88.118.7", "pumps"}, {"east", "88.118.8.1", "pumps"}, {"pumps", "88.118.8", "maker"},
	} {
		a := ask(t, n, test.node, test.prefix)
		if a.Outcome != resolver.Referral || a.Delegation.Node.Name != test.refersTo {
			t.Errorf("%s at %s: got %v, want a referral to %s", test.prefix, test.node, a, test.refersTo)
		}
	}

	// Up again changes nothing.
	if err := n.Up(t.Context(), nil); err != nil {
		t.Error(err)
	}
	for name, s := range statuses(t, n) {
		if s.PID != first[name].PID || s.Position != first[name].Position {
			t.Errorf("%s: got process %d with %d entries, had %d with %d", name, s.PID, s.Position, first[name].PID, first[name].Position)
		}
	}

	// Another process can look after it.
	again, err := network.Open(folder, program(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Start(t.Context(), "pumps"); err == nil || !strings.Contains(err.Error(), "runs already") {
		t.Errorf("start what runs: got %v", err)
	}
	if err := again.Kill("pumps"); err != nil {
		t.Fatal(err)
	}
	if s := statuses(t, n)["pumps"]; !errors.Is(s.Err, network.ErrDown) || s.PID != 0 {
		t.Errorf("killed: got process %d, error %v", s.PID, s.Err)
	}
	if err := again.Kill("pumps"); err != nil {
		t.Errorf("kill what does not run: got %v", err)
	}
	if err := n.Start(t.Context(), "pumps"); err != nil {
		t.Fatal(err)
	}
	if s := statuses(t, n)["pumps"]; s.Err != nil || s.Position < first["pumps"].Position || s.Log != first["pumps"].Log {
		t.Errorf("started again: got %d entries of log %s, error %v, had %d of %s", s.Position, s.Log, s.Err, first["pumps"].Position, first["pumps"].Log)
	}
	for _, do := range []func() error{
		func() error { return n.Kill("nobody") }, func() error { return n.Stop(t.Context(), "nobody") }, func() error { return n.Start(t.Context(), "nobody") },
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), `no node "nobody"`) {
			t.Errorf("got %v, want that there is no such node", err)
		}
	}

	// One that hangs is stopped all the same.
	if err := n.Freeze("maker"); err != nil {
		t.Fatal(err)
	}
	if s := statuses(t, n)["maker"]; s.Err == nil || s.PID == 0 {
		t.Errorf("frozen: got process %d, error %v", s.PID, s.Err)
	}
	if err := n.Down(t.Context()); err != nil {
		t.Error(err)
	}
	for name, s := range statuses(t, n) {
		if !errors.Is(s.Err, network.ErrDown) {
			t.Errorf("%s after down: got %v", name, s.Err)
		}
	}
}

// ask asks a node for the record of a prefix.
func ask(t *testing.T, n *network.Network, node, prefix string) resolver.Answer {
	t.Helper()
	client, err := resolverrpc.NewClient(strings.TrimPrefix(n.Server(n.Node(node), "grpc"), "grpc://"), resolverrpc.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	a, err := client.Resolve(t.Context(), resolver.Query{ID: identifier.ID{Prefix: mustPrefix(t, prefix)}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What an interrupted or failed up has started does not run afterwards, and what ran
// before does.
func TestUpEndsWhatItStarted(t *testing.T) {
	n, folder := up(t, small)
	before := n.PID("east")
	for _, name := range []string{"pumps", "maker"} {
		if err := n.Stop(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := n.Up(ctx, func(p network.Progress) {
		if p.Running == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: got %v", err)
	}
	check := func(when string) {
		t.Helper()
		if got := n.PID("east"); got != before {
			t.Errorf("%s: east is process %d, was %d", when, got, before)
		}
		for _, name := range []string{"pumps", "maker"} {
			if pid := n.PID(name); pid != 0 {
				t.Errorf("%s: %s still runs", when, name)
			}
		}
	}
	check("interrupted")

	// An address that is taken.
	taken, err := net.Listen("tcp", strings.TrimPrefix(n.Server(n.Node("maker"), "grpc"), "grpc://"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := n.Up(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "node maker ended while it started: cannot listen on ") {
		t.Errorf("an address that is taken: got %v", err)
	}
	check("failed")

	// A file that forgets a node which runs.
	f, err := network.Parse([]byte("nodes:\n  - {name: other, address: 127.88.99.9}\n"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := network.New(f, folder, program(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Up(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "node east runs in ") {
		t.Errorf("a file without a node that runs: got %v", err)
	}
}

// A pid file whose number has gone to another process is not believed.
func TestOtherProcess(t *testing.T) {
	n, folder := up(t, "nodes:\n  - {name: east, address: NET.1}\n")
	if err := n.Kill("east"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "east", "pid")
	if err := os.WriteFile(file, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	if pid := n.PID("east"); pid != 0 {
		t.Errorf("got process %d", pid)
	}
	if err := n.Start(t.Context(), "east"); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(n.PID("east"), syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(10 * time.Second); n.PID("east") != 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	if pid := n.PID("east"); pid != 0 {
		t.Errorf("asked to stop: process %d still runs", pid)
	}
}

func TestNoNetwork(t *testing.T) {
	_, err := network.Open(t.TempDir(), "nameplate")
	if err == nil || !strings.Contains(err.Error(), "bring one up with nameplate network up FILE") {
		t.Errorf("got %v", err)
	}
}

// The networks that are shipped are what they say.
func TestShipped(t *testing.T) {
	for file, want := range map[string][4]int{"network.yaml": {5, 50, 5, 1}, "network-small.yaml": {5, 3, 2, 1}} {
		f, err := network.Read(filepath.Join("../../../testdata", file))
		if err != nil {
			t.Error(err)
			continue
		}
		got := [4]int{}
		for i, role := range []network.Role{network.TopLevel, network.Secondary, network.Enterprise, network.Recursive} {
			got[i] = len(f.With(role))
		}
		if got != want {
			t.Errorf("%s: got %v nodes by role, want %v", file, got, want)
		}
		for _, x := range f.Nodes {
			if parent := f.Node(x.Parent); parent != nil && !parent.Mirror.IsValid() {
				t.Errorf("%s: node %s has children and no mirror address", file, parent.Name)
			}
		}
	}
}
