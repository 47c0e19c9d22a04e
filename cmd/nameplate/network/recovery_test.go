package network_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every accident in the document on recovery names scenarios that play it.
func TestRecoveryNamesScenarios(t *testing.T) {
	text, err := os.ReadFile("../../../docs/RECOVERY.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(text), "\n## ")[1:]
	if len(sections) < 5 {
		t.Fatalf("%d sections, at least those of a lost disk, an old backup, a cloned node, a stolen key and a lost parent are wanted", len(sections))
	}
	name := regexp.MustCompile("`([a-z]+)`")
	for _, section := range sections {
		title, rest, _ := strings.Cut(section, "\n")
		paragraph, _, _ := strings.Cut(strings.TrimSpace(rest), "\n\n")
		found := name.FindAllStringSubmatch(paragraph, -1)
		if !strings.HasPrefix(paragraph, "Scenario") || len(found) == 0 {
			t.Errorf("%s: it does not begin with its scenarios", title)
		}
		for _, match := range found {
			if _, err := os.Stat(filepath.Join("../../../testdata/scenarios", match[1]+".txt")); err != nil {
				t.Errorf("%s: %v", title, err)
			}
		}
	}
}
