package server_test

import (
	"html"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/server"
)

// samWith is what the upstream says of sam, with changes.
func samWith(changes map[string]any) map[string]any {
	claims := sam()
	maps.Copy(claims, changes)
	return claims
}

// signedInBefore is a browser that was signed in through the upstream two hours ago there, just now here.
func (h *abroad) signedInBefore() jar {
	h.t.Helper()
	h.idp.says(samWith(map[string]any{"auth_time": h.clock.Now().Add(-2 * time.Hour).Unix()}))
	j := jar{}
	if h.through(j, ""); j["__Host-op"] == "" {
		h.t.Fatal("nobody is signed in")
	}
	return j
}

// TestUpstreamStepUp: what an app asks of a sign-in is asked of the upstream, and what comes back is held to it: an upstream that obeys
// leads to a code, one that does not leads to a page, and the login of before stays what it was.
func TestUpstreamStepUp(t *testing.T) {
	t.Parallel()
	const stale, weak = "did not ask you to sign in again", "did not ask for your second factor"
	hours := func(n int) func(*abroad) any {
		return func(h *abroad) any { return h.clock.Now().Add(-time.Duration(n) * time.Hour).Unix() }
	}
	ago := func(seconds int) func(h *abroad) any {
		return func(h *abroad) any { return h.clock.Now().Add(-time.Duration(seconds) * time.Second).Unix() }
	}
	for name, c := range map[string]struct {
		asked  url.Values // by the app
		passed url.Values // on to the upstream
		at     func(*abroad) any
		claims map[string]any
		words  string // of the page; "" for a code
	}{
		"max_age":                 {url.Values{"max_age": {"60"}}, url.Values{"max_age": {"60"}}, hours(0), nil, ""},
		"max_age, ignored":        {url.Values{"max_age": {"60"}}, url.Values{"max_age": {"60"}}, hours(2), nil, stale},
		"max_age, kept quiet":     {url.Values{"max_age": {"60"}}, url.Values{"max_age": {"60"}}, nil, nil, stale},
		"max_age, by their clock": {url.Values{"max_age": {"60"}}, url.Values{"max_age": {"60"}}, func(h *abroad) any { return h.clock.Now().Add(20 * time.Second).Unix() }, nil, ""},
		"max_age of nothing":      {url.Values{"max_age": {"0"}}, url.Values{"max_age": {"0"}, "prompt": {"login"}}, hours(2), nil, stale},
		"prompt":                  {url.Values{"prompt": {"login"}}, url.Values{"max_age": {"0"}, "prompt": {"login"}}, hours(0), nil, ""},
		"prompt, ignored":         {url.Values{"prompt": {"login"}}, url.Values{"max_age": {"0"}, "prompt": {"login"}}, hours(2), nil, stale},
		"max_age, not by far":     {url.Values{"max_age": {"60"}}, url.Values{"max_age": {"60"}}, ago(65), nil, stale},
		"prompt, a moment before": {url.Values{"prompt": {"login"}}, url.Values{"max_age": {"0"}, "prompt": {"login"}}, ago(1), nil, stale},
		"prompt, kept quiet":      {url.Values{"prompt": {"login"}}, url.Values{"max_age": {"0"}, "prompt": {"login"}}, nil, nil, stale},
		"acr":                     {url.Values{"acr_values": {oauth.ACRMFA}}, url.Values{"acr_values": {"urn:idp:mfa urn:idp:strong"}}, hours(2), map[string]any{"acr": "urn:idp:mfa"}, ""},
		"acr by amr":              {url.Values{"acr_values": {oauth.ACRMFA}}, url.Values{"acr_values": {"urn:idp:mfa urn:idp:strong"}}, hours(2), map[string]any{"amr": []string{"hwk"}}, ""},
		"acr, ignored":            {url.Values{"acr_values": {oauth.ACRMFA}}, url.Values{"acr_values": {"urn:idp:mfa urn:idp:strong"}}, hours(0), map[string]any{"acr": "0"}, weak},
		"acr, kept quiet":         {url.Values{"acr_values": {oauth.ACRMFA}}, url.Values{"acr_values": {"urn:idp:mfa urn:idp:strong"}}, hours(0), nil, weak},
		"acr in our own words":    {url.Values{"acr_values": {oauth.ACRMFA}}, url.Values{"acr_values": {"urn:idp:mfa urn:idp:strong"}}, hours(0), map[string]any{"acr": oauth.ACRMFA, "amr": []string{"mfa"}}, weak},
		"both, one kept":          {url.Values{"acr_values": {oauth.ACRMFA}, "max_age": {"60"}}, url.Values{"max_age": {"60"}}, hours(2), map[string]any{"acr": "urn:idp:mfa"}, stale},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setupAbroad(t, options{}, func(u *server.Upstream) { u.ACRValues = []string{"urn:idp:mfa", "urn:idp:strong"} })
			j := h.signedInBefore()
			before := h.loginOf(j)
			q := authForm("app")
			maps.Copy(q, c.asked)
			r := h.get("/oauth2/auth?"+q.Encode(), j.header())
			if r.status != http.StatusSeeOther || r.location.Path != "/sign-in" {
				t.Fatalf("got %d to %v; want the sign-in", r.status, r.location)
			}
			to := h.out(j, r.location.RawQuery)
			for name := range c.passed {
				if to.Query().Get(name) != c.passed.Get(name) {
					t.Errorf("the upstream is asked %s=%q, want %q", name, to.Query().Get(name), c.passed.Get(name))
				}
			}
			says := samWith(c.claims)
			if says["auth_time"] = nil; c.at != nil {
				says["auth_time"] = c.at(h)
			}
			h.idp.says(says)
			r = h.back(j, h.idp.visit(to))
			if c.words != "" && r.status == http.StatusOK { // it had that sign-in from before, and is asked for a fresh one
				r = h.back(j, h.idp.visit(h.leaves(r)))
			}
			if c.words != "" {
				if r.status != http.StatusForbidden || !strings.Contains(r.body, c.words) || h.loginOf(j) != before {
					t.Errorf("got %d\n%s", r.status, r.body)
				}
				return
			}
			if h.loginOf(j) == before {
				t.Fatalf("got %d\n%s", r.status, r.body)
			}
			answer := h.post("/oauth2/token", "app", redeem(h.codeAt(h.get(h.leaves(r).String(), j.header()))))
			_, id := claims(t, answer.str("id_token"))
			if at := time.Unix(int64(id["auth_time"].(float64)), 0); at.After(h.clock.Now()) || c.asked.Has("max_age") && at.Before(h.clock.Now().Add(-time.Minute)) {
				t.Errorf("auth_time is %v", at)
			}
			if c.asked.Has("acr_values") != (id["acr"] == oauth.ACRMFA) {
				t.Errorf("acr is %v", id["acr"])
			}
		})
	}
}

// TestUpstreamUnmet: of an upstream that has no sign-in by a second factor none is asked for; the app is told, not sent round.
func TestUpstreamUnmet(t *testing.T) {
	t.Parallel()
	h := setupAbroad(t, options{}, func(u *server.Upstream) { u.MFA = nil })
	j := h.signedInBefore()
	q := authForm("app")
	q.Set("acr_values", oauth.ACRMFA)
	if r := h.get("/oauth2/auth?"+q.Encode(), j.header()); r.location == nil || r.location.Query().Get("error") != "unmet_authentication_requirements" {
		t.Errorf("got %d to %v", r.status, r.location)
	}
}

// TestUpstreamPushed: a request that was pushed asks for a fresh sign-in. One that the upstream gives out of its own session is none, though
// the login here is new, and though the demand was taken out of the URL on the way.
func TestUpstreamPushed(t *testing.T) {
	t.Parallel()
	h := setupAbroad(t, options{}, nil)
	for _, c := range []url.Values{{"prompt": {"login"}}, {"max_age": {"0"}}, {"max_age": {"60"}}} {
		j := h.signedInBefore()
		f := authForm("app")
		maps.Copy(f, c)
		at := h.push("app", f)
		h.clock.advance(5 * time.Second)
		h.through(j, url.Values{"return_to": {at}}.Encode())
		r := h.get(at, j.header())
		if r.status != http.StatusSeeOther || r.location.Path != "/sign-in" || !r.location.Query().Has("max_age") {
			t.Errorf("%v: got %d to %v; want the sign-in, still", c, r.status, r.location)
			continue
		}
		h.idp.says(sam())
		h.codeAt(h.get(h.leaves(h.through(j, r.location.RawQuery)).String(), j.header()))
	}
}

// TestUpstreamPushedForAnother: where an app names somebody else than the upstream gives, the upstream is made to ask; who stays
// is refused to the app, not sent round for ever.
func TestUpstreamPushedForAnother(t *testing.T) {
	t.Parallel()
	h := setupAbroad(t, options{}, nil)
	cookie, _ := h.login("ann")
	f := authForm("app")
	f.Set("id_token_hint", h.idTokenOf(cookie, "app"))
	j := h.signedInBefore()
	at := h.push("app", f)
	h.clock.advance(5 * time.Second)
	r := h.get(at, j.header())
	if r.location == nil || r.location.Path != "/sign-in" {
		t.Fatalf("got %d to %v; want the sign-in", r.status, r.location)
	}
	to := h.out(j, r.location.RawQuery)
	if q := to.Query(); q.Get("prompt") != "login" || q.Get("max_age") != "0" {
		t.Errorf("the upstream is asked %v; want it to ask who they are", q)
	}
	h.idp.says(sam())
	h.leaves(h.back(j, h.idp.visit(to)))
	if r = h.get(at, j.header()); r.location == nil || r.location.Query().Get("error") != "login_required" {
		t.Errorf("got %d to %v; want login_required", r.status, r.location)
	}
}

// signInLink is where a page leads to sign in.
func (h *abroad) signInLink(r reply) *url.URL {
	h.t.Helper()
	link := textBetween(r.body, `href="/sign-in?`, `"`)
	if link == "" {
		h.t.Fatalf("got %d without a way to sign in\n%s", r.status, r.body)
	}
	u, err := url.Parse("/sign-in?" + html.UnescapeString(link))
	h.must(err)
	return u
}

// TestUpstreamStepUpToImpersonate: who signed in upstream by one factor, or too long ago, is led back there from the impersonate page, and
// comes back to what they had typed. An upstream that only says they are back opens nothing.
func TestUpstreamStepUpToImpersonate(t *testing.T) { onBoth(t, testUpstreamStepUpToImpersonate) }

func testUpstreamStepUpToImpersonate(t *testing.T, o options) {
	o.maxAuthAge, o.secondFactor = 5*time.Minute, true
	h := setupAbroad(t, o, func(u *server.Upstream) { u.ACRValues = []string{"urn:idp:mfa"} })
	j := h.asAnn() // by one factor
	first := h.get("/impersonate?"+ask("app"), j.header())
	if first.status != http.StatusForbidden || strings.Contains(first.body, "john@acme.test") {
		t.Fatalf("by one factor: got %d\n%s", first.status, first.body)
	}
	link := h.signInLink(first)
	h.idp.says(samWith(map[string]any{"acr": "0"}))
	if r := h.through(j, link.RawQuery); r.status != http.StatusForbidden {
		t.Errorf("a lower acr: got %d", r.status)
	}
	strong := map[string]any{"acr": "urn:idp:mfa"}
	h.idp.says(samWith(strong))
	r := h.through(j, link.RawQuery)
	if q := h.idp.last(); q.Get("acr_values") != "urn:idp:mfa" || q.Get("prompt") != "login" || r.status != http.StatusSeeOther {
		t.Fatalf("got %d, asked %v", r.status, q)
	}
	if r = h.get(r.location.String(), j.header()); r.status != http.StatusOK {
		t.Fatalf("back on the page: got %d\n%s", r.status, r.body)
	}

	h.clock.advance(6 * time.Minute)
	denied := h.form("/impersonate?"+ask("app"), j.header(), why("john", "read"))
	if denied.status != http.StatusForbidden || denied.cookie("ticket") != "" {
		t.Fatalf("too long ago: got %d to %v\n%s", denied.status, denied.location, denied.body)
	}
	link = h.signInLink(denied)
	h.idp.says(samWith(map[string]any{"acr": "urn:idp:mfa", "auth_time": h.clock.Now().Add(-time.Hour).Unix()}))
	if r := h.through(j, link.RawQuery); r.status != http.StatusForbidden {
		t.Errorf("an old auth_time: got %d", r.status)
	}
	h.idp.says(samWith(map[string]any{"acr": "urn:idp:mfa", "auth_time": nil}))
	if r := h.through(j, link.RawQuery); r.status != http.StatusForbidden {
		t.Errorf("no auth_time: got %d", r.status)
	}
	h.through(j, "") // signed in anew without the demand: as long ago as the upstream says, which is nothing
	if r := h.form("/impersonate?"+ask("app"), j.header(), why("john", "read")); r.status != http.StatusForbidden {
		t.Errorf("without an auth_time, and without asking for one: got %d to %v", r.status, r.location)
	}
	h.idp.says(samWith(strong))
	if r = h.through(j, link.RawQuery); r.status != http.StatusSeeOther {
		t.Fatalf("got %d\n%s", r.status, r.body)
	}
	if form := h.get(r.location.String(), j.header()); form.status != http.StatusOK || !strings.Contains(form.body, "cannot find the report tab") || !strings.Contains(form.body, "John Doe") {
		t.Errorf("back: got %d without what was typed\n%s", form.status, form.body)
	}
	actor := h.token(j.header(), "app", actorScope)
	started := h.post("/oauth2/token", "app", startForm(h.ticket(j.header(), "app", "john", "read"), actor))
	if started.status != http.StatusOK {
		t.Errorf("start: got %d %s", started.status, started.body)
	}
	h.sound(started.str("access_token"))
}
