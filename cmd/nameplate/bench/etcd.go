//go:build linux

package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"
)

// etcd is one member of etcd, with its defaults.
type etcd struct {
	*process
	connections []*grpc.ClientConn
	used        fresh
}

// etcdPeer is an etcd that may be installed.
type etcdPeer struct{ name, path string }

// etcds are the one that "make bench-peers" builds, and Debian's.
func (b *bench) etcds() []etcdPeer {
	built, packaged := b.installed("etcd"), ""
	if path := "/usr/bin/etcd"; path != built && (&bench{}).installed("etcd") == path {
		packaged = path
	}
	if built == "/usr/bin/etcd" {
		built, packaged = "", built
	}
	return []etcdPeer{{"etcd", built}, {"etcd-debian", packaged}}
}

func (b *bench) startEtcd(ctx context.Context, p etcdPeer) (*etcd, error) {
	client, err := freePort()
	if err != nil {
		return nil, err
	}
	peer, err := freePort()
	if err != nil {
		return nil, err
	}
	address, peers := "http://"+loopback(client), "http://"+loopback(peer)
	e := &etcd{}
	e.process, err = start(ctx, p.name, b.folder("logs"), anyCore, listens(client), p.path,
		"--name", "m0", "--data-dir", b.folder(p.name), "--listen-client-urls", address, "--advertise-client-urls", address,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "m0="+peers, "--log-level", "error")
	if err != nil {
		return nil, err
	}
	for range grpcConnections {
		conn, err := grpc.NewClient(loopback(client), grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(octetCodec{}), grpc.WaitForReady(true)))
		if err != nil {
			e.stop()
			return nil, err
		}
		e.connections = append(e.connections, conn)
	}
	return e, nil
}

func (e *etcd) stop() {
	for _, c := range e.connections {
		c.Close()
	}
	e.process.stop()
}

// put puts single rows from 64 callers.
func (e *etcd) put(ctx context.Context, limit time.Duration) (float64, error) {
	all, err := pairs(e.used.scattered(int(40_000 * limit.Seconds())))
	if err != nil {
		return 0, err
	}
	var next, done atomic.Int64
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for caller := range 64 {
		conn := e.connections[caller%len(e.connections)]
		g.Go(func() error {
			for time.Since(began) < limit {
				p := all[int(next.Add(0x9e3779b1))%len(all)] // they are sorted: take them anywhere
				var answer []byte
				if err := conn.Invoke(ctx, "/etcdserverpb.KV/Put", putRequest(p), &answer); err != nil {
					return fmt.Errorf("%s: %w", e.name, err)
				}
				done.Add(1)
			}
			return nil
		})
	}
	err = g.Wait()
	return float64(done.Load()) / time.Since(began).Seconds(), err
}

// putRequest is a PutRequest of etcd's API: key is field 1, value field 2.
func putRequest(p pair) []byte {
	m := protowire.AppendTag(nil, 1, protowire.BytesType)
	m = protowire.AppendBytes(m, p.key)
	m = protowire.AppendTag(m, 2, protowire.BytesType)
	return protowire.AppendBytes(m, p.value)
}

// octetCodec carries messages that are encoded already.
type octetCodec struct{}

func (octetCodec) Name() string { return "proto" }

func (octetCodec) Marshal(v any) ([]byte, error) { return v.([]byte), nil }

func (octetCodec) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), b...)
	return nil
}
