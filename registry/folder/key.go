package folder

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// NodeKey reads the key of the node in a folder. The folder may be in use.
func NodeKey(path string) (identifier.PrivateKey, error) {
	return (&Folder{path: path}).NodeKey(false)
}

// NodeKey reads the node's key, or makes one when there is none and create says so: it is
// durable at return.
func (f *Folder) NodeKey(create bool) (identifier.PrivateKey, error) {
	path := f.Join(KeyFile)
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		key, err := identifier.ParsePrivateKeyPEM(text)
		if err != nil {
			return identifier.PrivateKey{}, fmt.Errorf("node key %s: %w", path, err)
		}
		return key, nil
	case !errors.Is(err, os.ErrNotExist):
		return identifier.PrivateKey{}, fmt.Errorf("node key: %w", err)
	case !create:
		return identifier.PrivateKey{}, fmt.Errorf("node key %s is missing: put it back from where it is kept, the log is signed with it: %w", path, os.ErrNotExist)
	}
	key, err := identifier.NewPrivateKey(rand.Reader)
	if err != nil {
		return identifier.PrivateKey{}, fmt.Errorf("node key: %w", err)
	}
	text, err = key.MarshalPEM()
	if err != nil {
		return identifier.PrivateKey{}, fmt.Errorf("node key: %w", err)
	}
	if err := WriteFile(path, text, 0o600); err != nil {
		return identifier.PrivateKey{}, fmt.Errorf("node key: %w", err)
	}
	return key, nil
}
