package server_test

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
)

// agent is a client that acts for people who let it.
func agent(c *store.Client) { c.Settings.Service = oauth.ActorAIAgent }

// consent lets actor act for john at client; change makes it another one.
func (h *house) consent(actor, client string, change func(*impersonation.Consent)) impersonation.Consent {
	h.t.Helper()
	now := h.clock.Now().UTC()
	c := impersonation.Consent{
		ID: oauth.NewID("cns"), Subject: "john", Actor: actor, ActorKind: oauth.ActorUser, Client: client, Scopes: []string{"openid", "app:read", "app:write", "roles"},
		Mode: oauth.ModeRead, Reason: "books his travel", Until: now.Add(time.Hour), Created: now, CreatedBy: "cli",
	}
	if actor == oauth.ClientSubject(client) {
		c.ActorKind = oauth.ActorAIAgent
	}
	if change != nil {
		change(&c)
	}
	h.must(h.store.AddConsent(h.t.Context(), store.ConsentWrite{Write: h.write(), Consent: c}))
	return c
}

// TestOwnTokenIsCeiling: an exchange of the subject's own token gives no scope that this token does not hold, whatever the consent allows
// and the request asks for; the marker of the mode is none of them.
func TestOwnTokenIsCeiling(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		holds, asks string
		mode        oauth.Mode
		want        string // "" for invalid_scope
	}{
		"little":              {"openid", "", oauth.ModeRead, "openid"},
		"little, for writing": {"openid", "", oauth.ModeWrite, "impersonation:write openid"},
		"some":                {"openid app:read", "", oauth.ModeWrite, "app:read impersonation:write openid"},
		"some of it":          {"openid app:read app:write", "app:read roles", oauth.ModeWrite, "app:read impersonation:write"},
		"more":                {"openid", "openid app:read", oauth.ModeRead, "openid"},
		"only more":           {"openid", "app:read", oauth.ModeRead, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t, options{})
			h.addClientAs("bot", agent)
			h.consent("client:bot", "bot", func(n *impersonation.Consent) { n.Mode = c.mode })
			cookie, _ := h.login("john")
			f := ownForm(h.token(cookie, "bot", c.holds), "")
			if c.asks != "" {
				f.Set("scope", c.asks)
			}
			r := h.post("/oauth2/token", "bot", f)
			if c.want == "" {
				refused(t, r, http.StatusBadRequest, "invalid_scope")
				return
			}
			if r.status != http.StatusOK || r.str("scope") != c.want {
				t.Errorf("got %d %s; want the scope %s", r.status, r.body, c.want)
			}
			if !h.active("bot", r.str("access_token")) {
				t.Error("what was started is not active")
			}
		})
	}
}

func (h *house) withdraw(id string) {
	h.t.Helper()
	_, err := h.store.RevokeConsent(context.Background(), id, impersonation.EndWrite{Write: h.write(), Reason: impersonation.EndConsent, Issuer: h.issuer})
	h.must(err)
}

// ownForm exchanges the subject's own token; actor "" is the client itself.
func ownForm(subject, actor string) url.Values {
	f := url.Values{"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {subject}, "subject_token_type": {typeToken}}
	if actor != "" {
		f.Set("actor_token", actor)
		f.Set("actor_token_type", typeToken)
	}
	return f
}

// own1 gives john's own token at client.
func (h *house) own1(client string) (token, cookie string) {
	h.t.Helper()
	cookie, _ = h.login("john")
	return h.token(cookie, client, "openid app:read app:write roles"), cookie
}

// An agent acts for a user who let it, with a token of its own or as the client that it is: john's token says who may ask, the answer
// says who acts, and carries nothing over.
//
// Covers RFC8693-1.1-01, RFC8693-4.1-01, RFC8693-4.1-02, RFC8693-4.1-03, RFC8693-4.1-04, RFC8693-4.1-08, RFC8693-4.2-01, RFC8693-4.3-01,
// Covers RFC8693-4.4-01, RFC8693-4.4-04, RFC8693-4.4-07, RFC8693-6-03.
func TestStartByAgent(t *testing.T) { onBoth(t, testStartByAgent) }

func testStartByAgent(t *testing.T, o options) {
	h := setup(t, o)
	h.addClientAs("bot", agent)
	h.addClientAs("bot2", agent)
	h.consent("client:bot", "bot", nil)
	john, _ := h.own1("bot")
	_, c := claims(t, john)
	if may, _ := c["may_act"].(map[string]any); !maps.Equal(may, map[string]any{"iss": h.issuer, "sub": "client:bot", "client_id": "bot"}) {
		t.Fatalf("john's token says may_act %v", c["may_act"])
	}
	subjectEnds := c["exp"].(float64)
	own := h.own("bot", url.Values{"scope": {"app:read impersonate"}}).str("access_token")
	for name, actor := range map[string]string{"as the client": "", "with its token": own} {
		r := h.post("/oauth2/token", "bot", ownForm(john, actor))
		if r.status != http.StatusOK {
			t.Fatalf("%s: got %d %s", name, r.status, r.body)
		}
		if _, ok := r.json["understudy_return_token"]; ok || r.str("issued_token_type") != typeToken {
			t.Errorf("%s: got %s", name, r.body)
		}
		told, _ := r.json["understudy_session"].(map[string]any)["actor"].(map[string]any)
		if want := map[string]any{"sub": "client:bot", "name": "The bot"}; !maps.Equal(told, want) {
			t.Errorf("%s: understudy_session says that %v acts, want %v", name, told, want)
		}
		_, c := claims(t, r.str("access_token"))
		act, _ := c["act"].(map[string]any)
		if want := map[string]any{"iss": h.issuer, "sub": "client:bot", "sub_profile": "ai_agent"}; !maps.Equal(act, want) {
			t.Errorf("%s: act is %v, want %v", name, act, want)
		}
		if c["sub"] != "john" || c["client_id"] != "bot" || c["scope"] != "app:read openid roles" || c["exp"].(float64) > subjectEnds {
			t.Errorf("%s: the token says %v", name, c)
		}
		known := []string{"iss", "sub", "aud", "client_id", "scope", "iat", "exp", "jti", "sid", "txn", "act"}
		for claim := range c {
			if !slices.Contains(known, claim) {
				t.Errorf("%s: the token has %s", name, claim)
			}
		}
		i := h.post("/oauth2/introspect", "bot", url.Values{"token": {r.str("access_token")}})
		if seen, _ := i.json["act"].(map[string]any); i.json["active"] != true || !maps.Equal(seen, act) {
			t.Errorf("%s: introspection says %s", name, i.body)
		}
		if info := h.userinfoOf(r.str("access_token")); info.str("sub") != "john" || !maps.Equal(info.json["act"].(map[string]any), map[string]any{
			"iss": h.issuer, "sub": "client:bot", "sub_profile": "ai_agent", "name": "The bot"}) {
			t.Errorf("%s: userinfo says %s", name, info.body)
		}
		refused(t, h.post("/oauth2/token", "bot", ownForm(r.str("access_token"), actor)), http.StatusBadRequest, "invalid_request")
	}
	e := h.entry(audit.KindStart)
	if e.Actor.Subject != "client:bot" || e.Fields["via"] != "token" || e.Fields["actor_kind"] != "ai_agent" || e.Fields["consent"] == "" {
		t.Errorf("the entry says %+v", e)
	}
	if !h.active("bot", john) || !h.active("bot", own) {
		t.Error("an exchange ended one of the tokens that it was given")
	}
	// Another client gets nothing for either.
	refused(t, h.post("/oauth2/token", "bot2", ownForm(john, "")), http.StatusBadRequest, "invalid_request")
	refused(t, h.post("/oauth2/token", "bot2", ownForm(john, own)), http.StatusBadRequest, "invalid_request")
}

func (h *house) userinfoOf(token string) reply {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodGet, h.url+"/userinfo", nil)
	h.must(err)
	req.Header.Set("Authorization", "Bearer "+token)
	return h.do(req)
}

// A person acts for a user who let them, and comes back.
func TestStartByPersonWithConsent(t *testing.T) { onBoth(t, testStartByPersonWithConsent) }

func testStartByPersonWithConsent(t *testing.T, o options) {
	h := setup(t, o)
	h.consent("ann", "app", func(c *impersonation.Consent) { c.Mode = oauth.ModeWrite })
	john, _ := h.own1("app")
	cookie, _ := h.login("ann")
	actor := h.token(cookie, "app", actorScope)
	r := h.post("/oauth2/token", "app", ownForm(john, actor))
	if r.status != http.StatusOK || r.str("scope") != "app:read app:write impersonation:write openid roles" || r.str("understudy_return_token") == "" {
		t.Fatalf("start: got %d %s", r.status, r.body)
	}
	_, c := claims(t, r.str("access_token"))
	if act, _ := c["act"].(map[string]any); !maps.Equal(act, map[string]any{"iss": h.issuer, "sub": "ann"}) || c["sub"] != "john" {
		t.Errorf("the token says %v", c)
	}
	back := h.post("/oauth2/token", "app", stopForm(r.str("understudy_return_token")))
	if _, c := claims(t, back.str("access_token")); back.status != http.StatusOK || c["sub"] != "ann" || c["act"] != nil {
		t.Errorf("stop: got %d %v", back.status, c)
	}
	if h.active("app", r.str("access_token")) {
		t.Error("it is active after the stop")
	}
}

// A consent is necessary, and not enough: what each of the two could not do is refused, in the one text.
//
// Covers RFC8693-4.4-02, RFC8693-4.4-08, RFC8693-4.4-09.
func TestConsentRefused(t *testing.T) { onBoth(t, testConsentRefused) }

func testConsentRefused(t *testing.T, o options) {
	type scene struct {
		*house
		c            impersonation.Consent
		john, cookie string // john's
		ann, bea     string // tokens
		login        string // ann's
	}
	for name, change := range map[string]func(*scene) (client, subject, actor string){
		"no consent": func(s *scene) (string, string, string) {
			s.withdraw(s.c.ID)
			token, _ := s.own1("app")
			return "app", token, s.ann
		},
		"withdrawn meanwhile": func(s *scene) (string, string, string) { s.withdraw(s.c.ID); return "app", s.john, s.ann },
		"over meanwhile":      func(s *scene) (string, string, string) { s.clock.advance(3 * time.Minute); return "app", s.john, s.ann },
		"another actor":       func(s *scene) (string, string, string) { return "app", s.john, s.bea },
		"another actor now": func(s *scene) (string, string, string) {
			s.withdraw(s.c.ID)
			s.consent("bea", "app", nil)
			return "app", s.john, s.ann
		},
		"nobody":                  func(s *scene) (string, string, string) { return "app", s.john, "" },
		"at another client":       func(s *scene) (string, string, string) { return "other", s.john, s.ann },
		"the subject as actor":    func(s *scene) (string, string, string) { return "app", s.john, s.john },
		"an actor without a role": func(s *scene) (string, string, string) { s.role("ann", ""); return "app", s.john, s.ann },
		"an actor who signed out": func(s *scene) (string, string, string) {
			_, err := s.store.EndLogin(context.Background(), impersonation.EndWrite{Write: s.write(), Scope: impersonation.ScopeLogin, ID: s.login, Reason: impersonation.EndSignedOut})
			s.must(err)
			return "app", s.john, s.ann
		},
		"a subject who signed out": func(s *scene) (string, string, string) {
			s.form("/sign-out", s.cookie, url.Values{})
			return "app", s.john, s.ann
		},
		"a subject's token that was revoked": func(s *scene) (string, string, string) {
			s.post("/oauth2/revoke", "app", url.Values{"token": {s.john}})
			return "app", s.john, s.ann
		},
		"an actor's token that was revoked": func(s *scene) (string, string, string) {
			s.post("/oauth2/revoke", "app", url.Values{"token": {s.ann}})
			return "app", s.john, s.ann
		},
		"the two exchanged":    func(s *scene) (string, string, string) { return "app", s.ann, s.john },
		"a cut subject token":  func(s *scene) (string, string, string) { return "app", s.john[:len(s.john)-8], s.ann },
		"a privileged subject": func(s *scene) (string, string, string) { s.role("john", "support"); return "app", s.john, s.ann },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t, o)
			h.t = t
			s := &scene{house: h}
			s.c = h.consent("ann", "app", func(c *impersonation.Consent) { c.Until = h.clock.Now().Add(2 * time.Minute) })
			s.john, s.cookie = h.own1("app")
			var cookie string
			cookie, s.login = h.login("ann")
			s.ann = h.token(cookie, "app", actorScope)
			bea, _ := h.login("bea")
			s.bea = h.token(bea, "app", actorScope)
			client, subject, actor := change(s)
			before := h.base.dump(t)
			r := h.post("/oauth2/token", client, ownForm(subject, actor))
			refused(t, r, http.StatusBadRequest, "invalid_request")
			if r.str("error_description") != tokenexchange.RefusedText {
				t.Errorf("got %s", r.body)
			}
			onlyAudit(t, "a refusal", before, h.base.dump(t), string(audit.KindRefused))
		})
	}
}

// role gives a user a role, or none.
func (h *house) role(user, role string) {
	h.t.Helper()
	u, err := h.store.Get(context.Background(), user)
	h.must(err)
	if u.Roles = nil; role != "" {
		u.Roles = []string{role}
	}
	h.must(h.store.UpdateUser(context.Background(), store.UserWrite{Write: h.write(), User: u}))
}

// An agent has no role: the consent, the client and the rules that protect people bound it.
func TestAgentRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*house)
		actor  func(*house) string
		code   string
	}{
		"a subject who became privileged": {func(h *house) { h.role("john", "admin") }, nil, "invalid_request"},
		"a subject who became protected": {func(h *house) {
			u, err := h.store.Get(context.Background(), "john")
			h.must(err)
			u.Protected = true
			h.must(h.store.UpdateUser(context.Background(), store.UserWrite{Write: h.write(), User: u}))
		}, nil, "invalid_request"},
		"an actor token that makes no actor": {nil, func(h *house) string { return h.own("bot", nil).str("access_token") }, "invalid_request"},
		"a client that was killed": {func(h *house) {
			_, err := h.store.End(context.Background(), impersonation.EndWrite{Write: h.write(), Scope: impersonation.ScopeClient, ID: "bot", Kill: true, Reason: impersonation.EndKilled})
			h.must(err)
		}, nil, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t, options{})
			h.addClientAs("bot", agent)
			h.consent("client:bot", "bot", nil)
			john, _ := h.own1("bot")
			actor := ""
			if c.actor != nil {
				actor = c.actor(h)
			}
			if c.change != nil {
				c.change(h)
			}
			refused(t, h.post("/oauth2/token", "bot", ownForm(john, actor)), http.StatusBadRequest, c.code)
		})
	}
}

// What keeps a session alive is asked again: it ends with the consent, with either of the two, and at the latest with the tokens.
//
// Covers RFC8693-2.1-28.
func TestConsentEnds(t *testing.T) { onBoth(t, testConsentEnds) }

func testConsentEnds(t *testing.T, o options) {
	for name, end := range map[string]func(h *house, c impersonation.Consent){
		"taken back":  func(h *house, c impersonation.Consent) { h.withdraw(c.ID) },
		"over":        func(h *house, _ impersonation.Consent) { h.clock.advance(5 * time.Minute) },
		"John leaves": func(h *house, _ impersonation.Consent) { h.disable("john") },
		"the client goes": func(h *house, _ impersonation.Consent) {
			h.must(h.store.DeleteClient(context.Background(), "bot", impersonation.EndWrite{Write: h.write(), Reason: impersonation.EndClient}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t, o)
			h.t = t
			h.addClientAs("bot", agent)
			c := h.consent("client:bot", "bot", func(c *impersonation.Consent) { c.Until = h.clock.Now().Add(5 * time.Minute).Truncate(time.Second) })
			john, _ := h.own1("bot")
			r := h.post("/oauth2/token", "bot", ownForm(john, ""))
			if r.status != http.StatusOK {
				t.Fatalf("start: got %d %s", r.status, r.body)
			}
			if _, payload := claims(t, r.str("access_token")); int64(payload["exp"].(float64)) > c.Until.Unix() {
				t.Errorf("exp %v is after the end of the consent, %d", payload["exp"], c.Until.Unix())
			}
			if !h.active("app", r.str("access_token")) {
				t.Fatal("not active")
			}
			end(h, c)
			if h.active("app", r.str("access_token")) {
				t.Error("still active")
			}
			if name != "the client goes" {
				refused(t, h.post("/oauth2/token", "bot", ownForm(john, "")), http.StatusBadRequest, "invalid_request")
			}
		})
	}
}

func (h *house) disable(user string) {
	h.t.Helper()
	u, err := h.store.Get(context.Background(), user)
	h.must(err)
	u.Enabled = false
	h.must(h.store.UpdateUser(context.Background(), store.UserWrite{Write: h.write(), User: u}))
}

// Only who could be exchanged has a token that says who may: not the same user's token at another client.
func TestMayActStaysAtItsClient(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.consent("ann", "app", nil)
	elsewhere, _ := h.own1("other")
	here, _ := h.own1("app")
	if _, c := claims(t, elsewhere); c["may_act"] != nil {
		t.Errorf("at another client: may_act is %v", c["may_act"])
	}
	if _, c := claims(t, here); c["may_act"] == nil {
		t.Error("no may_act in the token that could be exchanged")
	}
	if i := h.post("/oauth2/introspect", "app", url.Values{"token": {here}}); strings.Contains(i.body, "may_act") {
		t.Errorf("introspection says %s", i.body)
	}
	h.clock.advance(2 * time.Hour)
	if late, _ := h.own1("app"); late != "" {
		if _, c := claims(t, late); c["may_act"] != nil {
			t.Errorf("after the end of the consent: may_act is %v", c["may_act"])
		}
	}
}

// TestDeadConsentNamesNobody: a client that is no longer the agent that the consent lets act is not named in a token: nothing could
// come of it.
func TestDeadConsentNamesNobody(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("bot", func(c *store.Client) { c.Settings.Service = oauth.ActorService })
	h.consent("client:bot", "bot", nil) // it lets an agent act
	john, _ := h.own1("bot")
	if _, c := claims(t, john); c["sub"] != "john" || c["may_act"] != nil {
		t.Errorf("got a token of %v with may_act %v; want one of john without", c["sub"], c["may_act"])
	}
}
