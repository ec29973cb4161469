package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

// others is an impersonation in the midst of others: ann impersonates john at rp, and has a token of her own elsewhere; john has a
// token of his own at rp; bea impersonates zoe elsewhere.
type others struct {
	*house
	rp, elsewhere *ear
	imp, bea      started
	ticket        string
	john          string // his login
}

func amongOthers(t *testing.T, o options) *others {
	t.Helper()
	h := setup(t, o)
	s := &others{house: h, rp: h.ear("rp"), elsewhere: h.ear("elsewhere")}
	s.imp.cookie, s.imp.login = h.login("ann")
	s.imp.actor = h.token(s.imp.cookie, "rp", actorScope)
	h.token(s.imp.cookie, "elsewhere", "openid")
	cookie, login := h.login("john")
	s.john = login
	h.token(cookie, "rp", "openid")
	s.ticket = h.ticket(s.imp.cookie, "rp", "john", "read")
	r := h.post("/oauth2/token", "rp", startForm(s.ticket, s.imp.actor))
	if r.status != http.StatusOK {
		t.Fatalf("start: got %d %s", r.status, r.body)
	}
	s.imp.token, s.imp.ret, s.imp.sid = r.str("access_token"), r.str("understudy_return_token"), r.json["understudy_session"].(map[string]any)["id"].(string)
	s.bea = h.start("bea", "elsewhere", "zoe", "read")
	return s
}

func (s *others) ok(r reply) {
	s.t.Helper()
	if r.status != http.StatusOK {
		s.t.Errorf("the end: got %d %s; want 200", r.status, r.body)
	}
}

// TestBackchannelEnds: whatever ends a session or a login, the clients whose it was are told of it, by its sid, and of nothing else. The
// subject's own login is never named, unless it ended too.
//
// Covers BCL-2.4-01, BCL-2.4-02, BCL-2.4-03, BCL-2.7-01.
func TestBackchannelEnds(t *testing.T) { onBoth(t, testBackchannelEnds) }

func testBackchannelEnds(t *testing.T, o options) {
	for name, c := range map[string]struct {
		end               func(s *others)
		anns, johns, beas bool // what ends beside ann's session as john: her login, his login, bea's session
	}{
		"stop":                 {end: func(s *others) { s.ok(s.post("/oauth2/token", "rp", stopForm(s.imp.ret))) }},
		"revoked token":        {end: func(s *others) { s.ok(s.post("/oauth2/revoke", "rp", url.Values{"token": {s.imp.token}})) }},
		"revoked return token": {end: func(s *others) { s.ok(s.post("/oauth2/revoke", "rp", url.Values{"token": {s.imp.ret}})) }},
		"sign-out":             {end: func(s *others) { s.ok(s.form("/sign-out", s.imp.cookie, url.Values{})) }, anns: true},
		"ticket again": {end: func(s *others) {
			refused(s.t, s.post("/oauth2/token", "rp", startForm(s.ticket, s.imp.actor)), http.StatusBadRequest, "invalid_request")
		}},
		"another start": {end: func(s *others) {
			s.ok(s.post("/oauth2/token", "rp", startForm(s.house.ticket(s.imp.cookie, "rp", "eve", "read"), s.imp.actor)))
		}},
		"idle": {end: func(s *others) { s.clock.advance(11 * time.Minute) }, beas: true},
		"expired": {end: func(s *others) {
			for range 5 {
				s.clock.advance(6 * time.Minute)
				s.active("rp", s.imp.token)
			}
			s.clock.advance(time.Minute)
		}, beas: true},
		"operator": {end: func(s *others) {
			_, err := s.store.End(context.Background(), impersonation.EndWrite{Write: s.write(), Scope: impersonation.ScopeSession, ID: s.imp.sid,
				Reason: impersonation.EndOperator, By: oauth.Party{Issuer: "cli", Subject: "op"}, Issuer: s.issuer})
			s.must(err)
		}},
		"removed client": {end: func(s *others) {
			s.must(s.store.DeleteClient(context.Background(), "rp", impersonation.EndWrite{Write: s.write(), Reason: impersonation.EndClient, Issuer: s.issuer}))
		}},
		"kill, instance":     {end: func(s *others) { s.killed(impersonation.ScopeInstance, "") }, beas: true},
		"kill, client":       {end: func(s *others) { s.killed(impersonation.ScopeClient, "rp") }},
		"kill, actor":        {end: func(s *others) { s.killed(impersonation.ScopeActor, "ann") }},
		"kill, subject":      {end: func(s *others) { s.killed(impersonation.ScopeSubject, "john") }},
		"kill, organisation": {end: func(s *others) { s.killed(impersonation.ScopeOrganisation, "acme") }},
		"disabled actor":     {end: func(s *others) { s.disabled("ann") }, anns: true},
		"disabled subject":   {end: func(s *others) { s.disabled("john") }, johns: true},
		"demotion": {end: func(s *others) {
			s.demoted("ann")
			s.active("rp", s.imp.token) // whoever asks finds out
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := amongOthers(t, o)
			s.running()
			c.end(s)
			rp, elsewhere := []string{s.imp.sid}, []string(nil)
			if c.anns {
				rp, elsewhere = append(rp, s.imp.login), append(elsewhere, s.imp.login)
			}
			if c.johns {
				rp = append(rp, s.john)
			}
			if c.beas {
				elsewhere = append(elsewhere, s.bea.sid)
			}
			within(t, "telling", func() error {
				if got, want := len(s.rp.heard())+len(s.elsewhere.heard()), len(rp)+len(elsewhere); got < want {
					return fmt.Errorf("%d of %d are told\n%s", got, want, s.logs)
				}
				return nil
			})
			s.toldAll()
			s.wantHeard(name, "rp", s.rp, rp...)
			s.wantHeard(name, "elsewhere", s.elsewhere, elsewhere...)
			if l, err := s.store.Login(t.Context(), s.john); err != nil || l.Ended.IsZero() == c.johns {
				t.Errorf("john's own login: got ended at %v, %v; want it to be over: %v", l.Ended, err, c.johns)
			}
		})
	}
}

// TestSignOutReachesRevokedClient: a client whose token was revoked has the person signed in all the same, and is told of the sign-out.
func TestSignOutReachesRevokedClient(t *testing.T) { onBoth(t, testSignOutReachesRevokedClient) }

func testSignOutReachesRevokedClient(t *testing.T, o options) {
	h := setup(t, o)
	h.ear("listens")
	cookie, login := h.login("john")
	token := h.token(cookie, "listens", "openid")
	if r := h.post("/oauth2/revoke", "listens", url.Values{"token": {token}}); r.status != http.StatusOK || h.notices() != 0 {
		t.Fatalf("revocation: got %d %s, and %d notices", r.status, r.body, h.notices())
	}
	h.form("/sign-out", cookie, url.Values{})
	if sids := query(t, h.base.admin, `SELECT sid FROM logout_notice`); len(sids) != 1 || !strings.Contains(fmt.Sprint(sids), login) {
		t.Errorf("to be told: %v; want one notice of %s", sids, login)
	}
}
