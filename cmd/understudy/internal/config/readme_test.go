package config_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
)

// The README's rule for a trusted issuer has every key that there is, and is good.
func TestReadmeTrust(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rule, _ := strings.Cut(string(text), "<!-- trust: begin -->\n```yaml\n")
	rule, _, found := strings.Cut(rule, "```\n<!-- trust: end -->")
	if !found {
		t.Fatal("README.md has no block between its marks")
	}
	l, err := config.Load(config.Sources{File: file(t, strings.Replace(rule, "introspect.secret", file(t, "hunter2"), 1))})
	if err != nil {
		t.Fatal(err)
	}
	if problems := l.Check(); len(problems) > 0 {
		t.Errorf("got %v", problems)
	}
	v := reflect.ValueOf(l.TrustedIssuers[0])
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("it has no %s", v.Type().Field(i).Tag.Get("yaml"))
		}
	}
}
