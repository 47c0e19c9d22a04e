package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/cmd/nameplate/node"
	"github.com/nameplate-id/nameplate/registry"
)

func newServe() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: `Runs a node until it is asked to stop (SIGINT or SIGTERM): it then lets what is
under way finish. Without arguments it answers on loopback, DNS on port 5300, gRPC on
2640, HTTP on 8080 and Handle on 2641, with its data in ./nameplate-data, which it makes when it is
not there.

Every flag is also a field of the --config file (deploy/nameplate.yaml shows them all)
and a variable in the environment (--log-level is NAMEPLATE_LOG_LEVEL). A flag wins
over the environment, and the environment over the file.

The folder that --data names is all that there is to back up: see "nameplate backup".`,
		Example: `  nameplate serve
  nameplate serve --config /etc/nameplate/nameplate.yaml
  nameplate serve --data /tmp/a --dns 127.0.0.1:5301 --grpc 127.0.0.1:2651 --http off --handle off`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := loadConfig(c, os.LookupEnv)
			if err != nil {
				return err
			}
			log := newLogger(c.ErrOrStderr(), config.Log)
			for {
				err := serve(c.Context(), config, log)
				if !errors.Is(err, registry.ErrAgain) || c.Context().Err() != nil {
					return err
				}
				log.Warn("beginning again", "why", registry.ErrAgain)
			}
		},
	}
	addSettings(c)
	return c
}

// serve runs a node until ctx ends, or until it is to be opened again.
func serve(ctx context.Context, config node.Config, log *slog.Logger) error {
	n, err := node.New(config, thisBuild().Version, log)
	if err != nil {
		return err
	}
	at := n.Addresses()
	log.Info("serving", "name", config.Name, "data", config.Data, "zone", config.Zone, "dns", at.DNS, "grpc", at.GRPC, "http", at.HTTP, "handle", at.Handle)
	err = withHeapFloor(func() error { return n.Run(ctx) })
	log.Info("stopped")
	return err
}

// newLogger returns the logger of a node.
func newLogger(w io.Writer, c node.Log) *slog.Logger {
	level := slog.LevelInfo
	_ = level.UnmarshalText([]byte(c.Level)) // the configuration has been checked
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
