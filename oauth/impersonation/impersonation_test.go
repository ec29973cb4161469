package impersonation_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// refusedBy demands a refusal by the given rule.
func refusedBy(t *testing.T, err error, rule string) {
	t.Helper()
	var ref *impersonation.Refusal
	if !errors.As(err, &ref) || !slices.Contains(ref.Decision.Rules, rule) {
		t.Errorf("got %v; want a refusal by %s", err, rule)
	}
}

func TestStartIsBoundToItsTicket(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*house, *impersonation.StartRequest)
		rule   string
	}{
		"unknown ticket":   {func(_ *house, r *impersonation.StartRequest) { r.Ticket = oauth.NewSecret() }, "ticket.unknown"},
		"empty ticket":     {func(_ *house, r *impersonation.StartRequest) { r.Ticket = "" }, "ticket.unknown"},
		"another client":   {func(_ *house, r *impersonation.StartRequest) { r.Client = "other" }, "ticket.client"},
		"another actor":    {func(_ *house, r *impersonation.StartRequest) { r.Actor.User = "eve" }, "ticket.actor"},
		"another login":    {func(h *house, r *impersonation.StartRequest) { r.Actor = h.proof(time.Hour, time.Minute) }, "ticket.login"},
		"wrong verifier":   {func(_ *house, r *impersonation.StartRequest) { r.CodeVerifier = strings.Repeat("x", 43) }, "ticket.verifier"},
		"no verifier":      {func(_ *house, r *impersonation.StartRequest) { r.CodeVerifier = "" }, "ticket.verifier"},
		"too late":         {func(h *house, _ *impersonation.StartRequest) { h.advance(time.Minute) }, "ticket.expired"},
		"another resource": {func(_ *house, r *impersonation.StartRequest) { r.Resource = "https://api.example/" }, "ticket.resource"},
		"scope beyond it":  {func(_ *house, r *impersonation.StartRequest) { r.Scope = []string{"app:write"} }, "ticket.scope"},
		"actor's scope":    {func(_ *house, r *impersonation.StartRequest) { r.Actor.Scope = []string{"openid"} }, "actor_token.scope"},
		"no such token":    {func(_ *house, r *impersonation.StartRequest) { r.Actor.JTI = "tok_none" }, "actor_token.inactive"},
		"login ended":      {func(h *house, r *impersonation.StartRequest) { h.signOut(r.Actor.Login) }, "actor_token.inactive"},
		"subject disabled": {func(h *house, _ *impersonation.StartRequest) {
			h.change("john", func(u *directory.User) { u.Enabled = false })
		}, "never.subject_disabled"},
		"subject protected": {func(h *house, _ *impersonation.StartRequest) {
			h.change("john", func(u *directory.User) { u.Protected = true })
		}, "never.protected"},
		"actor demoted": {func(h *house, _ *impersonation.StartRequest) {
			h.change("ann", func(u *directory.User) { u.Roles = nil })
		}, "role.none"},
		"kill switch": {func(h *house, _ *impersonation.StartRequest) { h.kill(impersonation.ScopeClient, "app") }, "kill.client"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t)
			p := h.proof(8*time.Hour, 10*time.Minute)
			r := redeem(h.ticket(p), p)
			c.change(h, &r)
			_, err := h.Start(t.Context(), r)
			refusedBy(t, err, c.rule)
			if n := len(h.entries(audit.KindStart)); n != 0 {
				t.Errorf("%d start entries; want none", n)
			}
			if got := h.entries(audit.KindRefused); len(got) != 1 || got[0].Fields["rule"] != c.rule {
				t.Errorf("refusals on record = %+v; want one by %s", got, c.rule)
			}
		})
	}
}

func (h *house) change(id string, f func(*directory.User)) {
	h.Helper()
	u, err := h.store.Get(h.Context(), id)
	h.ok(err)
	f(&u)
	h.ok(h.store.UpdateUser(h.Context(), store.UserWrite{Write: h.write(), User: u}))
}

func (h *house) signOut(login string) {
	h.Helper()
	_, err := h.store.EndLogin(h.Context(), impersonation.EndWrite{Write: h.write(), Scope: impersonation.ScopeLogin, ID: login, Reason: impersonation.EndSignedOut})
	h.ok(err)
}

func (h *house) kill(scope impersonation.EpochScope, id string) {
	h.Helper()
	_, err := h.store.End(h.Context(), impersonation.EndWrite{Write: h.write(), Scope: scope, ID: id, Reason: impersonation.EndKilled, Kill: true})
	h.ok(err)
}

func TestLifetimes(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		login, left time.Duration // of the actor, at the start
		during      time.Duration // between start and stop
		want        time.Duration // life of the impersonation
		back        time.Duration // life of what the stop gives, 0 for nothing
	}{
		"as asked":                     {8 * time.Hour, 10 * time.Minute, 5 * time.Minute, 30 * time.Minute, 10 * time.Minute},
		"at most the login":            {20 * time.Minute, 10 * time.Minute, time.Minute, 20 * time.Minute, 10 * time.Minute},
		"the pause ends with it too":   {20 * time.Minute, 10 * time.Minute, 15 * time.Minute, 20 * time.Minute, 5 * time.Minute},
		"a token of which little left": {8 * time.Hour, time.Second, 5 * time.Minute, 30 * time.Minute, time.Second},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t)
			s := h.start(h.proof(c.login, c.left))
			if got := s.Delegation.Expires.Sub(h.clock()); got != c.want {
				t.Errorf("the impersonation lives %v; want %v", got, c.want)
			}
			h.advance(c.during)
			stopped, err := h.Stop(t.Context(), impersonation.StopRequest{Return: s.Return, Client: "app"})
			h.ok(err)
			if got := stopped.Next.Expires.Sub(h.clock()); got != c.back {
				t.Errorf("the actor's token lives %v; want %v", got, c.back)
			}
			if diff := cmp.Diff([]string{"impersonate", "openid"}, stopped.Next.Scope); diff != "" || stopped.Next.Audience != policy.DefaultResource {
				t.Errorf("the actor's token is wider or other: %+v", stopped.Next)
			}
			if h.alive(s) {
				t.Error("alive after the stop")
			}
		})
	}
}

// TestNothingLeft: a stop always ends, whatever it gives back.
func TestNothingLeft(t *testing.T) {
	t.Parallel()
	cases := map[string]func(*house, *impersonation.Started){
		"the login's time is up": func(h *house, _ *impersonation.Started) { h.advance(24 * time.Minute) },
		"the actor is disabled": func(h *house, _ *impersonation.Started) {
			h.change("ann", func(u *directory.User) { u.Enabled = false })
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t)
			s := h.start(h.proof(23*time.Minute, 10*time.Minute))
			change(h, s)
			if _, err := h.Stop(t.Context(), impersonation.StopRequest{Return: s.Return, Client: "app"}); !errors.Is(err, impersonation.ErrNothingLeft) {
				t.Errorf("got %v; want ErrNothingLeft", err)
			}
			if got := h.session(s.Session.ID); got.EndReason != impersonation.EndStopped {
				t.Errorf("the session ended by %q; want it stopped", got.EndReason)
			}
			_, err := h.Stop(t.Context(), impersonation.StopRequest{Return: s.Return, Client: "app"})
			refusedBy(t, err, "return_token.used")
		})
	}
}

// TestSweepEndsAll: however many run out between two sweeps, none is left behind, and each has one entry.
func TestSweepEndsAll(t *testing.T) {
	t.Parallel()
	h := setup(t)
	const n = 230
	for range n {
		h.start(h.proof(8*time.Hour, 10*time.Minute))
	}
	h.advance(34 * time.Minute)
	if got, err := h.Sweep(t.Context()); got != n || err != nil {
		t.Errorf("Sweep = %d, %v; want %d", got, err, n)
	}
	if ends := len(h.entries(audit.KindEnd)); ends != n {
		t.Errorf("%d entries; want %d", ends, n)
	}
	if again, err := h.Sweep(t.Context()); again != 0 || err != nil {
		t.Errorf("the next Sweep = %d, %v; want none", again, err)
	}
}

// TestReturnTokenOutlivesExpiry: the way back works for five minutes after the time ran out, and not after a kill.
func TestReturnTokenOutlivesExpiry(t *testing.T) {
	t.Parallel()
	h := setup(t)
	s := h.start(h.proof(8*time.Hour, 10*time.Minute))
	h.advance(34 * time.Minute)
	if n, err := h.Sweep(t.Context()); n != 1 || err != nil {
		t.Fatalf("Sweep = %d, %v; want one session", n, err)
	}
	if _, err := h.Stop(t.Context(), impersonation.StopRequest{Return: s.Return, Client: "app"}); err != nil {
		t.Errorf("stop after expiry: %v", err)
	}

	s = h.start(h.proof(8*time.Hour, 10*time.Minute))
	h.advance(36 * time.Minute)
	_, err := h.Stop(t.Context(), impersonation.StopRequest{Return: s.Return, Client: "app"})
	refusedBy(t, err, "return_token.expired")

	s = h.start(h.proof(8*time.Hour, 10*time.Minute))
	h.kill(impersonation.ScopeActor, "ann")
	_, err = h.Stop(t.Context(), impersonation.StopRequest{Return: s.Return, Client: "app"})
	refusedBy(t, err, "return_token.void")
}

func TestAlive(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*house, *impersonation.Started)
		want   impersonation.EndReason // "" for alive
	}{
		"nothing happened": {func(*house, *impersonation.Started) {}, ""},
		"time is up":       {func(h *house, s *impersonation.Started) { keepAlive(h, s, 30*time.Minute) }, impersonation.EndExpired},
		"idle":             {func(h *house, _ *impersonation.Started) { h.advance(10 * time.Minute) }, impersonation.EndIdle},
		"not idle":         {func(h *house, s *impersonation.Started) { keepAlive(h, s, 25*time.Minute) }, ""},
		"actor disabled": {func(h *house, _ *impersonation.Started) {
			h.change("ann", func(u *directory.User) { u.Enabled = false })
		}, impersonation.EndDisabled},
		"subject disabled": {func(h *house, _ *impersonation.Started) {
			h.change("john", func(u *directory.User) { u.Enabled = false })
		}, impersonation.EndDisabled},
		"subject protected": {func(h *house, _ *impersonation.Started) {
			h.change("john", func(u *directory.User) { u.Protected = true })
		}, impersonation.EndPolicy},
		"subject promoted": {func(h *house, _ *impersonation.Started) {
			h.change("john", func(u *directory.User) { u.Roles = []string{"admin"} })
		}, impersonation.EndPolicy},
		"actor demoted": {func(h *house, _ *impersonation.Started) {
			h.change("ann", func(u *directory.User) { u.Roles = []string{"support"} })
		}, impersonation.EndPolicy},
		"actor signed out": {func(h *house, s *impersonation.Started) { h.signOut(s.Session.Login) }, impersonation.EndSignedOut},
		"killed":           {func(h *house, _ *impersonation.Started) { h.kill(impersonation.ScopeOrganisation, "acme") }, impersonation.EndKilled},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t)
			s := h.start(h.proof(8*time.Hour, 10*time.Minute))
			c.change(h, s)
			if got := h.alive(s); got != (c.want == "") {
				t.Errorf("alive = %v", got)
			}
			if got := h.session(s.Session.ID).EndReason; got != c.want {
				t.Errorf("ended by %q; want %q", got, c.want)
			}
			wantEntries := 1
			if c.want == "" {
				wantEntries = 0
			}
			if c.want != "" { // only what ended by the clock leaves the way back open
				_, err := h.Stop(t.Context(), impersonation.StopRequest{Return: s.Return, Client: "app"})
				byClock := c.want == impersonation.EndExpired || c.want == impersonation.EndIdle
				if (err == nil) != byClock {
					t.Errorf("stop afterwards: %v", err)
				}
			}
			h.alive(s) // a second look writes nothing more
			if got := h.entries(audit.KindEnd); len(got) != wantEntries {
				t.Errorf("%d end entries; want %d", len(got), wantEntries)
			}
		})
	}
}

// keepAlive introspects once a minute, which is activity.
func keepAlive(h *house, s *impersonation.Started, d time.Duration) {
	for range int(d / time.Minute) {
		h.advance(time.Minute)
		h.alive(s)
	}
}

// TestOneAtATime: a second start of one login at one client ends the first, with an entry of its own.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	h := setup(t)
	p := h.proof(8*time.Hour, 10*time.Minute)
	first, second := h.start(p), h.start(p)
	if h.alive(first) || !h.alive(second) {
		t.Error("want the second alive and the first not")
	}
	if got := h.session(first.Session.ID); got.EndReason != impersonation.EndSuperseded {
		t.Errorf("the first ended by %q; want superseded", got.EndReason)
	}
	elsewhere := h.start(h.proof(8*time.Hour, 10*time.Minute))
	if !h.alive(second) || !h.alive(elsewhere) {
		t.Error("a start of another login ended this one's")
	}
}

// TestRefusalsAreFolded: beyond 60 a minute one entry says how many there were.
func TestRefusalsAreFolded(t *testing.T) {
	t.Parallel()
	h := setup(t)
	p := h.proof(8*time.Hour, 10*time.Minute)
	for range 75 {
		_, err := h.Start(t.Context(), redeem(oauth.NewSecret(), p))
		refusedBy(t, err, "ticket.unknown")
	}
	if n := len(h.entries(audit.KindRefused)); n != 60 {
		t.Errorf("%d refusals on record; want 60", n)
	}
	h.Flush(t.Context(), false)
	if n := len(h.entries(audit.KindRefusedFolded)); n != 0 {
		t.Errorf("%d summaries before the minute is over; want none", n)
	}
	h.advance(time.Minute)
	h.Flush(t.Context(), false)
	folded := h.entries(audit.KindRefusedFolded)
	if len(folded) != 1 || folded[0].Fields["count"] != "15" || folded[0].Client != "app" {
		t.Errorf("summaries = %+v; want one of 15", folded)
	}
	for range 61 {
		h.Start(t.Context(), redeem(oauth.NewSecret(), p))
	}
	h.Flush(t.Context(), true)
	if got := h.entries(audit.KindRefusedFolded); len(got) != 2 || got[0].Fields["count"] != "1" {
		t.Errorf("summaries at the end = %+v; want another of 1", got)
	}
}

// TestSourceRefusalsAreFolded: those of a source of SCIM too, and neither those of another source nor of a client with them.
func TestSourceRefusalsAreFolded(t *testing.T) {
	t.Parallel()
	h := setup(t)
	refusal := impersonation.SourceRefusal{Source: "okta", Token: "sct_1", Method: "PUT", Resource: "User", Subject: "john", Rule: "source.taken", RequestID: "req_1"}
	for range 75 {
		h.RefusedSource(t.Context(), refusal)
	}
	entra := refusal
	entra.Source, entra.Subject = "entra", ""
	h.RefusedSource(t.Context(), entra)
	h.Refused(t.Context(), "okta", "", "subject_token.form", "req_1")
	all := h.entries(audit.KindSourceRefused)
	if len(all) != 61 || all[0].Actor.Subject != "entra" || !all[0].Subject.IsZero() || len(h.entries(audit.KindRefused)) != 1 {
		t.Fatalf("%d on record; want 60 and another source's, and a client's", len(all))
	}
	e := all[1]
	want := map[string]string{"token": "sct_1", "method": "PUT", "resource": "User", "rule": "source.taken"}
	if !maps.Equal(e.Fields, want) || e.Actor != (oauth.Party{Issuer: "scim", Subject: "okta"}) || e.Subject.Subject != "john" || e.Request != "req_1" || e.Client != "" {
		t.Errorf("on record: %+v; want %v by okta", e, want)
	}
	h.advance(time.Minute)
	h.Flush(t.Context(), false)
	folded := h.entries(audit.KindSourceFolded)
	if len(folded) != 1 || folded[0].Fields["count"] != "15" || folded[0].Actor.Subject != "okta" || len(h.entries(audit.KindRefusedFolded)) != 0 {
		t.Errorf("summaries = %+v; want one of 15, of okta", folded)
	}
}

// TestRefusedTextIsClipped: what was refused for being too long must not keep the refusal off the record.
func TestRefusedTextIsClipped(t *testing.T) {
	t.Parallel()
	h := setup(t)
	r := h.request(h.proof(8*time.Hour, 10*time.Minute))
	r.Reason, r.TicketNumber = strings.Repeat("é", 5000), strings.Repeat("7", 5000)
	_, err := h.IssueTicket(t.Context(), r)
	refusedBy(t, err, "never.reason")
	got := h.entries(audit.KindRefused)
	if len(got) != 1 || got[0].Fields["reason"] != strings.Repeat("é", policy.MaxReason) || len(got[0].Fields["ticket_number"]) != policy.MaxTicketNumber {
		t.Errorf("on record: %d entries", len(got))
	}
}

// TestVerifierLength: a verifier that RFC 7636 §4.1 does not allow is none, though its hash be the challenge.
func TestVerifierLength(t *testing.T) {
	t.Parallel()
	h := setup(t)
	p := h.proof(8*time.Hour, 10*time.Minute)
	for _, verifier := range []string{strings.Repeat("v", 42), strings.Repeat("v", 129)} {
		sum := sha256.Sum256([]byte(verifier))
		r := h.request(p)
		r.CodeChallenge = base64.RawURLEncoding.EncodeToString(sum[:])
		ticket, err := h.IssueTicket(t.Context(), r)
		h.ok(err)
		start := redeem(ticket, p)
		start.CodeVerifier = verifier
		_, err = h.Start(t.Context(), start)
		refusedBy(t, err, "ticket.verifier")
	}
}

// until is a Decider whose permissions end at a moment.
type until struct {
	policy.Decider
	moment time.Time
}

func (u *until) Decide(ctx context.Context, r policy.Request) policy.Decision {
	d := u.Decider.Decide(ctx, r)
	d.ValidUntil = u.moment
	return d
}

// TestValidUntil: a permission that ends (a right for minutes, a consent) ends the session with it.
func TestValidUntil(t *testing.T) {
	t.Parallel()
	u := new(until)
	h := setupWith(t, func(d policy.Decider) policy.Decider { u.Decider = d; return u })
	u.moment = h.clock().Add(5 * time.Minute)
	s := h.start(h.proof(8*time.Hour, 10*time.Minute))
	if got := s.Delegation.Expires; !got.Equal(u.moment) {
		t.Errorf("exp = %v; want %v", got, u.moment)
	}
	if u.moment = h.clock().Add(time.Minute); !h.alive(s) {
		t.Error("dead before the moment")
	}
	if h.advance(time.Minute); h.alive(s) {
		t.Error("alive though the permission was cut short")
	}
}

func TestWriteMode(t *testing.T) {
	t.Parallel()
	h := setup(t)
	p := h.proof(8*time.Hour, 10*time.Minute)
	r := h.request(p)
	r.Mode = oauth.ModeWrite
	ticket, err := h.IssueTicket(t.Context(), r)
	h.ok(err)
	s, err := h.Start(t.Context(), redeem(ticket, p))
	h.ok(err)
	if diff := cmp.Diff([]string{"app:read", "app:write", oauth.ScopeImpersonationWrite, "openid", "profile"}, s.Delegation.Scope); diff != "" {
		t.Errorf("scope, -want +got:\n%s", diff)
	}
	if !h.alive(s) {
		t.Error("a session in write mode does not pass its own policy again")
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if _, err := impersonation.New(impersonation.Config{}); err == nil || !strings.Contains(err.Error(), "Issuer") {
		t.Errorf("New without anything: got %v; want an error that names the field", err)
	}
}
