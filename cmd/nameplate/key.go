package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

func newKey() *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "Make and show the keys that sign changes",
		Long: `A key signs what its holder registers. It never has to leave its holder: a node is
told the public key only, with "nameplate delegate".`,
		Example: `  nameplate key generate maker.key
  nameplate key show maker.key`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newKeyGenerate(), newKeyShow(), newKeyID())
	return c
}

// shownKey is a public key as --json shows it.
type shownKey struct {
	File   string               `json:"file,omitempty"`
	Public identifier.PublicKey `json:"public"`
	ID     string               `json:"id"`
}

func newKeyGenerate() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "generate FILE",
		Short: "Make a key, write it to a new file, and print its public key",
		Long: `Makes an Ed25519 key and writes it to a new file, which only its owner can read, as
PEM (PKCS #8). It prints the public key, which may be given to anybody. There is no
other copy: keep one in a safe place.`,
		Example: "  nameplate key generate maker.key",
		Args:    arguments(1),
		RunE: func(c *cobra.Command, args []string) error {
			key, err := identifier.NewPrivateKey(rand.Reader)
			if err != nil {
				return err
			}
			text, err := key.MarshalPEM()
			if err != nil {
				return err
			}
			if err := writeNewFile(args[0], text, 0o600); err != nil {
				return fmt.Errorf("write the key: %w", err)
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), shownKey{File: args[0], Public: key.Public(), ID: key.Public().ID().String()})
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), key.Public())
			return err
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

func newKeyShow() *cobra.Command {
	var asJSON, asPEM bool
	c := &cobra.Command{
		Use:   "show FILE",
		Short: "Print the public key of a key",
		Long: `Prints the public key of a file that holds a private key (PEM, PKCS #8) or a public
one (PEM or text). "-" reads standard input.`,
		Example: "  nameplate key show maker.key\n  nameplate key show --pem maker.key > maker.pub",
		Args:    arguments(1),
		RunE: func(c *cobra.Command, args []string) error {
			public, err := readPublicKey(c.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			switch {
			case asJSON:
				return writeJSON(c.OutOrStdout(), shownKey{Public: public, ID: public.ID().String()})
			case asPEM:
				text, err := public.MarshalPEM()
				if err != nil {
					return err
				}
				_, err = c.OutOrStdout().Write(text)
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), public)
			return err
		},
	}
	jsonFlag(c, &asJSON)
	c.Flags().BoolVar(&asPEM, "pem", false, "write it as PEM, for other programs")
	c.MarkFlagsMutuallyExclusive("json", "pem")
	return c
}

func newKeyID() *cobra.Command {
	return &cobra.Command{
		Use:     "id FILE|KEY",
		Short:   "Print the short name of a key, as signatures carry it",
		Example: "  nameplate key id maker.key\n  nameplate key id ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
		Args:    arguments(1),
		RunE: func(c *cobra.Command, args []string) error {
			public, err := publicKeyArgument(c.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), public.ID())
			return err
		},
	}
}

// publicKeyArgument reads a public key from the command line: the key itself, or a
// file that holds one.
func publicKeyArgument(stdin io.Reader, text string) (identifier.PublicKey, error) {
	if strings.HasPrefix(text, "ed25519:") || strings.HasPrefix(text, "rsa:") {
		return identifier.ParsePublicKey(text)
	}
	return readPublicKey(stdin, text)
}

// maxKeyFile is how many octets of a key file are read.
const maxKeyFile = 64 << 10

// readPublicKey reads the public key of a file with a public or a private key.
func readPublicKey(stdin io.Reader, file string) (identifier.PublicKey, error) {
	text, err := readSmall(stdin, file)
	if err != nil {
		return identifier.PublicKey{}, fmt.Errorf("read the key: %w", err)
	}
	if strings.Contains(string(text), "PRIVATE KEY-----") {
		key, err := identifier.ParsePrivateKeyPEM(text)
		if err != nil {
			return identifier.PublicKey{}, fmt.Errorf("%s: %w", file, err)
		}
		return key.Public(), nil
	}
	key, err := identifier.ParsePublicKey(strings.TrimSpace(string(text)))
	if err != nil {
		return key, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

// readSmall reads a small file, or standard input for "-".
func readSmall(stdin io.Reader, file string) ([]byte, error) {
	return readLimited(stdin, file, maxKeyFile)
}

// readLimited reads at most so many octets of a file, or of standard input for -.
func readLimited(stdin io.Reader, file string, limit int64) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(io.LimitReader(stdin, limit))
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// readPrivateKeys reads the keys that sign. A key that others on the machine could
// read is a warning, not an error: secrets are mounted so in places.
func readPrivateKeys(warn io.Writer, files []string) ([]identifier.PrivateKey, error) {
	var keys []identifier.PrivateKey
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return nil, fmt.Errorf("read the key: %w", err)
		}
		if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
			fmt.Fprintf(warn, "nameplate: warning: %s can be read by others than its owner: chmod 600 it\n", file)
		}
		text, err := readSmall(nil, file)
		if err != nil {
			return nil, fmt.Errorf("read the key: %w", err)
		}
		key, err := identifier.ParsePrivateKeyPEM(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// writeNewFile writes a file that is not there yet, whole and synced, or not at all.
func writeNewFile(file string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already and is not overwritten: choose another name", file)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(file))
	}
	folder, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
