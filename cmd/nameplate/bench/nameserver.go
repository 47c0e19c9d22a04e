//go:build linux

package bench

import (
	"context"
	"embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Configurations of the peers. @PORT@, @WORKERS@, @FOLDER@, @ZONE@ and @ZONEFILE@
// are filled in.
//
//go:embed conf
var configurations embed.FS

// peer is another name server, as Debian packages it or its makers publish it.
type peer struct {
	name, program string
	version       []string // arguments that make it tell its version
	configuration string
	// prepare is a program with its arguments that is run once before the start, not
	// timed; none for nothing. @FOLDER@, @ZONE@ and @ZONEFILE@ are filled in.
	prepare   []string
	arguments []string // @CONF@ and @FOLDER@ are filled in
	core      int      // that it runs on when server and generator have one each
	tcp       bool     // is compared over TCP too
	floor     bool     // does no work: its answers have no content to compare
}

// echo is the name of the floor under every name server: a bare UDP echo.
const echo = "udp-echo"

// peers are all that are compared with. Knot binds its first UDP worker to the first
// processor by itself, so it has that one.
func peers() []peer {
	return []peer{
		{name: "nsd", program: "nsd", version: []string{"-v"}, configuration: "nsd.conf", arguments: []string{"-d", "-c", "@CONF@"}, core: 1, tcp: true},
		{name: "knot", program: "knotd", version: []string{"--version"}, configuration: "knot.conf", arguments: []string{"-c", "@CONF@"}, core: 0, tcp: true},
		{name: "bind", program: "named", version: []string{"-v"}, configuration: "named.conf", arguments: []string{"-f", "-n", "@WORKERS@", "-c", "@CONF@"}, core: 1, tcp: true},
		{name: "powerdns", program: "pdns_server", version: []string{"--version"}, configuration: "pdns.conf",
			prepare:   []string{"pdnsutil", "--config-dir=@FOLDER@", "load-zone", "@ZONE@", "@ZONEFILE@"},
			arguments: []string{"--config-dir=@FOLDER@"}, core: 1},
		{name: "coredns", program: "coredns", version: []string{"-version"}, configuration: "Corefile", arguments: []string{"-conf", "@CONF@", "-quiet"}, core: 1},
		{name: echo, core: 1, floor: true},
	}
}

// against are the peers that this run compares with.
func (b *bench) against() []peer {
	return slices.DeleteFunc(peers(), func(p peer) bool { return !b.compares(p.name) })
}

// compares reports whether this run compares with a peer.
func (b *bench) compares(name string) bool {
	return len(b.options.Against) == 0 || slices.Contains(b.options.Against, name)
}

// installed returns where a peer's program is; "" when it is not installed.
func (b *bench) installed(program string) string {
	for _, folder := range []string{b.options.Peers, "/usr/sbin"} {
		path := filepath.Join(folder, program)
		if s, err := os.Stat(path); folder != "" && err == nil && s.Mode().IsRegular() {
			return path
		}
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return ""
	}
	return path
}

// versionOf is what a peer's program says of itself, or "absent".
func (b *bench) versionOf(program string, arguments ...string) string {
	return versionAt(b.installed(program), arguments...)
}

// versionAt is what a program says of itself, or "absent" where its path is empty.
func versionAt(path string, arguments ...string) string {
	if path == "" {
		return "absent"
	}
	out, _ := exec.Command(path, arguments...).CombinedOutput()
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first
}

// command writes the configuration of a peer, lets it prepare and returns how to
// start it.
func (b *bench) command(ctx context.Context, p *peer, port int) ([]string, error) {
	if p.floor {
		return []string{b.options.Program, "bench", "floor", "udp", "--listen", loopback(port)}, nil
	}
	workers := "2"
	if pinned() {
		workers = "1"
	}
	folder := b.folder(p.name)
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, err
	}
	file := filepath.Join(folder, p.configuration)
	filled := strings.NewReplacer("@PORT@", strconv.Itoa(port), "@WORKERS@", workers, "@FOLDER@", folder, "@CONF@", file,
		"@ZONE@", strings.TrimSuffix(zoneName, "."), "@ZONEFILE@", b.folder(zoneFile))
	text, err := configurations.ReadFile("conf/" + p.configuration)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, []byte(filled.Replace(string(text))), 0o640); err != nil {
		return nil, err
	}
	fill := func(program string, arguments []string) []string {
		command := []string{program}
		for _, argument := range arguments {
			command = append(command, filled.Replace(argument))
		}
		return command
	}
	if len(p.prepare) > 0 {
		before := fill(b.installed(p.prepare[0]), p.prepare[1:])
		if out, err := exec.CommandContext(ctx, before[0], before[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", before[0], err, out[max(0, len(out)-500):])
		}
	}
	return fill(b.installed(p.program), p.arguments), nil
}

// nameServer is a server that answers the questions, be it ours or a peer.
type nameServer struct {
	*process
	port int
	// serverCore and askerCore are the processors of the two.
	serverCore, askerCore int
	floor                 bool
}

// cores returns the processors for a server that wants one of them, and for what asks.
func cores(server int) (int, int) {
	if !pinned() {
		return anyCore, anyCore
	}
	return server, 1 - server
}

// startNameServer starts a server and waits for its first right answer.
func startNameServer(ctx context.Context, name, folder string, core int, port int, d data, q *queries, command []string) (*nameServer, error) {
	s := &nameServer{port: port}
	s.serverCore, s.askerCore = cores(core)
	ready, closeReady, err := d.asker(port, q)
	if err != nil {
		return nil, err
	}
	defer closeReady()
	s.process, err = start(ctx, name, folder, s.serverCore, ready, command...)
	return s, err
}

// startPeers starts those of some peers that are installed, and prints how long each
// took to its first answer.
func (b *bench) startPeers(ctx context.Context, part string, some []peer) (servers []*nameServer, err error) {
	for i := range some {
		p := &some[i]
		if !p.floor && (b.installed(p.program) == "" || len(p.prepare) > 0 && b.installed(p.prepare[0]) == "") {
			continue
		}
		b.progress("%s: starting %s", part, p.name)
		port, err := freePort()
		if err != nil {
			return servers, err
		}
		command, err := b.command(ctx, p, port)
		if err != nil {
			return servers, err
		}
		s, err := startNameServer(ctx, p.name, b.folder("logs"), p.core, port, b.data, &b.queries, command)
		if err != nil {
			return servers, err
		}
		s.floor = p.floor
		servers = append(servers, s)
		if p.floor {
			continue
		}
		l := series{float64(s.took.Microseconds()) / 1e3}.line("start: "+p.name+", process start to first answer", "ms")
		if len(p.prepare) > 0 {
			l.Note = "not counting how its store was filled"
		}
		if err := b.print(l); err != nil {
			return servers, err
		}
	}
	return servers, nil
}

// asker returns a function that asks for the first identifier and reports whether
// the answer is right. It waits a millisecond at most.
func (d data) asker(port int, q *queries) (ask func() bool, end func(), err error) {
	conn, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return nil, nil, err
	}
	var answer [largest]byte
	ask = func() bool {
		began := time.Now()
		_ = conn.SetReadDeadline(began.Add(time.Millisecond))
		if _, err := conn.Write(q.packet(0)); err != nil {
			time.Sleep(time.Millisecond)
			return false
		}
		n, err := conn.Read(answer[:])
		if err != nil { // nobody listens yet, or is not that far
			time.Sleep(time.Millisecond - time.Since(began))
			return false
		}
		return n > headerSize && answer[3]&0x0f == 0 && answer[7] > 0
	}
	return ask, func() { conn.Close() }, nil
}
