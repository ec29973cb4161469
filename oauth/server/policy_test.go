package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/policy"
)

// A server that does not decide as the one before it says so, with both versions; the first and its equals have nothing to warn of.
func TestPolicyChanged(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.replica(options{})
	if said := h.logs.String(); strings.Contains(said, "WARN") || strings.Count(said, `msg="the policy is on record"`) != 1 {
		t.Errorf("two servers that are the same: got\n%s\nwant the policy once, and no warning", said)
	}
	h.replica(options{secondFactor: true})
	h.replica(options{secondFactor: true})
	want := fmt.Sprintf("level=WARN msg=%q was=%s version=%s\n", "the policy changed: every server must have the same", versionOf(t, false), versionOf(t, true))
	if said := h.logs.String(); strings.Count(said, want) != 1 {
		t.Errorf("another policy: got\n%s\nwant once %s", said, want)
	}
}

// versionOf is the version of the default rules.
func versionOf(t *testing.T, secondFactor bool) string {
	t.Helper()
	rules, err := policy.New(policy.Default(), policy.Options{RequireSecondFactor: secondFactor})
	if err != nil {
		t.Fatal(err)
	}
	return rules.Version()
}
