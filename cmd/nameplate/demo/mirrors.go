package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nameplate-id/nameplate/cmd/nameplate/network"
	"github.com/nameplate-id/nameplate/cmd/nameplate/table"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// patience is how long anything may take that is waited for.
const patience = 60 * time.Second

// awaitMirrors waits until every parent has the logs of its children.
func (d *demo) awaitMirrors(ctx context.Context) error {
	s := d.tell.step("mirrors")
	now, err := d.settle(ctx, s)
	if err != nil {
		return err
	}
	d.figures.whole = now.took
	probe, err := d.newProbe("idle")
	if err != nil {
		return err
	}
	defer probe.close()
	s.show("%d registrations, one by one", d.size.singles)
	if err := probe.run(ctx, nil); err != nil {
		return err
	}
	d.figures.idle = probe.lags
	if now, err = d.settle(ctx, s); err != nil {
		return err
	}
	s.done("%d parents have the logs of their %d children, %s entries, equal by size and Merkle root",
		now.parents, now.children, count(int(now.entries)))
	d.tell.note("%s after the last acknowledgement they had everything", milliseconds(d.figures.whole))
	d.tell.note("from an acknowledgement to the parent's mirror: %s", d.figures.idle.text())
	if len(d.figures.busy) > 0 {
		d.tell.note("the same while all imported:                    %s", d.figures.busy.text())
	}
	return nil
}

// mirrored is what was found when every parent had the logs of its children.
type mirrored struct {
	parents, children int
	entries           uint64
	took              time.Duration // until the mirrors were as large as the logs
}

// settle waits until every mirror equals the log that it is of.
func (d *demo) settle(ctx context.Context, s *step) (mirrored, error) {
	began := time.Now()
	var found mirrored
	for {
		all, err := d.statuses(ctx, d.holding())
		if err != nil {
			return found, err
		}
		next, behind, differing, err := d.compareMirrors(all)
		if err != nil {
			return found, err
		}
		next.took = found.took
		if found = next; behind == 0 && found.took == 0 {
			found.took = time.Since(began)
		}
		if behind == 0 && differing == 0 {
			return found, nil
		}
		s.show("%s entries on their way, %d roots not compared yet", count(int(behind)), differing)
		if time.Since(began) > patience {
			return found, fmt.Errorf("the parents lack %s entries of their children, and %d roots are not equal, after %v", count(int(behind)), differing, patience)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return found, context.Cause(ctx)
		}
	}
}

// compareMirrors compares the logs of all nodes with what their parents have of them.
// It counts the entries that are missing, and the logs of the right size whose roots
// are not known to be equal: a node signs the root of its log within a second.
func (d *demo) compareMirrors(all map[string]registryrpc.Status) (found mirrored, behind uint64, differing int, err error) {
	parents := map[string]bool{}
	for _, x := range d.holding() {
		if x.Parent == "" {
			continue
		}
		found.children++
		parents[x.Parent] = true
		own := all[x.Name]
		found.entries += own.Position
		of := all[x.Parent].Mirrors
		i := slices.IndexFunc(of, func(m registry.MirrorStatus) bool { return m.Log == own.Log && m.Node == own.Key })
		if i < 0 {
			behind += own.Position
			continue
		}
		m := of[i]
		switch at := own.Checkpoint; {
		case m.Bad > 0:
			return found, 0, 0, fmt.Errorf("node %s has marked %d entries of node %s as against the rules", x.Parent, m.Bad, x.Name)
		case m.Size < own.Position:
			behind += own.Position - m.Size
		case m.Size == at.Size && m.Root != at.Root:
			return found, 0, 0, fmt.Errorf("of %d entries of node %s, the root is %x there and %x at its parent %s", at.Size, x.Name, at.Root, m.Root, x.Parent)
		case m.Size != at.Size:
			differing++
		}
	}
	found.parents = len(parents)
	return found, behind, differing, nil
}

// lags are times from an acknowledgement to the parent's mirror, sorted.
type lags []time.Duration

func (l lags) text() string {
	return fmt.Sprintf("half within %s ms, 99 of 100 within %s ms (%d measured)", fraction(quantile(l, 0.5)), fraction(quantile(l, 0.99)), len(l))
}

// probe registers one identifier after the other at a node, and watches how long each
// takes into the mirror of the node's parent.
type probe struct {
	*imported
	demo          *demo
	child, parent *registryrpc.Client
	holder        *identifier.Delegation
	lags          lags
}

// newProbe prepares a probe of the first secondary node that holds equipment.
func (d *demo) newProbe(mark string) (*probe, error) {
	i := slices.IndexFunc(d.imports, func(im *imported) bool { return im.scheme == handles && im.node.Role == network.Secondary })
	if i < 0 {
		return nil, errors.New("the network has no secondary node that holds equipment")
	}
	p := &probe{imported: d.fileFor(handles, d.imports[i].prefix, "-"+mark), demo: d}
	var err error
	if p.child, err = registryrpc.NewClient(d.at(p.node, "grpc"), registryrpc.ClientOptions{}); err != nil {
		return nil, err
	}
	if p.parent, err = registryrpc.NewClient(d.at(d.net.Node(p.node.Parent), "grpc"), registryrpc.ClientOptions{}); err != nil {
		return nil, errors.Join(err, p.child.Close())
	}
	return p, nil
}

func (p *probe) close() {
	p.child.Close()
	p.parent.Close()
}

// run registers one after the other until ended is closed; when that is nil, as many
// as the demo's size says.
func (p *probe) run(ctx context.Context, ended <-chan struct{}) (err error) {
	key, err := readKey(p.demo.net.Key(p.firm))
	if err != nil {
		return err
	}
	if p.holder, err = p.child.Holder(ctx, p.prefix); err != nil {
		return err
	}
	status, err := p.child.Status(ctx)
	if err != nil {
		return err
	}
	pause := 5 * time.Millisecond
	if ended != nil {
		pause = 50 * time.Millisecond // it is not the point to be in the way
	}
	for n := 0; ended != nil || n < p.demo.size.singles; n++ {
		if err := p.registerOne(ctx, key, status.Log); err != nil {
			return err
		}
		select {
		case <-time.After(pause):
			continue
		case <-ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		break
	}
	slices.Sort(p.lags)
	p.demo.imports = append(p.demo.imports, p.imported)
	return nil
}

// registerOne registers the next piece of equipment and waits for it in the mirror.
func (p *probe) registerOne(ctx context.Context, key identifier.PrivateKey, log identifier.LogID) error {
	p.rows = append(p.rows, p.demo.pieces(1)...)
	says := p.saysOf(len(p.rows) - 1)
	m := table.Mapping{ID: says.spelling, Links: []string{says.link}, Values: []string{"DESC=" + says.description}, Time: time.Now()}
	registration, err := m.Literal()
	if err != nil {
		return err
	}
	header := identifier.Header{
		Prefix: p.holder.Prefix, Epoch: p.holder.Epoch, KeysetVersion: p.holder.Keyset.Version, Expiry: time.Now().Add(time.Minute),
	}
	row := identifier.NextRow(registration.ID, nil)
	row.Spelling, row.Values = registration.Spelling, registration.Values
	change, err := identifier.SignChange(header, []identifier.Row{row}, nil, key)
	if err != nil {
		return err
	}
	receipt, err := p.child.Register(ctx, change)
	if err != nil {
		return err
	}
	acknowledged := time.Now()
	for time.Since(acknowledged) < patience {
		status, err := p.parent.Status(ctx)
		if err != nil {
			return err
		}
		for _, m := range status.Mirrors {
			if m.Log == log && m.Size > receipt.Position {
				p.lags = append(p.lags, time.Since(acknowledged))
				return nil
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
	return fmt.Errorf("%s is not in the mirror of its parent %v after its registration at node %s", says.spelling, patience, p.node.Name)
}
