package network_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
	"github.com/nameplate-id/nameplate/resolver"
	resolverdns "github.com/nameplate-id/nameplate/resolver/dns"
	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
	resolverhttp "github.com/nameplate-id/nameplate/resolver/http"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// What happens between nodes, as scripts: testdata/scenarios says what each shows.
//
// A script holds its network in a file, in which NET stands for a net of its own such
// as 127.88.117, and brings it up in the folder that is $NAMEPLATE_FOLDER. Besides the
// commands of testscript, and nameplate itself with exec, it has
//
//	network FILE             brings up a network
//	up                       brings it up again
//	place FILE               puts the net in the place of NET in a file
//	start|halt|crash NODE... starts nodes, asks them to stop, ends them as a power cut would
//	freeze|thaw NODE...      holds processes and lets them go on
//	wipe NODE                takes everything from a node that does not run but its keys
//	delegate PREFIX HOLDER AT [ANSWERS]
//	                         gives a prefix to a holder at a node, or at top for all
//	                         top-level nodes; ANSWERS is the node that answers for it
//	cut|join NODE...         ends and opens the way from a node to its parent, for replication
//	mirrored NODE...         waits until the parents have the whole logs of these nodes
//	register NODE IDENTIFIER LINK
//	                         registers with the key of its holder
//	sign NODE IDENTIFIER LINK HOLDER EPOCH.KEYSET
//	                         registers with a holder's key, for that epoch and keyset,
//	                         without asking the node first whether it will do: what fails
//	                         is the node's own refusal
//	expect NODE IDENTIFIER OUTCOME
//	                         asks over every protocol. The outcome is found LINK,
//	                         absent, refused, referral NODE, or nothing when there is no answer
//	await NODE IDENTIFIER OUTCOME
//	                         asks until that is the answer over every protocol
//	awaitstatus NODE PATTERN asks a node for its status, as JSON, until it matches
//
// Those that run nameplate can be told with ! to fail.
func TestScenarios(t *testing.T) {
	p := scenarios(t, program(t))
	p.Dir = scenarioFolder
	testscript.Run(t, p)
}

const scenarioFolder = "../../../testdata/scenarios"

// scenarios is how scripts are run with a program.
func scenarios(t *testing.T, file string) testscript.Params {
	return testscript.Params{
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			subnet, release, err := claim()
			if err != nil {
				return err
			}
			e.Defer(release)
			e.Values[running{}] = &scenario{subnet: subnet, folder: filepath.Join(e.WorkDir, "network"), program: file}
			e.Defer(func() { endLeftOver(t, e.WorkDir, file) })
			e.Setenv("NET", subnet)
			e.Setenv("NAMEPLATE_FOLDER", filepath.Join(e.WorkDir, "network"))
			e.Setenv("PATH", filepath.Dir(file)+string(filepath.ListSeparator)+e.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"network": command(1, (*scenario).begin),
			"place": command(1, func(s *scenario, ts *testscript.TestScript, args []string) error {
				text := strings.ReplaceAll(ts.ReadFile(args[0]), "NET", s.subnet)
				return os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600)
			}),
			"up": command(0, func(s *scenario, _ *testscript.TestScript, _ []string) error {
				return s.Up(context.Background(), nil)
			}),
			"start":  each(func(s *scenario, name string) error { return s.Start(context.Background(), name) }),
			"halt":   each(func(s *scenario, name string) error { return s.Stop(context.Background(), name) }),
			"crash":  each(func(s *scenario, name string) error { return s.Kill(name) }),
			"freeze": each(func(s *scenario, name string) error { return s.Freeze(name) }),
			"thaw":   each(func(s *scenario, name string) error { return s.Thaw(name) }),
			"wipe":   each((*scenario).wipe),
			"cut":    each(func(s *scenario, name string) error { return s.links[name].cut() }),
			"join":   each(func(s *scenario, name string) error { return s.links[name].join() }),
			"mirrored": command(1, func(s *scenario, _ *testscript.TestScript, names []string) error {
				ctx, cancel := context.WithTimeout(context.Background(), awaited)
				defer cancel()
				return s.AwaitMirrors(ctx, names...)
			}),
			"delegate": command(3, (*scenario).delegate),
			"register": command(3, (*scenario).register),
			"sign":     command(5, (*scenario).sign),
			"expect":   command(3, func(s *scenario, ts *testscript.TestScript, args []string) error { return s.expect(args, 0) }),
			"awaitstatus": command(2, func(s *scenario, ts *testscript.TestScript, args []string) error {
				pattern, err := regexp.Compile(args[1])
				if err != nil {
					return err
				}
				for deadline := time.Now().Add(awaited); ; time.Sleep(100 * time.Millisecond) {
					err := ts.Exec("nameplate", "status", "--json", "--server", s.server(args[0]))
					if said := ts.ReadFile("stdout"); err == nil && pattern.MatchString(said) {
						return nil
					} else if time.Now().After(deadline) {
						return fmt.Errorf("the status of %s does not match %s: %s, %v", args[0], args[1], said, err)
					}
				}
			}),
			"await": command(3, func(s *scenario, ts *testscript.TestScript, args []string) error { return s.expect(args, awaited) }),
		},
	}
}

// endLeftOver takes down what a script that failed has brought up with nameplate itself.
func endLeftOver(t *testing.T, folder, program string) {
	n, err := network.Open(filepath.Join(folder, "network"), program)
	if err != nil {
		return // it has not
	}
	if err := n.Down(context.Background()); err != nil {
		t.Error(err)
	}
}

// awaited is how long an answer is awaited.
const awaited = 30 * time.Second

// running is the key of the scenario of a script.
type running struct{}

// scenario is one script that runs.
type scenario struct {
	*network.Network
	subnet, folder string
	program        string
	links          map[string]*link // to the parents, by the child
}

// command is a command with at least so many arguments.
func command(least int, do func(*scenario, *testscript.TestScript, []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if len(args) < least {
			ts.Fatalf("%d arguments, at least %d are needed", len(args), least)
		}
		err := do(ts.Value(running{}).(*scenario), ts, args)
		switch {
		case neg && err == nil:
			ts.Fatalf("it did not fail")
		case !neg && err != nil:
			ts.Fatalf("%v", err)
		}
	}
}

// each is a command that does something with every node that is named.
func each(do func(*scenario, string) error) func(*testscript.TestScript, bool, []string) {
	return command(1, func(s *scenario, _ *testscript.TestScript, args []string) error {
		for _, name := range args {
			if err := do(s, name); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *scenario) begin(ts *testscript.TestScript, args []string) error {
	text := strings.ReplaceAll(ts.ReadFile(args[0]), "NET", s.subnet)
	f, err := network.Parse([]byte(text))
	if err != nil {
		return err
	}
	if s.Network, err = network.New(f, s.folder, s.program); err != nil {
		return err
	}
	s.Attached = true
	s.links = map[string]*link{}
	s.Links = map[string]string{}
	ts.Defer(func() {
		for _, l := range s.links {
			ts.Check(l.cut())
		}
		ts.Check(s.Down(context.Background()))
		s.tellLogs(ts)
	})
	for _, x := range s.Nodes {
		if x.Parent == "" {
			continue
		}
		l, err := newLink(s.subnet+".253:0", strings.TrimPrefix(s.server(x.Parent), "grpc://"))
		if err != nil {
			return err
		}
		s.links[x.Name], s.Links[x.Name] = l, l.address
	}
	return s.Up(context.Background(), nil)
}

// tellLogs shows what the nodes have logged, which is nothing as a rule.
func (s *scenario) tellLogs(ts *testscript.TestScript) {
	for _, x := range s.Nodes {
		if text, err := os.ReadFile(s.Log(x.Name)); err == nil && len(text) > 0 {
			ts.Logf("log of %s:\n%s", x.Name, text)
		}
	}
}

// wipe leaves a node nothing but its keys.
func (s *scenario) wipe(name string) error {
	if s.PID(name) != 0 {
		return fmt.Errorf("node %s runs", name)
	}
	data := filepath.Join(s.folder, name, "data")
	entries, err := os.ReadDir(data)
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".key") {
			err = errors.Join(err, os.RemoveAll(filepath.Join(data, entry.Name())))
		}
	}
	return err
}

// server is where a node takes changes.
func (s *scenario) server(name string) string { return s.Server(s.Node(name), "grpc") }

func (s *scenario) delegate(ts *testscript.TestScript, args []string) error {
	prefix, err := identifier.ParsePrefix(args[0])
	if err != nil {
		return err
	}
	holder := s.Key(args[1])
	if _, err := os.Stat(holder); err != nil {
		if err := ts.Exec("nameplate", "key", "generate", holder); err != nil {
			return err
		}
	}
	places := []string{args[2]}
	if args[2] == "top" {
		places = nil
		for _, x := range s.With(network.TopLevel) {
			places = append(places, x.Name)
		}
	}
	above, _ := prefix.Parent()
	for _, place := range places {
		signer := s.Key(place)
		if name := s.Holds(above); name != "" {
			signer = s.Key(name)
		}
		line := []string{"delegate", args[0], "--to", holder, "--key", signer, "--server", s.server(place)}
		if len(args) > 3 {
			x := s.Node(args[3])
			line = append(line, "--node", x.Name, "--node-key", filepath.Join(s.folder, x.Name, "data", "node.key"),
				"--address", fmt.Sprintf("%v,dns=%d,grpc=%d,http=%d,handle=%d", x.Address, s.Ports.DNS, s.Ports.GRPC, s.Ports.HTTP, s.Ports.Handle))
		}
		if err := ts.Exec("nameplate", line...); err != nil {
			return err
		}
	}
	return nil
}

func (s *scenario) register(ts *testscript.TestScript, args []string) error {
	id, err := identifier.Parse(args[1])
	if err != nil {
		return err
	}
	return ts.Exec("nameplate", "register", args[1], "--link", args[2], "--key", s.Key(s.Holds(id.Prefix)), "--server", s.server(args[0]))
}

// sign sends a change that a key has signed, whoever holds the prefix.
func (s *scenario) sign(ts *testscript.TestScript, args []string) error {
	id, err := identifier.Parse(args[1])
	if err != nil {
		return err
	}
	key, err := keyOf(s.Key(args[3]))
	if err != nil {
		return err
	}
	var epoch, keyset uint64
	if _, err := fmt.Sscanf(args[4], "%d.%d", &epoch, &keyset); err != nil {
		return err
	}
	row := identifier.NextRow(id, nil)
	row.Values = []identifier.Value{{Index: 1, Type: "URL", Data: []byte(args[2]), TTL: identifier.DefaultTTL, Permissions: identifier.DefaultPermissions}}
	change, err := identifier.SignChange(identifier.Header{
		Prefix: id.Prefix, Epoch: epoch, KeysetVersion: keyset, Expiry: time.Now().Add(time.Minute).Truncate(time.Second),
	}, []identifier.Row{row}, nil, key)
	if err != nil {
		return err
	}
	client, err := registryrpc.NewClient(strings.TrimPrefix(s.server(args[0]), "grpc://"), registryrpc.ClientOptions{})
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), awaited)
	defer cancel()
	if _, err = client.Register(ctx, change); err == nil {
		return nil
	}
	// Only a refusal of the node's is what a script waits for.
	refused, ok := errors.AsType[*registry.Error](err)
	if !ok || refused.Kind != registry.Denied && refused.Kind != registry.Unauthenticated {
		ts.Fatalf("node %s does not refuse the change: %v", args[0], err)
	}
	ts.Logf("node %s: %v", args[0], err)
	return err
}

// expect asks a node until it says what is wanted over every protocol.
func (s *scenario) expect(args []string, within time.Duration) error {
	x := s.Node(args[0])
	if x == nil {
		return fmt.Errorf("there is no node %s", args[0])
	}
	id, err := identifier.Parse(args[1])
	if err != nil {
		return err
	}
	want := strings.Join(args[2:], " ")
	var got []string
	for deadline := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		got = nil
		for _, protocol := range []string{"grpc", "dns", "http", "handle"} {
			if says := s.ask(x, protocol, id); says != want {
				got = append(got, fmt.Sprintf("%s says %s", protocol, says))
			}
		}
		if len(got) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s at node %s: want %s, %s", id, x.Name, want, strings.Join(got, ", "))
		}
	}
}

// ask asks a node over one protocol and words the answer.
func (s *scenario) ask(x *network.Node, protocol string, id identifier.ID) string {
	r, err := s.client(x, protocol)
	if err != nil {
		return err.Error()
	}
	if c, ok := r.(io.Closer); ok {
		defer c.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	a, err := r.Resolve(ctx, resolver.Query{ID: id, Recursive: true})
	if err != nil {
		return "nothing"
	}
	switch a.Outcome {
	case resolver.Found:
		i := slices.IndexFunc(a.Record.Values, func(v identifier.Value) bool { return v.Type == "URL" })
		if i < 0 {
			return "found"
		}
		return "found " + string(a.Record.Values[i].Data)
	case resolver.Referral:
		return "referral " + a.Delegation.Node.Name
	}
	return a.Outcome.String()
}

func (s *scenario) client(x *network.Node, protocol string) (resolver.Resolver, error) {
	server := s.Server(x, protocol)
	address := strings.TrimPrefix(server, protocol+"://")
	switch protocol {
	case "dns":
		return resolverdns.NewClient(address, resolverdns.ClientOptions{}), nil
	case "http":
		return resolverhttp.NewClient(server, resolverhttp.ClientOptions{})
	case "handle":
		return resolverhandle.NewClient(address, resolverhandle.ClientOptions{}), nil
	}
	return resolverrpc.NewClient(address, resolverrpc.ClientOptions{})
}
