//go:build linux

package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/nameplate-id/nameplate/cmd/nameplate/bench/floor"
)

// Names of the floors under gRPC and HTTP.
const (
	grpcFloor = "grpc-go"
	httpFloor = "net/http"
)

// startFloor starts a server that does nothing, on the processor of the node.
func (b *bench) startFloor(ctx context.Context, name, kind string, arguments ...string) (*nameServer, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &nameServer{port: port, floor: true}
	s.serverCore, s.askerCore = cores(1)
	command := append([]string{b.options.Program, "bench", "floor", kind, "--listen", loopback(port)}, arguments...)
	s.process, err = start(ctx, kind+"-floor", b.folder("logs"), s.serverCore, listens(port), command...)
	if err == nil {
		s.name = name
	}
	return s, err
}

// listens returns a function that reports whether somebody takes connections at a
// port of loopback.
func listens(port int) func() bool {
	return func() bool {
		conn, err := net.DialTimeout("tcp", loopback(port), 20*time.Millisecond)
		if err != nil {
			time.Sleep(5 * time.Millisecond)
			return false
		}
		conn.Close()
		return true
	}
}

// grpcFloor starts the bare gRPC server and returns how to ask it.
func (b *bench) grpcFloor(ctx context.Context) (s *nameServer, ask func(ctx context.Context, caller int, i uint32) error, end func(), err error) {
	s, err = b.startFloor(ctx, grpcFloor, "grpc")
	if err != nil {
		return nil, nil, nil, err
	}
	var connections []*grpc.ClientConn
	end = func() {
		for _, c := range connections {
			c.Close()
		}
		s.stop()
	}
	for range mostCallers / perConnection {
		c, err := grpc.NewClient(loopback(s.port), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			end()
			return nil, nil, nil, err
		}
		connections = append(connections, c)
	}
	ask = func(ctx context.Context, caller int, i uint32) error {
		var answer wrapperspb.BytesValue
		err := connections[caller/perConnection].Invoke(ctx, floor.Method, wrapperspb.String(b.data.id(int(i)).String()), &answer)
		if err == nil && len(answer.Value) != floor.Octets {
			err = fmt.Errorf("the floor answers with %d octets", len(answer.Value))
		}
		return err
	}
	return s, ask, end, nil
}

// redirectOf returns the header and the body with which the node answers for an
// identifier, for a floor that sends the same.
func (b *bench) redirectOf(port int) (arguments []string, err error) {
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := client.Get("http://" + loopback(port) + "/" + b.data.id(0).String())
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		if name == "Date" || name == "Content-Length" { // which net/http adds by itself
			continue
		}
		for _, v := range values {
			arguments = append(arguments, "--header", name+": "+v)
		}
	}
	return append(arguments, "--body", string(body)), nil
}
