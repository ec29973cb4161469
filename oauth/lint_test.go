package oauth_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// forbidden are names of libraries that switch a check off, each with what others lost by it.
var forbidden = map[string]string{
	"ParseUnverified":                  "claims were read that nobody had signed (CVE-2026-1529)",
	"UnsafeClaimsWithoutVerification":  "claims were read that nobody had signed (CVE-2026-1529)",
	"UnsafePayloadWithoutVerification": "claims were read that nobody had signed (CVE-2026-1529)",
	"UnsafeAllowNoneSignatureType":     "a token that nobody had signed was taken (CVE-2026-1529)",
	"WithoutClaimsValidation":          "expired tokens were taken",
	"AddInsecureBypassPattern":         "patterns matched more paths than they said (CVE-2025-47910)",
	"InsecureSkipSignatureCheck":       "claims were read that nobody had signed (CVE-2026-38651)",
}

// TestNoChecksAreOff is CVE-2026-1529, CVE-2025-47910 and CVE-2026-38651: nothing outside of tests names what
// switches a check of a library off.
func TestNoChecksAreOff(t *testing.T) {
	t.Parallel()
	read := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		read++
		for _, use := range uses(t, path) {
			if why := forbidden[use.Name]; why != "" {
				t.Errorf("%s uses %s: %s", path, use.Name, why)
			}
		}
		return nil
	})
	if err != nil || read < 100 {
		t.Fatalf("read %d files, %v", read, err)
	}
}

// uses are the names in a file, of whatever they are.
func uses(t *testing.T, path string) (names []*ast.Ident) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			names = append(names, id)
		}
		return true
	})
	return names
}
