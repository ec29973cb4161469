package postgres_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
	"github.com/understudy-id/understudy/oauth/store/storetest"
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// actors is how many people impersonate in turn: each has a login of their own.
const actors = 1000

// stage fills a store with people, logins and an app.
func stage(t testing.TB, s *postgres.Store, actors int) {
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

// ticketOf issues a ticket of the i-th actor.
func ticketOf(t testing.TB, s *postgres.Store, i int) oauth.Hash {
	actor := fmt.Sprintf("ann%d", i)
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

func loaded(t testing.TB, s *postgres.Store, ticket oauth.Hash) impersonation.Facts {
	t.Helper()
	f, err := s.LoadStart(t.Context(), impersonation.StartKey{Ticket: ticket, Now: now})
	if err != nil || f.Ticket == nil {
		t.Fatalf("got %v, %v; want the ticket", f.Ticket, err)
	}
	return f
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

// stopOf is the write of a stop of the session that w started.
func stopOf(w impersonation.StartWrite) impersonation.StopWrite {
	e := audit.New(audit.KindStop, now)
	e.Actor, e.Subject, e.Session = w.Entries[0].Actor, w.Entries[0].Subject, w.Session.ID
	return impersonation.StopWrite{
		Write:  impersonation.Write{RequestID: oauth.NewID("req"), Now: now, Entries: []audit.Entry{e}, Events: []impersonation.Event{{Kind: "session.ended", Session: w.Session.ID, Time: now}}},
		Return: w.Return, Session: w.Session.ID,
		Next: &impersonation.ActorToken{JTI: oauth.NewID("tok"), Grant: oauth.NewID("grt"), Scope: []string{"openid"}, Issued: now, Expires: now.Add(time.Minute)},
	}
}

var crowds = []int{1, 16, 64}

// BenchmarkRaw is the floor: one row inserted and committed, on as many connections.
func BenchmarkRaw(b *testing.B) {
	for _, callers := range crowds {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			pool, err := pgxpool.New(b.Context(), postgrestest.Fresh(b).Owner+fmt.Sprintf("&pool_max_conns=%d", callers))
			if err != nil {
				b.Fatal(err)
			}
			defer pool.Close()
			if _, err := pool.Exec(b.Context(), `CREATE TABLE raw (id bigint PRIMARY KEY, body text)`); err != nil {
				b.Fatal(err)
			}
			rate(b, "commits/s", callers, func(i int) error {
				_, err := pool.Exec(b.Context(), `INSERT INTO raw VALUES ($1, $2)`, i, "a line of some length, as an entry of a trail has")
				return err
			})
		})
	}
}

// BenchmarkStart is the one write of a start. The tickets and the reads before it are not counted.
func BenchmarkStart(b *testing.B) {
	for _, callers := range crowds {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := fresh(b)
			writes := plan(b, s, b.N)
			rate(b, "starts/s", callers, func(i int) error { return s.Start(b.Context(), writes[i]) })
		})
	}
}

// BenchmarkStop is the one write of a stop.
func BenchmarkStop(b *testing.B) {
	for _, callers := range crowds {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := fresh(b)
			writes := plan(b, s, b.N)
			parallel(b, 64, func(i int) error { return s.Start(b.Context(), writes[i]) })
			stops := make([]impersonation.StopWrite, b.N)
			for i := range stops {
				stops[i] = stopOf(writes[i])
			}
			rate(b, "stops/s", callers, func(i int) error { return s.Stop(b.Context(), stops[i]) })
		})
	}
}

// BenchmarkLoadSession is what an introspection reads.
func BenchmarkLoadSession(b *testing.B) {
	for _, callers := range crowds {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := fresh(b)
			w := plan(b, s, 1)[0]
			if err := s.Start(b.Context(), w); err != nil {
				b.Fatal(err)
			}
			rate(b, "reads/s", callers, func(int) error {
				_, err := s.LoadSession(b.Context(), w.Session.ID)
				return err
			})
		})
	}
}

func BenchmarkLoadStart(b *testing.B) {
	s := fresh(b)
	stage(b, s, 1)
	key := impersonation.StartKey{Ticket: ticketOf(b, s, 0), Now: now}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.LoadStart(b.Context(), key); err != nil {
			b.Fatal(err)
		}
	}
}

// plan prepares n starts that can all succeed: each has a login of its own, as if everybody started at once.
func plan(b *testing.B, s *postgres.Store, n int) []impersonation.StartWrite {
	people := min(n, actors)
	stage(b, s, people)
	writes := make([]impersonation.StartWrite, n)
	crowd(b, 64, n, func(i int) error {
		writes[i] = startOf(loaded(b, s, ticketOf(b, s, i%people)))
		writes[i].Session.Login = fmt.Sprint("login-", i)
		return nil
	})
	return writes
}

// rate runs f as parallel does, and reports how often in a second.
func rate(b *testing.B, unit string, callers int, f func(i int) error) {
	b.ReportAllocs()
	b.ResetTimer()
	parallel(b, callers, f)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), unit)
}

// parallel calls f for 0 to b.N-1 from so many goroutines.
func parallel(b *testing.B, callers int, f func(i int) error) { crowd(b, callers, b.N, f) }

func crowd(b *testing.B, callers, n int, f func(i int) error) {
	var next atomic.Int64
	done := make(chan error, callers)
	for range callers {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
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

// BenchmarkGroup is the largest change of who is in a group, there and back.
func BenchmarkGroup(b *testing.B) { storetest.BenchmarkGroup(b, fresh(b)) }
