package page_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/page"
)

// upstreamFaults are all, with their statuses.
var upstreamFaults = map[page.UpstreamFault]int{
	page.UpstreamDown: 502, page.UpstreamSlow: 504, page.UpstreamLied: 502, page.UpstreamRefused: 400, page.UpstreamExpired: 400, page.UpstreamWeak: 403,
	page.UpstreamStale: 403, page.UpstreamUnknown: 403, page.UpstreamDisabled: 403, page.UpstreamTaken: 403, page.UpstreamNoEmail: 403, page.UpstreamNoPlace: 403,
}

// TestUpstreamFaults: each has words of its own and a status that says whose fault it is, and leads back to sign-in.
func TestUpstreamFaults(t *testing.T) {
	t.Parallel()
	p, err := page.New(setup(t).cfg)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]page.UpstreamFault{}
	for fault, status := range upstreamFaults {

		w := httptest.NewRecorder()
		p.UpstreamFailed(w, httptest.NewRequest(http.MethodGet, "/", nil), fault, "Acme", "/sign-in?out=1")
		_, title, _ := strings.Cut(w.Body.String(), "<h1>")
		title, _, _ = strings.Cut(title, "</h1>")
		if w.Code != status || seen[title] != "" || strings.Contains(title, "%") || !strings.Contains(w.Body.String(), `href="/sign-in?out=1"`) {
			t.Errorf("%s: got %d, title %q as %q has", fault, w.Code, title, seen[title])
		}
		if seen[title] = fault; (status >= 500) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("%s: Retry-After %q", fault, w.Header().Get("Retry-After"))
		}
	}
}

// TestLeave: the browser goes on by itself, and by a link where it does not.
func TestLeave(t *testing.T) {
	t.Parallel()
	p, err := page.New(setup(t).cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	p.Leave(w, httptest.NewRequest(http.MethodGet, "/", nil), page.LeaveView{URL: "https://idp.test/auth?a=1&b=2", Label: "Acme"})
	if w.Code != http.StatusOK || w.Header().Get("Refresh") != "0; url=https://idp.test/auth?a=1&b=2" || !strings.Contains(w.Body.String(), `href="https://idp.test/auth?a=1&amp;b=2"`) {
		t.Errorf("got %d, %q\n%s", w.Code, w.Header().Get("Refresh"), w.Body)
	}
}
