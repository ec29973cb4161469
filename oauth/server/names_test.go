package server_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
)

const idp = "https://idp.example/"

// namedResource is the resource of those who know people by their names at idp, apartResource one of a single client.
const (
	namedResource = "urn:understudy:resource:named"
	apartResource = "urn:understudy:resource:apart"
)

// mapped is a client that knows people by their names at idp.
func mapped(c *store.Client) {
	c.Settings.SubjectIssuer, c.Settings.UserID, c.Settings.Refresh = idp, true, true
	c.Resources, c.Serves = []string{namedResource}, []string{namedResource}
}

// namesHouse has the client mapped beside app. At idp ann is A-1, sue is called ann, and john and eve have each other's IDs; at another
// issuer zoe has john's. Bea has no name anywhere.
func namesHouse(t *testing.T, o options) *house {
	t.Helper()
	r := policy.Default()
	r.Resources = append(r.Resources, policy.Resource{URI: namedResource, AcceptsAct: true}, policy.Resource{URI: apartResource, AcceptsAct: true})
	o.registry = &r
	h := setup(t, o)
	h.addClientAs("mapped", mapped)
	for id, sub := range map[string]string{"ann": "A-1", "sue": "ann", "john": "eve", "eve": "john"} {
		h.change(id, func(u *directory.User) { u.Identities = []oauth.Party{{Issuer: idp, Subject: sub}} })
	}
	h.change("zoe", func(u *directory.User) {
		u.Identities = []oauth.Party{{Issuer: strings.TrimSuffix(idp, "/"), Subject: "john"}}
	})
	return h
}

// TestOneResourceOneNaming: john is eve at idp. A client that would tell so at the resource where eve is eve is not registered: one sub
// under one iss would be two people there.
func TestOneResourceOneNaming(t *testing.T) { onBoth(t, testOneResourceOneNaming) }

func testOneResourceOneNaming(t *testing.T, o options) {
	h := namesHouse(t, o)
	c, err := h.store.Client(t.Context(), "mapped")
	h.must(err)
	c.ID, c.Resources = "sly", []string{namedResource, resource}
	if err := h.store.CreateClient(t.Context(), store.ClientWrite{Write: h.write(), Client: c}); !errors.Is(err, store.ErrNaming) {
		t.Errorf("got %v, want ErrNaming", err)
	}
	john, _ := h.login("john")
	eve, _ := h.login("eve")
	_, a := claims(t, h.token(john, "mapped", "openid app:read"))
	_, b := claims(t, h.token(eve, "app", "openid app:read"))
	if a["sub"] != b["sub"] || a["iss"] != b["iss"] || a["aud"] == b["aud"] {
		t.Errorf("john is %v %v at %v, eve %v %v at %v; want one name at two resources", a["iss"], a["sub"], a["aud"], b["iss"], b["sub"], b["aud"])
	}
}

// partyOf reads {iss, sub} of an answer.
func partyOf(v any) oauth.Party {
	m, _ := v.(map[string]any)
	iss, _ := m["iss"].(string)
	sub, _ := m["sub"].(string)
	return oauth.Party{Issuer: iss, Subject: sub}
}

// TestNamesOfAClient follows a client that knows people by their sub at another issuer from the sign-in to the stop, beside one that knows them by
// their IDs: in each token and answer it finds its own names and no ID of ours, iss stays ours, and the trail keeps the IDs.
//
// Covers RFC9068-2.2-02.
func TestNamesOfAClient(t *testing.T) { onBoth(t, testNamesOfAClient) }

func testNamesOfAClient(t *testing.T, o options) {
	h := namesHouse(t, o)
	for client, name := range map[string]map[string]string{
		"mapped": {"ann": "A-1", "john": "eve"},
		"app":    {"ann": "ann", "john": "john"},
	} {
		s := h.start("ann", client, "john", "read")
		act := oauth.Party{Issuer: h.issuer, Subject: name["ann"]}
		john, _ := h.own1(client)
		_, subject := claims(t, john)
		_, own := claims(t, s.actor)
		_, id := claims(t, h.idTokenOf(s.cookie, client))
		if own["sub"] != name["ann"] || own["iss"] != h.issuer || id["sub"] != name["ann"] || id["iss"] != h.issuer {
			t.Errorf("%s: ann's tokens say %v and %v; want sub %s", client, own, id, name["ann"])
		}
		for token, want := range map[string]string{s.actor: name["ann"], s.token: name["john"]} {
			seen, info := h.seen(client, token), h.userinfo(token)
			if seen.str("sub") != want || info.str("sub") != want || seen.str("iss") != h.issuer {
				t.Errorf("%s: introspection says %s, userinfo %s; want sub %s", client, seen.body, info.body, want)
			}
			if token == s.token && (partyOf(seen.json["act"]) != act || partyOf(info.json["act"]) != act) {
				t.Errorf("%s: introspection says %s, userinfo %s; want act %v", client, seen.body, info.body, act)
			}
		}
		if info := h.userinfo(s.token); info.str("email") != "john@acme.test" {
			t.Errorf("%s: userinfo says %s; want john's address", client, info.body)
		}
		_, c := claims(t, s.token)
		told, _ := s.reply.json["understudy_session"].(map[string]any)
		if c["sub"] != name["john"] || subject["sub"] != name["john"] || partyOf(c["act"]) != act || partyOf(told["subject"]).Subject != name["john"] || partyOf(told["actor"]).Subject != name["ann"] {
			t.Errorf("%s: the start gave %v and %v, and john's own token says %v", client, c, told, subject["sub"])
		}
		if e := h.entry(audit.KindStart); e.Actor != (oauth.Party{Issuer: h.issuer, Subject: "ann"}) || e.Subject != (oauth.Party{Issuer: h.issuer, Subject: "john"}) {
			t.Errorf("%s: the trail says that %v impersonates %v", client, e.Actor, e.Subject)
		} else if kept := e.Fields["subject_sub"] + " " + e.Fields["actor_sub"]; (client == "mapped") != (kept == "eve A-1") {
			t.Errorf("%s: the trail keeps the names %q", client, kept)
		}
		h.sound(s.token)

		back := h.post("/oauth2/token", client, stopForm(s.ret))
		_, after := claims(t, back.str("access_token"))
		if back.status != http.StatusOK || after["sub"] != name["ann"] || after["act"] != nil || h.userinfo(back.str("access_token")).str("sub") != name["ann"] {
			t.Errorf("%s: the stop gave %d %v", client, back.status, after)
		}
		if e := h.entry(audit.KindStop); e.Actor.Subject != "ann" || e.Subject.Subject != "john" {
			t.Errorf("%s: the trail says that %v stopped impersonating %v", client, e.Actor, e.Subject)
		}
		// What the stop gave is an actor's token like any other.
		again := h.post("/oauth2/token", client, startForm(h.ticket(s.cookie, client, "eve", "read"), back.str("access_token")))
		if again.status != http.StatusOK {
			t.Errorf("%s: a start with the token of a stop: got %d %s", client, again.status, again.body)
		}
	}
}

// TestNamesByRefresh: a sign-in keeps its name through refreshes, and the renewed token starts and stops like the first.
func TestNamesByRefresh(t *testing.T) { onBoth(t, testNamesByRefresh) }

func testNamesByRefresh(t *testing.T, o options) {
	h := namesHouse(t, o)
	g, cookie, _ := h.enter("ann", "mapped")
	for range 2 {
		g = h.refresh("mapped", g.refresh)
		_, access := claims(t, g.access)
		_, id := claims(t, g.id)
		if access["sub"] != "A-1" || id["sub"] != "A-1" || h.userinfo(g.access).str("sub") != "A-1" {
			t.Fatalf("renewed: %v and %v; want A-1", access, id)
		}
	}
	r := h.post("/oauth2/token", "mapped", startForm(h.ticket(cookie, "mapped", "john", "read"), g.access))
	if _, c := claims(t, r.str("access_token")); c["sub"] != "eve" || partyOf(c["act"]).Subject != "A-1" {
		t.Errorf("the start gave %v", c)
	}
}

// TestNobodyWithoutAName: who has no identity at the client's issuer, exactly that one, is not let in there, does not act there and is
// impersonated by nobody there; everywhere else they are as they were.
func TestNobodyWithoutAName(t *testing.T) { onBoth(t, testNobodyWithoutAName) }

func testNobodyWithoutAName(t *testing.T, o options) {
	h := namesHouse(t, o)
	for _, user := range []string{"bea", "zoe"} {
		cookie, _ := h.login(user)
		r := h.authorize(cookie, func(q url.Values) { q.Set("client_id", "mapped") })
		if q := r.location.Query(); q.Get("error") != "access_denied" || q.Has("code") || !strings.Contains(q.Get("error_description"), "another provider") {
			t.Errorf("%s signs in at mapped: got %v; want access_denied", user, r.location)
		}
		if h.token(cookie, "app", "openid") == "" {
			t.Errorf("%s cannot sign in at app", user)
		}
	}
	// The page shows nobody whom no token could name, and issues no ticket about them or for an actor without a name.
	ann, _ := h.login("ann")
	if r := h.get("/impersonate?"+ask("mapped")+"&q=doe", ann); !strings.Contains(r.body, "john@acme.test") || !strings.Contains(r.body, `subject=eve">Choose<span class="hide"> <bdi>John`) {
		t.Errorf("the search does not offer John by his name: got %d", r.status)
	}
	if r := h.get("/impersonate?"+ask("mapped")+"&q=zoe", ann); strings.Contains(r.body, "zoe@other.test") {
		t.Error("the search offers Zoe, whom no token could name")
	}
	bea, _ := h.login("bea")
	for rule, c := range map[string]struct{ cookie, subject string }{"subject.unnamed": {ann, "zoe"}, "actor.unnamed": {bea, "john"}} {
		r := h.form("/impersonate?"+ask("mapped"), c.cookie, why(c.subject, "read"))
		if r.status != http.StatusForbidden || r.location != nil {
			t.Errorf("%s: got %d %v", rule, r.status, r.location)
		}
		if e := h.entry(audit.KindRefused); e.Fields["rule"] != rule || e.Subject.Subject != c.subject {
			t.Errorf("the trail says %q of %v; want %s", e.Fields["rule"], e.Subject, rule)
		}
		h.ticket(c.cookie, "app", c.subject, "read")
	}
	// A link that goes between the ticket and the start.
	for _, user := range []string{"ann", "john"} {
		h := namesHouse(t, o)
		cookie, _ := h.login("ann")
		actor, ticket := h.token(cookie, "mapped", actorScope), h.ticket(cookie, "mapped", "john", "read")
		h.change(user, func(u *directory.User) { u.Identities = nil })
		r := h.post("/oauth2/token", "mapped", startForm(ticket, actor))
		refused(t, r, http.StatusBadRequest, "invalid_request")
		if want := map[string]string{"ann": "actor.unnamed", "john": "subject.unnamed"}[user]; h.entry(audit.KindRefused).Fields["rule"] != want || r.str("error_description") != tokenexchange.RefusedText {
			t.Errorf("without %s's name: got %s, the trail says %q", user, r.body, h.entry(audit.KindRefused).Fields["rule"])
		}
	}
}

// TestUserIDByName: a start by user id takes the exact sub that the client would see, and nothing else: the ID that a user has here is to it a
// stranger's, or another person's name.
func TestUserIDByName(t *testing.T) { onBoth(t, testUserIDByName) }

func testUserIDByName(t *testing.T, o options) {
	h := namesHouse(t, o)
	cookie, _ := h.login("ann")
	for name, want := range map[string]string{"eve": "john", "john": "eve"} { // each the other's
		r := h.post("/oauth2/token", "mapped", userIDForm(name, h.token(cookie, "mapped", actorScope)))
		if _, c := claims(t, r.str("access_token")); c["sub"] != name || h.userinfo(r.str("access_token")).str("email") != want+"@acme.test" {
			t.Errorf("by %s: got %v, %s", name, c, h.userinfo(r.str("access_token")).body)
		}
		if e := h.entry(audit.KindStart); e.Subject.Subject != want || e.Actor.Subject != "ann" {
			t.Errorf("by %s: the trail says that %v impersonates %v", name, e.Actor, e.Subject)
		}
	}
	actor := h.token(cookie, "mapped", actorScope)
	var texts []string
	for _, id := range []string{"zoe", "pat", "bea", "EVE", "eve ", "nobody", "john@acme.test", idp + " eve"} {
		r := h.post("/oauth2/token", "mapped", userIDForm(id, actor))
		refused(t, r, http.StatusBadRequest, "invalid_request")
		texts = append(texts, r.body)
		if e := h.entry(audit.KindRefused); e.Subject.Subject != "" || e.Fields["rule"] != "subject.unknown" || e.Fields["subject_iss"] != idp || e.Fields["subject_sub"] != id {
			t.Errorf("by %q: the trail says %v of %v", id, e.Fields, e.Subject)
		}
	}
	for _, body := range texts {
		if body != texts[0] {
			t.Errorf("got %s and %s; want one text for all", body, texts[0])
		}
	}
	h.addClientAs("tool", tool)
	r := h.post("/oauth2/token", "tool", userIDForm("john", h.token(cookie, "tool", actorScope)))
	if _, c := claims(t, r.str("access_token")); c["sub"] != "john" || h.userinfo(r.str("access_token")).str("email") != "john@acme.test" {
		t.Errorf("at a client without names: got %v", c)
	}
}

// TestChangedName: an identity that changes ends what was made under it, sign-ins and impersonations alike, at the next question at the latest,
// whoever has the name then; no token comes to mean somebody else.
func TestChangedName(t *testing.T) { onBoth(t, testChangedName) }

func testChangedName(t *testing.T, o options) {
	for what, change := range map[string]func(h *house){
		"unlinked": func(h *house) { h.change("john", func(u *directory.User) { u.Identities = nil }) },
		"renamed":  func(h *house) { h.change("john", renamed("J-2")) },
		"another issuer": func(h *house) {
			h.change("john", func(u *directory.User) { u.Identities[0].Issuer = "https://else.example" })
		},
		"somebody else's now": func(h *house) {
			h.change("john", renamed("J-2"))
			h.change("zoe", renamed("eve"))
		},
	} {
		h := namesHouse(t, o)
		g, john, _ := h.enter("john", "mapped")
		s := h.start("ann", "mapped", "john", "read")
		code := h.code(john, "mapped", "openid")
		change(h)
		if h.active("mapped", s.token) || h.userinfo(s.token).status != http.StatusUnauthorized {
			t.Errorf("%s: the impersonation goes on", what)
		}
		if e := h.entry(audit.KindEnd); e.Session != s.sid || e.Fields["reason"] != "changed" {
			t.Errorf("%s: the trail says %v of %s", what, e.Fields, e.Session)
		}
		h.dead(what, "mapped", g)
		refused(t, h.post("/oauth2/token", "mapped", redeem(code)), http.StatusBadRequest, "invalid_grant")
	}
	// The actor's name.
	h := namesHouse(t, o)
	s := h.start("ann", "mapped", "john", "read")
	h.change("ann", renamed("A-2"))
	if h.active("mapped", s.token) {
		t.Error("the impersonation goes on under a name that its actor has no more")
	}
	refused(t, h.post("/oauth2/token", "mapped", stopForm(s.ret)), http.StatusBadRequest, "invalid_request")
}

func renamed(sub string) func(*directory.User) {
	return func(u *directory.User) { u.Identities = []oauth.Party{{Issuer: idp, Subject: sub}} }
}

// TestChangedSubjectIssuer: a client that is to know people otherwise loses what it has; also a code that was on its way.
func TestChangedSubjectIssuer(t *testing.T) { onBoth(t, testChangedSubjectIssuer) }

func testChangedSubjectIssuer(t *testing.T, o options) {
	for client, to := range map[string]string{"mapped": "", "apart": idp} {
		h := namesHouse(t, o)
		h.addClientAs("apart", func(c *store.Client) { c.Resources, c.Serves = []string{apartResource}, []string{apartResource} })
		s := h.start("ann", client, "john", "read")
		code := h.code(s.cookie, client, "openid")
		c, err := h.store.Client(t.Context(), client)
		h.must(err)
		was := c.Settings
		c.Settings.SubjectIssuer = to
		h.must(h.store.ChangeClient(t.Context(), store.ClientChange{EndWrite: impersonation.EndWrite{Write: h.write()}, Client: c, Was: was})) // ends nothing itself
		if h.active(client, s.token) {
			t.Errorf("%s: the impersonation goes on under the old names", client)
		}
		refused(t, h.post("/oauth2/token", client, redeem(code)), http.StatusBadRequest, "invalid_grant")
	}
}

// TestNamesOfOwnTokens: the user's own token says who may act by the name that the client knows, for a person and for the client itself, and
// is exchanged by it.
func TestNamesOfOwnTokens(t *testing.T) { onBoth(t, testNamesOfOwnTokens) }

func testNamesOfOwnTokens(t *testing.T, o options) {
	h := namesHouse(t, o)
	h.addClientAs("bot", func(c *store.Client) { mapped(c); agent(c) })
	h.consent("client:bot", "bot", nil)
	h.consent("ann", "mapped", nil)
	ann, _ := h.login("ann")
	for client, want := range map[string]struct{ actor, token string }{"bot": {"client:bot", ""}, "mapped": {"A-1", h.token(ann, "mapped", actorScope)}} {
		john, _ := h.own1(client)
		_, c := claims(t, john)
		if may := partyOf(c["may_act"]); c["sub"] != "eve" || may != (oauth.Party{Issuer: h.issuer, Subject: want.actor}) {
			t.Errorf("%s: john's token says %v", client, c)
		}
		r := h.post("/oauth2/token", client, ownForm(john, want.token))
		_, c = claims(t, r.str("access_token"))
		if r.status != http.StatusOK || c["sub"] != "eve" || partyOf(c["act"]) != (oauth.Party{Issuer: h.issuer, Subject: want.actor}) || h.userinfo(r.str("access_token")).str("sub") != "eve" {
			t.Errorf("%s: the exchange gave %d %v", client, r.status, c)
		}
		if e := h.entry(audit.KindStart); e.Subject.Subject != "john" {
			t.Errorf("%s: the trail says %v", client, e.Subject)
		}
	}
	h.change("ann", func(u *directory.User) { u.Identities = nil })
	john, _ := h.own1("mapped")
	if _, c := claims(t, john); c["may_act"] != nil {
		t.Errorf("john's token names an actor that the client cannot know: %v", c["may_act"])
	}
}

// TestHintsByName: id_token_hint is read as the client that the ID token was issued to names people, so that no ID token hints at whoever has
// that ID here; at sign-out it names the sign-in. The link to the page names the user as its client does.
func TestHintsByName(t *testing.T) {
	t.Parallel()
	h := namesHouse(t, options{})
	john, _ := h.login("john")
	eve, _ := h.login("eve")
	for from, hint := range map[string]string{"mapped": h.idTokenOf(john, "mapped"), "app": h.idTokenOf(john, "app")} {
		for _, at := range []string{"mapped", "app"} {
			for who, cookie := range map[string]string{"john": john, "eve": eve} {
				r := h.authorize(cookie, func(q url.Values) {
					q.Set("client_id", at)
					q.Set("id_token_hint", hint)
					q.Set("prompt", "none")
				})
				if got := r.location.Query().Has("code"); got != (who == "john") {
					t.Errorf("john's hint from %s, at %s, as %s: got %v", from, at, who, r.location)
				}
			}
		}
	}
	ann, _ := h.login("ann")
	for sub, want := range map[string]string{"eve": "john@acme.test", "john": "eve@acme.test", "zoe": ""} {
		r := h.get("/impersonate?"+ask("mapped")+"&subject="+sub, ann)
		if want == "" && r.status != http.StatusForbidden || !strings.Contains(r.body, want) {
			t.Errorf("the link to %s: got %d; want %q", sub, r.status, want)
		}
	}
	r := h.get(logoutAt(url.Values{"id_token_hint": {h.idTokenOf(john, "mapped")}}), john)
	if r.status != http.StatusOK || h.alive(john) || !h.alive(eve) {
		t.Errorf("sign-out by hint: got %d; want john's sign-in ended and eve's not", r.status)
	}
}

// TestLogoutTokenHasNoName: what tells a client of an end names the session alone, whatever it calls people.
func TestLogoutTokenHasNoName(t *testing.T) {
	t.Parallel()
	h := namesHouse(t, options{})
	e := newEar(t)
	h.addClientAs("heard", func(c *store.Client) { mapped(c); c.Settings.BackchannelLogoutURI = e.URL + "/logout?key=hush" })
	s := h.start("ann", "heard", "john", "read")
	h.running()
	h.post("/oauth2/token", "heard", stopForm(s.ret))
	h.toldAll()
	h.wantHeard("after the stop", "heard", e, s.sid)
}

// TestForeignNameAtStart: the name in a token counts for the client that it was made for alone, so nobody acts as whoever has their name as an
// ID; and what a start is limited by is the person, not the name.
func TestForeignNameAtStart(t *testing.T) {
	t.Parallel()
	h := namesHouse(t, options{})
	ann, _ := h.login("ann")
	sue, _ := h.login("sue") // is called ann at idp
	annsTicket := h.ticket(ann, "mapped", "john", "read")
	for what, actor := range map[string]string{
		"sue, called ann": h.token(sue, "mapped", actorScope), "ann's of another client": h.token(ann, "app", actorScope),
	} {
		refused(t, h.post("/oauth2/token", "mapped", startForm(annsTicket, actor)), http.StatusBadRequest, "invalid_request")
		if got := h.count(audit.KindStart); got != 0 {
			t.Errorf("%s: %d starts", what, got)
		}
	}
	r := h.post("/oauth2/token", "mapped", startForm(h.ticket(sue, "mapped", "john", "read"), h.token(sue, "mapped", actorScope)))
	if _, c := claims(t, r.str("access_token")); partyOf(c["act"]).Subject != "ann" || h.entry(audit.KindStart).Actor.Subject != "sue" {
		t.Errorf("sue's start gave %v; the trail says %v", c, h.entry(audit.KindStart).Actor)
	}
}
