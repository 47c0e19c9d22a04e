//go:build linux

package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// local is a registry that runs in this process, with somebody who holds a prefix.
type local struct {
	*registry.Registry
	holder
	node identifier.PrivateKey
	stop func() error
}

// holder signs what is registered.
type holder struct {
	key        identifier.PrivateKey
	delegation *identifier.Delegation
}

// everything is the prefix above all identifiers of the bench.
const everything identifier.Prefix = "88.118"

// newLocal begins a registry in a folder and delegates the prefix above everything.
func newLocal(ctx context.Context, folder string) (*local, error) {
	r, err := registry.Open(registry.Config{Folder: folder})
	if err != nil {
		return nil, err
	}
	running, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(running) }()
	b := &local{Registry: r, stop: func() error {
		end()
		return errors.Join(<-ended, r.Close())
	}}
	if err := b.delegate(ctx, folder, everything); err != nil {
		return nil, errors.Join(err, b.stop())
	}
	return b, nil
}

func (b *local) delegate(ctx context.Context, folder string, p identifier.Prefix) error {
	text, err := os.ReadFile(filepath.Join(folder, "node.key"))
	if err != nil {
		return err
	}
	if b.node, err = identifier.ParsePrivateKeyPEM(text); err != nil {
		return err
	}
	if b.holder, err = newHolder(p); err != nil {
		return err
	}
	return b.put(ctx, b.delegation)
}

// put delegates by the node's own key.
func (b *local) put(ctx context.Context, d *identifier.Delegation) error {
	payload, err := identifier.AppendDelegation(nil, d)
	if err != nil {
		return err
	}
	_, err = b.Delegate(ctx, identifier.Sign(identifier.DelegationType, payload, b.node))
	return err
}

// newHolder makes a key and the first delegation to it.
func newHolder(p identifier.Prefix) (holder, error) {
	key, err := identifier.NewPrivateKey(rand.Reader)
	return holder{key: key, delegation: &identifier.Delegation{Prefix: p, Epoch: 1,
		Keyset: identifier.Keyset{Version: 1, Threshold: 1, Keys: []identifier.PublicKey{key.Public()}}}}, err
}

// settled waits until the state has taken over so many identifiers. Offsets do not
// tell: the journal also syncs what has no effect.
func settled(ctx context.Context, identifiers int, status func(context.Context) (registry.Status, error)) error {
	for {
		s, err := status(ctx)
		if err != nil || s.Identifiers >= uint64(identifiers) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (h *holder) sign(rows []identifier.Row) (*identifier.Change, error) {
	return identifier.SignChange(identifier.Header{
		Prefix: h.delegation.Prefix, Epoch: h.delegation.Epoch, KeysetVersion: h.delegation.Keyset.Version,
		Expiry: time.Now().Add(time.Hour),
	}, rows, nil, h.key)
}

// signAll signs n changes side by side; rows gives those of one.
func (h *holder) signAll(ctx context.Context, n int, rows func(i int) []identifier.Row) ([]*identifier.Change, error) {
	changes := make([]*identifier.Change, n)
	workers := runtime.GOMAXPROCS(0)
	g, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		g.Go(func() error {
			for i := w; i < n; i += workers {
				var err error
				if changes[i], err = h.sign(rows(i)); err != nil {
					return err
				}
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
			}
			return nil
		})
	}
	return changes, g.Wait()
}

// fresh makes identifiers that have not been used before.
type fresh struct{ used uint64 }

// inOrder returns the next identifiers in ascending order.
func (f *fresh) inOrder(n int) []identifier.Row {
	rows := make([]identifier.Row, n)
	for i := range rows {
		f.used++
		rows[i] = freshRow("88.118.8", f.used)
	}
	return rows
}

// scattered returns the next identifiers, which lie anywhere among all others, each
// batch in ascending order.
func (f *fresh) scattered(n int) []identifier.Row {
	rows := make([]identifier.Row, n)
	for i := range rows {
		f.used++
		rows[i] = freshRow("88.118.9", f.used*0x9e3779b97f4a7c15) // odd: no number comes twice
	}
	sortRows(rows)
	return rows
}

func freshRow(p identifier.Prefix, number uint64) identifier.Row {
	serial := fmt.Sprintf("%020d", number)
	return row(identifier.ID{Prefix: p, Suffix: serial}, linkOf(serial[7:]))
}
