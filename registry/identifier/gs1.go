package identifier

import "strings"

func isGTINLength(n int) bool { return n == 8 || n == 12 || n == 13 || n == 14 }

func checkGS1Prefix(text string) error { return nil }
func checkGS1Suffix(p Prefix, suffix string) error {
	return fail(suffix, 0, "GS1 keys are not read yet", "wait")
}
func parseGS1(text string) (ID, error) {
	return ID{}, fail(text, 0, "GS1 keys are not read yet", "wait")
}
func parseElements(text string) (ID, error) { return parseGS1(text) }
func parseGTIN(text string) (ID, error)     { return parseGS1(text) }
func parseEPC(text string) (ID, error)      { return parseGS1(text) }
func parseURL(text string) (ID, error)      { return parseWeb(text) }

var _ = strings.Cut
