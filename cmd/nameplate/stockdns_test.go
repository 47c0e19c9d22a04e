package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"

	"github.com/miekg/dns"
)

// Stock DNS software resolves identifiers: unbound, unmodified, with deploy/unbound.conf,
// and dig +trace. NS records carry no port, so all of it happens on port 53, in user,
// network and mount namespaces of its own, where nobody else is and any address of
// loopback is free. There are
//
//	127.53.0.1        the root: a toy that delegates id.internal and knows nothing else
//	127.53.0.53       unbound as an operator runs it: deploy/unbound.conf, the trust
//	                  anchor of the Internet's root, no way to the Internet
//	127.53.0.54       unbound that begins at the toy root, which resolv.conf names
//	127.53.0.55       as 127.53.0.53, with names in random case
//	127.88.x.y        the nodes, each a process: see stockTree
//
// The test needs unbound, dig and those namespaces. Without, it is skipped, and with
// NAMEPLATE_REQUIRE_STOCK_DNS=1 it fails.
func TestStockDNS(t *testing.T) {
	switch os.Getenv(stockStage) {
	case "probe":
		if err := enterStockDNS(os.Getenv(stockFolder)); err != nil {
			t.Fatal(err)
		}
		return
	case "inside":
		if err := enterStockDNS(os.Getenv(stockFolder)); err != nil {
			t.Fatal(err)
		}
		testStockDNS(t, os.Getenv(stockFolder))
		return
	}
	missing := t.Skipf
	if os.Getenv("NAMEPLATE_REQUIRE_STOCK_DNS") == "1" {
		missing = t.Fatalf
	} else if testing.Short() {
		t.Skip("skipped with -short: it runs a tree of nodes")
	}
	for _, tool := range []string{"unbound", "unbound-control", "dig"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing("stock DNS was not tested: %s is not installed (Debian: apt-get install unbound bind9-dnsutils)", tool)
		}
	}
	if out, err := apart(t, "probe").CombinedOutput(); err != nil {
		missing("stock DNS was not tested: user, network and mount namespaces are not to be had here: %v\n%s", err, out)
	}
	var out bytes.Buffer
	inside := apart(t, "inside")
	inside.Stdout, inside.Stderr = &out, &out
	if err := inside.Run(); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	} else if testing.Verbose() {
		t.Log(out.String())
	}
}

// The test runs itself again with these in its environment.
const (
	stockStage  = "NAMEPLATE_TEST_STOCK_DNS"
	stockFolder = "NAMEPLATE_TEST_STOCK_DNS_FOLDER"
)

// apart returns the command that runs a stage of the test in namespaces of its own.
func apart(t *testing.T, stage string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, "-test.run=^TestStockDNS$", "-test.v", "-test.count=1")
	c.Env = append(os.Environ(), stockStage+"="+stage, stockFolder+"="+t.TempDir())
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	return c
}

// enterStockDNS makes the namespaces what the test needs: loopback, and a
// resolv.conf that names unbound.
func enterStockDNS(folder string) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	file := filepath.Join(folder, "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver "+walkingUnbound+"\noptions timeout:2 attempts:2\n"), 0o644); err != nil {
		return err
	}
	if err := unix.Mount(file, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("/etc/resolv.conf: %w", err)
	}
	l, err := net.Listen("tcp", rootServer+":53")
	if err != nil {
		return err
	}
	return l.Close()
}

const (
	rootServer     = "127.53.0.1"
	stubUnbound    = "127.53.0.53"
	walkingUnbound = "127.53.0.54"
	capsUnbound    = "127.53.0.55"
)

// stock is everything that runs.
type stock struct {
	folder string
	tree   *network.Network
	root   *toyRoot
	stub   *unbound // with deploy/unbound.conf
	walker *unbound // from the toy root
	caps   *unbound // as stub, in random case
}

// startStock starts everything; it ends with the test.
func startStock(t *testing.T, folder, tree string) *stock {
	t.Helper()
	s := &stock{folder: folder}
	conf, err := filepath.Abs("../../deploy/unbound.conf")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	// The top-level nodes are where the file for operators says.
	var tops []string
	for _, m := range regexp.MustCompile(`(?m)^\s*stub-addr: (\S+)$`).FindAllSubmatch(text, -1) {
		tops = append(tops, string(m[1]))
	}
	if len(tops) != 5 {
		t.Fatalf("%s: got %d addresses of top-level nodes; want those of the five of the tree", conf, len(tops))
	}
	for i, address := range tops {
		tree = strings.ReplaceAll(tree, fmt.Sprintf("TOP%d", i+1), address)
	}
	s.root = startRoot(t, tops)
	file, err := network.Parse([]byte(tree))
	if err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("nameplate")
	if err != nil {
		t.Fatal(err)
	}
	if s.tree, err = network.New(file, filepath.Join(folder, "tree"), program); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.tree.Down(context.Background()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, x := range s.tree.Nodes {
				text, _ := os.ReadFile(s.tree.Log(x.Name))
				t.Logf("log of %s:\n%s", x.Name, text)
			}
		}
	})
	if err := s.tree.Up(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	shipped := fmt.Sprintf("    trust-anchor: %q\ninclude: %q\n", internetRoot, conf)
	s.stub = startUnbound(t, folder, stubUnbound, shipped)
	s.caps = startUnbound(t, folder, capsUnbound, shipped+"server:\n    use-caps-for-id: yes\n")
	hints := filepath.Join(folder, "root.hints")
	if err := os.WriteFile(hints, []byte(".\t3600\tNS\ta.root.\na.root.\t3600\tA\t"+rootServer+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.walker = startUnbound(t, folder, walkingUnbound, fmt.Sprintf(`    root-hints: %q
    do-not-query-localhost: no
    qname-minimisation-strict: yes
    infra-host-ttl: 60
    infra-keep-probing: yes
`, hints))
	return s
}

// internetRoot is the trust anchor of the Internet's root, as every validating resolver
// has it: nothing that is not signed below it is believed unless it is configured so.
const internetRoot = ". 172800 IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"

// unbound is a running unbound.
type unbound struct {
	address, conf, log string
}

// startUnbound runs unbound at an address with lines of configuration, which begin in
// its server clause.
func startUnbound(t *testing.T, folder, address, lines string) *unbound {
	t.Helper()
	file := filepath.Join(folder, "unbound-"+address)
	u := &unbound{address: address, conf: file + ".conf", log: file + ".log"}
	text := fmt.Sprintf(`server:
    interface: %s
    access-control: 127.0.0.0/8 allow
    username: ""
    chroot: ""
    pidfile: ""
    directory: %q
    use-syslog: no
    logfile: %q
    log-time-ascii: yes
    verbosity: 4
    do-ip6: no
    num-threads: 1
%sremote-control:
    control-enable: yes
    control-interface: %q
`, address, folder, u.log, lines, file+".control")
	if err := os.WriteFile(u.conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("unbound", "-d", "-c", u.conf)
	out, err := os.Create(file + ".out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	said := func() []byte { text, _ := os.ReadFile(out.Name()); return text }
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
		if t.Failed() && os.Getenv("NAMEPLATE_TEST_UNBOUND_LOG") != "" {
			text, _ := os.ReadFile(u.log)
			t.Logf("unbound at %s:\n%s\n%s", address, said(), text)
		}
	})
	eventually(t, "unbound answers", func() error {
		_, _, err := (&dns.Client{Timeout: time.Second}).Exchange(new(dns.Msg).SetQuestion("localhost.", dns.TypeA), u.address+":53")
		if err != nil {
			return fmt.Errorf("%w\n%s", err, said())
		}
		return nil
	})
	return u
}

// ask asks unbound as a stub resolver does, over UDP and, where that is cut off, TCP.
// It asks again: who has waited longer than unbound's discard-timeout, 1.9 s, gets no
// answer, though unbound goes on and has it for the next one.
func (u *unbound) ask(t *testing.T, name string, rrtype uint16) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, rrtype)
	c := &dns.Client{Timeout: 3 * time.Second}
	answer, _, err := c.Exchange(m, u.address+":53")
	for range 4 {
		if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
			break
		}
		answer, _, err = c.Exchange(m, u.address+":53")
	}
	if err == nil && answer.Truncated {
		c.Net = "tcp"
		answer, _, err = c.Exchange(m, u.address+":53")
	}
	if err != nil {
		t.Fatalf("%s asked for %s %s: %v", u.address, name, dns.TypeToString[rrtype], err)
	}
	return answer
}

// control runs unbound-control. What is flushed is forgotten, but not which servers are
// well.
func (u *unbound) control(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("unbound-control", append([]string{"-c", u.conf}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("unbound-control: %v\n%s", err, out)
	}
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("waited in vain until %s: %v", what, err)
}

// direct asks a server itself and not for recursion.
func direct(server, name string, rrtype uint16) (*dns.Msg, error) {
	m := new(dns.Msg).SetQuestion(name, rrtype)
	m.RecursionDesired = false
	m.SetEdns0(4096, false)
	c := &dns.Client{Timeout: 2 * time.Second}
	answer, _, err := c.Exchange(m, server+":53")
	if err == nil && answer.Truncated {
		c.Net = "tcp"
		answer, _, err = c.Exchange(m, server+":53")
	}
	return answer, err
}

// register registers an identifier at a node, with the key of a holder.
func (s *stock) register(t *testing.T, node, holder, id string, flags ...string) {
	t.Helper()
	args := append([]string{"register", id, "--server", s.tree.Server(s.tree.Node(node), "grpc"), "--key", s.tree.Key(holder)}, flags...)
	if out, err := exec.Command("nameplate", args...).CombinedOutput(); err != nil {
		t.Fatalf("register %s: %v\n%s", id, err, out)
	}
}

// dig runs dig; what it says must not be an error.
func dig(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("dig", args...).CombinedOutput()
	if exit := new(exec.ExitError); errors.As(err, &exit) || err != nil {
		t.Fatalf("dig %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
