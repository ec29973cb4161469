package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// introspecting has an issuer asked about its tokens.
func introspecting(r *server.TrustedIssuer) {
	r.Live = impersonation.LiveIntrospection
	r.Introspection = upstream.Introspection{Endpoint: r.TrustConfig.Issuer.URL + "/introspect", ClientID: "us", ClientSecret: "secret"}
}

const yes = `{"active":true}`

// passes lets d pass, in steps between which every living session is asked about as often as it has to be.
func (h *trustHouse) passes(d time.Duration, sids ...string) {
	h.t.Helper()
	for end := h.clock.Now().Add(d); h.clock.Now().Before(end); {
		h.clock.advance(impersonation.AskEvery)
		now := h.clock.Now().Truncate(time.Millisecond)
		within(h.t, "asking", func() error {
			for _, sid := range sids {
				if s := h.kept(sid); s.Heard.Before(now.Add(-time.Second)) {
					return fmt.Errorf("%s: heard at %v, now it is %v, ended by %q\n%s", sid, s.Heard, now, s.EndReason, h.logs)
				}
			}
			return nil
		})
	}
}

// endsBy waits until a session ended, for reason.
func (h *house) endsBy(sid string, reason impersonation.EndReason) {
	h.t.Helper()
	within(h.t, "the end", func() error {
		if s := h.kept(sid); s.EndReason != reason {
			return fmt.Errorf("ended by %q, heard at %v\n%s", s.EndReason, s.Heard, h.logs)
		}
		return nil
	})
}

// What is revoked at its issuer ends here within the interval; until then the session goes on, beyond 15 minutes too, but not beyond the token.
func TestIssuerIsAskedAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setupTrust(t, o, introspecting)
		var asked atomic.Value
		h.corp.answers("/introspect", func(w http.ResponseWriter, r *http.Request) {
			asked.Store(r.FormValue("token"))
			w.Write([]byte(yes))
		})
		ticket, _ := h.annsTicket("read")
		token := h.corp.token("f-ann", map[string]any{"exp": h.clock.Now().Add(20 * time.Minute).Unix()})
		r := h.come("app", ticket, token)
		if r.status != http.StatusOK || r.json["expires_in"].(float64) < 19*60 {
			t.Fatalf("got %d %s; want a session of 20 minutes", r.status, r.body)
		}
		sid := r.json["understudy_session"].(map[string]any)["id"].(string)
		asked.Store("")
		h.running()
		h.passes(2*time.Minute, sid)
		if asked.Load() != token || !h.active("app", r.str("access_token")) {
			t.Errorf("asked about %q", asked.Load())
		}
		h.corp.answers("/introspect", saying(`{"active":false}`))
		h.clock.advance(impersonation.AskEvery)
		h.endsBy(sid, impersonation.EndIssuer)
		if h.active("app", r.str("access_token")) {
			t.Error("active after its end")
		}
		if e := h.onlyEntry(audit.KindEnd); e.Session != sid || e.Fields["reason"] != "issuer" {
			t.Errorf("on record: %+v", e)
		}
		h.forgotten(token)
	})
}

// forgotten checks that a token of another issuer stands nowhere: in no log and no row, as it is or sealed.
func (h *trustHouse) forgotten(token string) {
	h.t.Helper()
	if strings.Contains(h.logs.String(), token) {
		h.t.Error("the token is in the log")
	}
	if rows := query(h.t, h.base.admin, `SELECT id FROM impersonation_session WHERE foreign_token IS NOT NULL OR ask_at IS NOT NULL`); len(rows) > 0 {
		h.t.Errorf("still kept: %v", rows)
	}
}

// While it lasts, the token is in the database sealed for its session alone, and in no answer.
func TestForeignTokenIsSealed(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setupTrust(t, o, introspecting)
		h.corp.answers("/introspect", saying(yes))
		ticket, _ := h.annsTicket("read")
		token := h.corp.token("f-ann", nil)
		r := h.come("app", ticket, token)
		sid, _ := r.json["understudy_session"].(map[string]any)["id"].(string)
		h.clock.advance(impersonation.AskEvery)
		asked, err := h.store.LeaseAsked(t.Context(), h.corp.url, h.clock.Now(), h.clock.Now().Add(time.Second), 10)
		if err != nil || len(asked) != 1 || asked[0].Session != sid {
			t.Fatalf("got %v, %v; want the one session", asked, err)
		}
		if plain, err := h.box.Open("foreign token of "+sid, asked[0].Token); err != nil || string(plain) != token || bytes.Contains(asked[0].Token, []byte(token)) {
			t.Errorf("opens to %q, %v", plain, err)
		}
		if _, err := h.box.Open("foreign token of another", asked[0].Token); err == nil {
			t.Error("opens for another session")
		}
		in := h.post("/oauth2/introspect", "app", url.Values{"token": {r.str("access_token")}})
		if strings.Contains(string(r.body)+string(in.body)+h.logs.String(), token) {
			t.Error("the token is in an answer or in the log")
		}
	})
}

// An issuer that gives no answer for too long has its sessions ended, and one short silence ends nothing. Meanwhile another issuer's go on.
func TestIssuerIsDown(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		second := newForeignIssuer(t)
		rule := second.rule()
		introspecting(&rule)
		o.trusted = []server.TrustedIssuer{rule}
		h := setupTrust(t, o, introspecting)
		second.now = h.clock.Now
		h.linked("bea", second.url, "s-bea")
		h.corp.answers("/introspect", saying(yes))
		second.answers("/introspect", saying(yes))
		mine := h.begun("read")
		cookie, _ := h.login("bea")
		r := h.come("app", h.ticket(cookie, "app", "eve", "read"), second.token("s-bea", nil))
		other, _ := r.json["understudy_session"].(map[string]any)["id"].(string)
		h.running()
		h.passes(impersonation.AskEvery, mine.sid, other)
		h.corp.answers("/introspect", untilGone) // the slowest of all
		h.passes(impersonation.AskEvery, other)
		h.passes(impersonation.AskEvery, other)
		if !h.active("app", mine.token) {
			t.Error("ended by a short silence")
		}
		h.passes(impersonation.AskEvery, other)
		h.endsBy(mine.sid, impersonation.EndIssuer)
		if h.active("app", mine.token) || !h.active("app", r.str("access_token")) {
			t.Error("want the one ended, the other not")
		}
		within(t, "the log", func() error { // the question takes its time
			if !strings.Contains(h.logs.String(), "does not say whether a token is still good") {
				return errors.New("does not tell the operator")
			}
			return nil
		})
	})
}

// A server that dies while it asks loses nothing: once its lease is over, another asks.
func TestAskerDies(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setupTrust(t, o, introspecting)
		h.corp.answers("/introspect", saying(yes))
		s := h.begun("read")
		h.clock.advance(impersonation.AskEvery)
		asked, err := h.store.LeaseAsked(t.Context(), h.corp.url, h.clock.Now(), h.clock.Now().Add(10*time.Second), 1)
		if err != nil || len(asked) != 1 {
			t.Fatalf("got %v, %v", asked, err)
		}
		h.corp.answers("/introspect", saying(`{"active":false}`))
		h.replica(h.options).running()
		h.clock.advance(10 * time.Second)
		h.endsBy(s.sid, impersonation.EndIssuer)
	})
}

// While one server asks, another leaves that session alone, and asks about others.
func TestAskersShareTheWork(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setupTrust(t, o, introspecting)
		h.corp.answers("/introspect", saying(yes))
		leased := h.begun("read")
		h.clock.advance(time.Second)
		free := h.begun("read")
		h.clock.advance(impersonation.AskEvery - time.Second) // leased is due, free is not
		asked, err := h.store.LeaseAsked(t.Context(), h.corp.url, h.clock.Now(), h.clock.Now().Add(40*time.Second), 1)
		if err != nil || len(asked) != 1 || asked[0].Session != leased.sid {
			t.Fatalf("got %v, %v; want the first session", asked, err)
		}
		before := h.kept(leased.sid).Heard
		h.clock.advance(2 * time.Second)
		h.running()
		now := h.clock.Now().Truncate(time.Millisecond)
		within(t, "asking about the other", func() error {
			if s := h.kept(free.sid); s.Heard.Before(now) {
				return fmt.Errorf("heard at %v, now it is %v", s.Heard, now)
			}
			return nil
		})
		if got := h.kept(leased.sid).Heard; got != before {
			t.Errorf("asked about at %v while another server did", got)
		}
		h.clock.advance(38 * time.Second)
		within(t, "asking after the lease", func() error {
			if got := h.kept(leased.sid).Heard; !got.After(before) {
				return fmt.Errorf("heard at %v", got)
			}
			return nil
		})
	})
}

// leases keeps for how long each was taken.
type leases struct {
	store.Store
	taken *sync.Map
}

func (l leases) LeaseAsked(ctx context.Context, issuer string, now, until time.Time, limit int) ([]store.Asked, error) {
	l.taken.Store(until.Sub(now), true)
	return l.Store.LeaseAsked(ctx, issuer, now, until, limit)
}

// A question is leased for longer than its answer may take, so that it is asked once at a time.
func TestAskersLease(t *testing.T) {
	t.Parallel()
	var taken sync.Map
	h := setupTrust(t, options{}.wrapped(func(st store.Store) store.Store { return leases{st, &taken} }), introspecting)
	h.running()
	within(t, "a look", func() error {
		if _, looked := taken.Load(askLease); !looked {
			return errors.New("no lease of ten seconds")
		}
		return nil
	})
	taken.Range(func(d, _ any) bool {
		if d != askLease {
			t.Errorf("leased for %v, want %v", d, askLease)
		}
		return true
	})
}

// What an issuer answers ends the session, or says nothing at all: then the session goes on for a while. A yes counts from when it was asked for.
func TestIssuersAnswers(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		for name, c := range map[string]struct {
			status int
			body   string
			ends   bool
		}{
			"no":                       {http.StatusOK, `{"active":false}`, true},
			"of another person":        {http.StatusOK, `{"active":true,"sub":"f-john"}`, true},
			"of another issuer":        {http.StatusOK, `{"active":true,"iss":"https://else.test"}`, true},
			"neither yes nor no":       {http.StatusOK, `{"sub":"f-ann"}`, false},
			"a word":                   {http.StatusOK, `{"active":"false"}`, false},
			"no JSON":                  {http.StatusOK, `<html>`, false},
			"we may not ask":           {http.StatusUnauthorized, `{"active":false}`, false},
			"the issuer is overloaded": {http.StatusServiceUnavailable, `{"active":false}`, false},
		} {
			t.Run(name, func(t *testing.T) {
				h := setupTrust(t, o, introspecting)
				h.corp.answers("/introspect", saying(yes))
				s := h.begun("read")
				var asked atomic.Int64
				h.corp.answers("/introspect", func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(c.status)
					w.Write([]byte(c.body))
					asked.Add(1)
				})
				h.clock.advance(impersonation.AskEvery)
				before := h.kept(s.sid).Heard
				h.running()
				if c.ends {
					h.endsBy(s.sid, impersonation.EndIssuer)
					return
				}
				within(t, "the answer's way", func() error {
					if asked.Load() == 0 || !strings.Contains(h.logs.String(), "does not say whether a token is still good") {
						return errors.New("nobody asked, or nobody told the operator")
					}
					return nil
				})
				if k := h.kept(s.sid); !k.Ended.IsZero() || k.Heard != before {
					t.Errorf("ended by %q, heard at %v; want neither", k.EndReason, k.Heard)
				}
				h.clock.advance(askLease)
				within(t, "asking again", func() error {
					if asked.Load() < 2 {
						return errors.New("asked once")
					}
					return nil
				})
				h.clock.advance(impersonation.MaxSilence)
				h.endsBy(s.sid, impersonation.EndIssuer)
			})
		}
	})
}

// askLease is the server's: when an issuer that gave no answer is asked again.
const askLease = 10 * time.Second

// An answer that took long says what was so when it was asked for: it counts from then.
func TestSlowYes(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setupTrust(t, o, introspecting)
		h.corp.answers("/introspect", saying(yes))
		s := h.begun("read")
		h.clock.advance(impersonation.AskEvery)
		asked := h.clock.Now().Truncate(time.Millisecond)
		var once sync.Once
		h.corp.answers("/introspect", func(w http.ResponseWriter, _ *http.Request) {
			once.Do(func() { h.clock.advance(5 * time.Second) })
			w.Write([]byte(yes))
		})
		before := h.kept(s.sid).Heard
		h.running()
		within(t, "the answer", func() error {
			if got := h.kept(s.sid).Heard; !got.After(before) {
				return fmt.Errorf("heard at %v", got)
			}
			return nil
		})
		if got := h.kept(s.sid).Heard; !got.Before(asked.Add(5 * time.Second)) {
			t.Errorf("heard at %v, asked at %v", got, asked)
		}
	})
}
