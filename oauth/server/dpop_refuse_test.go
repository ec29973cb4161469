package server_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

// faulty are the proofs at the token endpoint that will not do for a token that is bound to p, and the errors that answer them.
func faulty(p *prover) map[string]struct {
	proofs []string
	code   string
} {
	proof := func(twists ...twist) string { return p.proof("POST", "/oauth2/token", "", twists...) }
	type fault = struct {
		proofs []string
		code   string
	}
	return map[string]fault{
		"two proofs":       {[]string{proof(), proof()}, "invalid_dpop_proof"},
		"an empty one":     {[]string{""}, "invalid_dpop_proof"},
		"two in one line":  {[]string{proof() + ", " + proof()}, "invalid_dpop_proof"},
		"another method":   {[]string{proof(claim("htm", "GET"))}, "invalid_dpop_proof"},
		"another endpoint": {[]string{proof(claim("htu", p.h.issuer+"/oauth2/par"))}, "invalid_dpop_proof"},
		"another server":   {[]string{proof(claim("htu", "https://evil.example/oauth2/token"))}, "invalid_dpop_proof"},
		"old":              {[]string{proof(claim("iat", p.h.clock.Now().Add(-2*time.Minute).Unix()))}, "invalid_dpop_proof"},
		"no jti":           {[]string{proof(func(_, payload map[string]any) { delete(payload, "jti") })}, "invalid_dpop_proof"},
		"another's signature": {[]string{proof(func(header, _ map[string]any) { header["jwk"] = newProver(p.h).jwk() })},
			"invalid_dpop_proof"},
		"no nonce":    {[]string{proof(func(_, payload map[string]any) { delete(payload, "nonce") })}, "use_dpop_nonce"},
		"wrong nonce": {[]string{proof(claim("nonce", "AAAAAAAAAAAAAAAAAAAAAA"))}, "use_dpop_nonce"},
	}
}

// TestBadProofConsumesNothing: whatever is wrong with a proof, the code, the ticket and the return token are as good as before, the
// session that a stop did not stop lives, and each answer has a nonce to come again with.
func TestBadProofConsumesNothing(t *testing.T) { onBoth(t, testBadProofConsumesNothing) }

func testBadProofConsumesNothing(t *testing.T, o options) {
	h := setupSeen(t, o)
	p, other := newProver(h).learns(), newProver(h).learns()
	cookie, _ := h.login("ann")
	actor := p.actor(cookie, "app", actorScope)
	running := p.start("bea", "app", "eve")
	for what, c := range map[string]struct {
		form  url.Values
		none  string // the error without any proof
		wrong string // and with one of another key
	}{
		"code":  {redeem(p.boundCode(cookie, "app", "openid")), "invalid_dpop_proof", "invalid_grant"},
		"start": {startForm(h.ticket(cookie, "app", "john", "read"), actor), "invalid_dpop_proof", "invalid_request"},
		"stop":  {stopForm(running.ret), "invalid_request", "invalid_request"},
	} {
		for fault, f := range faulty(p) {
			before := h.base.dump(t)
			r := h.sent("/oauth2/token", "app", c.form, f.proofs...)
			if r.status != 400 || r.str("error") != f.code || r.header.Get("DPoP-Nonce") == "" || !strings.HasPrefix(r.str("error_description"), "DPoP: ") {
				t.Errorf("%s, %s: got %d %s, DPoP-Nonce %q; want 400 %s", what, fault, r.status, r.body, r.header.Get("DPoP-Nonce"), f.code)
			}
			after := h.base.dump(t)
			onlyAudit(t, what+", "+fault, before, after, "impersonation.refused")
			if wrote := len(after["audit_entry"]) > len(before["audit_entry"]); wrote != (what != "code" && f.code != "use_dpop_nonce") {
				t.Errorf("%s, %s: wrote an entry: %v", what, fault, wrote)
			}
		}
		refused(t, h.post("/oauth2/token", "app", c.form), 400, c.none)
		refused(t, other.post("app", c.form), 400, c.wrong)
		if !h.active("app", running.token) {
			t.Fatalf("%s: a refused request ended a session", what)
		}
		if r := p.post("app", c.form); r.status != http.StatusOK || r.str("token_type") != "DPoP" {
			t.Errorf("%s, at last with a good proof: got %d %s", what, r.status, r.body)
		}
		if what == "stop" {
			running = p.start("bea", "app", "eve")
		}
	}
	h.sound()
}

// TestStopIsBound: the return token works for the client and the key that it was given to, while its actor is enabled and signed in.
//
// Covers RFC8693-2.1-33.
func TestStopIsBound(t *testing.T) { onBoth(t, testStopIsBound) }

func testStopIsBound(t *testing.T, o options) {
	h := setup(t, o)
	p, thief := newProver(h).learns(), newProver(h).learns()
	s := p.start("ann", "app", "john")
	refused(t, p.post("other", stopForm(s.ret)), 400, "invalid_request")
	refused(t, p.post("", stopForm(s.ret)), 401, "invalid_client")
	refused(t, thief.post("app", stopForm(s.ret)), 400, "invalid_request")
	refused(t, h.post("/oauth2/token", "app", stopForm(s.ret)), 400, "invalid_request")
	if !h.active("app", s.token) {
		t.Fatal("somebody to whom the return token does not belong ended the session")
	}
	// A second use is a sign of theft only from who could have had the first.
	back := p.post("app", stopForm(s.ret)).str("access_token")
	h.clock.advance(61 * time.Second)
	refused(t, thief.post("app", stopForm(s.ret)), 400, "invalid_request")
	if !h.active("app", back) {
		t.Error("a thief without the key had the actor's token revoked")
	}

	s = p.start("ann", "app", "john")
	h.form("/sign-out", s.cookie, url.Values{})
	refused(t, p.post("app", stopForm(s.ret)), 400, "invalid_request")
	s = p.start("ann", "app", "john")
	h.disabled("ann")
	refused(t, p.post("app", stopForm(s.ret)), 400, "invalid_request")
}

// TestRevocationNeedsNoProof: what ends a bound session always works.
func TestRevocationNeedsNoProof(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	p := newProver(h).learns()
	for name, pick := range map[string]func(started) string{"token": func(s started) string { return s.token }, "return token": func(s started) string { return s.ret }} {
		s := p.start("ann", "app", "john")
		if r := h.post("/oauth2/revoke", "app", url.Values{"token": {pick(s)}}); r.status != http.StatusOK || h.active("app", s.token) {
			t.Errorf("%s: got %d %s", name, r.status, r.body)
		}
	}
}

// TestBoundClientGetsNoBearerToken: dpop_bound_access_tokens holds on every grant.
//
// Covers RFC9449-5.2-01, RFC9700-2.2.1-01.
func TestBoundClientGetsNoBearerToken(t *testing.T) { onBoth(t, testBoundClientGetsNoBearerToken) }

func testBoundClientGetsNoBearerToken(t *testing.T, o options) {
	h := setup(t, o)
	h.newClient("bound", func(c *store.Client) {
		c.Settings = store.Settings{DPoP: true, Service: oauth.ActorService, UserID: true, Refresh: true}
	})
	p := newProver(h).learns()
	cookie, _ := h.login("ann")
	grant := func(what string, f url.Values) reply {
		t.Helper()
		refused(t, h.post("/oauth2/token", "bound", f), 400, "invalid_dpop_proof")
		r := p.post("bound", f)
		if r.status != http.StatusOK {
			t.Fatalf("%s with a proof: got %d %s", what, r.status, r.body)
		}
		_, payload := claims(t, r.str("access_token"))
		cnf, _ := payload["cnf"].(map[string]any)
		if r.str("token_type") != "DPoP" || cnf["jkt"] != p.jkt {
			t.Fatalf("%s with a proof: got %s", what, r.body)
		}
		return r
	}
	first := grant("code", redeem(h.code(cookie, "bound", actorScope)))
	actor := grant("refresh", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.str("refresh_token")}}).str("access_token")
	started := grant("start", startForm(h.ticket(cookie, "bound", "john", "read"), actor))
	grant("client_credentials", url.Values{"grant_type": {"client_credentials"}})
	back := grant("stop", stopForm(started.str("understudy_return_token"))).str("access_token")
	grant("user id", url.Values{
		"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {"john"}, "subject_token_type": {string(oauth.TokenTypeUserID)},
		"actor_token": {back}, "actor_token_type": {typeToken}, oauth.ParamReason: {"cannot find the report tab"},
	})
}

// TestRefreshIsBound: a public client's refresh token works with the key of the first tokens alone, from one refresh to the next, and whoever
// has it without the key can neither use it nor burn it.
func TestRefreshIsBound(t *testing.T) { onBoth(t, testRefreshIsBound) }

func testRefreshIsBound(t *testing.T, o options) {
	h := setup(t, o)
	h.addClientAs("public", func(c *store.Client) { c.Public, c.Exchange, c.Settings.Refresh = true, false, true })
	p, thief := newProver(h).learns(), newProver(h).learns()
	cookie, _ := h.login("ann")
	form := redeem(h.code(cookie, "public", "openid")) // no dpop_jkt: the proof at the token endpoint binds
	form.Set("client_id", "public")
	r := p.post("", form)
	for range 3 {
		token := r.str("refresh_token")
		if r.status != http.StatusOK || r.str("token_type") != "DPoP" || token == "" {
			t.Fatalf("got %d %s; want a refresh token", r.status, r.body)
		}
		form = url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {"public"}}
		refused(t, h.sent("/oauth2/token", "", form), 400, "invalid_dpop_proof")
		refused(t, thief.post("", form), 400, "invalid_grant")
		for fault, f := range faulty(p) {
			if r := h.sent("/oauth2/token", "", form, f.proofs...); r.status != 400 || r.str("error") != f.code {
				t.Errorf("%s: got %d %s; want 400 %s", fault, r.status, r.body, f.code)
			}
		}
		r = p.post("", form)
	}
	refused(t, thief.post("", form), 400, "invalid_grant") // its reuse is no sign of anything
	if !h.active("app", r.str("access_token")) {
		t.Error("a thief without the key had the sign-in revoked")
	}
}

// TestNonceAndClientAuthentication: whichever way a client authenticates, the demand for a nonce costs it nothing but another request: a
// client that signs makes a new assertion for that, as for each.
func TestNonceAndClientAuthentication(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	key := h.addKeyed("keyed")
	h.addClientAs("public", func(c *store.Client) { c.Public, c.Exchange = true, false })
	cookie, _ := h.login("ann")
	for client, authenticate := range map[string]func() url.Values{
		"keyed":  func() url.Values { return asserting(key.assertion("keyed")) },
		"public": func() url.Values { return url.Values{"client_id": {"public"}} },
	} {
		p, code := newProver(h), h.code(cookie, client, "openid")
		send := func() reply {
			form := authenticate()
			maps.Copy(form, redeem(code))
			return p.heard(h.sent("/oauth2/token", "", form, p.proof("POST", "/oauth2/token", "")))
		}
		refused(t, send(), 400, "use_dpop_nonce")
		if r := send(); r.status != http.StatusOK || r.str("token_type") != "DPoP" {
			t.Errorf("%s, with the nonce: got %d %s", client, r.status, r.body)
		}
	}
}

// TestThumbprintAtAuthorization: dpop_jkt has one form, and goes with the request through the sign-in.
func TestThumbprintAtAuthorization(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	p := newProver(h)
	q := url.Values{"client_id": {"app"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"12345678"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}}
	cookie, _ := h.login("ann")
	for _, bad := range []string{"x", p.jkt + "A", p.jkt[:42], p.jkt[:42] + "=", p.jkt[:42] + "/", p.jkt[:42] + "B"} {
		q.Set("dpop_jkt", bad)
		r := h.get("/oauth2/auth?"+q.Encode(), cookie)
		if got := r.location.Query(); got.Get("error") != "invalid_request" || !strings.HasPrefix(got.Get("error_description"), "dpop_jkt: ") || got.Has("code") {
			t.Errorf("%s: got %d %v", bad, r.status, r.location)
		}
	}
	q.Set("dpop_jkt", p.jkt)
	r := h.get("/oauth2/auth?"+q.Encode(), "")
	on, err := url.Parse(r.location.Query().Get("return_to"))
	if err != nil || on.Query().Get("dpop_jkt") != p.jkt {
		t.Errorf("to the sign-in: got %v, %v", r.location, err)
	}
}

// TestPushedWithAProof: a proof binds the request that is pushed with it, and so its code, to the key (RFC 9449 §10.1).
func TestPushedWithAProof(t *testing.T) { onBoth(t, testPushedWithAProof) }

func testPushedWithAProof(t *testing.T, o options) {
	h := setup(t, o)
	p, other := newProver(h).learns(), newProver(h).learns()
	cookie, _ := h.login("ann")
	push := func(f url.Values, proofs ...string) reply { return h.sent("/oauth2/par", "app", f, proofs...) }
	proof := func(twists ...twist) string { return p.proof("POST", "/oauth2/par", "", twists...) }
	spent := proof()
	r := push(authForm("app"), spent)
	if r.status != http.StatusCreated || r.header.Get("DPoP-Nonce") == "" {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	code := h.codeAt(h.get(pushedAt("app", r.str("request_uri")), cookie))
	refused(t, h.post("/oauth2/token", "app", redeem(code)), 400, "invalid_dpop_proof")
	refused(t, other.post("app", redeem(code)), 400, "invalid_grant")
	if r := p.post("app", redeem(code)); r.status != http.StatusOK || r.str("token_type") != "DPoP" {
		t.Errorf("with the key: got %d %s", r.status, r.body)
	}
	same, another := authForm("app"), authForm("app")
	same.Set("dpop_jkt", p.jkt)
	another.Set("dpop_jkt", other.jkt)
	if r := push(same, proof()); r.status != http.StatusCreated {
		t.Errorf("with its dpop_jkt too: got %d %s", r.status, r.body)
	}
	for name, r := range map[string]reply{
		"another dpop_jkt":       push(another, proof()),
		"used before":            push(authForm("app"), spent),
		"for the token endpoint": push(authForm("app"), p.proof("POST", "/oauth2/token", "")),
		"two":                    push(authForm("app"), proof(), proof()),
	} {
		if r.status != 400 || r.str("error") != "invalid_dpop_proof" || r.str("request_uri") != "" || r.header.Get("DPoP-Nonce") == "" {
			t.Errorf("%s: got %d %s; want 400 invalid_dpop_proof", name, r.status, r.body)
		}
	}
	if r := push(authForm("app"), proof(func(_, payload map[string]any) { delete(payload, "nonce") })); r.status != 400 || r.str("error") != "use_dpop_nonce" {
		t.Errorf("no nonce: got %d %s", r.status, r.body)
	}
}

// TestUserinfoOfABoundToken: it opens by the scheme DPoP with a proof of its key for it, and nobody who stole it has one.
func TestUserinfoOfABoundToken(t *testing.T) { onBoth(t, testUserinfoOfABoundToken) }

func testUserinfoOfABoundToken(t *testing.T, o options) {
	h := setup(t, o)
	p, thief := newProver(h).learns(), newProver(h).learns()
	s := p.start("ann", "app", "john")
	unbound := h.start("bea", "app", "eve", "read").token
	good := func(twists ...twist) string { return p.proof("GET", "/userinfo", s.token, twists...) }
	spent := good()
	if r := p.userinfo("DPoP", s.token, spent); r.status != http.StatusOK || r.str("sub") != "john" {
		t.Fatalf("got %d %s", r.status, r.body)
	}
	for name, c := range map[string]struct {
		scheme, token string
		proofs        []string
		code          string
	}{
		"stolen":                   {"Bearer", s.token, nil, "invalid_token"},
		"stolen, with a proof":     {"DPoP", s.token, []string{thief.proof("GET", "/userinfo", s.token)}, "invalid_token"},
		"bearer, with a proof":     {"Bearer", s.token, []string{good()}, "invalid_token"},
		"no proof":                 {"DPoP", s.token, nil, "invalid_dpop_proof"},
		"two proofs":               {"DPoP", s.token, []string{good(), good()}, "invalid_dpop_proof"},
		"no ath":                   {"DPoP", s.token, []string{p.proof("GET", "/userinfo", "")}, "invalid_dpop_proof"},
		"ath of another token":     {"DPoP", s.token, []string{p.proof("GET", "/userinfo", s.actor)}, "invalid_dpop_proof"},
		"for the token endpoint":   {"DPoP", s.token, []string{p.proof("POST", "/oauth2/token", s.token)}, "invalid_dpop_proof"},
		"for another method":       {"DPoP", s.token, []string{p.proof("POST", "/userinfo", s.token)}, "invalid_dpop_proof"},
		"used before":              {"DPoP", s.token, []string{spent}, "invalid_dpop_proof"},
		"no nonce":                 {"DPoP", s.token, []string{good(func(_, payload map[string]any) { delete(payload, "nonce") })}, "use_dpop_nonce"},
		"an unbound one by a key":  {"DPoP", unbound, []string{p.proof("GET", "/userinfo", unbound)}, "invalid_token"},
		"an unbound one by scheme": {"DPoP", unbound, nil, "invalid_token"},
	} {
		r := p.userinfo(c.scheme, c.token, c.proofs...)
		got := r.header.Get("WWW-Authenticate")
		bearer, dpop := `Bearer realm="understudy"`, `DPoP realm="understudy", algs="ES256 EdDSA RS256"`
		why := `, error="` + c.code + `"`
		want := dpop + why + ", " + bearer
		if c.scheme == "Bearer" {
			want = bearer + why + ", " + dpop
		}
		if r.status != http.StatusUnauthorized || r.str("error") != c.code || got != want {
			t.Errorf("%s: got %d %s, WWW-Authenticate %q; want 401 %s, %q", name, r.status, r.body, got, c.code, want)
		}
		if told := r.header.Get("DPoP-Nonce") != ""; told != (len(c.proofs) > 0) {
			t.Errorf("%s: DPoP-Nonce %q", name, r.header.Get("DPoP-Nonce"))
		}
	}
	if r := p.userinfo("dpop", s.token, good()); r.status != http.StatusOK {
		t.Errorf("after all that: got %d %s", r.status, r.body)
	}
	if r := h.userinfo(unbound); r.status != http.StatusOK {
		t.Errorf("the unbound one: got %d %s", r.status, r.body)
	}
	scopeless := p.actor(s.cookie, "app", "profile")
	r := p.userinfo("DPoP", scopeless, p.proof("GET", "/userinfo", scopeless))
	if got := r.header.Get("WWW-Authenticate"); r.status != http.StatusForbidden || got != `DPoP realm="understudy", algs="ES256 EdDSA RS256", error="insufficient_scope", scope="openid"` {
		t.Errorf("without openid: got %d %s, WWW-Authenticate %q", r.status, r.body, got)
	}
}

// TestNonceOfTheServer: a proof needs the nonce of these minutes, so that nobody leaves with a stock of proofs; whoever comes without one
// is told the nonce and has lost nothing. Every process with the same sealing key gives the same nonce, and no other takes it.
//
// Covers RFC9449-11.2-01.
func TestNonceOfTheServer(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	begun := h.clock.Now()
	h.clock.advance(begun.Truncate(2 * time.Minute).Add(2*time.Minute + time.Second).Sub(begun)) // a nonce's first second
	p := newProver(h)
	cookie, _ := h.login("ann")
	actor := h.token(cookie, "app", actorScope)
	send := func(h *house, form url.Values, twists ...twist) reply {
		return h.sent("/oauth2/token", "app", form, p.proof("POST", "/oauth2/token", "", twists...))
	}
	ahead := claim("iat", h.clock.Now().Add(30*time.Second).Unix())
	start := startForm(h.ticket(cookie, "app", "john", "read"), actor)
	early := p.proof("POST", "/oauth2/token", "", ahead)
	refused(t, h.sent("/oauth2/token", "app", start, early), 400, "invalid_dpop_proof")
	first := p.heard(send(h, start))
	refused(t, first, 400, "use_dpop_nonce")
	nonce := p.nonce
	refused(t, h.sent("/oauth2/token", "app", start, early), 400, "invalid_dpop_proof")
	refused(t, send(h, start, ahead), 400, "invalid_dpop_proof")
	won := p.heard(send(h, start)) // the same ticket
	if won.status != http.StatusOK || won.header.Get("DPoP-Nonce") == "" {
		t.Fatalf("with the nonce: got %d %s", won.status, won.body)
	}
	stop := stopForm(won.str("understudy_return_token"))
	h.clock.advance(40 * time.Second) // the proof made early is of now
	refused(t, h.sent("/oauth2/token", "app", stop, early), 400, "use_dpop_nonce")
	refused(t, send(h, stop, claim("iat", h.clock.Now().Add(30*time.Second).Unix())), 400, "invalid_dpop_proof")

	// Two minutes later another nonce is told, and the one before still taken.
	h.clock.advance(2*time.Minute - 40*time.Second)
	r := send(h, redeem("x"), claim("nonce", nonce))
	refused(t, r, 400, "invalid_grant")
	if next := r.header.Get("DPoP-Nonce"); next == "" || next == nonce {
		t.Errorf("after two minutes: DPoP-Nonce %q; want another than %q", next, nonce)
	}
	h.clock.advance(2 * time.Minute)
	refused(t, send(h, redeem("x"), claim("nonce", nonce)), 400, "use_dpop_nonce")

	replica := h.replica(options{})
	refused(t, p.heard(send(h, redeem("x"))), 400, "use_dpop_nonce")
	refused(t, send(replica, redeem("x")), 400, "invalid_grant")
	stranger := setup(t, options{})
	stranger.clock, stranger.issuer = h.clock, h.issuer
	stranger.serve(options{})
	refused(t, send(stranger, redeem("x")), 400, "use_dpop_nonce")
}

// TestSubjectTokenOfAnotherKey: a user's own token that is bound to a key is exchanged with a proof of that key alone. Whoever has the
// client's secret and a copy of the token has not got it.
func TestSubjectTokenOfAnotherKey(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("bot", agent)
	h.consent("client:bot", "bot", nil)
	cookie, _ := h.login("john")
	mine, another := newProver(h).learns(), newProver(h).learns()
	john := mine.actor(cookie, "bot", "openid app:read")
	refused(t, another.post("bot", ownForm(john, "")), http.StatusBadRequest, "invalid_request")
	r := mine.post("bot", ownForm(john, ""))
	if r.status != http.StatusOK || r.str("token_type") != "DPoP" {
		t.Errorf("with the key itself: got %d %s", r.status, r.body)
	}
}
