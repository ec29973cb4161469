package plugin_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/plugin"
)

// changes are what may happen in the provider to one of the two people, each with the reason that a session ends for.
var changes = map[string]struct {
	happens func(*house)
	reason  impersonation.EndReason
}{
	"the subject is disabled":   {func(h *house) { h.user("u-2", func(u *directory.User) { u.Enabled = false }) }, impersonation.EndDisabled},
	"the actor is disabled":     {func(h *house) { h.user("u-1", func(u *directory.User) { u.Enabled = false }) }, impersonation.EndDisabled},
	"the subject is deleted":    {func(h *house) { h.user("u-2", func(u *directory.User) { u.ID = "U-2" }) }, impersonation.EndDisabled}, // a directory that does not look at case has another
	"the actor is no staff":     {func(h *house) { h.user("u-1", func(u *directory.User) { u.Roles = nil }) }, impersonation.EndPolicy},
	"the subject is protected":  {func(h *house) { h.user("u-2", func(u *directory.User) { u.Protected = true }) }, impersonation.EndPolicy},
	"the subject becomes staff": {func(h *house) { h.user("u-2", func(u *directory.User) { u.Roles = []string{"support"} }) }, impersonation.EndPolicy},
	"the sign-in is gone":       {func(h *house) { h.forget() }, impersonation.EndSignedOut},
	"the sign-in has ended": {func(h *house) {
		h.login1(func(l *impersonation.Login) { l.Ended = time.Now() })
	}, impersonation.EndSignedOut},
	"the sign-in is another's": {func(h *house) { h.login1(func(l *impersonation.Login) { l.User = "u-3" }) }, impersonation.EndSignedOut},
}

// forget is a sign-out behind the plugin's back.
func (h *house) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.logins)
}

// login1 changes every sign-in.
func (h *house) login1(change func(*impersonation.Login)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, l := range h.logins {
		change(&l)
		h.logins[id] = l
	}
}

// TestChangedBeforeTheStart: between the ticket and its exchange the provider changes, and nothing is issued.
//
// Covers RFC8693-2.2.2-03.
func TestChangedBeforeTheStart(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		for name, c := range changes {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				h := setup(t, o)
				ticket := h.ticket()
				c.happens(h)
				h.refused(h.exchange(ticket, h.ann), http.StatusBadRequest, "invalid_request")
				if e := h.entries(audit.KindStart); len(e) != 0 {
					t.Errorf("started all the same: %v", e)
				}
			})
		}
	})
}

// TestChangedInASession: what changes in the provider while a session goes on ends it, at the next introspection or at once by Changed.
//
// Covers RFC7662-2.2-01.
func TestChangedInASession(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		for name, c := range changes {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				h := setup(t, options{kind: stateless, on: o.on})
				as := h.start()
				c.happens(h)
				h.is(as, "inactive")
				h.ended(as, c.reason)
			})
			t.Run(name+", and Changed", func(t *testing.T) {
				t.Parallel()
				h := setup(t, o)
				as := h.start()
				h.ok(h.plugin.Changed(t.Context(), "u-3")) // somebody else
				h.is(as, "active: u-2, act u-1, orders:read")
				c.happens(h)
				for _, id := range []string{"", "u-1", "u-2"} {
					h.ok(h.plugin.Changed(t.Context(), id))
				}
				h.ended(as, c.reason) // nobody has looked at the token
			})
		}
	})
}

// Changed reaches the sessions of an actor and those of a subject, each by itself.
func TestChangedReachesBoth(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"u-1", "u-2"} {
		h := setup(t, options{})
		as := h.start()
		h.user(id, func(u *directory.User) { u.Enabled = false })
		h.ok(h.plugin.Changed(t.Context(), id))
		h.ended(as, impersonation.EndDisabled)
	}
}

// ended checks that a session is over, for a reason that is on record.
func (h *house) ended(as token, why impersonation.EndReason) {
	h.Helper()
	session, err := h.store.Session(h.Context(), as.sid())
	h.ok(err)
	if session.Ended.IsZero() || session.EndReason != why {
		h.Errorf("the session ended at %v, %q; want %q", session.Ended, session.EndReason, why)
	}
	if e := h.entries(audit.KindEnd); why != impersonation.EndStopped && (len(e) == 0 || e[0].Session != as.sid() || e[0].Fields["reason"] != string(why)) {
		h.Errorf("ends on record: %v", e)
	}
}

// TestProviderIsDown: without the provider's people nothing starts and nothing is vouched for; what is to end ends.
func TestProviderIsDown(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		h := setup(t, o)
		as := h.start()
		h.goDown(true)
		h.is(as, "inactive")
		h.goDown(false)
		h.is(as, "active: u-2, act u-1, orders:read") // it was not ended for that
		ticket := h.ticket()
		h.goDown(true)
		if r := h.get("/audit"); r.status != http.StatusServiceUnavailable {
			t.Errorf("the page: got %d; want 503", r.status)
		}
		got := h.exchange(ticket, h.ann)
		h.refused(got, http.StatusServiceUnavailable, "temporarily_unavailable")
		if strings.Contains(got.answer["error_description"].(string), "connection") {
			t.Errorf("the answer tells the detail: %v", got.answer)
		}
		h.refused(as.stop(), http.StatusBadRequest, "invalid_request") // nothing to give back
		h.ended(as, impersonation.EndStopped)
		h.goDown(false)
		h.is(h.exchange(ticket, h.ann), "active: u-2, act u-1, orders:read") // nothing was spent
	})
}

// A sign-out ends what its holder does as somebody else, and only that.
func TestSignOut(t *testing.T) {
	onEach(t, func(t *testing.T, o options) {
		h := setup(t, o)
		as := h.start()
		bea := &house{T: t, provider: h.provider, browser: browse(h.srv), store: h.store, srv: h.srv}
		bea.ann = bea.signIn("bea")
		other := bea.start()
		h.post("/sign-out", nil)
		h.is(as, "inactive")
		h.ended(as, impersonation.EndSignedOut)
		h.refused(as.stop(), http.StatusBadRequest, "invalid_request")
		h.is(other, "active: u-2, act u-3, orders:read")
	})
}

// TestKills: each scope of the kill switch reaches the provider's people, also that of an organisation, which the store has never heard of.
func TestKills(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		for scope, id := range map[impersonation.EpochScope]string{
			impersonation.ScopeInstance: "", impersonation.ScopeClient: "shop", impersonation.ScopeActor: "u-1", impersonation.ScopeSubject: "u-2",
			impersonation.ScopeOrganisation: "globex",
		} {
			t.Run(string(scope), func(t *testing.T) {
				t.Parallel()
				h := setup(t, o)
				as := h.start()
				ticket := h.ticket()
				kill := func(id string) {
					t.Helper()
					_, err := h.store.End(t.Context(), impersonation.EndWrite{
						Write: impersonation.Write{Now: time.Now().UTC(), RequestID: "req_1"}, Scope: scope, ID: id, Reason: impersonation.EndKilled,
						By: oauth.Party{Issuer: "cli", Subject: "root"}, Kill: true,
					})
					h.ok(err)
				}
				if id != "" {
					kill("somebody-else")
					h.is(as, "active: u-2, act u-1, orders:read")
				}
				kill(id)
				h.is(as, "inactive")
				h.ended(as, impersonation.EndKilled)
				h.refused(h.exchange(ticket, h.ann), http.StatusBadRequest, "invalid_request")
				if h.askFor("john", "cannot find the report tab") != "" {
					t.Error("a ticket was given")
				}
				h.ok(h.store.Lift(t.Context(), impersonation.LiftWrite{Write: impersonation.Write{Now: time.Now().UTC()}, Scope: scope, ID: id}))
				h.is(as, "inactive")
				h.is(h.exchange(h.ticket(), h.ann), "active: u-2, act u-1, orders:read")
			})
		}
	})
}

// interrupted does something once, when it is asked for a user: after the store was read, before it is written to.
type interrupted struct {
	*provider
	once func()
}

func (d *interrupted) Get(ctx context.Context, id string) (directory.User, error) {
	d.mu.Lock()
	once := d.once
	d.once = nil
	d.mu.Unlock()
	if once != nil {
		once()
	}
	return d.provider.Get(ctx, id)
}

// TestKilledMeanwhile: a kill between the read and the write of a start is not overtaken: the write is guarded, and nothing is issued.
func TestKilledMeanwhile(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		d := new(interrupted)
		h := setup(t, options{on: o.on, change: func(c *plugin.Config) { d.provider = c.Directory.(*provider); c.Directory = d }})
		ticket := h.ticket()
		h.mu.Lock()
		d.once = func() {
			_, err := h.store.End(t.Context(), impersonation.EndWrite{
				Write: impersonation.Write{Now: time.Now().UTC(), RequestID: "req_1"}, Scope: impersonation.ScopeInstance, Reason: impersonation.EndKilled,
				By: oauth.Party{Issuer: "cli", Subject: "root"}, Kill: true,
			})
			if err != nil {
				t.Error(err)
			}
		}
		h.mu.Unlock()
		h.refused(h.exchange(ticket, h.ann), http.StatusBadRequest, "invalid_request")
		if e := h.entries(audit.KindStart); len(e) != 0 {
			t.Errorf("started all the same: %v", e)
		}
	})
}

// A user whose ID could be the name of a client is nobody.
func TestClientsNameIsNobody(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.user("client:shop", func(u *directory.User) {
		*u = directory.User{ID: "client:shop", Email: "x@acme.example", Name: "Robot", Enabled: true}
	})
	r := h.post(impersonatePage("shop"), url.Values{"subject": {"client:shop"}, "reason": {"cannot find it"}, "mode": {"read"}, "minutes": {"30"}, "action": {"impersonate"}})
	if r.header.Get("Location") != "" {
		t.Errorf("got %d %s", r.status, r.header.Get("Location"))
	}
}

// sloppy does not look at case.
type sloppy struct{ *provider }

func (s sloppy) Get(_ context.Context, id string) (directory.User, error) {
	return s.first(func(u directory.User) bool { return strings.EqualFold(u.ID, id) })
}

// TestDirectoryThatDoesNotLookAtCase: whom it gives for another ID is not whom was asked for (OpenID Connect Core §2: a sub is case-sensitive).
func TestDirectoryThatDoesNotLookAtCase(t *testing.T) {
	t.Parallel()
	h := setup(t, options{change: func(c *plugin.Config) { c.Directory = sloppy{c.Directory.(*provider)} }})
	for subject, want := range map[string]bool{"u-2": true, "U-2": false} {
		r := h.post(impersonatePage("shop"), url.Values{"subject": {subject}, "reason": {"cannot find it"}, "mode": {"read"}, "minutes": {"30"}, "action": {"impersonate"}})
		if got := strings.Contains(r.header.Get("Location"), "ticket="); got != want {
			t.Errorf("%s: a ticket is %v; want %v", subject, got, want)
		}
	}
	h.login1(func(l *impersonation.Login) { l.User = "U-1" })
	if r := h.get("/audit"); r.status != http.StatusSeeOther {
		t.Errorf("signed in under another ID: %d", r.status)
	}
}

// A login that tells when it was used last dies of idleness; one that does not is the provider's to end.
func TestIdleLogin(t *testing.T) {
	t.Parallel()
	h := setup(t, options{change: func(c *plugin.Config) { c.Lifetimes.LoginIdle = time.Minute }})
	as := h.start()
	h.is(as, "active: u-2, act u-1, orders:read")
	h.login1(func(l *impersonation.Login) { l.LastUsed = time.Now().Add(-2 * time.Minute) })
	h.is(as, "inactive")
	h.ended(as, impersonation.EndSignedOut)
}

// A client that the provider removes takes its sessions along.
func TestClientRemoved(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	as := h.start()
	shop := h.Clients["shop"]
	delete(h.Clients, "shop")
	as.browser.id = "other" // fosite lets any client ask
	h.is(as, "inactive")
	h.ended(as, impersonation.EndClient)
	h.Clients["shop"] = shop
	h.is(as, "inactive")
}
