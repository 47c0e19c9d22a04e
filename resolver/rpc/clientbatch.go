package rpc

import (
	"context"
	"iter"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver"
)

const (
	// messageCount and messageSize are how many identifiers, and about how many
	// octets of them, go into one message.
	messageCount = 1000
	messageSize  = 256 << 10
	// messagesAhead is how many messages are sent before the results of the first
	// have been read.
	messagesAhead = 4
)

// Result is what came of one identifier of a batch.
type Result struct {
	ID     identifier.ID
	Answer resolver.Answer
	// Err says why there is no answer; a [*resolver.Error] or nil.
	Err error
}

// ResolveBatch asks for many identifiers over one stream and returns the results in
// their order. The selection is a query whose identifier and hash are not looked at;
// it holds for all. When the second value is not nil, a [*resolver.Error], the stream
// has broken and no more results come. Without a deadline in ctx there is none.
//
// ids is read in a goroutine of its own, at most a few thousand identifiers ahead of
// the results; that goroutine has ended when the sequence has.
func (c *Client) ResolveBatch(ctx context.Context, selection resolver.Query, ids iter.Seq[identifier.ID]) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		stream, err := c.service.ResolveBatch(ctx)
		if err != nil {
			yield(Result{}, fromStatus(ctx, err))
			cancel(nil)
			return
		}
		asked := make(chan []identifier.ID, messagesAhead)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer close(asked)
			sendQueries(ctx, stream, &selection, ids, asked)
		}()
		defer func() {
			cancel(errStopped)
			<-ended
		}()
		b := batch{stream: stream, selection: &selection, asked: asked, yield: yield}
		if err := b.read(ctx); err != nil {
			yield(Result{}, err)
		}
	}
}

// sendQueries sends the identifiers in messages and tells the reader which they
// are. When sending fails, receiving says why.
func sendQueries(ctx context.Context, stream proto.Resolution_ResolveBatchClient, selection *resolver.Query, ids iter.Seq[identifier.ID], asked chan<- []identifier.ID) {
	m := &proto.ResolveBatchRequest{Form: proto.Form_FORM_CANONICAL, Selection: selectionToProto(selection)}
	var waiting []identifier.ID
	size := 0
	flush := func() bool {
		select {
		case asked <- waiting:
		case <-ctx.Done():
			return false
		}
		err := stream.Send(m)
		m.Identifiers, waiting, size = nil, nil, 0
		return err == nil
	}
	for id := range ids {
		text := id.String()
		m.Identifiers = append(m.Identifiers, text)
		waiting = append(waiting, id)
		if size += len(text); len(waiting) < messageCount && size < messageSize {
			continue
		}
		if !flush() {
			return
		}
	}
	if len(waiting) > 0 && !flush() {
		return
	}
	_ = stream.CloseSend() // it never fails
}

// batch is the reading side of a stream.
type batch struct {
	stream    proto.Resolution_ResolveBatchClient
	selection *resolver.Query
	asked     <-chan []identifier.ID
	waiting   []identifier.ID // asked and not answered yet
	yield     func(Result, error) bool
}

// read passes results on until the stream ends. It returns nil when the caller wants
// no more.
func (b *batch) read(ctx context.Context) error {
	for {
		m, err := b.stream.Recv()
		if isEOF(err) {
			return b.end()
		}
		if err != nil {
			return fromStatus(ctx, err)
		}
		for _, r := range m.GetResults() {
			if !b.next() {
				return &resolver.Error{Kind: resolver.Unavailable, Detail: "the node sent more results than it was asked for"}
			}
			if !b.yield(b.result(r), nil) {
				return nil
			}
			b.waiting = b.waiting[1:]
		}
	}
}

// next makes sure that the identifier which the next result is for stands first in
// b.waiting. It reports false when there is none.
func (b *batch) next() bool {
	if len(b.waiting) > 0 {
		return true
	}
	// What was sent was put here before: no need to wait.
	select {
	case b.waiting = <-b.asked:
	default:
	}
	return len(b.waiting) > 0
}

// end checks that everything was answered when the node has ended the stream.
func (b *batch) end() error {
	if b.next() {
		return &resolver.Error{Kind: resolver.Unavailable, Detail: "the node ended the stream before it had answered for everything"}
	}
	return nil
}

func (b *batch) result(m *proto.ResolveResult) Result {
	q := *b.selection
	q.ID, q.SuffixHash = b.waiting[0], nil
	switch m := m.GetResult().(type) {
	case *proto.ResolveResult_Answer:
		a, err := readAnswer(m.Answer, &q)
		return Result{ID: q.ID, Answer: a, Err: err}
	case *proto.ResolveResult_NoAnswer:
		return Result{ID: q.ID, Err: noAnswerFromProto(m.NoAnswer)}
	}
	return Result{ID: q.ID, Err: &resolver.Error{Kind: resolver.Unavailable, Detail: "the node sent a result of a kind that is not known here"}}
}
