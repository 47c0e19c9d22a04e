package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
)

func newServe() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: `Run a node: keep a registry in one folder and answer over DNS, gRPC and HTTP, until
SIGINT or SIGTERM. Without arguments it is a whole node on loopback.

Every setting can also stand in the file that --config names (deploy/nameplate.yaml
shows them all) and in the environment; flags win over the environment, and the
environment over the file.`,
		Example: `  nameplate serve
  nameplate serve --data /var/lib/nameplate --dns 192.0.2.53:53
  nameplate serve --config /etc/nameplate/nameplate.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := loadConfig(c, os.LookupEnv)
			if err != nil {
				return err
			}
			n, err := node.New(config, thisBuild().Version, newLog(config.Log, c.ErrOrStderr()))
			if err != nil {
				return err
			}
			if err := announce(c.OutOrStdout(), config, n); err != nil {
				return err
			}
			return n.Run(c.Context())
		},
	}
	addSettings(c)
	return c
}

// announce says where the node can be asked, once it can be.
func announce(w io.Writer, config node.Config, n *node.Node) error {
	at := n.Addresses()
	var b strings.Builder
	fmt.Fprintf(&b, "node %s, data in %s\n", config.Name, config.Data)
	for _, p := range []struct {
		protocol  string
		addresses []string
	}{{"dns", at.DNS}, {"grpc", at.GRPC}, {"http", at.HTTP}} {
		for _, a := range p.addresses {
			fmt.Fprintf(&b, "%-4s %s\n", p.protocol, a)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// newLog returns the logger that the configuration asks for, which has been checked.
func newLog(c node.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
