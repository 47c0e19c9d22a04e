package identifier_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"pgregory.net/rapid"
)

// The key of RFC 8032, section 7.1, test 1, as PEM (RFC 8410): what openssl writes.
const (
	rfc8032Public  = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	rfc8032PKIX    = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"
	rfc8032Private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n"
)

func TestKeysAsText(t *testing.T) {
	private, err := identifier.ParsePrivateKeyPEM([]byte(rfc8032Private))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := private.MarshalPEM(); err != nil || string(got) != rfc8032Private {
		t.Errorf("private %q, %v", got, err)
	}
	public := private.Public()
	if got := public.String(); got != rfc8032Public {
		t.Errorf("public %s, want %s", got, rfc8032Public)
	}
	if got, err := public.MarshalPEM(); err != nil || string(got) != rfc8032PKIX {
		t.Errorf("PKIX %q, %v", got, err)
	}
	for _, text := range []string{rfc8032Public, " " + rfc8032Public + "\n", rfc8032PKIX, strings.ReplaceAll(rfc8032PKIX, "\n", "\r\n")} {
		if got, err := identifier.ParsePublicKey(text); err != nil || got != public {
			t.Errorf("%q: got %s, %v", text, got, err)
		}
	}
}

func TestBadPublicKeys(t *testing.T) {
	tests := []struct{ name, text, rule string }{
		{"empty", "", "ed25519: and base64"},
		{"no type", strings.TrimPrefix(rfc8032Public, "ed25519:"), "ed25519: and base64"},
		{"other type", "dsa:AAAA", "the type of a key"},
		{"short", "ed25519:AAAA", "32 octets"},
		{"cut RSA", rsaText[:40], "PKCS #1"},
		{"type 2 by number", strings.Replace(rsaText, "rsa", "type-2", 1), "3 to 255"},
		{"bad base64", "ed25519:!!!!", "base64"},
		{"no padding", strings.TrimSuffix(rfc8032Public, "="), "base64"},
		{"loose bits", strings.Replace(rfc8032Public, "Ro=", "Rp=", 1), "base64"},
		{"line break", strings.Replace(rfc8032Public, "/", "/\n", 1), "base64"},
		{"type 1 by number", strings.Replace(rfc8032Public, "ed25519", "type-1", 1), "3 to 255"},
		{"type with zero", "type-07:AAAA", "3 to 255"},
		{"long", "ed25519:" + strings.Repeat("A", 1<<20), "at most"},
		{"private", rfc8032Private, "it is public"},
		{"cut PEM", rfc8032PKIX[:60], "whole PEM block"},
		{"two PEM blocks", rfc8032PKIX + rfc8032PKIX, "one PEM block"},
		{"other PEM", strings.ReplaceAll(rfc8032PKIX, "PUBLIC KEY", "CERTIFICATE"), "PUBLIC KEY"},
		{"broken DER", strings.Replace(rfc8032PKIX, "MCow", "MDow", 1), "holds a public key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k, err := identifier.ParsePublicKey(test.text)
			if err == nil || !strings.Contains(err.Error(), test.rule) {
				t.Errorf("got %v, %v, want %q", k, err, test.rule)
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("an error of %d octets", len(err.Error()))
			}
		})
	}
}

func TestBadPrivateKeys(t *testing.T) {
	secret := "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v"
	tests := []struct{ name, text, rule string }{
		{"empty", "", "PEM block"},
		{"public", rfc8032PKIX, "it is private"},
		{"encrypted", strings.ReplaceAll(rfc8032Private, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "not encrypted"},
		{"PKCS #1", strings.ReplaceAll(rfc8032Private, "PRIVATE KEY", "RSA PRIVATE KEY"), "PKCS #8"},
		{"two", rfc8032Private + rfc8032Private, "one PEM block"},
		{"broken", strings.Replace(rfc8032Private, "MC4C", "MC5C", 1), "PKCS #8"},
		{"long", rfc8032Private + strings.Repeat("\n", 1<<20), "at most"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := identifier.ParsePrivateKeyPEM([]byte(test.text))
			var rule *identifier.RuleError
			if !errors.As(err, &rule) || !strings.Contains(err.Error(), test.rule) {
				t.Fatalf("got %v, want %q", err, test.rule)
			}
			if strings.Contains(err.Error(), secret) {
				t.Error("the error shows the key")
			}
		})
	}
}

// A private key shows its octets to nobody who prints it or what it is part of.
func TestPrivateKeyIsNotPrinted(t *testing.T) {
	key, err := identifier.ParsePrivateKeyPEM([]byte(rfc8032Private))
	if err != nil {
		t.Fatal(err)
	}
	type holder struct{ key identifier.PrivateKey }
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		fmt.Fprintf(&out, verb, key)
		fmt.Fprintf(&out, verb, holder{key})
		fmt.Fprintf(&out, verb, &holder{key})
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("key", "key", key, "holder", holder{key})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("key", "key", key, "holder", holder{key})
	for _, secret := range []string{"9d61b19d", "nWGxne", "157 97 177", "0x9d, 0x61"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("shows %q: %s", secret, out.String())
		}
	}
}

func TestPublicKeyTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawPublicKey(t, "key")
		text, err := k.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got identifier.PublicKey
		if err := got.UnmarshalText(text); err != nil || got != k {
			t.Fatalf("%s: got %s, %v", text, got, err)
		}
	})
}

// Our keys are openssl's keys, and the other way round.
func TestOpenSSLReadsKeys(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	run := func(stdin []byte, args ...string) []byte {
		t.Helper()
		cmd := exec.Command(openssl, args...)
		cmd.Stdin = bytes.NewReader(stdin)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("openssl %v: %v: %s", args, err, stderr.String())
		}
		return out
	}
	key := newKey(t, 77)
	private, err := key.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := identifier.ParsePublicKey(string(run(private, "pkey", "-pubout"))); err != nil || got != key.Public() {
		t.Errorf("openssl says %s, %v, want %s", got, err, key.Public())
	}
	made := run(nil, "genpkey", "-algorithm", "ed25519")
	theirs, err := identifier.ParsePrivateKeyPEM(made)
	if err != nil {
		t.Fatal(err)
	}
	public, err := theirs.Public().MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := map[string][]byte{"public": public, "message": []byte("message"), "signature": theirs.Sign([]byte("message"))}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(nil, "pkeyutl", "-verify", "-pubin", "-inkey", filepath.Join(dir, "public"), "-rawin",
		"-in", filepath.Join(dir, "message"), "-sigfile", filepath.Join(dir, "signature"))
}
