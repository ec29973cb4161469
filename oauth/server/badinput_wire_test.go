package server_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

// borrowed is what the good requests of the rest of the wire need.
type borrowed struct {
	assertor                      *prover // holds the key of the client keyed
	refreshToken                  string
	johns, johnsAtBot, annsAtTool string // access tokens; may_act of john's names ann and the agent
}

// borrow makes it, with a client for each.
func (l *lent) borrow() {
	l.assertor = l.addKeyed("keyed")
	l.addClientAs("web", func(c *store.Client) {
		refreshing(c)
		tool(c)
	})
	l.addClientAs("bot", agent)
	l.consent("ann", "app", nil)
	l.consent("client:bot", "bot", nil)
	l.johns, l.johnsAtBot = l.token(firstCookieOf(l.house, "john"), "app", "openid app:read"), l.token(firstCookieOf(l.house, "john"), "bot", "openid app:read")
	l.refreshToken = l.granted(l.post("/oauth2/token", "web", redeem(l.code(l.cookie, "web", "openid")))).refresh
	l.annsAtTool = l.token(l.cookie, "web", actorScope)
	l.secrets = append(l.secrets, l.johns, l.johnsAtBot, l.refreshToken, l.annsAtTool, l.house.secrets["web"], l.house.secrets["bot"], l.house.secrets["keyed"])
}

// wireEndpoints are the grants and endpoints that stand beside the way from sign-in to stop.
func (l *lent) wireEndpoints() map[string]endpoint {
	posts := func(client, path string, f func() url.Values) func() call {
		return func() call { return l.as(client, call{method: http.MethodPost, path: path, body: f()}) }
	}
	refusals := []string{"impersonation.refused", "impersonation.refused_folded"}
	return map[string]endpoint{
		"refresh": {
			good: posts("web", "/oauth2/token", func() url.Values { return refreshForm(l.refreshToken) }),
			body: []parameter{{name: "grant_type", needed: true, shape: canary}, {name: "refresh_token", needed: true, shape: canary, silent: true},
				{name: "scope", shape: `a\b`}, {name: "resource", shape: canary}},
		},
		"client credentials": {
			good: posts("bot", "/oauth2/token", func() url.Values { return url.Values{"grant_type": {"client_credentials"}} }),
			body: []parameter{{name: "scope", shape: `a\b`}, {name: "resource", shape: canary}},
		},
		"start by user id": {
			good: posts("web", "/oauth2/token", func() url.Values { return userIDForm("john", l.annsAtTool) }), kinds: refusals,
			body: []parameter{{name: "subject_token", needed: true, shape: "nobody", silent: true}, {name: "actor_token", needed: true, shape: canary, silent: true},
				{name: oauth.ParamReason, needed: true, shape: "short", lines: true}, {name: oauth.ParamTicketNumber, shape: strings.Repeat("n", 65)},
				{name: "scope", shape: `a\b`}, {name: "audience", shape: canary}},
		},
		"start by consent": {
			good: posts("app", "/oauth2/token", func() url.Values { return ownForm(l.johns, l.actor) }), kinds: refusals,
			body: []parameter{{name: "subject_token", needed: true, shape: canary, silent: true}, {name: "subject_token_type", needed: true, shape: canary},
				{name: "actor_token", shape: canary, silent: true}, {name: "requested_token_type", shape: canary}},
		},
		"start by an agent": {
			good: posts("bot", "/oauth2/token", func() url.Values { return ownForm(l.johnsAtBot, "") }), kinds: refusals,
			body: []parameter{{name: "subject_token", needed: true, shape: canary, silent: true}},
		},
		"introspect by assertion": {
			good: func() call {
				f := asserting(l.assertor.assertion("keyed"))
				f.Set("token", l.actor)
				return call{method: http.MethodPost, path: "/oauth2/introspect", body: f}
			},
			body: []parameter{{name: "client_assertion", needed: true, shape: canary, silent: true}, {name: "client_assertion_type", needed: true, shape: canary}},
		},
	}
}

// TestBadWire does what TestBadParameters does with the rest of the wire: refresh tokens, assertions, proofs, user ids, and tokens whose
// may_act names somebody. It is CVE-2026-34969, CVE-2026-44883 and CVE-2019-7644 too: no secret is in an answer, in a
// log line or in a row.
func TestBadWire(t *testing.T) {
	t.Parallel()
	l := setupLent(t)
	l.borrow()
	l.bendAll(t, l.wireEndpoints())
	l.telling(t)
	l.stillGrants(t, l.wireEndpoints())
}

// telling sends what a DPoP header may hold.
func (l *lent) telling(t *testing.T) {
	t.Helper()
	p := newProver(l.house).learns()
	good := p.proof("POST", "/oauth2/token", "")
	for what, header := range map[string][]string{
		"text": {canary}, "three parts": {canary + ".x.y"}, "twice": {good, good}, "two in one": {good + ", " + good}, "long": {strings.Repeat(canary, 6000)},
		"of elsewhere": {p.proof("POST", "/"+canary, "")}, "a nonce": {p.proof("POST", "/oauth2/token", "", claim("nonce", canary))}, "no jti": {p.proof("POST", "/oauth2/token", "", claim("jti", ""))},
		"method": {p.proof(canary, "/oauth2/token", "")}, "a member": {p.proof("POST", "/oauth2/token", "", func(header, _ map[string]any) { header["jwk"].(map[string]any)["d"] = canary })},
		"crit": {p.proof("POST", "/oauth2/token", "", func(header, _ map[string]any) { header["crit"] = []string{canary} })},
	} {
		for name, e := range map[string]endpoint{"refresh": l.wireEndpoints()["refresh"], "push": l.endpoints()["push"]} {
			c := e.good()
			c.header = maps.Clone(c.header)
			c.header["Dpop"] = header
			l.refuses(t, name+" with a proof: "+what, endpoint{}, c, "DPoP")
		}
	}
}
