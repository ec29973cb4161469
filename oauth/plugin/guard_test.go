package plugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/plugin"
)

// blind forgets what a session of an impersonation said beside its subject, as a table without a column for it does.
type blind struct {
	*provider
	change func(claims map[string]any)
}

func (s *blind) CreateAccessTokenSession(ctx context.Context, signature string, r fosite.Requester) error {
	session := r.GetSession().Clone().(*fosite.DefaultSession)
	if session.Extra["act"] != nil {
		s.change(session.Extra)
	}
	r.SetSession(session)
	return s.provider.CreateAccessTokenSession(ctx, signature, r)
}

// TestStorageThatForgets: a token of an impersonation that came back from the storage without its act, or with another, is inactive: it would be taken for the
// subject's own. Nor does it start anything.
//
// Covers RFC8693-4.1-08, RFC8693-4.1-09.
func TestStorageThatForgets(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(map[string]any){
		"all":         func(m map[string]any) { clear(m) },
		"act":         func(m map[string]any) { delete(m, "act") },
		"who acts":    func(m map[string]any) { m["act"] = map[string]any{"iss": m["iss"], "sub": "u-3"} },
		"whose actor": func(m map[string]any) { m["act"] = map[string]any{"iss": "https://else.example", "sub": "u-1"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t, options{change: func(c *plugin.Config) { c.Storage = &blind{c.Storage.(*provider), change} }})
			as := h.start()
			h.is(as, "inactive")
			if !strings.Contains(h.log.String(), "it must keep the session's claims") {
				t.Errorf("the log says %s", h.log)
			}
			h.refused(h.exchange(h.ticket(), as), 400, "invalid_request")
			h.is(as.stop(), "active: u-1, orders:read orders:write impersonate")
		})
	}
	h := setup(t, options{change: func(c *plugin.Config) { c.Storage = &blind{c.Storage.(*provider), func(map[string]any) {}} }})
	h.is(h.start(), "active: u-2, act u-1, orders:read")
}

// A token under the request ID of somebody's session, of another client or about another user, is none of that session.
func TestTokenOfAnotherUnderASession(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	as := h.start()
	claims := func() map[string]any {
		return map[string]any{"act": map[string]any{"iss": h.srv.URL, "sub": "u-1"}, "sid": as.sid(), "client_id": "shop"}
	}
	for _, c := range []struct {
		client, subject, want string
	}{
		{"shop", "u-2", "active: u-2, act u-1, orders:read impersonate"}, {"other", "u-2", "inactive"}, {"shop", "u-3", "inactive"},
	} {
		access := h.mint(opaque, c.client, plugin.Token{ID: as.sid(), Subject: c.subject, Claims: claims()})
		h.is(token{browser: h.browser, access: access}, c.want)
	}
}

// A storage that keeps sessions as JSON gives back other types than it got; they say the same.
func TestStorageThatKeepsJSON(t *testing.T) {
	t.Parallel()
	h := setup(t, options{change: func(c *plugin.Config) {
		c.Storage = &blind{c.Storage.(*provider), func(m map[string]any) {
			b, err := json.Marshal(m)
			if err != nil {
				panic(err)
			}
			clear(m)
			if err := json.Unmarshal(b, &m); err != nil {
				panic(err)
			}
		}}
	}})
	as := h.start()
	h.is(as, "active: u-2, act u-1, orders:read")
	h.is(as.stop(), "active: u-1, orders:read orders:write impersonate")
}

// stranger vouches for every token.
type stranger struct{}

func (stranger) IntrospectToken(context.Context, string, fosite.TokenUse, fosite.AccessRequester, []string) (fosite.TokenUse, error) {
	return fosite.AccessToken, nil
}

// TestHandlerBehindTheGuard: who adds an introspection handler after Compose finds that no token is active, rather than that ended ones are.
func TestHandlerBehindTheGuard(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.is(h.ann, "active: u-1, orders:read orders:write impersonate")
	h.config.TokenIntrospectionHandlers.Append(stranger{})
	h.is(h.ann, "inactive")
	if !strings.Contains(h.log.String(), "behind that of the plugin") {
		t.Errorf("the log says %s", h.log)
	}
}

// TestEnded: an operator's end is seen by the next introspection, and Active tells it to whoever asks by sid.
func TestEnded(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		h := setup(t, o)
		as := h.start()
		live, err := h.plugin.Active(t.Context(), as.sid())
		if err != nil || live == nil || live.Subject.Subject != "u-2" || live.Actor.Subject != "u-1" {
			t.Fatalf("Active: %+v, %v", live, err)
		}
		ended, err := h.plugin.End(t.Context(), impersonation.EndRequest{Scope: impersonation.ScopeSession, ID: as.sid(), Reason: impersonation.EndOperator, By: oauth.Party{Issuer: "cli", Subject: "root"}})
		if err != nil || len(ended) != 1 {
			t.Fatalf("End: %v, %v", ended, err)
		}
		h.is(as, "inactive")
		for _, sid := range []string{as.sid(), "imp_unknown", ""} {
			if live, err := h.plugin.Active(t.Context(), sid); live != nil || err != nil {
				t.Errorf("Active(%q): %v, %v; want neither", sid, live, err)
			}
		}
		h.refused(as.stop(), 400, "invalid_request") // nobody comes back from an end
	})
}

// stuck is a store that takes no writes for a while.
type stuck struct {
	plugin.Store
	is *atomic.Bool
}

func (s stuck) Ready(ctx context.Context) (time.Time, error) {
	if s.is.Load() {
		return time.Time{}, errors.New("read only")
	}
	return s.Store.Ready(ctx)
}

// TestNobodyVouches: a process that could not end a session does not call it alive.
func TestNobodyVouches(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		is := new(atomic.Bool)
		is.Store(true)
		h := setup(t, options{on: o.on, change: func(c *plugin.Config) { c.Store = stuck{c.Store, is} }})
		as := h.start()
		h.is(as, "inactive")
		if _, err := h.plugin.Active(t.Context(), as.sid()); err == nil {
			t.Error("Active: no error")
		}
		h.is(h.ann, "active: u-1, orders:read orders:write impersonate") // the provider's own to say
		is.Store(false)
		h.is(as, "active: u-2, act u-1, orders:read")
	})
}

// TestActor: the provider's own pages can tell an impersonation from its subject.
func TestActor(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		h := setup(t, o)
		read := func(as token) fosite.Session {
			empty, _ := h.provider.session(t.Context(), plugin.Token{})
			_, r, err := h.oauth.IntrospectToken(t.Context(), as.access, fosite.AccessToken, empty)
			h.ok(err)
			return r.GetSession()
		}
		if actor, acts := plugin.Actor(read(h.start())); !acts || actor != (oauth.Party{Issuer: h.srv.URL, Subject: "u-1"}) {
			t.Errorf("an impersonation: %v, %v", actor, acts)
		}
		if actor, acts := plugin.Actor(read(h.ann)); acts {
			t.Errorf("Ann herself: %v", actor)
		}
	})
}

// TestRun: what is over ends in the trail too, and Run ends with its context.
func TestRun(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		var late atomic.Int64
		h := setup(t, options{on: o.on, change: func(c *plugin.Config) { c.Now = func() time.Time { return time.Now().Add(time.Duration(late.Load())) } }})
		as := h.start()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.plugin.Run(ctx) }()
		late.Store(int64(11 * time.Minute)) // idle
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			session, err := h.store.Session(t.Context(), as.sid())
			h.ok(err)
			if !session.Ended.IsZero() {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the session goes on")
			}
		}
		h.ended(as, impersonation.EndIdle)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}
