package interop_test

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/server"
)

// maxAuthAge is how long ago sam may have signed in to impersonate: as short as a start after a sign-in may take on a busy machine.
const maxAuthAge = 10 * time.Second

// authTime is when who has the token signed in, in seconds since 1970.
func (h *through) authTime(token string) int64 {
	h.t.Helper()
	_, claims := h.verify(token)
	return whole(h.t, claims, "auth_time")
}

// growOld waits until the sign-in behind token is too long ago; the idp has a clock of its own, so nothing else makes it old.
func (h *through) growOld(token string) {
	h.t.Helper()
	time.Sleep(time.Until(time.Unix(h.authTime(token), 0).Add(maxAuthAge + 1500*time.Millisecond)))
}

var onwardLink = regexp.MustCompile(`<a class="btn primary" href="([^"]*)"`)

// denied sends the page what it refuses, and gives the link that it offers to sign in again by, "" for none.
func (h *through) denied(method string) string {
	h.t.Helper()
	form := url.Values{}
	if method == http.MethodPost {
		form = fillIn("read")
	}
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.pageURL(oauth2.GenerateVerifier()), strings.NewReader(form.Encode()))
	must(h.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := h.browser.http.Do(req)
	must(h.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(h.t, err)
	if resp.StatusCode != http.StatusForbidden {
		h.t.Fatalf("the page: got %s; want that it refuses\n%s", resp.Status, body)
	}
	if m := onwardLink.FindSubmatch(body); m != nil {
		return h.issuer + html.UnescapeString(string(m[1]))
	}
	return ""
}

// signInAgain follows that link, which must lead back to the page for john.
func (h *through) signInAgain(link string) {
	h.t.Helper()
	if at := h.browser.visit(link, sam); at.Path != "/impersonate" || at.Query().Get("subject") != "john" {
		h.t.Fatalf("signed in again, and led to %s; want the page for john", at)
	}
}

// TestStepUpThrough: whom the page, or the app's start, finds to have signed in too long ago signs in anew at their provider, and then starts.
func TestStepUpThrough(t *testing.T) {
	t.Parallel()
	for name, start := range idps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := signThrough(t, start, func(_ *idp, c *server.Config) { c.MaxAuthAge = maxAuthAge })
			before := h.token()
			h.growOld(before)
			h.signInAgain(h.denied(http.MethodPost))
			own := h.token()
			if first, then := h.authTime(before), h.authTime(own); then < first+int64(maxAuthAge.Seconds()) {
				t.Errorf("signed in at %d, and again at %d; want a sign-in anew", first, then)
			}
			imp, _ := h.impersonate(own)
			h.revoke(imp)

			o := h.press()
			h.growOld(own)
			status, answer := h.start(o, own, accessToken)
			if status != http.StatusBadRequest || answer["error"] != "insufficient_user_authentication" || answer["max_age"] != maxAuthAge.Seconds() {
				t.Fatalf("a start by an old sign-in: got %d %v; want insufficient_user_authentication (RFC 9470 §3) with max_age", status, answer)
			}
			anew := h.token(oauth2.SetAuthURLParam("max_age", "10"))
			if first, then := h.authTime(own), h.authTime(anew); then < first+int64(maxAuthAge.Seconds()) {
				t.Errorf("signed in at %d, and with max_age at %d; want a sign-in anew", first, then)
			}
			h.impersonate(anew)
		})
	}
}

// TestSecondFactorThrough: where impersonating takes a second factor, the page and the app each have sam give it at a provider that knows
// one; a sign-in at one that knows none is never taken for that.
func TestSecondFactorThrough(t *testing.T) {
	t.Parallel()
	for name, start := range idps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := signThrough(t, start, func(i *idp, c *server.Config) {
				c.RequireSecondFactor = true
				if i.acr != "" {
					c.Upstreams[0].MFA, c.Upstreams[0].ACRValues = []string{i.acr}, []string{i.acr}
				}
			})
			h.wantACR(h.token(), oauth.ACRPassword)
			link := h.denied(http.MethodGet)
			if h.idp.acr == "" {
				h.cannot(link)
				return
			}
			h.signInAgain(link)
			own := h.token()
			h.wantACR(own, oauth.ACRMFA)
			h.impersonate(own)

			h.browser = newVisitor(t, h.browser.ends...)
			h.wantACR(h.token(), oauth.ACRPassword)
			own = h.token(oauth2.SetAuthURLParam("acr_values", oauth.ACRMFA))
			h.wantACR(own, oauth.ACRMFA)
			h.impersonate(own)
		})
	}
}

func (h *through) wantACR(token, want string) {
	h.t.Helper()
	if _, claims := h.verify(token); claims["acr"] != want {
		h.t.Errorf("acr = %v; want %s", claims["acr"], want)
	}
}

// cannot is where no sign-in would help, and nobody is sent to one.
func (h *through) cannot(link string) {
	h.t.Helper()
	if link != "" {
		h.t.Errorf("offered %s", link)
	}
	q := h.browser.visit(h.app.AuthCodeURL("state-12345", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()),
		oauth2.SetAuthURLParam("acr_values", oauth.ACRMFA)), sam).Query()
	if q.Get("error") != "unmet_authentication_requirements" {
		h.t.Errorf("sent back with %v; want unmet_authentication_requirements", q)
	}
}
