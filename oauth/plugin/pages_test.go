package plugin_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/plugin"
	"github.com/understudy-id/understudy/oauth/policy"
)

func impersonatePage(client string) string {
	return "/impersonate?" + url.Values{
		"client_id": {client}, "redirect_uri": {callback}, "state": {state}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"},
	}.Encode()
}

// TestPagesKnowTheProvidersPeople: who is not signed in goes to the provider's sign-in, who may impersonate nobody sees nobody, and the trail shows whom it is
// about by the provider's names.
func TestPagesKnowTheProvidersPeople(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	stranger := browse(h.srv)
	for _, page := range []string{impersonatePage("shop") + "&q=john", "/audit"} {
		r := stranger.get(page)
		if to := r.header.Get("Location"); r.status != http.StatusSeeOther || !strings.HasPrefix(to, "/sign-in?to=%2F") {
			t.Errorf("%s: %d %s", page, r.status, to)
		}
	}
	as := h.start()
	if r := h.get("/audit?session=" + as.sid()); r.status != http.StatusOK || !strings.Contains(r.body, "John Doe") || !strings.Contains(r.body, "cannot find the report tab") {
		t.Errorf("the story of the session: %d", r.status)
	}
	if r := h.get("/audit"); r.status != http.StatusOK || !strings.Contains(r.body, "Ann") {
		t.Errorf("the trail: %d", r.status)
	}
	if r := h.get("/audit?session=imp_unknown"); r.status != http.StatusNotFound {
		t.Errorf("no session: %d", r.status)
	}
	if r := h.get("/audit?after=nonsense"); r.status != http.StatusBadRequest {
		t.Errorf("no cursor: %d", r.status)
	}
	if r := h.get(impersonatePage("unknown")); r.status != http.StatusBadRequest {
		t.Errorf("no client: %d", r.status)
	}
	if e := h.entries(audit.KindSearch); len(e) == 0 || e[0].Actor != (oauth.Party{Issuer: h.srv.URL, Subject: "u-1"}) || e[0].Fields["query"] != "john" || e[0].Request == "" {
		t.Errorf("searches on record: %v", e)
	}
	h.signIn("john")
	for _, page := range []string{impersonatePage("shop") + "&q=ann", "/audit"} {
		if r := h.get(page); r.status != http.StatusForbidden || strings.Contains(r.body, "ann@acme.example") {
			t.Errorf("%s for John: %d", page, r.status)
		}
	}
}

// TestPagesRefuse: a POST from another origin, whoever is disabled or signed out, and a cookie that cannot be read.
func TestPagesRefuse(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	req, err := http.NewRequest(http.MethodPost, h.srv.URL+impersonatePage("shop"), strings.NewReader("action=cancel"))
	h.ok(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	if r := h.send(req, nil); r.status != http.StatusForbidden {
		t.Errorf("from another origin: %d", r.status)
	}
	gone := func(what string) {
		t.Helper()
		if r := h.get("/audit"); r.status != http.StatusSeeOther {
			t.Errorf("%s: %d", what, r.status)
		}
	}
	h.user("u-1", func(u *directory.User) { u.Enabled = false })
	gone("disabled")
	h.user("u-1", func(u *directory.User) { u.Enabled, u.ID = true, "U-1" })
	gone("another one")
	h.user("u-1", func(u *directory.User) { u.ID = "u-1" })
	h.forget()
	gone("signed out")

	failing, err := h.plugin.Handler(plugin.Pages{
		SignedIn: func(*http.Request) (string, error) { return "", errors.New("no connection") }, SignInURL: func(string) string { return "/" },
	})
	h.ok(err)
	h.srv.Config.Handler = failing
	if r := h.get("/audit"); r.status != http.StatusServiceUnavailable || strings.Contains(r.body, "connection") {
		t.Errorf("a cookie that cannot be read: %d", r.status)
	}
}

// TestSearchIsPaced: the page is also a directory of customers, so that an actor may search so often and no more.
func TestSearchIsPaced(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	refused := 0
	for range 60 {
		if r := h.get(impersonatePage("shop") + "&q=john"); r.status == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused == 0 || refused > 30 {
		t.Errorf("%d of 60 searches were refused", refused)
	}
	if n := len(h.entries(audit.KindSearch)); n+refused != 60 {
		t.Errorf("%d searches on record, %d refused; want 60 together", n, refused)
	}
	h.signIn("bea")
	if r := h.get(impersonatePage("shop") + "&q=john"); r.status != http.StatusOK {
		t.Errorf("another actor: %d", r.status)
	}
}

// A support that is kept to its own organisation finds nobody of another.
func TestSearchKeepsToTheOrganisation(t *testing.T) {
	t.Parallel()
	own := withRules(t, "own")
	h := setup(t, options{change: func(c *plugin.Config) { c.Rules = own }})
	if h.askFor("john", "cannot find the report tab") != "" {
		t.Error("found somebody of another organisation")
	}
	h.user("u-1", func(u *directory.User) { u.Organisation = "globex" })
	if h.askFor("john", "cannot find the report tab") == "" {
		t.Error("found nobody of their own")
	}
}

// withRules is the registry, with the support kept to some organisations.
func withRules(t *testing.T, organisations string) *policy.Rules {
	t.Helper()
	kept := registry
	kept.Roles = slices.Clone(registry.Roles)
	support := *kept.Roles[1].Impersonate
	support.Organisations = organisations
	kept.Roles[1].Impersonate = &support
	rules, err := policy.New(kept, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}
