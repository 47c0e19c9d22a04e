package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/history"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/registry/replica"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
)

// askedFor is how long the start of a node waits for those who may hold another log of it:
// those below it, and its operator, are to see it soon. One that was restored goes on asking
// while it runs ([askAgain]).
const askedFor = 2 * time.Second

// openRegistry opens the node's registry. A log that has nothing in it, or was restored, may
// not be the one that counts above: then that is adopted first. Where nobody can be asked
// the node goes on with what it has, and is told later: asked is false where it must not say
// Hello before its parent had an answer.
func openRegistry(c *Config, r registry.Config) (opened *registry.Registry, asked bool, err error) {
	opened, err = registry.Open(r)
	if err != nil || !opened.Due() && !opened.Lacks() {
		return opened, true, err
	}
	if !opened.Due() {
		return openLacking(context.Background(), c, r, opened)
	}
	opened, err = openDue(context.Background(), c, r, opened)
	return opened, true, err
}

// openDue continues the log of a top-level node that has healed as another one.
func openDue(ctx context.Context, c *Config, r registry.Config, opened *registry.Registry) (*registry.Registry, error) {
	whole := recall(ctx, c, opened, r.Log)
	if err := opened.Close(); err != nil {
		return nil, err
	}
	if !whole {
		// It asks the others once more for its own log, and comes back here.
		if err := r.NotDue(); err != nil {
			return nil, err
		}
		return registry.Open(r)
	}
	told, err := r.Resolve(ctx, nil, "", func(h *registry.Handed) error {
		if h == nil {
			return nil
		}
		return errors.New("an entry of this log does not follow on those before it: run 'nameplate check' on the folder: " + h.Reason)
	})
	if err != nil {
		return nil, err
	}
	r.Log.Warn("the log is continued as another one after a restore", "log", told.Log, "before", told.Before, "entries", told.Entries)
	return registry.Open(r)
}

// openLacking lets a node that may lack entries begin with the log that counts above.
func openLacking(ctx context.Context, c *Config, r registry.Config, opened *registry.Registry) (*registry.Registry, bool, error) {
	adopt, err := adoptable(ctx, c, opened)
	if err != nil || adopt == nil {
		return joined(ctx, c, r, opened)
	}
	defer adopt.Close()
	if err := opened.Close(); err != nil {
		return nil, true, err
	}
	if err := r.Adopt(ctx, adopt); err != nil {
		return nil, true, err
	}
	opened, err = registry.Open(r)
	return opened, true, err
}

// recall lets a top-level node that was restored, and has its own log whole, take what the
// others hold of the logs of its children, before it lets any of these in. It reports whether
// so many had an answer as cannot all be without an entry that was anchored.
func recall(ctx context.Context, c *Config, opened *registry.Registry, log *slog.Logger) bool {
	uppers, err := c.uppers(opened.Signer())
	if err != nil || len(uppers) == 0 {
		return true // as it is configured now it has nobody to ask
	}
	answered := 0
	for _, u := range uppers {
		if recallAll(ctx, opened, u, log) {
			answered++
		}
		u.Close()
	}
	return answered >= replica.NewRecovery(len(uppers)).Need()
}

// recallAll takes what another top-level node holds of the logs of all children. It reports
// whether that had an answer for each. One that is of no use is an answer: what is missing is
// then reported when the child comes.
func recallAll(ctx context.Context, opened *registry.Registry, u *registryrpc.Upper, log *slog.Logger) bool {
	for _, child := range opened.Children() {
		asking, cancel := context.WithTimeout(ctx, recallTime)
		entries, err := opened.Recall(asking, child, u.Child(child))
		cancel()
		if entries > 0 {
			log.Info("another top-level node gave back entries of a child's log", "peer", u.Key(), "child", child, "entries", entries)
		}
		if err == nil || errors.Is(err, history.ErrNotMirrored) {
			continue
		}
		log.Warn("what another top-level node holds of a child's log did not come back", "peer", u.Key(), "child", child, "error", err)
		if _, told := status.FromError(err); told {
			return false
		}
	}
	return true
}

// joined returns the registry of a node that was restored from a backup of another history
// than its parent holds, with what the parent holds first, and then what the backup has.
// Where some of that collides the node goes on as it is: its parent then takes it for a fork,
// which an operator resolves. asked is false when the parent had no answer yet.
func joined(ctx context.Context, c *Config, r registry.Config, opened *registry.Registry) (_ *registry.Registry, asked bool, err error) {
	if c.Parent.Address == "" {
		return opened, true, nil // others are asked while it runs
	}
	uppers, err := c.uppers(opened.Signer())
	if err != nil {
		return opened, true, nil // it says so when it connects
	}
	defer uppers[0].Close()
	contradicted, asked, err := contradicts(ctx, opened, uppers[0])
	if err != nil || !contradicted {
		return opened, asked, nil
	}
	if err := opened.Close(); err != nil {
		return nil, true, err
	}
	told, err := r.Resolve(ctx, uppers[0], "", func(h *registry.Handed) error {
		if h == nil {
			return nil
		}
		return errors.New("what it has collides with that, so an operator is asked: " + h.Reason)
	})
	asked = err == nil || !later(err)
	if err != nil {
		r.Log.Warn("the backup is of another history than the one that is held above", "error", err)
	} else {
		r.Log.Warn("the backup was of another history than the one that is held above: the log is continued as another one, with what both have",
			"log", told.Log, "before", told.Before, "above", told.Upper, "node", told.Own)
	}
	opened, err = registry.Open(r)
	return opened, asked, err
}

// contradicts asks the parent whether it holds another history than the node has. asked is
// false when it had no answer.
func contradicts(ctx context.Context, r *registry.Registry, parent *registryrpc.Upper) (contradicted, asked bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askedFor)
	defer cancel()
	contradicted, err = r.Contradicted(ctx, parent)
	return contradicted, err == nil || !later(err), err
}

// later reports whether another node may have an answer later.
func later(err error) bool {
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded)
}

// askEvery is how long a node waits before it asks its parent once more.
const askEvery = time.Second

// askAgain asks the parent of a node that was restored what it holds, for as long as it has no
// answer, and tells why it has none. The node takes no changes and answers nothing meanwhile,
// and says no Hello: its parent would take for a fork what is a backup of a history that was
// given up. When it is, the node begins again, and joins the two.
func askAgain(ctx context.Context, c *Config, r *registry.Registry, tell func(why string)) error {
	uppers, err := c.uppers(r.Signer())
	if err != nil {
		return nil // it says so when it connects
	}
	defer uppers[0].Close()
	for {
		contradicted, asked, err := contradicts(ctx, r, uppers[0])
		switch {
		case contradicted:
			r.BeginAgain()
			<-ctx.Done() // and no Hello is said
			return nil
		case asked:
			tell("")
			return nil
		}
		tell("it is asked what it holds before anything is sent: " + err.Error())
		select {
		case <-time.After(askEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

// adoptable returns who holds a log of this node that it should adopt; nil when nobody does.
func adoptable(ctx context.Context, c *Config, r *registry.Registry) (*registryrpc.Upper, error) {
	ctx, cancel := context.WithTimeout(ctx, askedFor)
	defer cancel()
	uppers, err := c.uppers(r.Signer())
	if err != nil {
		return nil, err
	}
	holds, answered := make([]bool, len(uppers)), make([]bool, len(uppers))
	done := make(chan int, len(uppers))
	for i, u := range uppers {
		go func() {
			held, err := u.Mirrored(ctx, 0)
			holds[i], answered[i] = err == nil && r.Adopts(held), registryrpc.Answered(err)
			done <- i
		}()
	}
	var found *registryrpc.Upper
	for range uppers {
		if i := <-done; found == nil && holds[i] {
			found = uppers[i]
		}
	}
	if found == nil && slices.Contains(answered, true) {
		r.Settle()
	}
	for _, u := range uppers {
		if u != found {
			err = errors.Join(err, u.Close())
		}
	}
	return found, err
}

// uppers returns those that hold this node's log: its parent, or the other top-level nodes.
func (c *Config) uppers(signer identifier.PrivateKey) (all []*registryrpc.Upper, err error) {
	identity := proto.NewIdentity(signer)
	add := func(address string, key identifier.PublicKey) {
		u, failed := registryrpc.NewUpper(address, key, grpc.WithTransportCredentials(identity.Client(key)))
		if failed != nil {
			err = errors.Join(err, failed)
			return
		}
		all = append(all, u)
	}
	if c.Parent.Address != "" {
		add(c.Parent.Address, c.Parent.Key)
		return all, err
	}
	for i := range c.Peers {
		if c.Peers[i].mirrors() {
			add(c.Peers[i].grpc(), c.Peers[i].Key)
		}
	}
	return all, err
}

// Resolve continues the log of the node with this configuration as another one, in which
// the histories of this node and of its parent are joined, or of a top-level node those of
// this node and of the others; see [registry.Config.Resolve]. The node must not run.
func Resolve(ctx context.Context, c Config, log *slog.Logger, file string, handed func(*registry.Handed) error) (registry.Resolution, error) {
	signer, err := registry.NodeKey(c.Data)
	if err != nil {
		return registry.Resolution{}, err
	}
	uppers, err := c.uppers(signer)
	if err != nil {
		return registry.Resolution{}, err
	}
	defer func() {
		for _, u := range uppers {
			u.Close()
		}
	}()
	r := registry.Config{Folder: c.Data, Anchor: c.Anchor, Parent: c.Parent.Key, Log: log}
	r.Journal.SegmentSize = int64(c.Journal.Segment)
	return resolveOn(ctx, c, uppers, r, file, handed)
}

// resolveOn is [Resolve] with a registry's configuration, and with who holds copies of the
// log.
func resolveOn(ctx context.Context, c Config, uppers []*registryrpc.Upper, r registry.Config, file string, handed func(*registry.Handed) error) (registry.Resolution, error) {
	if len(uppers) == 0 {
		return registry.Resolution{}, errors.New("this node has neither a parent nor other top-level nodes: name the one that holds the other history with --parent-address and --parent-key, or peers in the configuration file")
	}
	var upper history.Upper = uppers[0]
	if c.Parent.Address == "" {
		others := make([]history.Upper, len(uppers))
		for i, u := range uppers {
			others[i] = u
		}
		var err error
		if upper, err = r.OtherHistory(ctx, others); err != nil {
			return registry.Resolution{}, err
		}
	}
	return r.Resolve(ctx, upper, file, handed)
}
