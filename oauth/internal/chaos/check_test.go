package chaos_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/chaos"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

func TestMain(m *testing.M) {
	mainOfRelying()
	os.Exit(chaos.Main(m))
}

const issuer = "http://127.0.0.1:1"

// doctored is a store whose answers a test falsifies.
type doctored struct {
	store.Store
	sessions func([]impersonation.Session) []impersonation.Session
	entries  func([]store.StoredEntry) []store.StoredEntry
	login    func(*impersonation.Login)
	user     func(*directory.User)
	client   func(*store.Client)
}

func (d *doctored) Sessions(ctx context.Context, q store.SessionQuery) ([]impersonation.Session, string, error) {
	page, next, err := d.Store.Sessions(ctx, q)
	if d.sessions != nil {
		page = d.sessions(page)
	}
	return page, next, err
}

func (d *doctored) Entries(ctx context.Context, q store.EntryQuery) ([]store.StoredEntry, string, error) {
	page, next, err := d.Store.Entries(ctx, q)
	if d.entries != nil {
		page = d.entries(page)
	}
	return page, next, err
}

func (d *doctored) Login(ctx context.Context, id string) (impersonation.Login, error) {
	l, err := d.Store.Login(ctx, id)
	if d.login != nil {
		d.login(&l)
	}
	return l, err
}

func (d *doctored) Get(ctx context.Context, id string) (directory.User, error) {
	u, err := d.Store.Get(ctx, id)
	if d.user != nil {
		d.user(&u)
	}
	return u, err
}

func (d *doctored) Client(ctx context.Context, id string) (store.Client, error) {
	c, err := d.Store.Client(ctx, id)
	if d.client != nil {
		d.client(&c)
	}
	return c, err
}

// lived is a store in which ann looked at john twice and stopped once, by the real rules.
func lived(t *testing.T) (*sqlite.Store, chaos.Options) {
	t.Helper()
	ctx := t.Context()
	st, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db"), Migrate: true})
	must(t, err)
	t.Cleanup(func() { st.Close() })
	decider, err := policy.New(policy.Default(), policy.Options{})
	must(t, err)
	svc, err := impersonation.New(impersonation.Config{
		Issuer: issuer, Store: st, Decider: decider, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Lifetimes: impersonation.Lifetimes{Ticket: time.Minute, Idle: time.Hour, LoginIdle: time.Hour, ReturnExtra: time.Minute, DoubleClick: time.Minute},
	})
	must(t, err)
	now := time.Now().UTC().Truncate(time.Millisecond)
	write := func() impersonation.Write { return impersonation.Write{Now: now, RequestID: oauth.NewID("req")} }
	for _, u := range []directory.User{{ID: "ann", Email: "ann@acme.test", Name: "Ann", Roles: []string{"admin"}}, {ID: "john", Email: "john@acme.test", Name: "John"}} {
		u.Enabled, u.Created, u.Updated = true, now, now.Add(-time.Second)
		must(t, st.CreateUser(ctx, store.UserWrite{Write: write(), User: u}))
	}
	must(t, st.CreateClient(ctx, store.ClientWrite{Write: write(), Client: store.Client{
		Client: policy.Client{ID: "app", Exchange: true, Resources: []string{policy.DefaultResource}, Scopes: []string{"openid", "app:read", "impersonate"}},
		Name:   "app", SecretHash: oauth.NewSecret().Hash(), Created: now,
	}}))
	login := impersonation.Login{ID: oauth.NewID("lgn"), User: "ann", AuthTime: now, AMR: []string{"pwd"}, Created: now, LastUsed: now, Expires: now.Add(time.Hour)}
	must(t, st.CreateLogin(ctx, store.LoginWrite{Write: write(), Login: login, Cookie: oauth.NewSecret().Hash()}))
	grant := store.Grant{ID: oauth.NewID("grt"), Client: "app", User: "ann", Login: login.ID, Scope: []string{"impersonate"}, Audience: policy.DefaultResource,
		CodeHash: oauth.NewSecret().Hash(), AuthTime: now, Created: now, CodeExpires: now.Add(time.Minute)}
	must(t, st.CreateGrant(ctx, grant))
	must(t, st.SpendCode(ctx, grant.CodeHash, now))
	must(t, st.SetToken(ctx, grant.ID, store.Token{JTI: "tok_actor", Issued: now, Expires: now.Add(time.Hour)}))

	o := chaos.Options{Issuer: issuer}
	verifier := strings.Repeat("v", 43)
	sum := sha256.Sum256([]byte(verifier))
	for range 2 {
		ticket, err := svc.IssueTicket(ctx, impersonation.TicketRequest{
			Client: "app", Actor: "ann", Login: login.ID, Subject: "john", Mode: oauth.ModeRead, Duration: 30 * time.Minute,
			Reason: "cannot find the report", CodeChallenge: base64.RawURLEncoding.EncodeToString(sum[:]),
		})
		must(t, err)
		started, err := svc.Start(ctx, impersonation.StartRequest{Ticket: ticket, CodeVerifier: verifier, Client: "app", Actor: impersonation.ActorProof{
			User: "ann", Login: login.ID, JTI: "tok_actor", Scope: []string{"impersonate"}, Audience: policy.DefaultResource, Expires: now.Add(time.Hour),
		}})
		must(t, err)
		d := started.Delegation
		o.Tokens = append(o.Tokens, chaos.Token{
			Issuer: d.Subject.Issuer, Subject: d.Subject.Subject, ActorIssuer: d.Actor.Issuer, ActorSubject: d.Actor.Subject, Audience: []string{d.Audience},
			ClientID: d.Client, ID: started.JTI, Session: d.Session, Audit: d.Audit, Scope: d.Scope, Expires: d.Expires,
		})
		o.Uses = append(o.Uses, string(ticket))
		o.Canaries = append(o.Canaries, string(ticket), string(started.Return))
		if len(o.Tokens) == 2 {
			_, err = svc.Stop(ctx, impersonation.StopRequest{Return: started.Return, Client: "app"})
			must(t, err)
		}
	}
	return st, o
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheckHolds(t *testing.T) {
	t.Parallel()
	st, o := lived(t)
	o.Seen, o.Ends = new(chaos.Seen), new(chaos.Ends)
	o.Public = map[string]string{"log": "nothing to see"}
	for range 2 { // the second time against what the first has seen
		for _, v := range chaos.Check(t.Context(), st, o) {
			t.Error(v)
		}
	}
}

// on changes the newest session.
func on(change func(*impersonation.Session)) func(*doctored, *chaos.Options) {
	return func(d *doctored, _ *chaos.Options) {
		d.sessions = func(page []impersonation.Session) []impersonation.Session { change(&page[0]); return page }
	}
}

// written changes the newest entry of kind and writes its bytes anew, as somebody with the database could.
func written(kind audit.Kind, change func(*audit.Entry)) func(*doctored, *chaos.Options) {
	return func(d *doctored, _ *chaos.Options) {
		d.entries = func(page []store.StoredEntry) []store.StoredEntry {
			i := slices.IndexFunc(page, func(e store.StoredEntry) bool { return e.Entry.Kind == kind })
			change(&page[i].Entry)
			page[i].Canonical, _ = audit.Canonical(page[i].Entry)
			page[i].Opening, _ = audit.Opening(page[i].Entry)
			return page
		}
	}
}

// token changes the newest token.
func token(change func(*chaos.Token)) func(*doctored, *chaos.Options) {
	return func(_ *doctored, o *chaos.Options) { change(&o.Tokens[len(o.Tokens)-1]) }
}

func TestCheckFinds(t *testing.T) {
	t.Parallel()
	type breakIt = func(*doctored, *chaos.Options)
	// again repeats the newest entry of a kind under another id and sequence.
	again := func(kind audit.Kind, change func(*audit.Entry)) breakIt {
		return func(d *doctored, _ *chaos.Options) {
			d.entries = func(page []store.StoredEntry) []store.StoredEntry {
				e := page[slices.IndexFunc(page, func(e store.StoredEntry) bool { return e.Entry.Kind == kind })]
				e.Entry.ID, e.Seq = oauth.NewID("aud"), page[0].Seq+1
				change(&e.Entry)
				e.Canonical, _ = audit.Canonical(e.Entry)
				return slices.Insert(page, 0, e)
			}
		}
	}
	same := func(*audit.Entry) {}
	for _, tt := range []struct {
		name, want string
		broken     breakIt
	}{
		{"session without entry", "I1", func(d *doctored, _ *chaos.Options) {
			d.entries = func(page []store.StoredEntry) []store.StoredEntry {
				return slices.DeleteFunc(page, func(e store.StoredEntry) bool { return e.Entry.Kind == audit.KindStart })
			}
		}},
		{"entry without session", "I1", func(d *doctored, _ *chaos.Options) {
			d.sessions = func(page []impersonation.Session) []impersonation.Session { return page[1:] }
		}},
		{"two start entries", "I1", again(audit.KindStart, same)},
		{"another start entry's id", "I1", on(func(s *impersonation.Session) { s.Audit = oauth.NewID("aud") })},
		{"another actor in the entry", "I1", written(audit.KindStart, func(e *audit.Entry) { e.Actor.Subject = "bea" })},
		{"another subject in the entry", "I1", written(audit.KindStart, func(e *audit.Entry) { e.Subject.Subject = "eve" })},
		{"another client in the entry", "I1", written(audit.KindStart, func(e *audit.Entry) { e.Client = "other" })},
		{"another reason in the entry", "I1", written(audit.KindStart, func(e *audit.Entry) { e.SetPersonal("reason", "because I can") })},
		{"token without session", "I1", token(func(tok *chaos.Token) { tok.Session = "imp_none" })},
		{"value used twice", "I2", func(_ *doctored, o *chaos.Options) { o.Uses = append(o.Uses, o.Uses[0]) }},
		{"more starts than tickets", "I2", again(audit.KindStart, same)},
		{"start before its ticket", "I2", func(d *doctored, _ *chaos.Options) {
			d.entries = func(page []store.StoredEntry) []store.StoredEntry {
				return slices.DeleteFunc(page, func(e store.StoredEntry) bool { return e.Entry.Kind == audit.KindTicket })
			}
		}},
		{"stopped twice", "I2", again(audit.KindStop, same)},
		{"active after its end", "I3", func(_ *doctored, o *chaos.Options) {
			o.Ends = new(chaos.Ends)
			o.Ends.Ended("imp_1")
			o.Ends.Ask("imp_1")(true)
		}},
		{"as oneself", "I4", on(func(s *impersonation.Session) { s.Actor = s.Subject })},
		{"somebody else's login", "I4", func(d *doctored, _ *chaos.Options) { d.login = func(l *impersonation.Login) { l.User = "bea" } }},
		{"before the login", "I4", func(d *doctored, _ *chaos.Options) {
			d.login = func(l *impersonation.Login) { l.Created = l.Created.Add(time.Minute) }
		}},
		{"after the login's end", "I4", func(d *doctored, _ *chaos.Options) {
			d.login = func(l *impersonation.Login) { l.Ended = l.Created.Add(-time.Second) }
		}},
		{"after the login ran out", "I4", func(d *doctored, _ *chaos.Options) {
			d.login = func(l *impersonation.Login) { l.Expires = l.Created.Add(-time.Second) }
		}},
		{"nobody", "I4", on(func(s *impersonation.Session) { s.Subject = "nobody" })},
		{"protected subject", "I4", func(d *doctored, _ *chaos.Options) { d.user = func(u *directory.User) { u.Protected = u.ID == "john" } }},
		{"disabled subject", "I4", func(d *doctored, _ *chaos.Options) { d.user = func(u *directory.User) { u.Enabled = u.ID != "john" } }},
		{"disabled actor", "I4", func(d *doctored, _ *chaos.Options) { d.user = func(u *directory.User) { u.Enabled = u.ID != "ann" } }},
		{"longer than an hour", "I5", on(func(s *impersonation.Session) {
			s.Expires = s.Started.Add(61 * time.Minute)
			s.LoginExpires = s.Expires
		})},
		{"outlasts the login it noted", "I5", on(func(s *impersonation.Session) { s.LoginExpires = s.Expires.Add(-time.Second) })},
		{"outlasts its login", "I5", func(d *doctored, _ *chaos.Options) {
			d.login = func(l *impersonation.Login) { l.Expires = l.Created.Add(20 * time.Minute) }
		}},
		{"token outlasts the session", "I5", token(func(tok *chaos.Token) { tok.Expires = tok.Expires.Add(time.Second) })},
		{"scope beyond the client's", "I6", func(d *doctored, _ *chaos.Options) {
			d.client = func(c *store.Client) { c.Scopes = []string{"openid"} }
		}},
		{"write marker in look mode", "I6", on(func(s *impersonation.Session) { s.Scope = append(s.Scope, oauth.ScopeImpersonationWrite) })},
		{"scope that is never had", "I6", on(func(s *impersonation.Session) { s.Scope = append(s.Scope, oauth.ScopeImpersonate) })},
		{"resource that the client has not", "I6", func(d *doctored, _ *chaos.Options) {
			d.client = func(c *store.Client) { c.Resources = nil }
		}},
		{"two audiences", "I6", token(func(tok *chaos.Token) { tok.Audience = append(tok.Audience, "https://other.test") })},
		{"token's scope is wider", "I6", token(func(tok *chaos.Token) { tok.Scope = append(tok.Scope, "app:write") })},
		{"entry twice", "I7", func(d *doctored, _ *chaos.Options) {
			d.entries = func(page []store.StoredEntry) []store.StoredEntry { return append(page, page[0]) }
		}},
		{"sequence goes back", "I7", func(d *doctored, _ *chaos.Options) {
			d.entries = func(page []store.StoredEntry) []store.StoredEntry { page[0].Seq = page[1].Seq; return page }
		}},
		{"flipped byte", "I7", func(d *doctored, _ *chaos.Options) {
			d.entries = func(page []store.StoredEntry) []store.StoredEntry { page[0].Canonical[5] ^= 1; return page }
		}},
		{"another entry's bytes", "I7", func(d *doctored, _ *chaos.Options) {
			d.entries = func(page []store.StoredEntry) []store.StoredEntry {
				page[0].Canonical, page[0].Opening = page[1].Canonical, page[1].Opening
				return page
			}
		}},
		{"entry says other than its bytes", "I7", func(d *doctored, _ *chaos.Options) {
			d.entries = func(page []store.StoredEntry) []store.StoredEntry { page[0].Entry.Policy += "x"; return page }
		}},
		{"another issuer in the entry", "I8", written(audit.KindStart, func(e *audit.Entry) { e.Actor.Issuer = "https://evil.test" })},
		{"another subject's issuer in the entry", "I8", written(audit.KindStart, func(e *audit.Entry) { e.Subject.Issuer = "https://evil.test" })},
		{"another iss in the token", "I8", token(func(tok *chaos.Token) { tok.Issuer = "https://evil.test" })},
		{"another sub in the token", "I8", token(func(tok *chaos.Token) { tok.Subject = "eve" })},
		{"another act in the token", "I8", token(func(tok *chaos.Token) { tok.ActorSubject = "bea" })},
		{"another act.iss in the token", "I8", token(func(tok *chaos.Token) { tok.ActorIssuer = "https://evil.test" })},
		{"another client_id in the token", "I8", token(func(tok *chaos.Token) { tok.ClientID = "other" })},
		{"another jti in the token", "I8", token(func(tok *chaos.Token) { tok.ID = "tok_x" })},
		{"another txn in the token", "I8", token(func(tok *chaos.Token) { tok.Audit = "aud_x" })},
		{"empty canary", "I9", func(_ *doctored, o *chaos.Options) { o.Canaries = append(o.Canaries, "") }},
		{"secret in a log", "I9", func(_ *doctored, o *chaos.Options) { o.Public = map[string]string{"log": "ticket=" + o.Canaries[0]} }},
		{"secret in a URL", "I9", func(_ *doctored, o *chaos.Options) {
			o.Canaries = append(o.Canaries, "pass word/1")
			o.Public = map[string]string{"URL": "/sign-in?password=pass+word%2F1"}
		}},
		{"secret in an entry", "I9", written(audit.KindStart, func(e *audit.Entry) { e.Set("note", "canary-in-clear") })},
		{"secret in an opening", "I9", written(audit.KindStart, func(e *audit.Entry) { e.SetPersonal("note", "canary-in-clear") })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st, o := lived(t)
			o.Canaries = append(o.Canaries, "canary-in-clear")
			d := &doctored{Store: st}
			tt.broken(d, &o)
			found := chaos.Check(t.Context(), d, o)
			if !slices.ContainsFunc(found, func(v chaos.Violation) bool { return v.Invariant == tt.want }) {
				t.Errorf("got %v; want one of %s", found, tt.want)
			}
			for _, v := range found {
				if strings.Contains(v.String(), o.Canaries[0]) {
					t.Errorf("%v shows a secret", v)
				}
			}
		})
	}
}

// TestCheckRemembers: what was in the trail stays, as it was, and what is new comes after it.
func TestCheckRemembers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func([]store.StoredEntry) []store.StoredEntry{
		"gone":    func(page []store.StoredEntry) []store.StoredEntry { return page[1:] },
		"in past": func(page []store.StoredEntry) []store.StoredEntry { page[len(page)-1].Seq--; return page },
		"rewritten": func(page []store.StoredEntry) []store.StoredEntry {
			page[0].Entry.Policy = "another"
			page[0].Canonical, _ = audit.Canonical(page[0].Entry)
			return page
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, o := lived(t)
			o.Seen = new(chaos.Seen)
			if found := chaos.Check(t.Context(), st, o); len(found) > 0 {
				t.Fatalf("before: %v", found)
			}
			found := chaos.Check(t.Context(), &doctored{Store: st, entries: change}, o)
			if !slices.ContainsFunc(found, func(v chaos.Violation) bool { return v.Invariant == "I7" }) {
				t.Errorf("got %v; want one of I7", found)
			}
		})
	}
}

func TestCheckUnreadable(t *testing.T) {
	t.Parallel()
	st, o := lived(t)
	must(t, st.Close())
	if found := chaos.Check(t.Context(), st, o); len(found) != 1 || found[0].Invariant != "store" {
		t.Errorf("got %v; want one of the store", found)
	}
}

// TestEnds: an introspection that began before the end answered may say either.
func TestEnds(t *testing.T) {
	t.Parallel()
	var e chaos.Ends
	early := e.Ask("imp_1")
	other := e.Ask("imp_2")
	e.Ended("imp_1")
	early(true)
	other(true)
	e.Ask("imp_1")(false)
	if found := e.Violations(); len(found) != 0 {
		t.Errorf("got %v; want none", found)
	}
	e.Ask("imp_1")(true)
	if found := e.Violations(); len(found) != 1 {
		t.Errorf("got %v; want one", found)
	}
}
