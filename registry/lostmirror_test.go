package registry_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nameplate-id/nameplate/registry"
	"github.com/nameplate-id/nameplate/registry/identifier"
)

// A node that lost its disk has its own log back, rows of children too, before it has the
// children's logs again. While those come, no row goes down.
func TestRowsOfALostMirror(t *testing.T) {
	t.Parallel()
	f := &aged{family: &family{holder: newKey(t)}}
	f.parent = openNode(t, registry.Config{Folder: t.TempDir(), CheckpointEvery: time.Hour})
	f.parent.mustStop()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.CopyFS(empty, os.DirFS(f.parent.config.Folder)); err != nil {
		t.Fatal(err)
	}
	f.parent.start()
	f.child = openNode(t, registry.Config{Folder: t.TempDir(), Parent: f.parent.root.Public()})
	f.delegation = grant("88.118", f.holder)
	f.delegation.Node = &identifier.Node{Name: "child", Key: f.child.root.Public(), Addresses: []identifier.Address{{IP: "127.0.0.1", GRPC: 2640}}}
	f.parent.mustDelegate(f.delegation, f.parent.root)
	f.join()
	f.register("a", 8)
	f.send()
	f.log()

	size := f.putBack(func(c *registry.Config) { c.Folder = empty })
	f.unmark(f.parent)

	rows := func(want uint64) {
		t.Helper()
		f.log()
		if got := f.parent.status().Position; got != want {
			t.Errorf("with %d of the child's entries the log has %d, want %d", f.size, got, want)
		}
	}
	f.join()
	f.sendSome(3)
	rows(size)
	f.send()
	rows(size)
	f.register("b", 1)
	f.send()
	rows(size + 1)
}
