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
	"google.golang.org/grpc/credentials"

	"github.com/nameplate-id/nameplate/proto"
	"github.com/nameplate-id/nameplate/registry/identifier"
	registryrpc "github.com/nameplate-id/nameplate/registry/rpc"
	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

// defaultServer is where a node answers that was started without arguments.
const defaultServer = "grpc://127.0.0.1:2640"

// target is the node that a command talks to over gRPC.
type target struct {
	server string
	key    string // of the node, or a file with it; empty where the connection is plain
}

// serverFlag adds --server and --server-key for commands that talk to a node over gRPC.
func serverFlag(c *cobra.Command, to *target) {
	c.Flags().StringVar(&to.server, "server", environmentOr("server", defaultServer), "the node, as grpc://`HOST:PORT`, or grpcs://HOST:PORT with TLS; also NAMEPLATE_SERVER")
	c.Flags().StringVar(&to.key, "server-key", environmentOr("server-key", ""), "the node `KEY` that a node with TLS must prove, or a file with it; also NAMEPLATE_SERVER_KEY")
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

// dial returns a connection to a node, which is made with the first call. With TLS the
// caller proves the first of its keys, if there is one.
func (t target) dial(keys ...identifier.PrivateKey) (*client, error) {
	protocol, address, err := splitServer(t.server)
	if err != nil {
		return nil, err
	}
	var options []grpc.DialOption
	switch {
	case protocol == "grpcs":
		c, err := t.credentials(keys)
		if err != nil {
			return nil, err
		}
		options = append(options, grpc.WithTransportCredentials(c))
	case protocol != "grpc":
		return nil, usagef("server %q speaks %s: this command needs gRPC, such as %s", t.server, protocol, defaultServer)
	case t.key != "":
		return nil, usagef("a node proves --server-key over TLS only: write --server grpcs://%s", address)
	}
	conn, err := proto.Dial(address, options...)
	if err != nil {
		return nil, usagef("server %q: %w", t.server, err)
	}
	return &client{
		server: t.server, conn: conn,
		registry: registryrpc.NewClientOn(conn, registryrpc.ClientOptions{}),
		records:  resolverrpc.NewClientOn(conn, resolverrpc.ClientOptions{}),
	}, nil
}

// credentials returns those of a connection with TLS.
func (t target) credentials(keys []identifier.PrivateKey) (credentials.TransportCredentials, error) {
	if t.key == "" {
		return nil, usagef("nothing says which key the node at %s must prove: add --server-key ed25519:…, which 'nameplate key show' tells of its node.key", t.server)
	}
	node, err := publicKeyArgument(os.Stdin, t.key)
	if err != nil {
		return nil, fmt.Errorf("--server-key: %w", err)
	}
	if len(keys) == 0 {
		return proto.Anonymous(node), nil
	}
	return proto.NewIdentity(keys[0]).Client(node), nil
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
