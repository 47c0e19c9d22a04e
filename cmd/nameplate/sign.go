package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// signFlags are those of every command that signs for a node.
type signFlags struct {
	server  target
	keys    []string
	timeout time.Duration
	asJSON  bool
}

func (f *signFlags) add(c *cobra.Command, keys string) {
	serverFlag(c, &f.server)
	keyFlag(c, &f.keys, keys)
	timeoutFlag(c, &f.timeout)
	jsonFlag(c, &f.asJSON)
}

// dial reads the keys and connects to the node.
func (f *signFlags) dial(c *cobra.Command) (*client, []identifier.PrivateKey, error) {
	return dialToSign(c, f.server, f.keys)
}

// dialToSign connects to a node for a command that signs with the keys in files.
func dialToSign(c *cobra.Command, to target, files []string) (*client, []identifier.PrivateKey, error) {
	keys, err := readPrivateKeys(c.ErrOrStderr(), files)
	if err != nil {
		return nil, nil, err
	}
	if len(keys) == 0 {
		return nil, nil, errNoKey
	}
	node, err := to.dial(keys...)
	return node, keys, err
}

// errNoKey says that a command signs and was given no key.
var errNoKey = errors.New("there is no key to sign with: give one with --key FILE, as nameplate key generate makes it")
