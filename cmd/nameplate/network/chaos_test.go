package network_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
	"github.com/nameplate-id/nameplate/resolver"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

var (
	chaosRounds = flag.Int("chaos", 10, "how many rounds of killing nodes TestChaos has")
	chaosSeed   = flag.Uint64("chaosseed", 0, "which nodes TestChaos kills and when; 0 draws one")
)

const chaosTree = `memory: 64MiB
nodes:
  - {name: east, address: NET.1, mirror: NET.101}
  - {name: west, address: NET.2, mirror: NET.102}
  - {name: north, address: NET.3, mirror: NET.103}
  - {name: south, address: NET.4, mirror: NET.104}
  - {name: centre, address: NET.5, mirror: NET.105}
  - {name: pumps, parent: east, prefixes: ["88.118"], address: NET.6, mirror: NET.106}
  - {name: valves, parent: west, prefixes: ["88.119"], address: NET.7, mirror: NET.107}
  - {name: things, parent: north, prefixes: ["88.120"], address: NET.8}
  - {name: maker, parent: pumps, prefixes: ["88.118.8"], address: NET.9}
  - {name: smith, parent: valves, prefixes: ["88.119.8"], address: NET.10}
  - {name: walker, recursive: true, address: NET.11}
`

// Nodes that are killed at random while others register and ask lose nothing that they
// have acknowledged and answer nothing that is wrong, and afterwards every parent has
// the logs of its children. What is asked, and what a right answer is, stands in
// chaosledger_test.go.
func TestChaos(t *testing.T) {
	n, _ := up(t, chaosTree)
	seed := *chaosSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("%d rounds; -chaosseed %d kills the same nodes", *chaosRounds, seed)
	c := &chaos{Network: n, ledger: newLedger()}
	if err := n.AwaitMirrors(t.Context(), c.names()...); err != nil {
		t.Fatal(err)
	}

	ctx, end := context.WithCancel(t.Context())
	defer end()
	var registrars, others errgroup.Group
	for i := range uint64(2) {
		registrars.Go(func() error { return c.register(ctx, i, rand.New(rand.NewPCG(seed, i+1))) })
		others.Go(func() error { c.ask(ctx, i, rand.New(rand.NewPCG(seed, i+11))); return nil })
	}
	for _, role := range []network.Role{network.TopLevel, network.Secondary} {
		for _, parent := range n.With(role) {
			others.Go(func() error { return c.watchMirrors(ctx, parent) })
		}
	}
	began, random := time.Now(), rand.New(rand.NewPCG(seed, 0))
	var broken error // a node does not start again: there is nothing that heals
	for round := 0; round < *chaosRounds && broken == nil; round++ {
		if broken = c.round(t.Context(), random); broken != nil {
			t.Errorf("round %d: %v", round+1, broken)
		}
	}
	if broken == nil {
		if broken = c.awaitMirror(t.Context(), "maker"); broken != nil {
			t.Error(broken)
		}
	}
	took := time.Since(began)
	end() // whatever a registrar has sent is sent again until its outcome is known
	if err := errors.Join(registrars.Wait(), others.Wait()); err != nil {
		t.Error(err)
	}
	if broken == nil {
		c.checkHealed(t)
	}
	c.ledger.report(t, took, c.kills)
}

// The controls: TestChaos fails in a process of its own, where nodes never sync their
// journals, because they have not what they acknowledged and cannot start; and where they
// acknowledge what is not synced yet, and nothing else of the folder tells, because records
// are missing.
func TestChaosNotices(t *testing.T) {
	program(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		broken mutant
		rounds string
		says   string
	}{
		{forgetful, "-chaos=3", "--- FAIL: TestChaos"},
		{hasty, "-chaos=10", `.*(: it was acknowledged .* ago: got absent|: version \d+ was acknowledged: got |healed: .* got absent, |refuse[sd] .*conflict| has \d+ entries and had \d+)`},
	} {
		t.Run(c.broken.name, func(t *testing.T) {
			file, err := c.broken.build()
			if err != nil {
				t.Fatal(err)
			}
			says := regexp.MustCompile(c.says)
			var said []byte
			for try := 0; try < 5 && !says.Match(said); try++ { // what a kill finds that is not synced yet is chance
				said, err = exec.CommandContext(t.Context(), self, "-test.run=^TestChaos$", c.rounds, "-program", file).CombinedOutput()
			}
			if _, failed := errors.AsType[*exec.ExitError](err); !failed {
				t.Fatalf("nodes were killed, and nobody noticed: %v\n%s", err, said)
			}
			lines := strings.Split(string(said), "\n")
			t.Logf("noticed:\n%s", strings.Join(lines[:min(len(lines), 20)], "\n"))
			if !strings.Contains(string(said), "--- FAIL: TestChaos") || !says.Match(said) {
				t.Errorf("it ended in another way, want %s", c.says)
			}
		})
	}
}

// chaos is a tree whose nodes are killed, and what is known of it.
type chaos struct {
	*network.Network
	ledger *ledger
	kills  int
}

// names are all nodes that hold something.
func (c *chaos) names() (names []string) {
	for _, x := range c.Nodes {
		if !x.Recursive {
			names = append(names, x.Name)
		}
	}
	return names
}

func (c *chaos) grpc(x *network.Node) string {
	return strings.TrimPrefix(c.Server(x, "grpc"), "grpc://")
}

// round kills one or two nodes, one of them perhaps while the other starts again.
func (c *chaos) round(ctx context.Context, random *rand.Rand) error {
	var g errgroup.Group
	for _, i := range random.Perm(len(c.Nodes))[:1+random.IntN(2)] {
		name := c.Nodes[i].Name
		before := time.Duration(random.IntN(200)) * time.Millisecond
		pause := time.Duration(50+random.IntN(250)) * time.Millisecond
		c.kills++
		g.Go(func() error {
			time.Sleep(before)
			if err := c.Kill(name); err != nil {
				return err
			}
			time.Sleep(pause)
			return c.Start(ctx, name)
		})
	}
	return g.Wait()
}

// awaitMirror kills a node until a mirror has answered for it: which nodes the rounds kill
// is drawn, and it may never have been one for long that has identifiers.
func (c *chaos) awaitMirror(ctx context.Context, name string) error {
	answers := func() (n int) {
		c.ledger.note(func(l *ledger) { n = l.mirrors })
		return n
	}
	c.kills++
	if err := c.Kill(name); err != nil {
		return err
	}
	for before, late := answers(), time.Now().Add(time.Minute); answers() == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			return fmt.Errorf("node %s was dead for a minute, and no mirror answered for it", name)
		}
	}
	return c.Start(ctx, name)
}

// attempt is how long a registrar or asker waits for a node that may be dead.
const attempt = 3 * time.Second

// registrar registers at one node with its holder's key. A change whose outcome is not
// known stays pending.
type registrar struct {
	node    *network.Node
	key     identifier.PrivateKey
	holder  *identifier.Delegation
	client  *registryrpc.Client
	name    string
	count   int
	own     []identifier.ID
	pending *identifier.Change
}

// register registers and updates at all nodes that hold a prefix, until ctx ends and
// nothing is pending.
func (c *chaos) register(ctx context.Context, number uint64, random *rand.Rand) error {
	var all []*registrar
	for _, x := range c.Nodes {
		if len(x.Prefixes) == 0 {
			continue
		}
		r := &registrar{node: c.Node(x.Name), name: fmt.Sprintf("r%d", number)}
		var err error
		if r.client, err = registryrpc.NewClient(c.grpc(r.node), registryrpc.ClientOptions{}); err != nil {
			return err
		}
		defer func() { r.client.Close() }()
		if r.key, err = keyOf(c.Key(x.Name)); err != nil {
			return err
		}
		// Before the first kill as a rule, but not for certain.
		for r.holder == nil {
			if r.holder, err = r.client.Holder(ctx, x.Prefixes[0]); err != nil {
				time.Sleep(20 * time.Millisecond)
			}
			if ctx.Err() != nil {
				return nil // it may never have started again
			}
		}
		all = append(all, r)
	}
	for ctx.Err() == nil {
		if err := c.step(all[random.IntN(len(all))], random); err != nil {
			return err
		}
		time.Sleep(time.Duration(5+random.IntN(10)) * time.Millisecond)
	}
	late := time.Now().Add(time.Minute)
	for _, r := range all {
		for r.pending != nil {
			if err := c.step(r, random); err != nil {
				return err
			}
			if time.Now().After(late) {
				return fmt.Errorf("node %s does not say within a minute what became of a change", r.node.Name)
			}
		}
	}
	return nil
}

// step sends what is pending, or something new. It returns an error when the node
// refuses what it has to take.
func (c *chaos) step(r *registrar, random *rand.Rand) error {
	if r.pending == nil {
		if err := c.sign(r, random); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), attempt)
	defer cancel()
	receipt, err := r.client.Register(ctx, r.pending)
	if err != nil {
		if refused(err) {
			return fmt.Errorf("node %s refused a change: %w", r.node.Name, err)
		}
		c.ledger.note(func(l *ledger) { l.unknown++ })
		// A new connection does not wait as long as one that was refused before.
		r.client.Close()
		r.client, err = registryrpc.NewClient(c.grpc(r.node), registryrpc.ClientOptions{})
		return err
	}
	for i := range r.pending.Rows {
		row := &r.pending.Rows[i]
		if row.Version == 1 {
			r.own = append(r.own, row.ID)
		}
		c.ledger.acknowledged(row.ID, receipt)
	}
	r.pending = nil
	return nil
}

// sign makes a change: one to three new identifiers, or the next version of an old one.
func (c *chaos) sign(r *registrar, random *rand.Rand) error {
	var rows []identifier.Row
	if len(r.own) > 0 && random.IntN(4) == 0 {
		id := r.own[random.IntN(len(r.own))]
		rows = append(rows, identifier.NextRow(id, c.ledger.current(id)))
	}
	for n := random.IntN(3); len(rows) == 0 || rows[0].Version == 1 && n > 0; n-- {
		r.count++
		id, err := identifier.New(r.node.Prefixes[0], fmt.Sprintf("%s-%06d", r.name, r.count))
		if err != nil {
			return err
		}
		rows = append(rows, identifier.NextRow(id, nil))
	}
	for i := range rows {
		link := fmt.Sprintf("https://%s.example/%s?v=%d&x=%d", r.node.Name, rows[i].ID.Suffix, rows[i].Version, random.Uint32())
		rows[i].Values = []identifier.Value{{
			Index: 1, Type: "URL", Data: []byte(link), TTL: identifier.TTL{Seconds: 1}, Permissions: identifier.DefaultPermissions,
		}}
	}
	header := identifier.Header{
		Prefix: r.holder.Prefix, Epoch: r.holder.Epoch, KeysetVersion: r.holder.Keyset.Version, Expiry: time.Now().Add(10 * time.Minute),
	}
	change, err := identifier.SignChange(header, rows, nil, r.key)
	if err != nil {
		return err
	}
	_, hashes, err := change.Check()
	if err != nil {
		return err
	}
	for i := range rows {
		c.ledger.sent(&rows[i], hashes[i], r.node)
	}
	r.pending = change
	return nil
}

// ask asks the recursive node until ctx ends.
func (c *chaos) ask(ctx context.Context, number uint64, random *rand.Rand) {
	walker := c.grpc(c.Node("walker"))
	var client *resolverrpc.Client
	for n := 0; ctx.Err() == nil; n++ {
		if client == nil {
			var err error
			if client, err = resolverrpc.NewClient(walker, resolverrpc.ClientOptions{}); err != nil {
				c.ledger.wrong("%v", err)
				return
			}
		}
		id := c.ledger.choose(random)
		switch {
		case n%7 == 0:
			holders := append(c.With(network.Secondary), c.With(network.Enterprise)...)
			id = identifier.ID{Prefix: holders[random.IntN(len(holders))].Prefixes[0], Suffix: fmt.Sprintf("never%d-%d", number, n)}
		case id == (identifier.ID{}): // nothing is acknowledged yet
			time.Sleep(time.Millisecond)
			continue
		}
		began := time.Now()
		inner, cancel := context.WithTimeout(context.Background(), attempt)
		answer, err := client.Resolve(inner, resolver.Query{ID: id, Recursive: true})
		cancel()
		if err != nil {
			c.ledger.note(func(l *ledger) { l.unanswered++ })
			client.Close()
			client = nil
			time.Sleep(5 * time.Millisecond)
			continue
		}
		c.ledger.judge(id, began, &answer)
		time.Sleep(time.Duration(random.IntN(4)) * time.Millisecond)
	}
	if client != nil {
		client.Close()
	}
}

// watchMirrors notes how far a node has the logs of its children, until ctx ends.
func (c *chaos) watchMirrors(ctx context.Context, parent *network.Node) error {
	for ; ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		client, err := registryrpc.NewClient(c.grpc(parent), registryrpc.ClientOptions{})
		if err != nil {
			return err
		}
		inner, cancel := context.WithTimeout(ctx, attempt)
		for inner.Err() == nil {
			status, err := client.Status(inner)
			if err != nil {
				break // it is dead
			}
			for _, m := range status.Mirrors {
				c.ledger.mirrored(parent.Name, m.Log, m.Size)
			}
			time.Sleep(50 * time.Millisecond)
		}
		cancel()
		client.Close()
	}
	return nil
}
