package plugin_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/plugin"
)

// TestReturnTokenBindings: a return token is its client's alone, comes without an actor token, and is good once. A double click revokes nothing.
//
// Covers RFC8693-2.2.2-01.
func TestReturnTokenBindings(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		h := setup(t, o)
		as := h.start()
		other := *h.browser
		other.id = "other"
		h.refused(other.redeem(stopForm(as.back)), http.StatusBadRequest, "invalid_request")
		h.refused(h.redeem(stopForm(as.access)), http.StatusBadRequest, "invalid_request") // the token itself leads nowhere back
		with := stopForm(as.back)
		with.Set("actor_token", h.ann.access)
		with.Set("actor_token_type", "urn:ietf:params:oauth:token-type:access_token")
		h.refused(h.redeem(with), http.StatusBadRequest, "invalid_request")
		h.is(as, "active: u-2, act u-1, orders:read")
		back := as.stop()
		h.refused(as.stop(), http.StatusBadRequest, "invalid_request")
		h.is(back, "active: u-1, orders:read orders:write impersonate")
		h.ended(as, impersonation.EndStopped)
	})
}

// TestReturnTokenReuse: later than a double click the second use revokes, in the provider's own storage, what the first gave.
func TestReturnTokenReuse(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, options{on: o.on, change: func(c *plugin.Config) { c.Lifetimes.DoubleClick = time.Nanosecond }})
		as := h.start()
		back := as.stop()
		h.is(back, "active: u-1, orders:read orders:write impersonate")
		h.refused(as.stop(), http.StatusBadRequest, "invalid_request")
		h.is(back, "inactive")
		h.is(h.ann, "active: u-1, orders:read orders:write impersonate") // no other token of hers
		if e := h.entries(audit.KindReuse); len(e) != 1 || e[0].Session != as.sid() {
			t.Errorf("entries of reuse: %v", e)
		}
	})
}

// TestClockWasPaused: what a stop gives back lives as long as the actor's token had left at the start, also one that says nothing of its end, and
// never longer than the sign-in.
func TestClockWasPaused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		token, login time.Duration // 0: the token does not say
		want         time.Duration
	}{
		"what was left":            {20 * time.Minute, 8 * time.Hour, 20 * time.Minute},
		"at most the sign-in":      {20 * time.Minute, 10 * time.Minute, 10 * time.Minute},
		"by its age, if it is mum": {0, 8 * time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t, options{})
			h.login1(func(l *impersonation.Login) { l.Expires = time.Now().Add(c.login) })
			for _, r := range h.AccessTokens {
				var at time.Time
				if c.token != 0 {
					at = time.Now().Add(c.token)
				}
				r.GetSession().SetExpiresAt(fosite.AccessToken, at)
			}
			back := h.start().stop()
			lives, _ := back.answer["expires_in"].(float64)
			if got := time.Duration(lives) * time.Second; got > c.want || got < c.want-time.Minute {
				t.Errorf("expires_in is %v; want %v", got, c.want)
			}
			exp, _ := back.introspection()["exp"].(float64)
			if left := time.Until(time.Unix(int64(exp), 0)); left > c.want || left < c.want-time.Minute {
				t.Errorf("exp is in %v; want %v", left, c.want)
			}
		})
	}
}

// TestRevocation: revoking the token, or the way back, ends the session; another client can do neither; and every other token is the provider's to revoke.
//
// Covers RFC7009-2.1-01, RFC7009-2.1-02, RFC7009-2.2-01.
func TestRevocation(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		h := setup(t, o)
		other := *h.browser
		other.id = "other"
		for _, pick := range []func(token) string{func(t token) string { return t.access }, func(t token) string { return t.back }} {
			for _, hint := range []string{"", "refresh_token", "access_token"} {
				as := h.start()
				form := url.Values{"token": {pick(as)}, "token_type_hint": {hint}}
				other.form("/oauth2/revoke", form, true)
				h.is(as, "active: u-2, act u-1, orders:read")
				if r := h.form("/oauth2/revoke", form, true); r.status != http.StatusOK || r.body != "" {
					t.Errorf("revoking: %d %s", r.status, r.body)
				}
				h.is(as, "inactive")
				h.ended(as, impersonation.EndRevoked)
				h.refused(as.stop(), http.StatusBadRequest, "invalid_request")
				if r := h.form("/oauth2/revoke", form, true); r.status != http.StatusOK {
					t.Errorf("revoking again: %d %s", r.status, r.body)
				}
			}
		}
		for _, garbage := range []string{"garbage", "a.b.c", "a.b", string(make([]byte, 43))} {
			if r := h.form("/oauth2/revoke", url.Values{"token": {garbage}}, true); r.status != http.StatusOK {
				t.Errorf("revoking %q: %d %s", garbage, r.status, r.body)
			}
		}
		h.is(h.ann, "active: u-1, orders:read orders:write impersonate")
		if h.form("/oauth2/revoke", url.Values{"token": {h.ann.access}}, true); o.kind != stateless {
			h.is(h.ann, "inactive")
		}
	})
}

// TestRevocationThatFailed: a store that cannot end a session makes no 200. The answer says when to try again.
//
// Covers RFC7009-2.2-02.
func TestRevocationThatFailed(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		h := setup(t, o)
		as := h.start()
		h.store.Close()
		for _, token := range []string{as.access, as.back} {
			r := h.form("/oauth2/revoke", url.Values{"token": {token}}, true)
			if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" || r.header.Get("Cache-Control") != "no-store" {
				t.Errorf("revoking: %d %v %s", r.status, r.header, r.body)
			}
		}
		h.is(as, "inactive") // nobody vouches for it
		h.refused(as.stop(), http.StatusServiceUnavailable, "temporarily_unavailable")
	})
}
