package page_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestTemplatesStayPlain is CVE-2024-24785, CVE-2026-39826, CVE-2026-27142 and their like: html/template
// was led astray in scripts, in style elements and in the content of meta refresh. Our templates have none of them, nor an
// attribute that is code.
func TestTemplatesStayPlain(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("templates/*.html")
	if err != nil || len(files) == 0 {
		t.Fatalf("templates: %v, %v", files, err)
	}
	never := regexp.MustCompile(`(?i)<script|<style|http-equiv|\sstyle=|\son[a-z]+=|\ssrcdoc=|\ssrcset=|javascript:|data:|{{[^}]*\b(js|urlquery|html|print)\b`)
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := never.FindString(string(raw)); got != "" {
			t.Errorf("%s holds %q", name, got)
		}
	}
}
