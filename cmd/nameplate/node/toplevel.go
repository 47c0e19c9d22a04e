package node

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// topLevel is another top-level node, to which this one sends its own log and those of its
// children: one stream for each log.
type topLevel struct {
	name    string
	key     identifier.PublicKey
	address string
	logs    *registry.Peer
	own     *registryrpc.Child
	begin   func(registryrpc.Source, identifier.PublicKey, identifier.Policy) (*registryrpc.Child, error)

	mu     sync.Mutex
	relays map[uint32]*relay // by the numbers of the mirrors that are sent
}

// relay is the stream of a child's log.
type relay struct {
	*registryrpc.Child
	log  identifier.LogID
	stop context.CancelFunc
}

// newTopLevel returns one that begin opens streams to, of a log that is signed with a key.
func newTopLevel(root *Root, r *registry.Registry, begin func(registryrpc.Source, identifier.PublicKey, identifier.Policy) (*registryrpc.Child, error)) (*topLevel, error) {
	p := &topLevel{name: root.Name, key: root.Key, address: root.grpc(), logs: r.Peer(root.Key), begin: begin, relays: make(map[uint32]*relay)}
	var err error
	p.own, err = begin(p.logs.Source(), r.Key(), identifier.PolicyMirror)
	return p, err
}

// grpc returns where the node takes in logs; "" for nowhere.
func (r *Root) grpc() string {
	for _, a := range r.Addresses {
		if a.GRPC != 0 {
			return net.JoinHostPort(a.IP, strconv.Itoa(int(a.GRPC)))
		}
	}
	return ""
}

// relayEvery is how often a node looks for children whose logs its peers have not.
const relayEvery = time.Second

// run sends logs until ctx ends.
func (p *topLevel) run(ctx context.Context) error {
	var streams sync.WaitGroup
	defer streams.Wait()
	streams.Go(func() { _ = p.own.Run(ctx) }) // it never fails
	ticker := time.NewTicker(relayEvery)
	defer ticker.Stop()
	for {
		if err := p.follow(ctx, &streams); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// follow begins the streams of logs that count, and ends those of logs that were continued
// as others, or of which something else is kept now.
func (p *topLevel) follow(ctx context.Context, streams *sync.WaitGroup) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := map[uint32]bool{}
	for _, log := range p.logs.Relays() {
		counts[log.Number()] = true
		if p.relays[log.Number()] != nil {
			continue
		}
		c, err := p.begin(log, log.Owner(), log.Policy())
		if err != nil {
			return err
		}
		ctx, stop := context.WithCancel(ctx)
		p.relays[log.Number()] = &relay{Child: c, log: log.LogID(), stop: stop}
		streams.Go(func() { _ = c.Run(ctx) }) // it never fails
	}
	for number, r := range p.relays {
		if !counts[number] {
			r.stop()
			delete(p.relays, number)
		}
	}
	return nil
}

// status tells how far the peer has this node's logs.
func (p *topLevel) status() registryrpc.PeerStatus {
	s := p.own.Status()
	told := registryrpc.PeerStatus{Name: p.name, Key: p.key, Upstream: upstreamOf(s)}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.relays {
		s := c.Status()
		told.Relays = append(told.Relays, registryrpc.RelayStatus{Log: c.log, Connected: s.Connected, Size: s.Synced, Acknowledged: s.Acked})
	}
	return told
}

// mirrors reports whether this node and another top-level node mirror one another: the
// other must be known by its key, and where it takes in logs.
func (r *Root) mirrors() bool { return r.Key != (identifier.PublicKey{}) && r.grpc() != "" }

// peerKeys returns the node keys of the other top-level nodes that mirror this one.
func (c *Config) peerKeys() (keys []identifier.PublicKey) {
	for i := range c.Peers {
		if c.Peers[i].mirrors() {
			keys = append(keys, c.Peers[i].Key)
		}
	}
	return keys
}
