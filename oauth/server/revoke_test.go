package server_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// startByUserID has ann impersonate john through the client tool, who gets no return token.
func (h *house) startByUserID() (token, sid string) {
	h.t.Helper()
	cookie, _ := h.login("ann")
	r := h.post("/oauth2/token", "tool", userIDForm("john", h.token(cookie, "tool", actorScope)))
	if r.status != http.StatusOK {
		h.t.Fatalf("start: got %d %s", r.status, r.body)
	}
	_, c := claims(h.t, r.str("access_token"))
	return r.str("access_token"), c["sid"].(string)
}

// goesOn reports whether the session goes on.
func (h *house) goesOn(sid string) bool {
	h.t.Helper()
	s, err := h.store.Session(h.t.Context(), sid)
	h.must(err)
	return s.Ended.IsZero()
}

// TestRevocationOutlivesTheKey: a token whose key was revoked, or is retired, opens nothing, but who revokes it ends its session all the same,
// at servers that never saw it too: where there is no return token, there is no other stop.
//
// Covers RFC7009-2.1-01, RFC7009-2.2-02.
func TestRevocationOutlivesTheKey(t *testing.T) { onBoth(t, testRevocationOutlivesTheKey) }

func testRevocationOutlivesTheKey(t *testing.T, o options) {
	h := setup(t, o)
	h.addClientAs("tool", tool)
	for how, over := range map[string]func(kid string){
		"revoked": func(kid string) { _, err := h.operator().RevokeKey(t.Context(), kid, "stolen"); h.must(err) },
		"retired": func(kid string) {
			h.base.run(t, `UPDATE signing_key SET activates_at = 0, retires_at = 1 WHERE id = '`+kid+`'`)
		},
	} {
		token, sid := h.startByUserID()
		other, otherSID := h.startByUserID()
		over(kidOf(t, token))
		within(t, "its token is dead", func() error { return h.inactive(token) })
		refused(t, h.revoked("app", token, ""), http.StatusBadRequest, "unauthorized_client")
		if !h.goesOn(sid) {
			t.Errorf("%s: another client ended it", how)
		}
		for at, ends := range map[*house][2]string{h: {token, sid}, h.replica(options{}): {other, otherSID}} {
			if r := at.revoked("tool", ends[0], ""); r.status != http.StatusOK || h.goesOn(ends[1]) {
				t.Errorf("%s: revocation: got %d %s; live: %v", how, r.status, r.body, h.goesOn(ends[1]))
			}
			if e := h.entry(audit.KindEnd); e.Session != ends[1] || e.Fields["reason"] != string(impersonation.EndRevoked) || e.Actor.Subject != "ann" {
				t.Errorf("%s: the entry says %v", how, e)
			}
		}
	}
	h.sound()
}

// TestOperatorEndsWhatNoTokenCan: a session whose key was revoked is listed, and the operator ends it.
func TestOperatorEndsWhatNoTokenCan(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("tool", tool)
	token, sid := h.startByUserID()
	_, err := h.operator().RevokeKey(t.Context(), kidOf(t, token), "stolen")
	h.must(err)
	within(t, "its token is dead", func() error { return h.inactive(token) })
	page, _, err := h.store.Sessions(t.Context(), store.SessionQuery{Limit: 10})
	h.must(err)
	if !slices.ContainsFunc(page, func(s impersonation.Session) bool { return s.ID == sid && s.Ended.IsZero() }) {
		t.Errorf("got %v; want %s among them, live", page, sid)
	}
	ended, err := h.operator().EndSessions(t.Context(), impersonation.ScopeSession, sid, "its key was stolen")
	if err != nil || len(ended) != 1 || h.goesOn(sid) {
		t.Errorf("got %v, %v; want it ended", ended, err)
	}
}

// TestStolenKeyEndsOwnAlone: whoever stole a key that is revoked since can write any name into a token. As a client it ends no session
// and no token but those of its own.
//
// Covers RFC7009-2.1-01.
func TestStolenKeyEndsOwnAlone(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	key := h.newKey(tokens.EdDSA)
	h.must(h.store.RotateSigningKey(t.Context(), store.KeyRotation{Write: h.write(), Key: h.sealed(key)}))
	_, err := h.operator().RevokeKey(t.Context(), key.ID, "stolen")
	h.must(err)
	stolen, err := tokens.NewKeySet(key)
	h.must(err)
	s, own := h.start("ann", "app", "john", "read"), h.start("ann", "other", "john", "read")
	forge := func(change func(*tokens.Claims)) string {
		now := h.clock.Now().UTC().Truncate(time.Second)
		c := tokens.Claims{Issuer: h.issuer, Subject: "john", Audience: resource, ClientID: "other", ID: "tok_x", Session: "lgn_x", IssuedAt: now, Expires: now.Add(time.Hour)}
		change(&c)
		token, err := stolen.Sign(c)
		h.must(err)
		return token
	}
	acting := func(sid string) string {
		return forge(func(c *tokens.Claims) {
			c.Session, c.Audit, c.Act = sid, "aud_x", &oauth.Party{Issuer: h.issuer, Subject: "eve"}
		})
	}
	_, admins := claims(t, s.actor)
	for what, token := range map[string]string{
		"another's session": acting(s.sid), "another's token": forge(func(c *tokens.Claims) { c.ID = admins["jti"].(string) }),
	} {
		refused(t, h.revoked("other", token, ""), http.StatusBadRequest, "unauthorized_client")
		if !h.active("app", s.token) || !h.active("app", s.actor) {
			t.Errorf("%s is over", what)
		}
	}
	if h.active("other", acting(own.sid)) {
		t.Error("the forged token is active")
	}
	if r := h.revoked("other", acting(own.sid), ""); r.status != http.StatusOK || h.goesOn(own.sid) {
		t.Errorf("its own: got %d %s; live: %v", r.status, r.body, h.goesOn(own.sid))
	}
	if e := h.entry(audit.KindEnd); e.Actor.Subject != "ann" {
		t.Errorf("it is on record that %s ended it; want who was acting, and not who a forged token says", e.Actor.Subject)
	}
}

// noKeys is a store that cannot be asked for keys while it is broken.
type noKeys struct {
	store.Store
	broken atomic.Bool
}

func (n *noKeys) SigningKeys(ctx context.Context) ([]store.SigningKey, error) {
	if n.broken.Load() {
		return nil, store.ErrUnavailable
	}
	return n.Store.SigningKeys(ctx)
}

// TestRevocationByAnUnknownKey: while nobody can say whose key signed a token, its revocation is 503, never a success; once the store
// answers, what is not ours is nothing to revoke.
//
// Covers RFC7009-2.2-01, RFC7009-2.2-02.
func TestRevocationByAnUnknownKey(t *testing.T) {
	t.Parallel()
	st := new(noKeys)
	h := setup(t, options{}.wrapped(func(s store.Store) store.Store { st.Store = s; return st }))
	h.addClientAs("tool", tool)
	token, sid := h.startByUserID()
	key := h.newKey(tokens.EdDSA) // as another server made it
	elsewhere, err := tokens.NewKeySet(key)
	h.must(err)
	_, c := claims(t, token)
	now := h.clock.Now().UTC().Truncate(time.Second)
	other, err := elsewhere.Sign(tokens.Claims{
		Issuer: h.issuer, Subject: "john", Audience: resource, ClientID: "tool", ID: c["jti"].(string), Session: sid, IssuedAt: now, Expires: now.Add(time.Minute),
		Audit: "aud_x", Act: &oauth.Party{Issuer: h.issuer, Subject: "ann"},
	})
	h.must(err)
	if r := h.revoked("tool", other, ""); r.status != http.StatusOK || !h.goesOn(sid) {
		t.Errorf("by a key of nobody: got %d %s; live: %v", r.status, r.body, h.goesOn(sid))
	}
	st.broken.Store(true)
	within(t, "nobody knows", func() error {
		r := h.revoked("tool", other, "")
		if r.status == http.StatusOK {
			return errors.New("it was a success")
		}
		if refused(t, r, http.StatusServiceUnavailable, "temporarily_unavailable"); r.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		return nil
	})
	h.must(h.store.RotateSigningKey(t.Context(), store.KeyRotation{Write: h.write(), Key: h.sealed(key)}))
	h.base.run(t, `UPDATE signing_key SET algorithm = 'RS256' WHERE id = '`+key.ID+`'`) // so it does not open
	st.broken.Store(false)
	unknown := func() error {
		if r := h.revoked("tool", other, ""); r.status != http.StatusServiceUnavailable {
			return errors.New(r.body)
		}
		return nil
	}
	within(t, "a key does not open", unknown)
	h.base.run(t, `UPDATE signing_key SET algorithm = 'EdDSA' WHERE id = '`+key.ID+`'`)
	within(t, "the session is over", func() error {
		if r := h.revoked("tool", other, ""); r.status != http.StatusOK {
			return errors.New(r.body)
		}
		return nil
	})
	if h.goesOn(sid) {
		t.Error("a success, and the session goes on")
	}

	_, err = h.operator().RevokeKey(t.Context(), key.ID, "its sealing key is lost")
	h.must(err)
	h.base.run(t, `UPDATE signing_key SET algorithm = 'RS256' WHERE id = '`+key.ID+`'`)
	within(t, "a revoked key does not open", unknown)
	h.clock.advance(server.DefaultLifetimes().LongestToken())
	if r := h.revoked("tool", other, ""); r.status != http.StatusOK {
		t.Errorf("once all that it signed is over: got %d %s", r.status, r.body)
	}
}

// TestRevocationAheadOfTime: a token by a server whose clock is ahead can be revoked here.
func TestRevocationAheadOfTime(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("tool", tool)
	h.clock.advance(time.Minute)
	token, sid := h.startByUserID()
	h.clock.advance(-time.Minute)
	if r := h.revoked("tool", token, ""); r.status != http.StatusOK || h.goesOn(sid) {
		t.Errorf("got %d %s; live: %v", r.status, r.body, h.goesOn(sid))
	}
}
