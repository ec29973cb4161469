package scim_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestRefusedIsLogged: what is refused has a line that names the source, the path and the rule, and never what was sent; each source has
// some in a minute, so that a directory of which every user is wrong fills no disk, and leaves the others theirs.
func TestRefusedIsLogged(t *testing.T) {
	t.Parallel()
	h := setup(t)
	lines := func() int { return strings.Count(h.logs.String(), `msg="refused a SCIM request"`) }
	h.want(h.do("okta", "POST", "Users", userBody("s3cret")), http.StatusBadRequest, "invalidValue")
	line := `level=WARN msg="refused a SCIM request" request_id=req_1 source=okta method=POST path=/scim/v2/Users status=400 scimType=invalidValue detail="emails: must be given`
	if got := h.logs.String(); !strings.Contains(got, line) || strings.Contains(got, "s3cret") {
		t.Errorf("got log %s, want %s", got, line)
	}
	h.want(h.do("okta", "GET", "Me", ""), http.StatusNotImplemented)
	if got := h.logs.String(); lines() != 2 || strings.Contains(got, "level=ERROR") {
		t.Errorf("got log %s, want two warnings: what is not supported is no failure of ours", got)
	}
	for range 100 {
		h.want(h.do("okta", "GET", "Users/none", ""), http.StatusNotFound)
	}
	if n := lines(); n < 3 || n > 25 {
		t.Errorf("got %d lines, want some 20", n)
	}
	before := lines()
	h.want(h.do("entra", "GET", "Users/none", ""), http.StatusNotFound)
	h.tokens["nobody"] = "x"
	h.want(h.do("nobody", "GET", "Users", ""), http.StatusUnauthorized)
	if got := h.logs.String(); lines() != before+2 || !strings.Contains(got, "source=entra") || !strings.Contains(got, `source=""`) {
		t.Errorf("got log %s, want a line of the other source, and of whoever is not known", got)
	}
}
