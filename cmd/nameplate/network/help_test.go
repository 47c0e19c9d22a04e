package network_test

import (
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

func mustPrefix(t *testing.T, text string) identifier.Prefix {
	t.Helper()
	p, err := identifier.ParsePrefix(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
