package server_test

import (
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/server"
)

// TestUpstreamAnew: an upstream that gives a sign-in from before, though that does not do, is asked once for a fresh one. One that gave a fresh
// sign-in, or does not say when, is not asked twice for what it did not do.
func TestUpstreamAnew(t *testing.T) { onBoth(t, testUpstreamAnew) }

func testUpstreamAnew(t *testing.T, o options) {
	h := setupAbroad(t, o, func(u *server.Upstream) { u.ACRValues = []string{"urn:idp:mfa"} })
	const (
		strong = "return_to=%2Faudit&acr_values=" + oauth.ACRMFA
		fresh  = "return_to=%2Faudit&max_age=60"
	)
	old, soon := h.clock.Now().Add(-5*time.Minute).Unix(), h.clock.Now().Add(30*time.Second).Unix() // the clock goes on meanwhile
	for name, c := range map[string]struct {
		query    string
		authTime any
		anew     bool // asked again
		words    string
	}{
		"weak, from before":       {strong, old, true, "did not ask for your second factor"},
		"weak, nobody knows when": {strong, nil, true, "did not ask for your second factor"},
		"weak and fresh":          {strong, soon, false, "did not ask for your second factor"},
		"too old":                 {fresh, old, true, "did not ask you to sign in again"},
		"nobody knows how old":    {fresh, nil, false, "did not ask you to sign in again"},
		"asked fresh":             {"max_age=0", old, false, "did not ask you to sign in again"},
	} {
		poor := sam()
		poor["auth_time"] = c.authTime
		h.idp.says(poor)
		j := jar{}
		r := h.through(j, c.query)
		if !c.anew {
			h.failed(j, r, http.StatusForbidden, c.words)
			continue
		}
		to := h.leaves(r)
		if q := to.Query(); q.Get("prompt") != "login" || q.Get("max_age") != "0" || (q.Get("acr_values") == "urn:idp:mfa") != (c.query == strong) {
			t.Errorf("%s: asked again with %v", name, q)
		}
		h.failed(j, h.back(j, h.idp.visit(to)), http.StatusForbidden, "did not ask")
		h.anewSucceeds(name, c.query)
	}
	h.sound()
}

// anewSucceeds is that way with an upstream that does, when asked again, what it was asked.
func (h *abroad) anewSucceeds(name, query string) {
	h.t.Helper()
	j := jar{}
	to := h.leaves(h.through(j, query))
	good := sam()
	good["acr"] = "urn:idp:mfa"
	h.idp.says(good)
	if r := h.back(j, h.idp.visit(to)); r.status != http.StatusSeeOther || r.location.String() != "/audit" || len(j) != 1 {
		h.t.Errorf("%s: got %d to %v with %d cookies; want 303 to /audit and one", name, r.status, r.location, len(j))
	}
}

// The sign-in that is asked for anew is another: its answer counts once, and that of before no more.
func TestUpstreamAnewOnce(t *testing.T) {
	t.Parallel()
	h := setupAbroad(t, options{}, nil)
	poor := sam()
	poor["auth_time"] = nil
	h.idp.says(poor)
	j := jar{}
	to := h.out(j, "acr_values="+oauth.ACRMFA)
	was := maps.Clone(j)
	first := h.idp.visit(to)
	second := h.leaves(h.back(j, first))
	if to.Query().Get("state") == second.Query().Get("state") || to.Query().Get("nonce") == second.Query().Get("nonce") {
		t.Error("asked again with the same state or nonce")
	}
	h.failed(was, h.back(was, first), http.StatusBadRequest, "")
	h.failed(was, h.back(was, url.Values{"code": {"x"}, "state": {second.Query().Get("state")}, "iss": {h.idp.url}}), http.StatusBadRequest, "")
}
