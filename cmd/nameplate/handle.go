package main

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	resolverhandle "github.com/nameplate-id/nameplate/resolver/handle"
)

func newHandle() *cobra.Command {
	c := &cobra.Command{
		Use:   "handle",
		Short: "Let stock Handle clients begin at our nodes, and believe them",
		Long: `Stock Handle clients begin at the root that they were made with, unless files in their
folder, ~/.handle, say where else. What a node tells them is signed with a key of its own.`,
		Example: "  nameplate handle bootstrap ~/.handle --server 192.0.2.1\n  nameplate handle key --data nameplate-data",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newHandleBootstrap(), newHandleKey())
	return c
}

// bootstrapFlags are the flags of handle bootstrap.
type bootstrapFlags struct {
	servers  []string
	resolver string
	replace  bool
	timeout  time.Duration
	asJSON   bool
}

func newHandleBootstrap() *cobra.Command {
	var f bootstrapFlags
	c := &cobra.Command{
		Use:   "bootstrap FOLDER",
		Short: "Write the files from which a stock Handle client starts",
		Long: `Asks top-level nodes over Handle where they can be asked, and writes that as
bootstrap_handles, from which a stock client walks the tree itself. With --resolver it also
writes resolver_site, the place of a recursive node: a client that has it asks that node
and nobody else.

Files that are there are kept, unless --replace is given.`,
		Example: `  nameplate handle bootstrap ~/.handle --server 192.0.2.1:2641 --server 192.0.2.65:2641
  nameplate handle bootstrap ~/.handle --server 192.0.2.1 --resolver 192.0.2.53 --replace
  nameplate resolve --bootstrap ~/.handle/bootstrap_handles 88.118.8/SN-42`,
		Args: arguments(1),
		RunE: func(c *cobra.Command, args []string) error {
			written, err := f.write(c.Context(), args[0])
			if err != nil {
				return err
			}
			if f.asJSON {
				return writeJSON(c.OutOrStdout(), map[string][]string{"written": written})
			}
			for _, path := range written {
				fmt.Fprintln(c.OutOrStdout(), "written", path)
			}
			return nil
		},
	}
	c.Flags().StringArrayVar(&f.servers, "server", []string{"127.0.0.1:" + resolverhandle.DefaultPort}, "a top-level node, as `HOST:PORT` or handle://HOST:PORT; may be repeated")
	c.Flags().StringVar(&f.resolver, "resolver", "", "a recursive node, as `HOST:PORT`: write resolver_site too")
	c.Flags().BoolVar(&f.replace, "replace", false, "put the files in the place of others")
	timeoutFlag(c, &f.timeout)
	jsonFlag(c, &f.asJSON)
	return c
}

// write asks and writes, and returns what it wrote. Nothing is written before everything
// was asked.
func (f *bootstrapFlags) write(ctx context.Context, folder string) ([]string, error) {
	var sites []*resolverhandle.Site
	for _, server := range f.servers {
		s, err := f.site(ctx, server)
		if err != nil {
			return nil, err
		}
		sites = append(sites, s)
	}
	type file struct {
		name string
		data []byte
	}
	data, err := resolverhandle.NewBootstrap(sites, time.Now()).Append(nil)
	if err != nil {
		return nil, err
	}
	files := []file{{"bootstrap_handles", data}}
	if f.resolver != "" {
		s, err := f.site(ctx, f.resolver)
		if err != nil {
			return nil, err
		}
		files = append(files, file{"resolver_site", s.Append(nil)})
	}
	for _, file := range files {
		if _, err := os.Lstat(filepath.Join(folder, file.name)); err == nil && !f.replace {
			return nil, fmt.Errorf("%s is there already: give --replace, or name another folder", filepath.Join(folder, file.name))
		}
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	var written []string
	for _, file := range files {
		path := filepath.Join(folder, file.name)
		if err := replaceFile(path, file.data, 0o644); err != nil {
			return nil, err
		}
		written = append(written, path)
	}
	return written, nil
}

// site asks a node where it can be asked.
func (f *bootstrapFlags) site(ctx context.Context, server string) (*resolverhandle.Site, error) {
	address := strings.TrimSuffix(strings.TrimPrefix(server, "handle://"), "/")
	if host, _, err := net.SplitHostPort(address); address == "" || err == nil && host == "" || strings.Contains(address, "/") {
		return nil, usagef("server %q is not an address: write it like 192.0.2.1:2641", server)
	}
	s, err := resolverhandle.NewClient(address, resolverhandle.ClientOptions{Timeout: f.timeout}).Site(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, data []byte, mode fs.FileMode) error {
	t, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(t.Name())
	_, err = t.Write(data)
	if err == nil {
		err = t.Chmod(mode)
	}
	if err == nil {
		err = t.Sync()
	}
	if closed := t.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(t.Name(), path)
}
