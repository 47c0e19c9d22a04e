//go:build linux

package bench

import (
	"context"
	"embed"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Configurations of the peers. @PORT@, @WORKERS@, @FOLDER@, @ZONE@ and @ZONEFILE@
// are filled in.
//
//go:embed conf/*.conf
var configurations embed.FS

// peer is another name server, as Debian packages it.
type peer struct {
	name, program string
	version       []string // arguments that make it tell its version
	configuration string
	arguments     []string // @CONF@ is filled in
	core          int      // that it runs on when server and generator have one each
}

// peers are all that are compared with. Knot binds its first UDP worker to the first
// processor by itself, so it has that one.
func peers() []peer {
	return []peer{
		{"nsd", "nsd", []string{"-v"}, "nsd.conf", []string{"-d", "-c", "@CONF@"}, 1},
		{"knot", "knotd", []string{"--version"}, "knot.conf", []string{"-c", "@CONF@"}, 0},
	}
}

// path returns where the peer's program is; "" when it is not installed.
func (p *peer) path() string {
	if path, err := exec.LookPath(p.program); err == nil {
		return path
	}
	path := filepath.Join("/usr/sbin", p.program)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// versionText is what the peer says of itself, or "absent".
func (p *peer) versionText() string {
	path := p.path()
	if path == "" {
		return "absent"
	}
	out, _ := exec.Command(path, p.version...).CombinedOutput()
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first
}

// command writes the configuration of a peer and returns how to start it.
func (p *peer) command(folder, zoneFile string, port string, workers string) ([]string, error) {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, err
	}
	text, err := configurations.ReadFile("conf/" + p.configuration)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, p.configuration)
	filled := strings.NewReplacer("@PORT@", port, "@WORKERS@", workers, "@FOLDER@", folder,
		"@ZONE@", strings.TrimSuffix(zoneName, "."), "@ZONEFILE@", zoneFile).Replace(string(text))
	if err := os.WriteFile(file, []byte(filled), 0o640); err != nil {
		return nil, err
	}
	command := []string{p.path()}
	for _, argument := range p.arguments {
		command = append(command, strings.ReplaceAll(argument, "@CONF@", file))
	}
	return command, nil
}

// nameServer is a server that answers the questions, be it ours or a peer.
type nameServer struct {
	*process
	port int
	// serverCore and askerCore are the processors of the two.
	serverCore, askerCore int
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
