//go:build linux

package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// lineage is a parent that knows a child, and the child with all the data.
type lineage struct {
	parent, child       *node
	parentRun, childRun []string
	parentHas, childHas string // folders as they were before anything was copied
	client              *registryrpc.Client
	holder              holder
}

// firstCopy measures how long a parent takes to get everything of a child that it has
// nothing of, checked, durable and resolving; and how long a secondary of Knot takes to
// get the same names by AXFR and answer. Both from the start of the process that has to
// be told: child and secondary.
func (b *bench) firstCopy(ctx context.Context) error {
	l, err := b.lineage(ctx)
	if err != nil {
		return err
	}
	defer l.client.Close()
	primary, err := b.primary(ctx)
	if primary != nil {
		defer primary.stop()
	}
	if err != nil {
		return err
	}
	var ours, theirs series
	for round := range b.options.Rounds {
		b.progress("copy: round %d", round+1)
		took, err := b.copyOnce(ctx, l)
		if err != nil {
			return err
		}
		ours = append(ours, took.Seconds())
		if primary == nil {
			continue
		}
		if took, err = b.transferOnce(ctx, primary, round); err != nil {
			return err
		}
		theirs = append(theirs, took.Seconds())
	}
	line := ours.against(ours.line(fmt.Sprintf("copy: %d identifiers to a parent", int(b.data)), "s"), "knot", theirs)
	line.Note = "from the start of the child until all resolve at the parent; the peer: AXFR into a secondary, from its start to its first answer"
	rate := series{}
	for _, s := range ours {
		rate = append(rate, float64(b.data)/s)
	}
	return b.print(line, rate.line("copy: identifiers to a parent", "rows/s"))
}

// lineage makes the two nodes, lets the parent delegate, and fills the child while the
// parent is away.
func (b *bench) lineage(ctx context.Context) (l *lineage, err error) {
	// The part before this one may have made them too, with other keys.
	for _, folder := range []string{"copy-parent", "copy-child", "parent", "child"} {
		if err := os.RemoveAll(b.folder(folder)); err != nil {
			return nil, err
		}
	}
	l = &lineage{parentHas: b.folder("copy-parent"), childHas: b.folder("copy-child")}
	child, err := makeNodeKey(l.childHas)
	if err != nil {
		return nil, err
	}
	above, err := newLocal(ctx, l.parentHas)
	if err != nil {
		return nil, err
	}
	parentKey := above.Key()
	if l.parent, l.parentRun, err = b.nodeCommand(b.folder("parent")); err == nil {
		l.child, l.childRun, err = b.nodeCommand(b.folder("child"), "--name", "maker", "--parent-address", "127.0.0.1:"+strconv.Itoa(l.parent.grpc), "--parent-key", parentKey.String())
	}
	if err == nil {
		l.holder, err = above.delegateTo(ctx, child.Public(), l.child)
	}
	if err := errors.Join(err, above.stop()); err != nil {
		return nil, err
	}
	if l.client, err = registryrpc.NewClient(loopback(l.parent.grpc), registryrpc.ClientOptions{}); err != nil {
		return nil, err
	}
	return l, b.fillChild(ctx, l)
}

// fillChild starts both so that the child gets its grant, ends the parent, and
// registers everything at the child.
func (b *bench) fillChild(ctx context.Context, l *lineage) error {
	if err := errors.Join(copyFolder(l.parentHas, b.folder("parent")), copyFolder(l.childHas, b.folder("child"))); err != nil {
		return err
	}
	if err := b.startNode(ctx, "parent", l.parent, l.parentRun); err != nil {
		return err
	}
	if err := b.startNode(ctx, "child", l.child, l.childRun); err != nil {
		l.parent.stop()
		return err
	}
	defer l.child.stop()
	client, err := registryrpc.NewClient(loopback(l.child.grpc), registryrpc.ClientOptions{})
	if err != nil {
		l.parent.stop()
		return err
	}
	defer client.Close()
	b.progress("copy: waiting for the grant")
	err = until(ctx, time.Minute, func() (bool, error) {
		d, err := client.Holder(ctx, served)
		return d != nil && d.Prefix == served, err
	})
	if err == nil { // the parent has what the child has so far
		err = until(ctx, time.Minute, func() (bool, error) {
			below, err := client.Status(ctx)
			if err != nil {
				return false, err
			}
			above, err := l.client.Status(ctx)
			return err == nil && len(above.Mirrors) == 1 && above.Mirrors[0].Size == below.Position, err
		})
	}
	l.parent.stop()
	if err != nil {
		return err
	}
	b.progress("copy: registering %d identifiers at the child", int(b.data))
	if err := b.fillOver(ctx, client, &l.holder); err != nil {
		return err
	}
	l.child.stop()
	return errors.Join(copyFolder(b.folder("parent"), l.parentHas), copyFolder(b.folder("child"), l.childHas))
}

// fillOver registers all data over gRPC and waits until they are in the state.
func (b *bench) fillOver(ctx context.Context, client *registryrpc.Client, h *holder) error {
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(builders)
	for first := 0; first < int(b.data); first += batchRows {
		g.Go(func() error {
			rows := make([]identifier.Row, min(batchRows, int(b.data)-first))
			for i := range rows {
				rows[i] = row(b.data.id(first+i), b.data.link(first+i))
			}
			change, err := h.sign(rows)
			if err == nil {
				_, err = client.Register(inner, change)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return settled(ctx, int(b.data), func(ctx context.Context) (registry.Status, error) {
		s, err := client.Status(ctx)
		return s.Status, err
	})
}

// copyOnce starts parent and child as they were before the copy.
func (b *bench) copyOnce(ctx context.Context, l *lineage) (time.Duration, error) {
	if err := errors.Join(copyFolder(l.parentHas, b.folder("parent")), copyFolder(l.childHas, b.folder("child"))); err != nil {
		return 0, err
	}
	if err := b.startNode(ctx, "parent", l.parent, l.parentRun); err != nil {
		return 0, err
	}
	defer l.parent.stop()
	began := time.Now()
	if err := b.startNode(ctx, "child", l.child, l.childRun); err != nil {
		return 0, err
	}
	defer l.child.stop()
	err := until(ctx, 10*time.Minute, func() (bool, error) {
		s, err := l.client.Status(ctx)
		return err == nil && len(s.Mirrors) == 1 && s.Mirrors[0].Identifiers == uint64(b.data), err
	})
	return time.Since(began), err
}

// primary starts the Knot that everything is transferred from; nil where it is not
// installed or not compared with.
func (b *bench) primary(ctx context.Context) (*nameServer, error) {
	if err := b.zone(); err != nil {
		return nil, err
	}
	for _, p := range b.against() {
		if p.name != "knot" {
			continue
		}
		servers, err := b.startPeers(ctx, "copy", []peer{p})
		if len(servers) == 0 {
			return nil, err
		}
		return servers[0], err
	}
	return nil, nil
}

// transferOnce starts a secondary that has nothing.
func (b *bench) transferOnce(ctx context.Context, primary *nameServer, round int) (time.Duration, error) {
	folder := b.folder("secondary" + strconv.Itoa(round))
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	text, err := configurations.ReadFile("conf/knot-secondary.conf")
	if err != nil {
		return 0, err
	}
	file := filepath.Join(folder, "knot.conf")
	filled := strings.NewReplacer("@PORT@", strconv.Itoa(port), "@PRIMARY@", strconv.Itoa(primary.port), "@FOLDER@", folder,
		"@ZONE@", strings.TrimSuffix(zoneName, ".")).Replace(string(text))
	if err := os.WriteFile(file, []byte(filled), 0o640); err != nil {
		return 0, err
	}
	s, err := startNameServer(ctx, "knot secondary", folder, anyCore, port, b.data, &b.queries, []string{b.installed("knotd"), "-c", file})
	if err != nil {
		return 0, err
	}
	defer s.stop()
	return s.took, nil
}

// delegateTo gives the prefix of the data to a holder of its own, with another node that
// answers for it.
func (b *local) delegateTo(ctx context.Context, child identifier.PublicKey, at *node) (holder, error) {
	h, err := newHolder(served)
	if err != nil {
		return h, err
	}
	h.delegation.Node = &identifier.Node{Name: "maker", Key: child, Addresses: []identifier.Address{
		{IP: "127.0.0.1", DNS: uint16(at.port), GRPC: uint16(at.grpc), HTTP: uint16(at.http)},
	}}
	payload, err := identifier.AppendDelegation(nil, h.delegation)
	if err == nil { // signed by who holds what lies above
		_, err = b.Delegate(ctx, identifier.Sign(identifier.DelegationType, payload, b.key))
	}
	return h, err
}

// makeNodeKey makes the key of a node that has not been started yet.
func makeNodeKey(folder string) (identifier.PrivateKey, error) {
	key, err := identifier.NewPrivateKey(rand.Reader)
	if err != nil {
		return key, err
	}
	text, err := key.MarshalPEM()
	if err == nil {
		err = os.MkdirAll(folder, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "node.key"), text, 0o600)
	}
	return key, err
}

// copyFolder makes a folder a copy of another.
func copyFolder(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.CopyFS(to, os.DirFS(from))
}

// until asks again and again, every few milliseconds, until the answer is yes.
func until(ctx context.Context, limit time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done within %v", limit))
	defer cancel()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
