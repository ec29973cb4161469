package audit_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/audit"
)

func TestKinds(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("entry.go")
	if err != nil {
		t.Fatal(err)
	}
	var want []audit.Kind
	for _, m := range regexp.MustCompile(`(?m)^\tKind\w+ +Kind = "(.+?)"`).FindAllSubmatch(source, -1) {
		want = append(want, audit.Kind(m[1]))
	}
	if diff := cmp.Diff(want, audit.Kinds()); diff != "" {
		t.Errorf("constants against Kinds (-want +got):\n%s", diff)
	}
}
