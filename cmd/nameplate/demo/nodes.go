package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// The first octets of all addresses in the network files, and how many others are tried
// when somebody has one of the addresses.
const (
	usualNet  = "127.88."
	otherNets = 10
)

// readNetwork reads a network file, at addresses that are free: those in the file, or
// else the same in another of the nets 127.89 to 127.98.
func readNetwork(path string) (*network.File, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s is not there: run the demo in the root of the repository, or say --testdata FOLDER", path)
	}
	if err != nil {
		return nil, err
	}
	var busy error
	for n := range 1 + otherNets {
		file, err := network.Parse([]byte(strings.ReplaceAll(string(text), usualNet, fmt.Sprintf("127.%d.", 88+n))))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if busy = listenable(file); busy == nil {
			return file, nil
		}
	}
	return nil, fmt.Errorf("no free addresses: %w", busy)
}

// listenable opens all ports of a network and closes them again.
func listenable(file *network.File) error {
	var open []interface{ Close() error }
	defer func() {
		for _, l := range open {
			l.Close()
		}
	}()
	listen := func(ip netip.Addr, ports ...uint16) error {
		for _, port := range ports {
			l, err := net.Listen("tcp", netip.AddrPortFrom(ip, port).String())
			if err != nil {
				return err
			}
			open = append(open, l)
		}
		for _, port := range ports {
			if port != file.Ports.DNS && port != file.Ports.Handle {
				continue
			}
			p, err := net.ListenPacket("udp", netip.AddrPortFrom(ip, port).String())
			if err != nil {
				return err
			}
			open = append(open, p)
		}
		return nil
	}
	for _, x := range file.Nodes {
		if err := listen(x.Address, file.Ports.DNS, file.Ports.GRPC, file.Ports.HTTP, file.Ports.Handle); err != nil {
			return err
		}
		if x.Mirror.IsValid() {
			if err := listen(x.Mirror, file.Ports.DNS); err != nil {
				return err
			}
		}
	}
	return nil
}

// only returns the recursive node of a network.
func only(file *network.File) (*network.Node, error) {
	found := file.With(network.Recursive)
	if len(found) != 1 {
		return nil, fmt.Errorf("the network has %d recursive nodes, and the demo asks one", len(found))
	}
	return found[0], nil
}

// stillRunning returns an error when the network of an earlier demo was told to stay,
// or could not be ended.
func (d *demo) stillRunning() error {
	before, err := network.Open(d.networkFolder(), d.Program)
	if err != nil {
		return nil // there is none
	}
	for _, x := range before.Nodes {
		if before.PID(x.Name) != 0 {
			return fmt.Errorf("the nodes of an earlier demo are still running: stop them with %s", d.downCommand())
		}
	}
	return nil
}

func (d *demo) downCommand() string {
	return fmt.Sprintf("%s network down --folder %s", d.Program, d.networkFolder())
}

// cast tells who takes part.
func (d *demo) cast() string {
	roles := []string{}
	for _, role := range []network.Role{network.TopLevel, network.Secondary, network.Enterprise, network.Recursive} {
		roles = append(roles, fmt.Sprintf("%d %s", len(d.net.With(role)), role))
	}
	return fmt.Sprintf("%d nodes (%s), %d schemes", len(d.net.Nodes), list(roles), len(schemes))
}

// bringUp starts all nodes and delegates all prefixes.
func (d *demo) bringUp(ctx context.Context) error {
	s := d.tell.step("nodes")
	began := time.Now()
	err := d.net.Up(ctx, func(p network.Progress) {
		s.show("%s %d of %d answer, %d of %d delegations", bar(p.Running, p.Nodes), p.Running, p.Nodes, p.Delegated, p.Delegations)
		d.figures.delegations = p.Delegated
	})
	if err != nil {
		return err
	}
	d.figures.up = time.Since(began)
	s.done("%d processes answer, each on addresses of its own from %v on: DNS %d, gRPC %d, HTTP %d, Handle %d",
		len(d.net.Nodes), d.net.Nodes[0].Address, d.net.Ports.DNS, d.net.Ports.GRPC, d.net.Ports.HTTP, d.net.Ports.Handle)
	d.tell.note("%s delegations, each signed by whoever holds what lies above; the root's stand in all %d top-level nodes",
		count(d.figures.delegations), len(d.net.With(network.TopLevel)))
	return nil
}

// at returns where a node answers, as host:port.
func (d *demo) at(x *network.Node, protocol string) string {
	return strings.TrimPrefix(d.net.Server(x, protocol), protocol+"://")
}

// holding are the nodes that hold prefixes: all but the recursive one.
func (d *demo) holding() []*network.Node {
	var found []*network.Node
	for i := range d.net.Nodes {
		if !d.net.Nodes[i].Recursive {
			found = append(found, &d.net.Nodes[i])
		}
	}
	return found
}

// statuses asks nodes how they are, all at once.
func (d *demo) statuses(ctx context.Context, nodes []*network.Node) (map[string]registryrpc.Status, error) {
	const atOnce = 16
	found := make(map[string]registryrpc.Status, len(nodes))
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, x := range nodes {
		g.Go(func() error {
			client, err := registryrpc.NewClient(d.at(x, "grpc"), registryrpc.ClientOptions{})
			if err != nil {
				return err
			}
			defer client.Close()
			status, err := client.Status(ctx)
			if err != nil {
				return fmt.Errorf("node %s: %w", x.Name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			found[x.Name] = status
			return nil
		})
	}
	return found, g.Wait()
}

// killAll ends all nodes at once, as a power cut would.
func (d *demo) killAll() error {
	errs := make([]error, len(d.net.Nodes))
	var all sync.WaitGroup
	for i, x := range d.net.Nodes {
		all.Go(func() { errs[i] = d.net.Kill(x.Name) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// tellLogs shows the end of what nodes have logged, which is nothing as a rule.
func (d *demo) tellLogs() {
	const most = 4
	shown := 0
	for _, x := range d.net.Nodes {
		if shown < most && d.tell.last(x.Name, d.net.Log(x.Name)) {
			shown++
		}
	}
}

// process names the process of a node.
func (d *demo) process(name string) string { return strconv.Itoa(d.net.PID(name)) }

// readKey reads a private key.
func readKey(file string) (identifier.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return identifier.PrivateKey{}, err
	}
	return identifier.ParsePrivateKeyPEM(text)
}
