package impersonation_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

const corp = "https://idp.corp.test"

var annAtCorp = oauth.Party{Issuer: corp, Subject: "00u1"}

// trusting is a house that trusts corp at app, and corp alone, where ann is 00u1 and eve 00u2.
func trusting(t *testing.T) *house {
	t.Helper()
	h := setup(t)
	h.trust(func(issuer, client string) bool { return issuer == corp && client == "app" })
	h.change("ann", func(u *directory.User) {
		u.Identities = []oauth.Party{annAtCorp, {Issuer: "https://other.test", Subject: "a"}}
	})
	h.change("eve", func(u *directory.User) { u.Identities = []oauth.Party{{Issuer: corp, Subject: "00u2"}} })
	return h
}

func (h *house) trust(trusts func(issuer, client string) bool) {
	h.Helper()
	var err error
	h.config.Trusts = trusts
	h.Service, err = impersonation.New(h.config)
	h.ok(err)
}

// foreign is what a token of corp says, good for an hour.
func (h *house) foreign() impersonation.ActorProof {
	return impersonation.ActorProof{
		Scope: []string{"impersonate"}, Expires: h.clock().Add(time.Hour), Foreign: impersonation.ForeignProof{Party: annAtCorp, ID: oauth.NewID("jti")},
	}
}

// comes is the start of ann with a token of corp, which change may bend.
func (h *house) comes(change func(*impersonation.ActorProof)) impersonation.StartRequest {
	h.Helper()
	r := redeem(h.ticket(h.proof(8*time.Hour, 10*time.Minute)), h.foreign())
	if change != nil {
		change(&r.Actor)
	}
	return r
}

// A start with a token of another issuer names the actor as that issuer does, and has no way back.
func TestStartByIssuer(t *testing.T) {
	t.Parallel()
	h := trusting(t)
	started, err := h.Start(t.Context(), h.comes(nil))
	h.ok(err)
	s, err := h.store.Session(t.Context(), started.Session.ID)
	h.ok(err)
	if s.Via != policy.ViaIssuer || s.Actor != "ann" || s.TokenActor != annAtCorp || s.Login == "" || !strings.HasPrefix(s.Once, "issuer ") || strings.Contains(s.Once, corp) {
		t.Errorf("got the session %+v", s)
	}
	if started.Return != "" || s.Before.JTI != "" || s.Before.Scope != nil {
		t.Errorf("got a way back: %q, %+v", started.Return, s.Before)
	}
	if live, err := h.Alive(t.Context(), s.ID); err != nil || live == nil {
		t.Errorf("alive: got %v, %v", live, err)
	}
	if text := h.log.String(); !strings.Contains(text, "token_actor.iss="+corp) || !strings.Contains(text, "token_actor.sub=00u1") {
		t.Errorf("the log does not name the actor as the token did:\n%s", text)
	}
}

func TestStartByIssuerRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*house, *impersonation.StartRequest)
		rule   string
	}{
		"another person":    {func(_ *house, r *impersonation.StartRequest) { r.Actor.Foreign.Subject = "00u2" }, "ticket.actor"},
		"nobody here":       {func(_ *house, r *impersonation.StartRequest) { r.Actor.Foreign.Subject = "00u9" }, "ticket.actor"},
		"a local ID":        {func(_ *house, r *impersonation.StartRequest) { r.Actor.Foreign.Subject = "ann" }, "ticket.actor"},
		"as if it were own": {func(_ *house, r *impersonation.StartRequest) { r.Actor.Foreign.Subject = "00u9"; r.Actor.User = "ann" }, "ticket.actor"},
		"another issuer": {func(_ *house, r *impersonation.StartRequest) {
			r.Actor.Foreign.Party = oauth.Party{Issuer: "https://other.test", Subject: "a"}
		}, "issuer.untrusted"},
		"the same sub elsewhere": {func(_ *house, r *impersonation.StartRequest) {
			r.Actor.Foreign.Party = oauth.Party{Issuer: "https://other.test", Subject: "00u1"}
		}, "issuer.untrusted"},
		"another client":      {func(_ *house, r *impersonation.StartRequest) { r.Client = "other" }, "issuer.untrusted"},
		"no right to start":   {func(_ *house, r *impersonation.StartRequest) { r.Actor.Scope = nil }, "actor_token.scope"},
		"no ticket":           {func(_ *house, r *impersonation.StartRequest) { r.Ticket = "" }, "ticket.unknown"},
		"a user id":           {func(_ *house, r *impersonation.StartRequest) { r.Ticket, r.UserID = "", "john" }, "ticket.unknown"},
		"a token of the user": {func(_ *house, r *impersonation.StartRequest) { r.Ticket, r.Subject.User = "", "john" }, "ticket.unknown"},
		"wrong verifier":      {func(_ *house, r *impersonation.StartRequest) { r.CodeVerifier = strings.Repeat("x", 43) }, "ticket.verifier"},
		"unlinked": {func(h *house, _ *impersonation.StartRequest) {
			h.change("ann", func(u *directory.User) { u.Identities = nil })
		}, "ticket.actor"},
		"linked to another": {func(h *house, _ *impersonation.StartRequest) {
			h.change("ann", func(u *directory.User) { u.Identities = nil })
			h.change("eve", func(u *directory.User) { u.Identities = []oauth.Party{annAtCorp} })
		}, "ticket.actor"},
		"disabled": {func(h *house, _ *impersonation.StartRequest) {
			h.change("ann", func(u *directory.User) { u.Enabled = false })
		}, "never.actor_disabled"},
		"demoted": {func(h *house, _ *impersonation.StartRequest) {
			h.change("ann", func(u *directory.User) { u.Roles = nil })
		}, "role.none"},
		"login is old": {func(h *house, _ *impersonation.StartRequest) { h.signOutAll("ann") }, "login.dead"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := trusting(t)
			r := h.comes(nil)
			c.change(h, &r)
			_, err := h.Start(t.Context(), r)
			refusedBy(t, err, c.rule)
			got := h.entries(audit.KindRefused)
			if len(got) != 1 || got[0].Fields["actor_iss"] != r.Actor.Foreign.Issuer || len(h.entries(audit.KindStart)) != 0 {
				t.Errorf("on record: %+v; want one refusal that names %s", got, r.Actor.Foreign.Issuer)
			}
		})
	}
}

// signOutAll lets every login of user run out, as far as its cookie goes.
func (h *house) signOutAll(user string) {
	h.Helper()
	page, _, err := h.store.Entries(h.Context(), store.EntryQuery{Kind: audit.KindTicket})
	h.ok(err)
	for _, e := range page {
		h.signOut(e.Entry.Fields["login"])
	}
}

// One token starts one session, ever; a ticket that it is refused beside is not used up. One that is bound to a key may come again.
func TestIssuerTokenStartsOnce(t *testing.T) {
	t.Parallel()
	h := trusting(t)
	first := h.comes(nil)
	started, err := h.Start(t.Context(), first)
	h.ok(err)
	second := h.comes(func(p *impersonation.ActorProof) { *p = first.Actor })
	_, err = h.Start(t.Context(), second)
	refusedBy(t, err, "actor_token.used")
	if live, _ := h.Alive(t.Context(), started.Session.ID); live == nil {
		t.Error("the refused start ended the first session")
	}
	second.Actor.Foreign.ID = oauth.NewID("jti")
	_, err = h.Start(t.Context(), second) // the ticket is as good as before
	h.ok(err)
	for range 2 {
		_, err := h.Start(t.Context(), h.comes(func(p *impersonation.ActorProof) { p.Foreign.ID = "" }))
		h.ok(err)
	}
	// The ID counts with its issuer: what another one gives is another token.
	other := h.comes(func(p *impersonation.ActorProof) {
		p.Foreign = impersonation.ForeignProof{Party: oauth.Party{Issuer: "https://other.test", Subject: "a"}, ID: first.Actor.Foreign.ID}
	})
	h.trust(func(string, string) bool { return true })
	_, err = h.Start(t.Context(), other)
	h.ok(err)
}

// A ticket that comes again ends what it opened, whatever token comes with it, also where both come at once.
func TestIssuerTicketReuse(t *testing.T) {
	t.Parallel()
	h := trusting(t)
	r := h.comes(nil)
	started, err := h.Start(t.Context(), r)
	h.ok(err)
	_, err = h.Start(t.Context(), r)
	refusedBy(t, err, "ticket.used")
	if live, _ := h.Alive(t.Context(), started.Session.ID); live != nil {
		t.Error("the session outlived the reuse of its ticket")
	}
	if got := h.entries(audit.KindReuse); len(got) != 1 || got[0].Actor.Subject != "ann" {
		t.Errorf("reuse on record: %+v", got)
	}
}

// Of 32 who come with one token and a ticket of their own each, one starts; and of 32 with one ticket and a token of their own each, one.
func TestIssuerTokenRace(t *testing.T) {
	t.Parallel()
	const crowd = 32
	for name, change := range map[string]func(rs []impersonation.StartRequest){
		"one token": func(rs []impersonation.StartRequest) {
			for i := range rs {
				rs[i].Actor = rs[0].Actor
			}
		},
		"one ticket": func(rs []impersonation.StartRequest) {
			for i := range rs {
				rs[i].Ticket = rs[0].Ticket
			}
		},
		"one of both": func(rs []impersonation.StartRequest) {
			for i := range rs {
				rs[i] = rs[0]
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := trusting(t)
			rs := make([]impersonation.StartRequest, crowd)
			for i := range rs {
				rs[i] = h.comes(nil)
			}
			change(rs)
			var won atomic.Int64
			var all sync.WaitGroup
			for _, r := range rs {
				all.Go(func() {
					_, err := h.Start(t.Context(), r)
					var ref *impersonation.Refusal
					if err == nil {
						won.Add(1)
					} else if !errors.As(err, &ref) {
						t.Errorf("got %v, want a refusal", err)
					}
				})
			}
			all.Wait()
			if n := won.Load(); n != 1 || len(h.entries(audit.KindStart)) != 1 {
				t.Errorf("%d starts, %d on record; want one", n, len(h.entries(audit.KindStart)))
			}
		})
	}
}

// How long a session lasts: 15 minutes and no longer than the token, unless we would hear of it earlier.
func TestIssuerLifetimes(t *testing.T) {
	t.Parallel()
	const upstream, sid = corp, "s-1"
	for name, c := range map[string]struct {
		live        impersonation.Liveness
		login       [2]string // its upstream and the sid there
		session     string    // in the token
		left, asked time.Duration
		want        time.Duration
		source      *store.Source // that keeps ann; nil: none
		known       string        // her externalId
		unkept      bool          // the token is not kept
	}{
		"nothing is heard":           {left: time.Hour, asked: 30 * time.Minute, want: 15 * time.Minute},
		"the token's end":            {left: 3 * time.Minute, asked: 30 * time.Minute, want: 3 * time.Minute},
		"shorter as asked":           {left: time.Hour, asked: 5 * time.Minute, want: 5 * time.Minute},
		"introspected":               {live: impersonation.LiveIntrospection, left: time.Hour, asked: 30 * time.Minute, want: 30 * time.Minute},
		"introspected but not again": {live: impersonation.LiveIntrospection, unkept: true, left: time.Hour, asked: 30 * time.Minute, want: 15 * time.Minute},
		"introspected to its end":    {live: impersonation.LiveIntrospection, left: 5 * time.Minute, asked: 30 * time.Minute, want: 5 * time.Minute},
		"log-outs are told":          {live: impersonation.LiveLogout, login: [2]string{upstream, sid}, left: 3 * time.Minute, asked: 30 * time.Minute, want: 30 * time.Minute},
		"of that very sign-in":       {live: impersonation.LiveLogout, login: [2]string{upstream, sid}, session: sid, left: 3 * time.Minute, asked: 30 * time.Minute, want: 30 * time.Minute},
		"of another sign-in there":   {live: impersonation.LiveLogout, login: [2]string{upstream, sid}, session: "s-2", left: time.Hour, asked: 30 * time.Minute, want: 15 * time.Minute},
		"of a sign-in without name":  {live: impersonation.LiveLogout, login: [2]string{upstream, ""}, left: time.Hour, asked: 30 * time.Minute, want: 15 * time.Minute},
		"of a sign-in elsewhere":     {live: impersonation.LiveLogout, login: [2]string{"https://other.test", sid}, left: time.Hour, asked: 30 * time.Minute, want: 15 * time.Minute},
		"provisioned":                {live: impersonation.LiveSCIM, source: &store.Source{Issuer: corp}, known: "00u1", left: 3 * time.Minute, asked: 30 * time.Minute, want: 30 * time.Minute},
		"as another there":           {live: impersonation.LiveSCIM, source: &store.Source{Issuer: corp}, known: "00u2", left: time.Hour, asked: 30 * time.Minute, want: 15 * time.Minute},
		"by another issuer":          {live: impersonation.LiveSCIM, source: &store.Source{Issuer: "https://other.test"}, known: "00u1", left: time.Hour, asked: 30 * time.Minute, want: 15 * time.Minute},
		"by nobody":                  {live: impersonation.LiveSCIM, left: 3 * time.Minute, asked: 30 * time.Minute, want: 3 * time.Minute},
		"where that does not count":  {source: &store.Source{Issuer: corp}, known: "00u1", left: time.Hour, asked: 30 * time.Minute, want: 15 * time.Minute},
		"a log-out, provisioned":     {live: impersonation.LiveLogout, source: &store.Source{Issuer: corp}, known: "00u1", left: time.Hour, asked: 30 * time.Minute, want: 15 * time.Minute},
		"of a sign-in by a password": {live: impersonation.LiveLogout, left: time.Hour, asked: 30 * time.Minute, want: 15 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := trusting(t)
			if c.source != nil {
				h.provisions(*c.source, c.known)
			}
			now, secret := h.clock(), oauth.NewSecret()
			l := impersonation.Login{ID: oauth.NewID("lgn"), User: "ann", AuthTime: now, AMR: []string{"pwd"}, Created: now, LastUsed: now, Expires: now.Add(8 * time.Hour),
				Upstream: c.login[0], UpstreamSession: c.login[1]}
			h.ok(h.store.CreateLogin(t.Context(), store.LoginWrite{Write: h.write(), Login: l, Cookie: secret.Hash()}))
			ask := h.request(impersonation.ActorProof{User: "ann", Login: l.ID})
			ask.Duration = c.asked
			ticket, err := h.IssueTicket(t.Context(), ask)
			h.ok(err)
			r := redeem(ticket, h.foreign())
			r.Actor.Expires, r.Actor.Foreign.Live, r.Actor.Foreign.Session = now.Add(c.left), c.live, c.session
			if !c.unkept {
				r.Actor.Foreign.Seal = kept
			}
			started, err := h.Start(t.Context(), r)
			h.ok(err)
			if got := started.Session.Expires.Sub(now); got != c.want {
				t.Errorf("lasts %s; want %s", got, c.want)
			}
			asked, err := h.store.LeaseAsked(t.Context(), corp, now.Add(impersonation.AskEvery), now.Add(time.Hour), 10)
			h.ok(err)
			if ask := c.live == impersonation.LiveIntrospection && !c.unkept; ask != (len(asked) == 1 && string(asked[0].Token) == "token of "+started.Session.ID) {
				t.Errorf("asked about: %v; want %t", asked, ask)
			}
		})
	}
}

// kept stands for a seal.
func kept(session string) []byte { return []byte("token of " + session) }

// A session whose actor's issuer is to be asked goes on for as long as that is heard from, and no longer, whoever looks first.
func TestIssuerIsSilent(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(h *house, sid string) bool{
		"asked about": func(h *house, sid string) bool {
			live, err := h.Alive(h.Context(), sid)
			h.ok(err)
			return live != nil
		},
		"swept": func(h *house, sid string) bool {
			_, err := h.Sweep(h.Context())
			h.ok(err)
			s, err := h.store.Session(h.Context(), sid)
			h.ok(err)
			return s.Ended.IsZero()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := trusting(t)
			started, err := h.Start(t.Context(), h.comes(func(p *impersonation.ActorProof) {
				p.Foreign.Live, p.Foreign.Seal = impersonation.LiveIntrospection, kept
			}))
			h.ok(err)
			sid := started.Session.ID
			h.advance(impersonation.MaxSilence - time.Second)
			h.ok(h.store.Heard(t.Context(), sid, h.clock(), h.clock().Add(impersonation.AskEvery)))
			h.advance(impersonation.MaxSilence - time.Second)
			if !look(h, sid) {
				t.Fatal("over though the issuer said yes")
			}
			h.advance(time.Second)
			if look(h, sid) {
				t.Error("goes on though the issuer says nothing")
			}
			s, err := h.store.Session(t.Context(), sid)
			h.ok(err)
			if ends := h.entries(audit.KindEnd); s.EndReason != impersonation.EndIssuer || len(ends) != 1 || ends[0].Fields["reason"] != "issuer" {
				t.Errorf("ended by %q; on record: %v", s.EndReason, ends)
			}
		})
	}
}

// provisions has ann kept by a source, with a token, as externalID.
func (h *house) provisions(s store.Source, externalID string) {
	h.Helper()
	s.Name = "okta"
	h.ok(h.store.CreateSource(h.Context(), store.SourceWrite{Write: h.write(), Source: s}))
	token := store.SourceToken{ID: oauth.NewID("sct"), Source: s.Name, Hash: oauth.NewSecret().Hash(), Created: h.clock()}
	h.ok(h.store.AddSourceToken(h.Context(), store.SourceTokenWrite{Write: h.write(), Token: token}))
	h.change("ann", func(u *directory.User) { u.Source, u.ExternalID = s.ID(), externalID })
}

// A session is over when its issuer is trusted no more, or its actor is no longer that person there.
func TestAliveByIssuer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*house)
		want   impersonation.EndReason
	}{
		"trusted no more":        {func(h *house) { h.trust(nil) }, impersonation.EndIssuer},
		"trusted at another app": {func(h *house) { h.trust(func(_, client string) bool { return client == "other" }) }, impersonation.EndIssuer},
		"another issuer trusted": {func(h *house) { h.trust(func(issuer, _ string) bool { return issuer == corp+"/" }) }, impersonation.EndIssuer},
		"actor disabled":         {func(h *house) { h.change("ann", func(u *directory.User) { u.Enabled = false }) }, impersonation.EndDisabled},
		"actor is another there": {func(h *house) { h.change("ann", func(u *directory.User) { u.Identities[0].Subject = "00u3" }) }, impersonation.EndChanged},
		"actor is nobody there":  {func(h *house) { h.change("ann", func(u *directory.User) { u.Identities = u.Identities[1:] }) }, impersonation.EndChanged},
		"actor's login is over":  {func(h *house) { h.signOutAll("ann") }, impersonation.EndSignedOut},
		"actor has no role":      {func(h *house) { h.change("ann", func(u *directory.User) { u.Roles = nil }) }, impersonation.EndPolicy},
		"subject known elsewhere": {func(h *house) {
			h.change("john", func(u *directory.User) { u.Identities = []oauth.Party{{Issuer: corp, Subject: "00u7"}} })
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := trusting(t)
			started, err := h.Start(t.Context(), h.comes(nil))
			h.ok(err)
			c.change(h)
			live, err := h.Alive(t.Context(), started.Session.ID)
			h.ok(err)
			s, err := h.store.Session(t.Context(), started.Session.ID)
			h.ok(err)
			if (live != nil) != (c.want == "") || s.EndReason != c.want {
				t.Errorf("alive %t, ended by %q; want %q", live != nil, s.EndReason, c.want)
			}
		})
	}
}
