package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
)

// asAnn lets the upstream sign ann in, who may impersonate, and gives her browser.
func (h *abroad) asAnn() jar {
	h.t.Helper()
	u, err := h.store.Get(h.t.(*testing.T).Context(), "ann")
	h.must(err)
	if len(u.Identities) == 0 {
		h.edit("ann", func(u *directory.User) { u.Identities = []oauth.Party{{Issuer: h.idp.url, Subject: "sam-there"}} })
	}
	j := jar{}
	if r := h.through(j, ""); j["__Host-op"] == "" {
		h.t.Fatalf("got %d\n%s", r.status, r.body)
	}
	return j
}

// outHouse is abroad with a shop that has a page for who signed out.
func outHouse(t *testing.T, o options, change func(*abroadIDP)) *abroad {
	t.Helper()
	h := setupAbroad(t, o, nil)
	if change != nil {
		change(h.idp)
	}
	h.newClient("shop", func(c *store.Client) { c.Settings.PostLogoutRedirectURIs = []string{loggedOut} })
	return h
}

// TestUpstreamSignOut: who signs out here is signed out here first, with all that stands on it, and then upstream; and comes back to a
// page from which nothing signs them in again.
func TestUpstreamSignOut(t *testing.T) { onBoth(t, testUpstreamSignOut) }

func testUpstreamSignOut(t *testing.T, o options) {
	h := outHouse(t, o, nil)
	j := h.asAnn()
	cookie := j.header()
	actor := h.token(cookie, "app", actorScope)
	started := h.post("/oauth2/token", "app", startForm(h.ticket(cookie, "app", "john", "read"), actor))
	if started.status != http.StatusOK {
		t.Fatalf("start: got %d %s", started.status, started.body)
	}
	r := h.form("/sign-out", cookie, url.Values{})
	j.take(r)
	if h.alive(cookie) || h.active("app", actor) || h.active("app", started.str("access_token")) || len(j) > 0 {
		t.Errorf("something outlived the sign-out, cookies %v", j)
	}
	to := h.leaves(r)
	q := to.Query()
	if !strings.HasPrefix(to.String(), h.idp.url+"/end?") || q.Get("client_id") != "understudy" || q.Get("post_logout_redirect_uri") != h.issuer+"/sign-in/signed-out" || q.Has("state") {
		t.Errorf("sent to %s", to)
	}
	if _, claims := claims(t, q.Get("id_token_hint")); claims["sub"] != "sam-there" || claims["sid"] != "sid-1" {
		t.Errorf("the hint says %v; want the ID token of the sign-in", claims)
	}
	back := h.get("/sign-in/signed-out", j.header())
	if back.status != http.StatusOK || !strings.Contains(back.body, "You are signed out") || !strings.Contains(back.body, `href="/sign-in?out=1"`) || strings.Contains(back.body, "may still be") {
		t.Errorf("back: got %d\n%s", back.status, back.body)
	}
	h.sound(started.str("access_token"))
}

// TestUpstreamSignOutByApp: an app that signs somebody out gets them back over the upstream, with its state; only this browser's own cookie says
// where that is, once and for a while.
func TestUpstreamSignOutByApp(t *testing.T) {
	t.Parallel()
	h := outHouse(t, options{}, nil)
	leave := func() (jar, string) {
		t.Helper()
		j := h.asAnn()
		hint := h.idTokenOf(j.header(), "shop")
		r := h.get(logoutAt(url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {loggedOut}, "state": {"a b&c"}}), j.header())
		was := j.header()
		j.take(r)
		q := h.leaves(r).Query()
		if h.alive(was) || len(q.Get("state")) < 43 || strings.Contains(r.header.Get("Refresh"), "9999") {
			t.Fatalf("sent on with %v; want a state that tells nothing, and nobody signed in", q)
		}
		return j, q.Get("state")
	}
	home := func(j jar, state string) string {
		t.Helper()
		r := h.get("/sign-in/signed-out?"+url.Values{"state": {state}}.Encode(), j.header())
		j.take(r)
		return strings.TrimPrefix(r.header.Get("Refresh"), "0; url=")
	}
	j, state := leave()
	copied := jar{"__Host-op-out": j["__Host-op-out"]}
	sealed := []byte(j["__Host-op-out"])
	sealed[40] = map[bool]byte{true: 'y', false: 'x'}[sealed[40] == 'x']
	forged := jar{"__Host-op-out": string(sealed)}
	if got := home(jar{}, state); got != "" {
		t.Errorf("another browser is sent to %q", got)
	}
	if got := home(j, strings.Repeat("A", 43)); got != "" {
		t.Errorf("another state leads to %q", got)
	}
	if got := home(j, ""); got != "" {
		t.Errorf("no state leads to %q", got)
	}
	if got := home(j, state); got != loggedOut+"&state=a+b%26c" || len(j) > 0 {
		t.Errorf("back at %q with %v; want the app's page with its state, and no cookie", got, j)
	}
	if got := home(forged, state); got != "" {
		t.Errorf("a forged cookie leads to %q", got)
	}
	h.clock.advance(10 * time.Minute)
	if got := home(copied, state); got != "" {
		t.Errorf("too late leads to %q", got)
	}

	j = h.asAnn()
	r := h.form("/sign-out?"+url.Values{"client_id": {"shop"}, "post_logout_redirect_uri": {"https://evil.test/"}}.Encode(), j.header(), url.Values{})
	j.take(r)
	if q := h.leaves(r).Query(); q.Has("state") || len(j) > 0 {
		t.Errorf("a place that is not registered is kept: %v, %v", q, j)
	}
	j = h.asAnn()
	if r := h.get("/sign-in/signed-out", j.header()); strings.Contains(r.body, "You are signed out") || !h.alive(j.header()) {
		t.Errorf("who is signed in reads that they are not:\n%s", r.body)
	}
}

// TestUpstreamSignOutAlone: an upstream that cannot sign out, is down, slow or lying keeps nobody from signing out here; the page says that
// they may still be signed in there, and an app gets them back all the same.
func TestUpstreamSignOutAlone(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	for name, c := range map[string]struct {
		broken http.HandlerFunc
		told   bool // by a page, though an app waits
	}{
		"no end_session_endpoint": {nil, false},
		"down":                    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, true},
		"slow":                    {func(http.ResponseWriter, *http.Request) { <-over }, true},
		"lying":                   {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"issuer":"https://other.test"}`)) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := outHouse(t, options{}, func(p *abroadIDP) { p.ending = c.broken != nil })
			if name == "slow" {
				t.Cleanup(func() { close(over) }) // before the upstream closes, which waits for its answers
			}
			one, two := h.asAnn().header(), h.asAnn().header()
			other := h.replica(options{upstreams: []server.Upstream{h.idp.upstream("corp")}}) // that has read nothing of it yet
			h.idp.breaks(c.broken)
			began := time.Now()
			r := other.form("/sign-out", one, url.Values{})
			if r.status != http.StatusOK || r.header.Get("Refresh") != "" || !strings.Contains(r.body, "You may still be signed in at <bdi>Acme corp</bdi>") || h.alive(one) {
				t.Errorf("got %d\n%s", r.status, r.body)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			r = other.form("/sign-out?"+url.Values{"client_id": {"shop"}, "post_logout_redirect_uri": {loggedOut}}.Encode(), two, url.Values{})
			if h.alive(two) {
				t.Error("they are signed in still")
			}
			if !c.told {
				if r.status != http.StatusSeeOther || r.location.String() != loggedOut {
					t.Errorf("got %d to %v; want the app", r.status, r.location)
				}
				return
			}
			if r.status != http.StatusOK || !strings.Contains(r.body, `href="`+loggedOut+`"`) || !strings.Contains(r.body, "may still be signed in") {
				t.Errorf("got %d\n%s", r.status, r.body)
			}
			if !strings.Contains(other.logs.String(), "nobody can be signed out at Acme corp") {
				t.Errorf("the log has %s", other.logs)
			}
		})
	}
}

// TestUpstreamSignOutLong: a way back that no cookie holds is lost, and the sign-out is not.
func TestUpstreamSignOutLong(t *testing.T) {
	t.Parallel()
	h := outHouse(t, options{}, nil)
	j := h.asAnn()
	q := url.Values{"client_id": {"shop"}, "post_logout_redirect_uri": {loggedOut}, "state": {strings.Repeat("s", 4000)}}
	r := h.form("/sign-out?"+q.Encode(), j.header(), url.Values{})
	was := j.header()
	j.take(r)
	if h.leaves(r).Query().Has("state") || len(j) > 0 || h.alive(was) {
		t.Errorf("got %v with %v", r.location, j)
	}
}
