package node

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	encodingproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/nameplate-id/nameplate/proto"
)

// One port takes messages for several services, and gRPC knows one limit for all of a
// port: that of replication, whose messages are the largest. So each service is
// registered with its own, and the codec holds it against a message before it is parsed.

// received is a message that is to be read, and how large it may be.
type received struct {
	message any
	limit   int
	over    bool // it was larger, and has not been read
}

// limitedCodec is the codec of messages that keeps to the limits of what is received.
type limitedCodec struct{ encoding.CodecV2 }

func newLimitedCodec() limitedCodec { return limitedCodec{encoding.GetCodecV2(encodingproto.Name)} }

// Unmarshal implements [encoding.CodecV2].
func (c limitedCodec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*received)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	if r.over = data.Len() > r.limit; r.over {
		return nil
	}
	return c.CodecV2.Unmarshal(data, r.message)
}

// read reads a message that may have so many octets.
func read(m any, limit int, read func(any) error) error {
	r := &received{message: m, limit: limit}
	err := read(r)
	if err == nil && r.over {
		return status.Errorf(codes.ResourceExhausted, "a message to this service has at most %d octets: send less at once", limit)
	}
	return err
}

// receiving registers services whose messages may have so many octets.
type receiving struct {
	to    grpc.ServiceRegistrar
	limit int
}

// RegisterService implements [grpc.ServiceRegistrar].
func (l receiving) RegisterService(of *grpc.ServiceDesc, service any) {
	limited := *of
	limited.Methods, limited.Streams = nil, nil
	for _, m := range of.Methods {
		handle := m.Handler
		m.Handler = func(service any, ctx context.Context, decode func(any) error, by grpc.UnaryServerInterceptor) (any, error) {
			return handle(service, ctx, func(m any) error { return read(m, l.limit, decode) }, by)
		}
		limited.Methods = append(limited.Methods, m)
	}
	for _, s := range of.Streams {
		handle := s.Handler
		s.Handler = func(service any, stream grpc.ServerStream) error {
			return handle(service, &receivingStream{stream, l.limit})
		}
		limited.Streams = append(limited.Streams, s)
	}
	l.to.RegisterService(&limited, service)
}

// receivingStream is a stream whose messages may have so many octets.
type receivingStream struct {
	grpc.ServerStream
	limit int
}

// RecvMsg implements [grpc.ServerStream].
func (s *receivingStream) RecvMsg(m any) error { return read(m, s.limit, s.ServerStream.RecvMsg) }

// largest is how many octets a message to a service may have.
func largest(x service) int {
	if l, ok := x.(interface{ MaxReceived() int }); ok {
		return l.MaxReceived()
	}
	return proto.MaxRequest
}
