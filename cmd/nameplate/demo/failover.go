package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"
	"github.com/nameplate-id/nameplate/resolver"
)

// failOver kills a secondary and an enterprise node and asks for what they hold.
func (d *demo) failOver(ctx context.Context) error {
	s := d.tell.step("kill -9")
	var err error
	if d.victims, err = d.chooseVictims(); err != nil {
		return err
	}
	if err := d.flush(ctx); err != nil {
		return err
	}
	for _, x := range d.victims {
		s.show("node %s, process %s", x.Name, d.process(x.Name))
		began := time.Now()
		if err := d.net.Kill(x.Name); err != nil {
			return err
		}
		if err := d.awaitOrigin(ctx, x, true); err != nil {
			return err
		}
		d.figures.down = append(d.figures.down, time.Since(began))
	}
	mirrored := 0
	for _, x := range d.victims {
		s.show("asking for what node %s holds", x.Name)
		n, err := d.askHeld(ctx, x, true)
		if err != nil {
			return fmt.Errorf("while node %s is dead: %w", x.Name, err)
		}
		mirrored += n
	}
	s.done("nodes %s and %s are dead: %s right answers about what they hold, from their parents' mirrors", d.victims[0].Name, d.victims[1].Name, count(mirrored))
	d.tell.note("the first one %s and %s after the kill; until then %d questions had no answer", milliseconds(d.figures.down[0]), milliseconds(d.figures.down[1]), d.figures.unanswered.Load())
	// A node below a dead one is found by what the mirror says of it.
	for _, x := range d.net.Nodes {
		if x.Parent == d.victims[0].Name && len(d.held(x.Name)) > 0 {
			n, err := d.askHeld(ctx, &x, false)
			if err != nil {
				return fmt.Errorf("while its parent %s is dead: %w", x.Parent, err)
			}
			d.tell.note("node %s, below %s, is still found: %s right answers of its own", x.Name, x.Parent, count(n))
		}
	}
	return nil
}

// failBack starts the nodes again and shows that they answer themselves.
func (d *demo) failBack(ctx context.Context) error {
	s, before := d.tell.step("back"), d.figures.unanswered.Load()
	if err := d.flush(ctx); err != nil {
		return err
	}
	d.figures.back = make([]time.Duration, len(d.victims))
	g, inner := errgroup.WithContext(ctx)
	for i, x := range d.victims {
		g.Go(func() error {
			began := time.Now()
			if err := d.net.Start(inner, x.Name); err != nil {
				return err
			}
			err := d.awaitOrigin(inner, x, false)
			d.figures.back[i] = time.Since(began)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	own, lost := 0, d.figures.unanswered.Load()-before
	for _, x := range d.victims {
		n, err := d.askHeld(ctx, x, false)
		if err != nil {
			return fmt.Errorf("after node %s was started again: %w", x.Name, err)
		}
		own += n
	}
	s.done("started again, they answer themselves after %s and %s: %s right answers", milliseconds(d.figures.back[0]), milliseconds(d.figures.back[1]), count(own))
	d.tell.note("until then their mirrors did; %d questions had no answer", lost)
	return nil
}

// chooseVictims returns the secondary node that holds most among those with a node
// below that holds something, and the enterprise node that holds most and is not below
// it.
func (d *demo) chooseVictims() ([]*network.Node, error) {
	most := func(role network.Role, suits func(*network.Node) bool) *network.Node {
		var found *network.Node
		for _, x := range d.net.With(role) {
			if n := len(d.held(x.Name)); n > 0 && suits(x) && (found == nil || n > len(d.held(found.Name))) {
				found = x
			}
		}
		return found
	}
	secondary := most(network.Secondary, func(x *network.Node) bool {
		return slices.ContainsFunc(d.net.Nodes, func(y network.Node) bool { return y.Parent == x.Name && len(d.held(y.Name)) > 0 })
	})
	enterprise := most(network.Enterprise, func(x *network.Node) bool { return secondary != nil && x.Parent != secondary.Name })
	if enterprise == nil {
		return nil, errors.New("the network has no secondary and enterprise node, one not above the other, that hold something")
	}
	return []*network.Node{secondary, enterprise}, nil
}

// held returns all rows that a node answers for.
func (d *demo) held(name string) (rows []row) {
	for _, im := range d.imports {
		if im.node.Name == name {
			rows = append(rows, im.all()...)
		}
	}
	return rows
}

// awaitOrigin asks for what a node holds, another identifier each time, until an answer
// comes from a mirror, or from the node itself. Answers have to be right from the first
// on.
func (d *demo) awaitOrigin(ctx context.Context, x *network.Node, mirror bool) error {
	client, err := d.records(d.walker)
	if err != nil {
		return err
	}
	defer client.Close()
	var last error
	rows := d.held(x.Name)
	for began, n := time.Now(), 0; time.Since(began) < patience; n++ {
		r := rows[n%len(rows)]
		var a resolver.Answer
		switch a, last = resolve(ctx, client, r.says()); {
		case last != nil:
			d.figures.unanswered.Add(1)
		case r.says().compare(&a) != nil:
			return r.says().compare(&a)
		case a.Origin.Mirror == mirror:
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	from := "itself"
	if mirror {
		from = "the mirror of its parent " + x.Parent
	}
	if last != nil {
		return fmt.Errorf("what node %s holds is not answered from %s within %v: %w", x.Name, from, patience, last)
	}
	return fmt.Errorf("what node %s holds is not answered from %s within %v", x.Name, from, patience)
}

// askHeld asks for a sample of what a node holds over every protocol, each time with an
// empty cache, and returns how many right answers there were. Where an answer tells its
// origin, it has to be the one that is expected.
func (d *demo) askHeld(ctx context.Context, x *network.Node, mirror bool) (int, error) {
	rows := d.held(x.Name)
	rows = rows[:min(len(rows), d.size.sample)]
	protocols, closer, err := d.protocols(d.walker, func(a *resolver.Answer) error {
		if a.Origin.Mirror != mirror {
			return fmt.Errorf("%s: from a mirror: %t, want %t", a.ID, a.Origin.Mirror, mirror)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	defer closer()
	differing, n := &differences{}, 0
	for _, p := range protocols {
		if p.name == redirects {
			continue
		}
		if err := d.flush(ctx); err != nil {
			return 0, err
		}
		a, err := ask(ctx, p, rows, differing)
		if err != nil {
			return 0, err
		}
		n += len(a.took)
	}
	d.figures.answers += n
	return n, differing.err(n)
}
