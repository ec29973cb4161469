package sqlite_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
	"github.com/understudy-id/understudy/oauth/store/storetest"
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// actors is how many people impersonate in turn: each has a login of their own.
const actors = 1000

// stage fills a store with people, logins and an app.
func stage(t testing.TB, s *sqlite.Store) {
	t.Helper()
	ok := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	w := impersonation.Write{RequestID: "req", Now: now}
	ok(s.CreateClient(t.Context(), store.ClientWrite{Write: w, Client: store.Client{Client: policy.Client{ID: "app", Exchange: true}}}))
	ok(s.CreateUser(t.Context(), store.UserWrite{Write: w, User: directory.User{ID: "john", Name: "John", Email: "john@acme.test", Organisation: "acme", Enabled: true}}))
	for i := range actors {
		id := fmt.Sprintf("ann%d", i)
		ok(s.CreateUser(t.Context(), store.UserWrite{Write: w, User: directory.User{ID: id, Name: id, Email: id + "@acme.test", Enabled: true, Roles: []string{"support"}}}))
		login := impersonation.Login{ID: "login-" + id, User: id, AuthTime: now, Created: now, LastUsed: now, Expires: now.Add(8 * time.Hour)}
		ok(s.CreateLogin(t.Context(), store.LoginWrite{Write: w, Login: login, Cookie: oauth.NewSecret().Hash()}))
	}
}

// ticketOf issues a ticket for the i-th start.
func ticketOf(t testing.TB, s *sqlite.Store, i int) oauth.Hash {
	actor := fmt.Sprintf("ann%d", i%actors)
	ticket := impersonation.Ticket{
		Hash: oauth.NewSecret().Hash(), Client: "app", RedirectURI: "https://app.acme.test/cb", Actor: actor, Subject: "john", Login: "login-" + actor,
		Mode: oauth.ModeRead, Scope: []string{"openid", "profile"}, Resource: "https://api.acme.test", Duration: 30 * time.Minute, Reason: "cannot find the report",
		Created: now, Expires: now.Add(time.Minute),
	}
	if err := s.IssueTicket(t.Context(), impersonation.TicketWrite{Write: impersonation.Write{Now: now}, Ticket: ticket}); err != nil {
		t.Fatal(err)
	}
	return ticket.Hash
}

// startOf is the write of a start on f: what the rules would make of it, with its entry and event.
func startOf(f impersonation.Facts) impersonation.StartWrite {
	t := f.Ticket
	e := audit.New(audit.KindStart, now)
	s := impersonation.Session{
		ID: oauth.NewID("imp"), Audit: e.ID, Client: t.Client, Actor: t.Actor, Subject: t.Subject, Login: t.Login, Mode: t.Mode, Scope: t.Scope,
		Resource: t.Resource, Reason: t.Reason, Via: policy.ViaPage, JTI: oauth.NewID("tok"), Policy: "v1", Started: now, Expires: now.Add(t.Duration),
		LastActive: now, LoginExpires: now.Add(8 * time.Hour),
		Before: impersonation.ActorToken{JTI: oauth.NewID("tok"), Scope: []string{"openid", "impersonate"}, Audience: t.Resource, Left: time.Minute, Expires: now.Add(time.Minute)},
	}
	e.Actor, e.Subject = oauth.Party{Issuer: "https://id.acme.test", Subject: t.Actor}, oauth.Party{Issuer: "https://id.acme.test", Subject: t.Subject}
	e.Client, e.Session, e.Request, e.Policy = s.Client, s.ID, "req", s.Policy
	e.Set("mode", string(s.Mode))
	e.Set("scope", oauth.JoinScope(s.Scope))
	e.SetPersonal("reason", s.Reason)
	w := impersonation.StartWrite{Ticket: t.Hash, Guard: f.Guard, Session: s, Return: oauth.NewSecret().Hash(), ReturnEnds: s.Expires.Add(5 * time.Minute)}
	w.RequestID, w.Now, w.Entries = oauth.NewID("req"), now, []audit.Entry{e}
	w.Events = []impersonation.Event{{Kind: "session.started", Session: s.ID, Actor: s.Actor, Subject: s.Subject, Client: s.Client, Time: now}}
	w.Supersedes = f.Live
	return w
}

// BenchmarkStart is the one write of a start. The tickets and the reads before it are not counted.
func BenchmarkStart(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := fresh(b)
			stage(b, s)
			writes := plan(b, s, b.N)
			b.ReportAllocs()
			b.ResetTimer()
			parallel(b, callers, func(i int) error { return s.Start(b.Context(), writes[i]) })
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "starts/s")
		})
	}
}

// plan prepares n starts that can all succeed: each has a login of its own, as if everybody started at once.
func plan(b *testing.B, s *sqlite.Store, n int) []impersonation.StartWrite {
	writes := make([]impersonation.StartWrite, n)
	parallel(b, 64, func(i int) error {
		f, err := s.LoadStart(b.Context(), impersonation.StartKey{Ticket: ticketOf(b, s, i), Now: now})
		if err != nil {
			return err
		}
		writes[i] = startOf(f)
		writes[i].Session.Login = fmt.Sprint("login-", i)
		return nil
	})
	return writes
}

// parallel calls f for 0 to b.N-1 from so many goroutines.
func parallel(b *testing.B, callers int, f func(i int) error) {
	var next atomic.Int64
	done := make(chan error, callers)
	for range callers {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					done <- nil
					return
				}
				if err := f(i); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range callers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadStart(b *testing.B) {
	s := fresh(b)
	stage(b, s)
	key := impersonation.StartKey{Ticket: ticketOf(b, s, 1), Now: now}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.LoadStart(b.Context(), key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadSession(b *testing.B) {
	s := fresh(b)
	stage(b, s)
	f, err := s.LoadStart(b.Context(), impersonation.StartKey{Ticket: ticketOf(b, s, 1), Now: now})
	if err != nil {
		b.Fatal(err)
	}
	w := startOf(f)
	if err := s.Start(b.Context(), w); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.LoadSession(b.Context(), w.Session.ID); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGroup is the largest change of who is in a group, there and back.
func BenchmarkGroup(b *testing.B) { storetest.BenchmarkGroup(b, fresh(b)) }
