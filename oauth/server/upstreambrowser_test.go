package server_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/browsertest"
	"github.com/understudy-id/understudy/oauth/store"
)

// TestUpstreamInBrowser goes from an app to sign in upstream and back, and from the app to sign out there and back, with scripts off. The
// upstream's pages end in a form whose form-action names us and nobody behind us: Chromium holds every redirect that follows to that.
func TestUpstreamInBrowser(t *testing.T) {
	t.Parallel()
	h := setupAbroad(t, options{}, nil)
	callback := app(t)
	bye := strings.Replace(callback, "/callback", "/bye", 1)
	h.newClient("shop", func(c *store.Client) {
		c.RedirectURIs, c.Settings.PostLogoutRedirectURIs = []string{callback}, []string{bye}
	})
	p := browsertest.Start(t)
	p.NoScript(true)
	until := func(heading string) {
		t.Helper()
		p.Wait(fmt.Sprintf(`(document.querySelector("h1")?.textContent ?? "").startsWith(%q)`, heading))
	}
	q := authForm("shop")
	q.Set("redirect_uri", callback)
	p.Go(h.url + "/oauth2/auth?" + q.Encode())
	p.Follow("button.primary")
	until("Sign in there")
	p.Follow("button")
	until("Got GET /callback 12345678")

	p.Go(h.url + logoutAt(url.Values{"client_id": {"shop"}, "post_logout_redirect_uri": {bye}, "state": {"state-1"}}))
	p.Follow("button.primary")
	until("Sign out there")
	p.Follow("button")
	until("Got GET /bye state-1")
	p.Go(h.url + "/")
	if !strings.Contains(p.URL(), "/sign-in") {
		t.Errorf("after the sign-out %s is shown", p.URL())
	}
	p.Quiet()
}
