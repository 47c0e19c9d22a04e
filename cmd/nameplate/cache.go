package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	resolverrpc "github.com/nameplate-id/nameplate/resolver/rpc"
)

func newCache() *cobra.Command {
	c := &cobra.Command{
		Use:   "cache",
		Short: "Make a recursive node forget",
		Long: `A recursive node keeps what it has learnt for as long as it may. What must be asked
anew at once can be dropped from its cache.`,
		Example: "  nameplate cache flush 88.118.8/SN-42",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newCacheFlush())
	return c
}

func newCacheFlush() *cobra.Command {
	var server target
	var timeout time.Duration
	var all, asJSON bool
	c := &cobra.Command{
		Use:   "flush [IDENTIFIER...]",
		Short: "Drop what a recursive node knows of identifiers",
		Long: `Drops what a recursive node has in its cache about identifiers, and about a prefix and
everything below it, together with the referrals on the way there: the next question is
asked anew from the top. Run it on the node's own machine.`,
		Example: `  nameplate cache flush 88.118.8/SN-42
  nameplate cache flush 88.118
  nameplate cache flush --all --server grpc://127.0.0.1:2640`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, texts []string) error {
			switch {
			case all && len(texts) > 0:
				return usagef("identifiers beside --all: name some or drop all")
			case !all && len(texts) == 0:
				return usagef("nothing to drop: name identifiers or prefixes, or give --all")
			case all:
				texts = []string{""}
			}
			node, err := server.dial()
			if err != nil {
				return err
			}
			defer node.Close()
			var dropped uint64
			for _, text := range texts {
				err := within(c.Context(), timeout, func(ctx context.Context) error {
					n, err := resolverrpc.FlushCache(ctx, node.conn, text)
					dropped += n
					return err
				})
				switch s := status.Convert(err); {
				case s.Code() == codes.Unimplemented:
					return fmt.Errorf("the node at %s is not recursive and has no cache: name another with --server", server.server)
				case err != nil:
					return fmt.Errorf("%s", s.Message())
				}
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), map[string]uint64{"dropped": dropped})
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "dropped %d answers and referrals\n", dropped)
			return err
		},
	}
	c.Flags().BoolVar(&all, "all", false, "drop everything")
	serverFlag(c, &server)
	timeoutFlag(c, &timeout)
	jsonFlag(c, &asJSON)
	return c
}
