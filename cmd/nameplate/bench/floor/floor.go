// Package floor holds servers that do nothing: what the kernel and the frameworks
// take for themselves, whatever is answered. The bench puts the node beside them.
//
// They share no code with the node, so that a change there moves one side only.
package floor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Method is the call that the gRPC floor answers: a StringValue in, a BytesValue of
// [Octets] out.
const Method = "/floor.Floor/Echo"

// Octets is about the length of the link that the node answers with.
const Octets = 100

// Kinds are the floors that Serve knows.
func Kinds() []string { return []string{"udp", "grpc", "http"} }

// Serve answers on an address of loopback until the context ends. header and body are
// what the HTTP floor sends; the others ignore them.
func Serve(ctx context.Context, kind, address string, header http.Header, body string) error {
	switch kind {
	case "udp":
		return serveUDP(ctx, address)
	case "grpc":
		return serveGRPC(ctx, address)
	case "http":
		return serveHTTP(ctx, address, header, body)
	}
	return fmt.Errorf("there is no floor %q: use one of %v", kind, Kinds())
}

// echoes is what the handler of the gRPC floor implements.
type echoes interface{ echo() *wrapperspb.BytesValue }

type constant struct{ answer *wrapperspb.BytesValue }

func (c constant) echo() *wrapperspb.BytesValue { return c.answer }

// serveGRPC is grpc-go as it comes, with one unary call.
func serveGRPC(ctx context.Context, address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "floor.Floor", HandlerType: (*echoes)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Echo", Handler: func(server any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			if err := decode(new(wrapperspb.StringValue)); err != nil {
				return nil, err
			}
			return server.(echoes).echo(), nil
		}}},
	}, constant{wrapperspb.Bytes(make([]byte, Octets))})
	defer context.AfterFunc(ctx, s.Stop)()
	return s.Serve(l)
}

// serveHTTP is net/http as it comes: every answer is a redirect with the same header
// and body.
func serveHTTP(ctx context.Context, address string, header http.Header, body string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for name, values := range header {
			h[name] = values
		}
		w.WriteHeader(http.StatusFound)
		_, _ = io.WriteString(w, body)
	})}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	if err := s.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}
