package rp_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/rp"
)

// otherUserinfo answers userinfo with claims in place of the issuer's.
type otherUserinfo struct {
	next   http.RoundTripper
	claims string
}

func (o otherUserinfo) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := o.next.RoundTrip(r)
	if err == nil && r.URL.Path == "/userinfo" {
		resp.Body.Close()
		resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(o.claims)), int64(len(o.claims))
	}
	return resp, err
}

// TestSubstitution: userinfo that is about somebody else than the ID token, about nobody, or about one who is impersonated, signs nobody in.
//
// Covers OIDC-5.3.2-01.
func TestSubstitution(t *testing.T) {
	t.Parallel()
	for name, claims := range map[string]string{
		"somebody else": `{"sub":"john","name":"John Doe","email":"john@acme.test"}`, "nobody": `{"name":"Ann Bell","email":"ann@acme.test"}`,
		"acted for": `{"sub":"ann","name":"Ann Bell","act":{"sub":"eve"}}`, "herself": `{"sub":"ann","name":"Ann Bell","roles":["admin"]}`,
	} {
		h := setup(t, apart, func(h *house, c *rp.Config) {
			c.Client = &http.Client{Transport: otherUserinfo{h.client.Transport, claims}}
		})
		b := h.browser()
		h.login(b, "ann")
		r := b.get(h.app + "/admin")
		signedIn := b.cookies(h.app)[signInCookie] != ""
		if want := name == "herself"; signedIn != want || (r.status == http.StatusOK) != want || (len(h.taken(&h.seen)) > 0) != want {
			t.Errorf("%s: got %d, signed in: %v", name, r.status, signedIn)
		}
	}
}
