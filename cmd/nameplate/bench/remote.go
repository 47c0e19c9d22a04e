//go:build linux

package bench

import (
	"context"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// grpcConnections is over how many connections callers register.
const grpcConnections = 8

// remote is a node in a process of its own, on all processors, that takes changes.
type remote struct {
	*node
	target
	clients []*registryrpc.Client
}

// serveRemote starts a node over the folder of a registry that was closed.
func (b *bench) serveRemote(ctx context.Context, name, folder string, h *holder, before int) (*remote, error) {
	if b.queries.size == 0 {
		b.queries = data(1).queries()
	}
	n, err := b.serve(ctx, folder, anyCore)
	if err != nil {
		return nil, err
	}
	r := &remote{node: n}
	for range grpcConnections {
		c, err := registryrpc.NewClient(loopback(n.grpc), registryrpc.ClientOptions{})
		if err != nil {
			r.stop()
			return nil, err
		}
		r.clients = append(r.clients, c)
	}
	r.target = target{
		name: name, holder: h, before: before,
		register: func(ctx context.Context, caller int, c *identifier.Change) error {
			_, err := r.clients[caller%grpcConnections].Register(ctx, c)
			return err
		},
		status: func(ctx context.Context) (registry.Status, error) {
			s, err := r.clients[0].Status(ctx)
			return s.Status, err
		},
	}
	return r, nil
}

func (r *remote) stop() {
	for _, c := range r.clients {
		c.Close()
	}
	r.node.stop()
}

// newRemote begins a registry with rows of its own and one identifier to ask for, so
// that the start of the node is noticed, and serves it.
func (b *bench) newRemote(ctx context.Context, name, folder string, base [][]identifier.Row) (*remote, error) {
	l, err := newLocal(ctx, folder)
	if err != nil {
		return nil, err
	}
	count := 0
	for _, rows := range append(base, []identifier.Row{row(b.data.id(0), b.data.link(0))}) {
		c, err := l.sign(rows)
		if err == nil {
			_, err = l.Register(ctx, c)
		}
		if err != nil {
			_ = l.stop()
			return nil, err
		}
		count += len(rows)
	}
	if err := settled(ctx, count, l.Status); err != nil {
		_ = l.stop()
		return nil, err
	}
	if err := l.stop(); err != nil {
		return nil, err
	}
	return b.serveRemote(ctx, name, folder, &l.holder, count)
}

// remoteRegistrations measures registration over gRPC, beside puts into etcd.
func (b *bench) remoteRegistrations(ctx context.Context) error {
	r, err := b.newRemote(ctx, "register over grpc", b.folder("remote"), nil)
	if err != nil {
		return err
	}
	defer r.stop()
	ways := writings()
	for _, w := range ways {
		if w.name != manyWriters {
			continue
		}
		for _, p := range b.etcds() {
			if !b.compares(p.name) {
				continue
			}
			against := &rival{name: p.name, note: "the peer: puts of the same octets into one member"}
			w.rivals = append(w.rivals, against)
			if p.path == "" {
				continue
			}
			e, err := b.startEtcd(ctx, p)
			if err != nil {
				return err
			}
			defer e.stop()
			against.write = e.put
		}
	}
	return b.registrationRounds(ctx, &r.target, ways)
}
