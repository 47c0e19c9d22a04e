package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/nameplate-id/nameplate/proto"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// defaultServer is where a node answers that was started without arguments.
const defaultServer = "grpc://127.0.0.1:2640"

// serverFlag adds --server for commands that talk to a node over gRPC.
func serverFlag(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "server", environmentOr("server", defaultServer), "the node, as grpc://`HOST:PORT`; also NAMEPLATE_SERVER")
}

// environmentOr returns the variable of a flag, or a default.
func environmentOr(flag, otherwise string) string {
	if value := os.Getenv(variable(flag)); value != "" {
		return value
	}
	return otherwise
}

// splitServer splits the address of a node into protocol and host:port; without a
// protocol it is gRPC.
func splitServer(server string) (protocol, address string, err error) {
	if !strings.Contains(server, "://") {
		server = "grpc://" + server
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil {
		return "", "", usagef("server %q is not an address: write it like grpc://127.0.0.1:2640", server)
	}
	return u.Scheme, u.Host, nil
}

// client is a connection to a node over gRPC, with both of its services.
type client struct {
	server   string
	conn     *grpc.ClientConn
	registry *registryrpc.Client
	records  *resolverrpc.Client
}

// dial returns a connection to a node, which is made with the first call.
func dial(server string) (*client, error) {
	protocol, address, err := splitServer(server)
	if err != nil {
		return nil, err
	}
	if protocol != "grpc" {
		return nil, usagef("server %q speaks %s: this command needs gRPC, such as %s", server, protocol, defaultServer)
	}
	conn, err := proto.Dial(address)
	if err != nil {
		return nil, usagef("server %q: %w", server, err)
	}
	return &client{
		server: server, conn: conn,
		registry: registryrpc.NewClientOn(conn, registryrpc.ClientOptions{}),
		records:  resolverrpc.NewClientOn(conn, resolverrpc.ClientOptions{}),
	}, nil
}

func (c *client) Close() error { return c.conn.Close() }

// timeoutFlag adds --timeout.
func timeoutFlag(c *cobra.Command, to *time.Duration) {
	c.Flags().DurationVar(to, "timeout", 30*time.Second, "give up after this `TIME`")
}

// within runs something for at most so long.
func within(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v", limit))
	defer cancel()
	return do(ctx)
}

// keyFlag adds --key for the files of the keys that sign.
func keyFlag(c *cobra.Command, to *[]string, usage string) {
	c.Flags().StringArrayVar(to, "key", nil, usage)
	_ = c.MarkFlagFilename("key")
}
