package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/plugin"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
)

// TestStartAndStop: with each kind of token the whole of it, over HTTP.
//
// Covers RFC8693-4.1-02, RFC8693-4.1-03, RFC8693-4.1-04, RFC8693-4.1-08, RFC8693-2.2.1-03, RFC8693-2.2.1-05, RFC7662-2.2-01.
func TestStartAndStop(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		h := setup(t, o)
		as := h.start()
		if as.answer["issued_token_type"] != string(oauth.TokenTypeAccessToken) || as.answer["token_type"] != "Bearer" || as.answer["scope"] != "orders:read" || as.answer["refresh_token"] != nil {
			t.Errorf("the answer to a start: %v", as.answer)
		}
		m := as.introspection()
		act, _ := m["act"].(map[string]any)
		if m["active"] != true || m["sub"] != "u-2" || act["iss"] != h.srv.URL || act["sub"] != "u-1" || len(act) != 2 || m["client_id"] != "shop" || m["sid"] != as.sid() ||
			m["txn"] != h.entries(audit.KindStart)[0].ID || m["iss"] != h.srv.URL || m["jti"] != h.entries(audit.KindStart)[0].Fields["jti"] {
			t.Errorf("introspection: %v", m)
		}
		if exp, _ := m["exp"].(float64); time.Until(time.Unix(int64(exp), 0)) > 30*time.Minute || time.Until(time.Unix(int64(exp), 0)) < 28*time.Minute {
			t.Errorf("exp is %v", m["exp"])
		}
		info, _ := as.answer["understudy_session"].(map[string]any)
		if subject, _ := info["subject"].(map[string]any); subject["sub"] != "u-2" || subject["name"] != "John Doe" || subject["organisation"] != "globex" || info["mode"] != "read" {
			t.Errorf("understudy_session: %v", info)
		}
		back := as.stop()
		h.is(back, "active: u-1, orders:read orders:write impersonate")
		if back.back != "" || back.answer["understudy_session"] != nil || back.answer["issued_token_type"] != string(oauth.TokenTypeAccessToken) {
			t.Errorf("the answer to a stop: %v", back.answer)
		}
		h.is(as, "inactive")
		h.is(h.exchange(h.ticket(), back), "active: u-2, act u-1, orders:read") // what came back is good for the next
		for _, kind := range []audit.Kind{audit.KindTicket, audit.KindStart, audit.KindStop} {
			if e := h.entries(kind); len(e) == 0 || e[0].Actor != (oauth.Party{Issuer: h.srv.URL, Subject: "u-1"}) || e[0].Fields["actor_name"] != "Ann" || e[0].Request == "" {
				t.Errorf("the entry %s: %+v", kind, e)
			}
		}
	})
}

// TestActorTokenIsTheActors: whatever is wrong with an actor token, the answer is one and the same, on record, and the ticket is still good for its owner.
//
// Covers RFC8693-2.2.2-02.
func TestActorTokenIsTheActors(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		h := setup(t, o)
		as := h.start()
		other := *h.browser
		other.id = "other"
		again := h.signIn("ann") // another sign-in of the same person
		bea := h.signIn("bea")
		h.ann = h.signIn("ann")
		ticket := h.ticket()
		for name, actor := range map[string]string{
			"nobody's":            "nonsense",
			"no token":            " ",
			"an impersonation":    as.access,
			"another sign-in's":   again.access,
			"another person's":    bea.access,
			"another client's":    other.signInAt("other", "orders:read impersonate").access,
			"without impersonate": h.signInAt("shop", "orders:read").access,
			"a client's own":      h.mint(o.kind, "shop", plugin.Token{Subject: "client:shop", Claims: map[string]any{"sid": loginOfJar(h), "client_id": "shop"}}),
			"nobody's sign-in":    h.mint(o.kind, "shop", plugin.Token{Subject: "u-1", Claims: map[string]any{"client_id": "shop"}}),
			"of no subject":       h.mint(o.kind, "shop", plugin.Token{Claims: map[string]any{"sid": loginOfJar(h), "client_id": "shop"}}),
			"with an act of its own": h.mint(o.kind, "shop", plugin.Token{Subject: "u-1", Claims: map[string]any{
				"sid": loginOfJar(h), "client_id": "shop", "act": map[string]any{"iss": "https://else.example", "sub": "x"}}}),
			"with an act that is odd": h.mint(o.kind, "shop", plugin.Token{Subject: "u-1", Claims: map[string]any{"sid": loginOfJar(h), "client_id": "shop", "act": "x"}}),
		} {
			before := len(h.entries(audit.KindRefused))
			got := h.redeem(startForm(ticket, actor))
			h.refused(got, http.StatusBadRequest, "invalid_request")
			if text, _ := got.answer["error_description"].(string); actor != " " && text != tokenexchange.RefusedText {
				t.Errorf("%s: the answer says %q", name, text)
			}
			if after := len(h.entries(audit.KindRefused)); after != before+1 {
				t.Errorf("%s: %d entries more; want 1", name, after-before)
			}
		}
		h.is(h.exchange(ticket, h.ann), "active: u-2, act u-1, orders:read")
	})
}

// mint makes an access token of the provider past its endpoints. A Token.ID that is a session's becomes its request ID.
func (h *house) mint(k kind, client string, t plugin.Token) string {
	h.Helper()
	session, err := h.provider.session(h.Context(), t)
	h.ok(err)
	session.SetExpiresAt(fosite.AccessToken, time.Now().Add(time.Hour))
	r := fosite.NewAccessRequest(session)
	r.Client, _ = h.GetClient(h.Context(), client)
	if strings.HasPrefix(t.ID, "imp_") { // what only an exchange makes
		r.SetID(t.ID)
	}
	for _, scope := range []string{"orders:read", "impersonate"} {
		r.GrantScope(scope)
	}
	access, signature, err := h.signer.GenerateAccessToken(h.Context(), r)
	h.ok(err)
	if k != stateless {
		h.ok(h.CreateAccessTokenSession(h.Context(), signature, r))
	}
	return access
}

// loginOfJar is the sign-in of the browser.
func loginOfJar(h *house) string {
	u, _ := url.Parse(h.srv.URL)
	for _, c := range h.client.Jar.Cookies(u) {
		return c.Value
	}
	return ""
}

// A refresh token is nobody's actor token, though fosite's own introspection takes one for an access token. A token that was revoked is none either.
func TestRefreshAndRevokedTokensStartNothing(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	session, err := h.provider.session(t.Context(), plugin.Token{Subject: "u-1", Claims: map[string]any{"sid": loginOfJar(h), "client_id": "shop"}})
	h.ok(err)
	r := fosite.NewAccessRequest(session)
	r.Client, _ = h.GetClient(t.Context(), "shop")
	r.GrantScope("impersonate")
	refresh, signature, err := h.signer.(interface {
		GenerateRefreshToken(context.Context, fosite.Requester) (string, string, error)
	}).GenerateRefreshToken(t.Context(), r)
	h.ok(err)
	h.ok(h.CreateRefreshTokenSession(t.Context(), signature, "", r))
	if line := (token{browser: h.browser, access: refresh}).introspect(); !strings.HasPrefix(line, "active") {
		t.Fatalf("the refresh token is %s: the test shows nothing", line)
	}
	ticket := h.ticket()
	h.refused(h.redeem(startForm(ticket, refresh)), http.StatusBadRequest, "invalid_request")
	h.form("/oauth2/revoke", url.Values{"token": {h.ann.access}}, true)
	h.refused(h.exchange(ticket, h.ann), http.StatusBadRequest, "invalid_request")
}

// TestTicketBindings: a ticket is for its client, with its verifier, once; the second use of its owner ends what the first opened.
//
// Covers RFC8693-2.2.2-01, RFC8693-2.2.2-04.
func TestTicketBindings(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		h := setup(t, o)
		ticket := h.ticket()
		other := *h.browser
		other.id = "other"
		actor := other.signInAt("other", "orders:read impersonate")
		h.refused(other.redeem(startForm(ticket, actor.access)), http.StatusBadRequest, "invalid_request")
		for _, f := range []func(url.Values){
			func(v url.Values) { v.Set("code_verifier", strings.Repeat("x", 43)) },
			func(v url.Values) { v.Del("code_verifier") },
			func(v url.Values) { v.Set("subject_token", string(oauth.NewSecret())) },
		} {
			form := startForm(ticket, h.ann.access)
			f(form)
			h.refused(h.redeem(form), http.StatusBadRequest, "invalid_request")
		}
		wrong := startForm(ticket, h.ann.access)
		wrong.Set("resource", "https://else.example")
		h.refused(h.redeem(wrong), http.StatusBadRequest, "invalid_target")
		as := h.exchange(ticket, h.ann)
		h.is(as, "active: u-2, act u-1, orders:read")
		h.refused(h.exchange(ticket, h.ann), http.StatusBadRequest, "invalid_request")
		h.is(as, "inactive")
		if e := h.entries(audit.KindReuse); len(e) != 1 {
			t.Errorf("%d entries of reuse; want 1", len(e))
		}
	})
}

// A JWT that nobody keeps must say whose it is: one without client_id, as fosite's own are, would be good at every client.
func TestTokenOfNoClient(t *testing.T) {
	t.Parallel()
	h := setup(t, options{kind: stateless})
	actor := h.mint(stateless, "shop", plugin.Token{Subject: "u-1", Claims: map[string]any{"sid": loginOfJar(h)}})
	ticket := h.ticket()
	h.refused(h.redeem(startForm(ticket, actor)), http.StatusBadRequest, "invalid_request")
	h.is(h.exchange(ticket, h.ann), "active: u-2, act u-1, orders:read")
}

// The doors without a page are closed: what they would stand on is kept nowhere.
func TestOtherDoorsAreClosed(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		h := setup(t, o)
		own := h.mint(o.kind, "shop", plugin.Token{Subject: "u-2", Claims: map[string]any{"sid": loginOfJar(h), "client_id": "shop",
			"may_act": map[string]any{"iss": h.srv.URL, "sub": "u-1"}}})
		for subjectType, subject := range map[oauth.TokenType]string{oauth.TokenTypeUserID: "u-2", oauth.TokenTypeAccessToken: own, oauth.TokenTypeJWT: own} {
			form := startForm(subject, h.ann.access)
			form.Set("subject_token_type", string(subjectType))
			form.Set("understudy_reason", "cannot find the report tab")
			h.refused(h.redeem(form), http.StatusBadRequest, "invalid_request")
		}
		if e := h.entries(audit.KindStart); len(e) != 0 {
			t.Errorf("started: %v", e)
		}
	})
}

// TestOneTicketOneSession: of 32 who redeem one ticket at once at most one has a session that lives, and nobody else a token.
func TestOneTicketOneSession(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		h := setup(t, o)
		ticket := h.ticket()
		tokens := make([]token, 32)
		var all sync.WaitGroup
		for i := range tokens {
			all.Go(func() { tokens[i] = h.exchange(ticket, h.ann) })
		}
		all.Wait()
		won, alive := 0, 0
		for _, got := range tokens {
			if got.access == "" {
				h.refused(got, http.StatusBadRequest, "invalid_request")
				continue
			}
			won++
			if got.introspect() != "inactive" {
				alive++
			}
		}
		if won != 1 || alive != 0 { // the others were its second use
			t.Errorf("%d of 32 got a token and %d lives; want one, that the others ended", won, alive)
		}
		if e := h.entries(audit.KindStart); len(e) != 1 {
			t.Errorf("%d starts on record; want 1", len(e))
		}
	})
}

// TestScopeIsAnIntersection: what the subject could have, cut by the client, the ticket and the mode; the mark of full access only in write mode; and never
// the actor's own.
func TestScopeIsAnIntersection(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		h := setup(t, o)
		ticket := h.ask("john", "cannot find the report tab", "write")
		h.is(h.exchange(ticket, h.ann), "active: u-2, act u-1, impersonation:write orders:read orders:write")
		for scope, want := range map[string]string{
			"orders:read": "orders:read", "orders:read orders:write impersonate": "orders:read", "impersonate": "", "orders:write": "", "unknown": "",
		} {
			form := startForm(h.ticket(), h.ann.access) // look only
			form.Set("scope", scope)
			got := h.redeem(form)
			if want == "" {
				h.refused(got, http.StatusBadRequest, "invalid_scope")
			} else if got.answer["scope"] != want {
				t.Errorf("asked for %q: got %v", scope, got.answer)
			}
		}
		h.Clients["shop"].(*fosite.DefaultClient).Scopes = []string{"impersonate", "orders:write"} // the registration changed
		if h.askFor("john", "cannot find the report tab") != "" {
			t.Error("a ticket for a client that may have nothing")
		}
	})
}

// A provider that does not take a token of ours into its storage gives none out, and no session goes on of which nobody has a token.
func TestTokenThatCannotBeKept(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, options{on: o.on, change: func(c *plugin.Config) { c.Storage = forgetful{c.Storage.(*provider)} }})
		got := h.exchange(h.ticket(), h.ann)
		h.refused(got, http.StatusInternalServerError, "server_error")
		if e := h.entries(audit.KindEnd); len(h.entries(audit.KindStart)) != 1 || len(e) != 1 || e[0].Fields["reason"] != string(impersonation.EndRevoked) {
			t.Errorf("ends on record: %v", e)
		}
	})
}

// forgetful keeps no token of an impersonation.
type forgetful struct{ *provider }

func (s forgetful) CreateAccessTokenSession(ctx context.Context, signature string, r fosite.Requester) error {
	if strings.HasPrefix(r.GetID(), "imp_") {
		return errors.New("full")
	}
	return s.provider.CreateAccessTokenSession(ctx, signature, r)
}

// TestNoSecretIsKept: of the form of a start nothing goes into the provider's storage that could be used again.
func TestNoSecretIsKept(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	as := h.start()
	as.stop()
	for _, r := range h.AccessTokens {
		for _, name := range []string{"subject_token", "actor_token", "code_verifier"} {
			if r.GetRequestForm().Has(name) {
				t.Errorf("%s is kept", name)
			}
		}
	}
	if len(h.AccessTokens) < 3 {
		t.Errorf("%d tokens are kept: the test shows nothing", len(h.AccessTokens))
	}
}

// TestBoundToAKey: with tokenexchange.WithKey the token of a start is bound to the key that was proven, and so is the way back.
//
// Covers RFC9449-5-01.
func TestBoundToAKey(t *testing.T) {
	t.Parallel()
	const key, another = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
	var mu sync.Mutex
	proven := key
	prove := func(k string) { mu.Lock(); defer mu.Unlock(); proven = k }
	h := setup(t, options{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			ctx := tokenexchange.WithKey(r.Context(), proven)
			mu.Unlock()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}})
	as := h.start()
	if cnf, _ := as.introspection()["cnf"].(map[string]any); as.answer["token_type"] != "DPoP" || cnf["jkt"] != key {
		t.Errorf("got %v, cnf %v", as.answer, cnf)
	}
	for _, k := range []string{"", another} {
		prove(k)
		h.refused(as.stop(), http.StatusBadRequest, "invalid_request")
	}
	prove(key)
	back := as.stop()
	if back.answer["token_type"] != "DPoP" {
		t.Errorf("what came back: %v", back.answer)
	}
	ticket := h.ticket()
	prove(another)
	h.refused(h.exchange(ticket, back), http.StatusBadRequest, "invalid_request")
	prove("")
	h.refused(h.exchange(ticket, back), http.StatusBadRequest, "invalid_dpop_proof")
}

// TestNamedByTheProvidersIDs: who people are at another issuer is in no token and no answer: here a client knows them by their IDs.
func TestNamedByTheProvidersIDs(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	for _, id := range []string{"u-1", "u-2"} {
		h.user(id, func(u *directory.User) {
			u.Identities = []oauth.Party{{Issuer: h.srv.URL, Subject: "own-" + id}, {Issuer: "https://idp.acme.example", Subject: "corp-" + id}}
		})
	}
	as := h.start()
	h.is(as, "active: u-2, act u-1, orders:read")
	session, err := h.store.Session(t.Context(), as.sid())
	h.ok(err)
	if session.TokenSubject != "" || session.TokenActor != (oauth.Party{}) || strings.Contains(fmt.Sprint(as.answer), "corp-") {
		t.Errorf("got %+v and %v, want the IDs alone", session, as.answer)
	}
}

// The rules may ask for a fresh sign-in, and the answer says so (RFC 9470).
func TestStepUp(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	rules, err := policy.New(registry, policy.Options{RequireSecondFactor: true})
	h.ok(err)
	strict := setup(t, options{change: func(c *plugin.Config) { c.Rules = rules }})
	r := strict.get("/impersonate?" + url.Values{
		"client_id": {"shop"}, "redirect_uri": {callback}, "state": {state}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"}, "q": {"john"},
	}.Encode())
	if r.status != http.StatusForbidden || strings.Contains(r.body, "John Doe") || !strings.Contains(r.body, "/sign-in?to=") {
		t.Errorf("the page without a second factor: %d", r.status)
	}
	if h.ticket() == "" {
		t.Error("the rules of another house counted")
	}
}
