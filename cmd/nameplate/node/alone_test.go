package node

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

// A node says at its start what its anchor lacks, and nothing when it lacks nothing.
func TestAnchorWarnings(t *testing.T) {
	for name, c := range map[string]struct {
		anchor func(data string) string
		want   string
	}{
		"none":               {func(string) string { return "" }, "no level above it and no anchor file"},
		"in the data folder": {func(data string) string { return filepath.Join(data, "anchor") }, "lies in the data folder"},
		"elsewhere":          {func(data string) string { return data + "-anchor" }, ""},
	} {
		config := DefaultConfig()
		config.Data = t.TempDir()
		config.Anchor = c.anchor(config.Data)
		config.Listen = Listen{GRPC: []string{"127.0.0.1:0"}}
		var said bytes.Buffer
		n, err := New(config, "test", slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn})))
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if got := said.String(); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s: got %q; want %q in it", name, got, c.want)
		}
	}
}
