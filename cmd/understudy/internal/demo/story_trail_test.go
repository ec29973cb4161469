package demo_test

import (
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// readTrail reads who did what where Ann can: on the issuer's pages.
func (s *stage) readTrail(mode string) {
	s.t.Helper()
	s.p.Go(s.IssuerURL + "/audit")
	wantInOrder(s.t, s.p.Text(".tl"), // newest first
		"Stopped by Ann Bell (ann@acme.test) as John Doe (john@acme.test)", "Action refused by Ann Bell", "Started by Ann Bell",
		"SUP-4821", "Cannot find the report tab")
	s.p.Follow(`.tl a[href*="session="]`)
	story := s.p.Text("main")
	wantInOrder(s.t, story,
		"Ann Bell (ann@acme.test) impersonated John Doe (john@acme.test)", "Acme", map[string]string{"read": "Look only", "write": "Full access"}[mode],
		"Cannot find the report tab", "SUP-4821", "They pressed Stop",
		"Started by Ann Bell", "SUP-4821", "Action refused by Ann Bell (ann@acme.test) as John Doe (john@acme.test)", "POST /account/delete", "403",
		"Stopped by Ann Bell")
	if mode == "write" {
		wantInOrder(s.t, story, "Action by Ann Bell", "/notes · Recorded before it ran", "Stopped by Ann Bell")
	} else {
		wantInOrder(s.t, story, "POST /account/delete", "Action refused", "/notes · Answered 403", "Stopped by Ann Bell")
	}
}

func wantInOrder(t *testing.T, text string, pieces ...string) {
	t.Helper()
	rest := text
	for _, p := range pieces {
		_, after, ok := strings.Cut(rest, p)
		if !ok {
			t.Errorf("no %q, in this order, in\n%s", p, text)
			return
		}
		rest = after
	}
}

// readTrailByCommand reads it as an operator does, beside the running demo: as a table, and whole.
func (s *stage) readTrailByCommand() {
	s.t.Helper()
	table, whole := s.list("table"), s.list("json")
	for _, want := range []string{
		`impersonation\.start .*ann@acme\.test +john@acme\.test .*Cannot find the report tab`, `impersonation\.action .*POST /account/delete refused: `,
		`impersonation\.stop .*ann@acme\.test +john@acme\.test`,
	} {
		if !regexp.MustCompile(want).MatchString(table) {
			s.t.Errorf("audit ls does not say %s:\n%s", want, table)
		}
	}
	for _, want := range []string{"Ann Bell", "John Doe", "SUP-4821", "Cannot find the report tab"} {
		if !strings.Contains(whole, `"`+want+`"`) {
			s.t.Errorf("audit ls -o json does not say %q:\n%s", want, whole)
		}
	}
}

func (s *stage) list(format string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "go", "run", "../..", "audit", "ls", "--person", "john@acme.test", "--database", s.Database, "-o", format)
	out, err := cmd.Output()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		s.t.Fatalf("%v: %v\n%s", cmd.Args, err, exit.Stderr)
	}
	return string(out)
}
