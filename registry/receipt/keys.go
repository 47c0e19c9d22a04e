package receipt

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/nameplate-id/nameplate/registry/identifier"
)

// maxKeys is how many octets a list of keys may have.
const maxKeys = 1 << 20

// ParseKeys reads whom a verifier trusts: a line for each key, what it is trusted for and
// the key, or how many holders must have signed. Empty lines and lines that begin with #
// do not count.
//
//	holder ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
//	threshold 1
//	node ed25519:…
//	parent ed25519:…
//	top ed25519:…
//
// At least one holder and one node are named. The error names the line.
func ParseKeys(text []byte) (Keys, error) {
	if len(text) > maxKeys {
		return Keys{}, fmt.Errorf("a list of keys has at most %d octets", maxKeys)
	}
	var k Keys
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := k.line(line); err != nil {
			return Keys{}, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return Keys{}, err
	}
	switch {
	case len(k.Holders) == 0:
		return Keys{}, fmt.Errorf("no line names a holder: write one like %q", "holder ed25519:…")
	case len(k.Nodes) == 0:
		return Keys{}, fmt.Errorf("no line names a node: write one like %q", "node ed25519:…")
	case k.Threshold > len(k.Holders):
		return Keys{}, fmt.Errorf("the threshold is %d and there are %d holders: name the whole keyset", k.Threshold, len(k.Holders))
	}
	return k, nil
}

// line reads one line.
func (k *Keys) line(line string) error {
	word, value, _ := strings.Cut(line, " ")
	if word == "threshold" {
		n, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil || n < 1 || n > identifier.MaxKeys || k.Threshold != 0 {
			return fmt.Errorf("%q: a threshold is a number from 1 to %d, and given once", value, identifier.MaxKeys)
		}
		k.Threshold = n
		return nil
	}
	list := map[string]*[]identifier.PublicKey{"holder": &k.Holders, "node": &k.Nodes, "parent": &k.Parents, "top": &k.Tops}[word]
	if list == nil {
		return fmt.Errorf("%q is not a word that a line begins with: use holder, threshold, node, parent or top", word)
	}
	key, err := identifier.ParsePublicKey(value)
	if err != nil {
		return err
	}
	*list = append(*list, key)
	return nil
}
