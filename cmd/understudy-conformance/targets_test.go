package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestTargets: each file of conformance/targets is a target once its variables and the files that it names are there, and not before.
func TestTargets(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../conformance/targets/*.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("%q, %v", files, err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			copied := filepath.Join(dir, "target.yaml")
			if err := os.WriteFile(copied, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := load(copied, func(string) (string, bool) { return "", false }); err == nil {
				t.Error("it is a target without its secrets")
			}
			for _, m := range regexp.MustCompile(`(\w+)_file: ([\w.]+)`).FindAllStringSubmatch(string(text), -1) {
				content := []byte("what only this server knows")
				if m[1] == "private_key" {
					content = key
				}
				if err := os.WriteFile(filepath.Join(dir, m[2]), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			env := func(string) (string, bool) { return "https://id.example/x", true } // an issuer, a page, an API, and as good a secret as any
			if _, err := load(copied, env); err != nil {
				t.Error(err)
			}
		})
	}
}
