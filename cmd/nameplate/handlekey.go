package main

import (
	"fmt"

	"github.com/spf13/cobra"

	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
)

func newHandleKey() *cobra.Command {
	var data string
	var asJSON bool
	c := &cobra.Command{
		Use:   "key",
		Short: "Show the key with which a node signs its Handle answers",
		Long: `Shows the public key with which a node signs certified Handle answers, and makes one where
there is none yet. Whoever delegates to the node names it with --handle-key: then clients
that come from above can check what the node says. The node may run.`,
		Example: `  nameplate handle key --data /var/lib/nameplate
  nameplate delegate 88.118.9 --to maker.key --node east --node-key east.pub --handle-key rsa:… --address 192.0.2.7,handle=2641 --key region.key`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkFolder(data); err != nil {
				return err
			}
			key, err := resolverhandle.PublicKeyIn(data)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), map[string]string{"key": key.String()})
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), key)
			return err
		},
	}
	dataFlag(c, &data)
	jsonFlag(c, &asJSON)
	return c
}
