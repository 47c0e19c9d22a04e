package rpc

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry"
)

// Watch sends entries as they come, and how far they go when none come. This
// goroutine sends; another follows the registry and hands over one entry at a time.
func (s *Server) Watch(m *proto.WatchRequest, stream proto.Registration_WatchServer) error {
	if err := s.options.MayWatch(stream.Context()); err != nil {
		return toStatus(err)
	}
	select {
	case s.watchers <- struct{}{}:
		defer func() { <-s.watchers }()
	default:
		return toStatus(&registry.Error{Kind: registry.Overloaded, Detail: fmt.Sprintf("%d watch already: try again later", cap(s.watchers))})
	}
	ctx, cancel := context.WithCancel(stream.Context())
	f := following{entries: make(chan registry.Logged), ended: make(chan struct{})}
	go f.run(ctx, s.registry, m.GetFrom())
	defer func() {
		cancel()
		<-f.ended
	}()
	return s.sendEntries(ctx, &f, m.GetFrom(), stream)
}

// following is one watcher's way through the log.
type following struct {
	entries chan registry.Logged
	ended   chan struct{} // closed when err is set
	err     error
	// panicked is what the registry panicked with, and where.
	panicked any
	stack    []byte
}

func (f *following) run(ctx context.Context, r Registry, from uint64) {
	defer close(f.ended)
	defer func() {
		if f.panicked = recover(); f.panicked != nil {
			f.stack = debug.Stack()
		}
	}()
	f.err = r.Watch(ctx, from, func(l registry.Logged) error {
		select {
		case f.entries <- l:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// sendEntries sends what the follower hands over, until one of the two ends.
func (s *Server) sendEntries(ctx context.Context, f *following, next uint64, stream proto.Registration_WatchServer) error {
	if err := s.sendProgress(ctx, next, stream); err != nil {
		return err
	}
	quiet := time.NewTicker(s.options.Progress)
	defer quiet.Stop()
	for {
		select {
		case l := <-f.entries:
			m := &proto.WatchResponse{Event: &proto.WatchResponse_Entry{Entry: proto.EntryToProto(l.Position, l.Entry)}}
			if err := stream.Send(m); err != nil {
				return err
			}
			next = l.Position + 1
			quiet.Reset(s.options.Progress)
		case <-quiet.C:
			if err := s.sendProgress(ctx, next, stream); err != nil {
				return err
			}
		case <-s.draining:
			return errDraining()
		case <-f.ended:
			if f.panicked != nil {
				panic(fmt.Sprintf("%v\n\nin a watcher:\n%s", f.panicked, f.stack))
			}
			if err := stream.Context().Err(); err != nil {
				return err
			}
			if f.err == nil {
				f.err = &registry.Error{Kind: registry.Unavailable, Detail: "the node ended the watch: come back"}
			}
			return toStatus(f.err)
		}
	}
}

func (s *Server) sendProgress(ctx context.Context, next uint64, stream proto.Registration_WatchServer) error {
	status, err := s.registry.Status(ctx)
	if err != nil {
		return toStatus(err)
	}
	return stream.Send(&proto.WatchResponse{Event: &proto.WatchResponse_Progress{Progress: &proto.Progress{
		Log: proto.LogToProto(status.Log), Next: next, Size: status.Position,
	}}})
}

// Watch calls yield for every entry of the node's log from a position on, as
// [registry.Registry.Watch] does: it returns nil when ctx ends, what yield returns
// when that is an error, and otherwise a [*registry.Error].
func (c *Client) Watch(ctx context.Context, from uint64, yield func(registry.Logged) error) error {
	return c.WatchProgress(ctx, from, yield, func(Progress) error { return nil })
}

// WatchProgress is Watch that also tells how far it has got: first of all, and then
// whenever nothing else has come for a while. When the connection ends it goes on over
// another, unless that brings nothing new, or the node has another log by then.
func (c *Client) WatchProgress(ctx context.Context, from uint64, yield func(registry.Logged) error, progress func(Progress) error) error {
	w := watch{service: c.service, next: from, yield: yield, progress: progress}
	for {
		before, began := w.next, time.Now()
		err := w.follow(ctx)
		var stop *stopped
		switch {
		case errors.As(err, &stop):
			return stop.err
		case ctx.Err() != nil:
			return nil
		}
		e, _ := fromStatus(ctx, err)
		if e.Kind != registry.Unavailable || w.next == before && time.Since(began) < patience {
			return e
		}
	}
}

// patience is how long a connection must have lasted for another one to be tried when
// it brought nothing.
const patience = time.Minute

// watch is a client's way through a log, over any number of connections.
type watch struct {
	service  proto.RegistrationClient
	next     uint64
	known    bool // the progress below has been told
	last     Progress
	yield    func(registry.Logged) error
	progress func(Progress) error
}

// stopped is an error that ends a watch for good.
type stopped struct{ err error }

func (e *stopped) Error() string { return e.err.Error() }

func unusable(format string, args ...any) error {
	return &stopped{&registry.Error{Kind: registry.Unavailable, Detail: fmt.Sprintf(format, args...)}}
}

// follow watches over one connection.
func (w *watch) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.service.Watch(ctx, &proto.WatchRequest{From: w.next})
	if err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		switch event := m.GetEvent().(type) {
		case *proto.WatchResponse_Entry:
			err = w.entry(event.Entry)
		case *proto.WatchResponse_Progress:
			err = w.note(event.Progress)
		}
		if err != nil {
			return err
		}
	}
}

func (w *watch) entry(m *proto.LoggedEntry) error {
	position, entry, err := proto.EntryFromProto(m)
	if err != nil {
		return unusable("entry %d cannot be read: %v", m.GetPosition(), err)
	}
	if position != w.next {
		return unusable("the node sent entry %d instead of entry %d", position, w.next)
	}
	if err := w.yield(registry.Logged{Position: position, Entry: entry}); err != nil {
		return &stopped{err}
	}
	w.next++
	return nil
}

func (w *watch) note(m *proto.Progress) error {
	p, err := progressFromProto(m)
	if err != nil {
		return unusable("the node's progress cannot be read: %v", err)
	}
	if w.known && p.Log != w.last.Log {
		return unusable("the node has another log now, %v instead of %v: watch it from its beginning", p.Log, w.last.Log)
	}
	p.Next, w.known = w.next, true
	w.last = p
	if err := w.progress(p); err != nil {
		return &stopped{err}
	}
	return nil
}
