package node_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/journal"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// deaf is the log of a node that does not log what takes its holder's key away.
type deaf struct {
	*registry.Source
	on atomic.Bool
}

func (d *deaf) AcceptGrant(ctx context.Context, e identifier.Envelope) error {
	if d.on.Load() {
		return nil
	}
	return d.Source.AcceptGrant(ctx, e)
}

// A node that goes on with a key which the node above has revoked, over a stream that it
// holds open, is fenced in within a minute: what the key signs from then on does not count
// at its parent. Until then it does, which is the control.
func TestRevokedAtADeafNode(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for heartbeats")
	}
	t.Parallel()
	top := runNode(t, nodeConfig(t, "top"))
	r, err := registry.Open(registry.Config{Folder: t.TempDir(), Parent: top.key.Public(), Journal: journal.Options{SegmentSize: 2 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	source := &deaf{Source: r.Source()}
	child, err := registryrpc.NewChild(registryrpc.ChildConfig{
		Source: source, Owner: r.Key(), Signer: r.Signer(), Verify: journal.VerifyCheckpoint, Address: top.at.GRPC[0], Parent: top.key.Public(),
		Log: slog.New(slog.DiscardHandler), Secure: true,
		Dial: []grpc.DialOption{grpc.WithTransportCredentials(proto.NewIdentity(r.Signer()).Client(top.key.Public()))},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- r.Run(ctx) }()
	go func() { done <- child.Run(ctx) }()
	defer func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()

	stolen, fresh := newHolder(t), newHolder(t)
	payload, err := identifier.AppendDelegation(nil, &identifier.Delegation{
		Prefix: "88.118", Epoch: 1, Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{stolen.Public()}},
		Node: &identifier.Node{Name: "maker", Key: r.Key(), Addresses: []identifier.Address{{IP: "127.0.0.1", GRPC: 2640}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := top.Delegate(t.Context(), identifier.Sign(identifier.DelegationType, payload, top.key)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child answers for its prefix", func() bool { return r.Holder("88.118") != nil })
	count := 0
	put := func() {
		t.Helper()
		count++
		id := identifier.ID{Prefix: "88.118", Suffix: fmt.Sprintf("sn-%d", count)}
		c, err := identifier.SignChange(identifier.Header{Prefix: "88.118", Epoch: 1, KeysetVersion: 1, Expiry: time.Now().Add(time.Hour).Truncate(time.Second)},
			[]identifier.Row{identifier.NextRow(id, nil)}, nil, stolen)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Register(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	mirrored := func() (size, bad uint64) {
		s, err := top.Status(t.Context())
		if err != nil || len(s.Mirrors) != 1 {
			return 0, 0
		}
		return s.Mirrors[0].Size, s.Mirrors[0].Bad
	}
	put()
	source.on.Store(true)
	payload, err = identifier.AppendKeysetChange(nil, &identifier.KeysetChange{
		Prefix: "88.118", Epoch: 1, Keyset: identifier.Keyset{Version: 2, Threshold: 1, Keys: []identifier.PublicKey{fresh.Public()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := top.Delegate(t.Context(), identifier.Sign(identifier.KeysetType, payload, top.key)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	put()
	want, _ := source.Growth()
	eventually(t, "the parent has what the child went on with", func() bool { size, _ := mirrored(); return size >= want })
	if _, bad := mirrored(); bad != 0 {
		t.Errorf("%d entries are marked before the child has had its time", bad)
	}
	for {
		put()
		if _, bad := mirrored(); bad > 0 {
			break
		}
		if time.Since(began) > aMinute {
			t.Fatalf("after a minute the key still counts, of %d entries", count)
		}
		time.Sleep(200 * time.Millisecond)
	}
	s, err := top.Status(t.Context())
	if err != nil || len(s.Mirrors) != 1 || len(s.Mirrors[0].Fences) != 1 {
		t.Fatalf("status %+v, %v: want one fence", s.Mirrors, err)
	}
	if f := s.Mirrors[0].Fences[0]; f.Prefix != "88.118" || f.Keyset != 2 || f.Epoch != 1 || f.Since.Before(began.Add(-time.Second)) || f.Position >= s.Position {
		t.Errorf("fence %+v", f)
	}
	if text := scraped(t, top.at.HTTP[0]); !strings.Contains(text, fmt.Sprintf("nameplate_mirror_fences{log=%q} 1\n", s.Mirrors[0].Log)) {
		t.Errorf("/metrics does not tell of the fence:\n%s", text)
	}
	t.Logf("fenced in %v after it was revoked", time.Since(began).Round(time.Millisecond))
	_, before := mirrored()
	for range 5 {
		put()
	}
	eventually(t, "all that follows is marked", func() bool { size, bad := mirrored(); tip, _ := source.Growth(); return size == tip && bad >= before+5 })
}

// scraped returns what a node tells at /metrics.
func scraped(t *testing.T, at string) string {
	t.Helper()
	response, err := http.Get("http://" + at + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func newHolder(t *testing.T) identifier.PrivateKey {
	t.Helper()
	k, err := identifier.NewPrivateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
