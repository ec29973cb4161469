package transfer_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver of catalogues

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/chaos"
	"github.com/understudy-id/understudy/oauth/internal/seal"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
	"github.com/understudy-id/understudy/oauth/store/transfer"
	"github.com/understudy-id/understudy/oauth/tokens"
)

func TestMain(m *testing.M) { os.Exit(chaos.Main(m)) }

const (
	issuer   = "https://id.acme.test"
	resource = policy.DefaultResource
)

var (
	now        = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	sealingKey = bytes.Repeat([]byte{7}, seal.KeySize)
)

// scene is an installation in a file, with something in every table, and an empty database for it.
type scene struct {
	testing.TB
	path string
	db   postgrestest.Database
}

func newScene(t testing.TB, entries int) *scene {
	t.Helper()
	s := &scene{t, filepath.Join(t.TempDir(), "understudy.db"), postgrestest.Fresh(t)}
	s.fill(entries)
	return s
}

func (s *scene) config() transfer.Config {
	return transfer.Config{From: s.path, To: postgres.Config{URL: s.db.Owner}, SealingKey: sealingKey}
}

func (s *scene) copy() transfer.Result {
	s.Helper()
	r, err := transfer.Copy(s.Context(), s.config())
	s.ok(err)
	return r
}

func (s *scene) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scene) lite() *sqlite.Store {
	s.Helper()
	st, err := sqlite.Open(s.Context(), sqlite.Config{Path: s.path, Migrate: true, Reserve: -1})
	s.ok(err)
	return st
}

// write is what a write carries that records nothing.
func write() impersonation.Write {
	return impersonation.Write{RequestID: oauth.NewID("req"), Now: now}
}

// fill makes an installation as servers and operators would, with some rows in every table.
func (s *scene) fill(entries int) {
	s.Helper()
	ctx, st := s.Context(), s.lite()
	ad, err := admin.New(admin.Config{Store: st, Registry: policy.Default(), Issuer: issuer, Now: func() time.Time { return now },
		SealingKey: func(context.Context) ([]byte, error) { return sealingKey, nil }, By: oauth.Party{Issuer: "cli", Subject: "olga"}})
	s.ok(err)
	s.addRevokedKey(st)
	s.addKey(st)
	s.addKey(st)
	for _, u := range []admin.NewUser{
		{ID: "ann", Email: "Ann@Acme.test", Name: "Ann", Roles: []string{"admin"}, Groups: []string{"z first", "a second", "<&>"}},
		{ID: "john", Email: "john@globex.test", Name: "Jöhn \"Doe\" <x> \U0001F600", Organisation: "globex"},
		{ID: "jane", Email: "jane@globex.test", Name: "Jane", Organisation: "globex", Protected: true},
	} {
		_, err := ad.AddUser(ctx, u)
		s.ok(err)
	}
	jill := directory.User{ID: "jill", Email: "jill@acme.test", Name: "Jill", Enabled: true, Source: "scim:okta", UserName: "Jill", ExternalID: "00u1",
		Identities: []oauth.Party{{Issuer: "https://idp.acme.test", Subject: "00u1"}}}
	for _, id := range []string{"jill", "jim", "former"} {
		u := jill
		if u.ID = id; id != "jill" {
			u.Email, u.UserName, u.Identities, u.Enabled, u.DisabledBy = id+"@acme.test", id, nil, false, "scim:okta"
		}
		s.ok(st.CreateUser(ctx, store.UserWrite{Write: write(), User: u}))
	}
	s.ok(st.DeleteUser(ctx, store.UserWrite{Write: write(), User: directory.User{ID: "former"}}))
	okta := store.Source{Name: "okta", Organisation: "acme", OrganisationAttribute: "urn:x:org", Issuer: "https://idp.acme.test", MayGrant: true, Created: now, Updated: now}
	s.ok(st.CreateSource(ctx, store.SourceWrite{Write: write(), Source: okta}))
	for _, name := range []string{"a", "b"} {
		token := store.SourceToken{ID: "sct_" + name, Source: "okta", Hash: oauth.Secret(name).Hash(), Created: now, Expires: now.Add(time.Hour)}
		s.ok(st.AddSourceToken(ctx, store.SourceTokenWrite{Write: write(), Token: token}))
	}
	s.ok(st.RevokeSourceToken(ctx, store.SourceTokenWrite{Write: write(), Token: store.SourceToken{ID: "sct_a", Source: "okta"}}))
	s.ok(st.TouchSourceToken(ctx, "sct_b", now))
	group := store.Group{ID: "grp_1", Source: okta.ID(), Name: "sales", ExternalID: "00g1", Created: now, Updated: now}
	_, err = st.CreateGroup(ctx, store.GroupWrite{Write: write(), Group: group, Add: []string{"jill"}})
	s.ok(err)
	s.ok(ad.SetPassword(ctx, "ann", "correct horse battery staple"))
	_, _, err = ad.EnrolTOTP(ctx, "ann")
	s.ok(err)
	for _, id := range []string{"app", "other", "gone"} {
		_, err := ad.AddClient(ctx, admin.NewClient{ID: id, Name: "The " + id, RedirectURIs: []string{"https://app.acme.test/cb?a=1&b=2"}})
		s.ok(err)
	}
	s.ok(ad.RemoveClient(ctx, "gone"))
	s.ok(st.CreateClient(ctx, store.ClientWrite{Write: write(), Client: store.Client{Client: policy.Client{ID: "listener"}, Name: "The listener", Created: now,
		Settings: store.Settings{BackchannelLogoutURI: "https://app.acme.test/logout"}}}))
	_, err = ad.Kill(ctx, impersonation.ScopeClient, "other", "a leak")
	s.ok(err)
	_, err = st.PutPolicy(ctx, "v1", nil, write())
	s.ok(err)
	s.sessions(st)
	s.notice(st)
	s.stream(st)
	s.ok(st.AddConsent(ctx, store.ConsentWrite{Write: write(), Consent: impersonation.Consent{
		ID: "cns_1", Subject: "john", Actor: "client:app", ActorKind: oauth.ActorService, Client: "app", Scopes: []string{"openid"}, Mode: oauth.ModeRead,
		Reason: "books his travel", Until: now.Add(time.Hour), Created: now, CreatedBy: "olga",
	}}))
	for i := range 5 { // the last one locks, and its list of failures is empty
		_, err := st.Failed(ctx, oauth.Secret("a").Hash(), now, time.Hour, 5, time.Hour)
		s.ok(err)
		_, err = st.Failed(ctx, oauth.Secret(fmt.Sprint(i/2)).Hash(), now, time.Hour, 5, time.Hour)
		s.ok(err)
	}
	_, err = st.EndUpstream(ctx, store.UpstreamEnd{Write: write(), Upstream: "https://idp.acme.test", Session: "s-1", Until: now.Add(time.Hour), Issuer: issuer})
	s.ok(err)
	s.ok(st.UseOnce(ctx, "nonce", "jti_1", now, now.Add(time.Hour)))
	s.ok(st.PushRequest(ctx, store.PushedRequest{Hash: oauth.Secret("b").Hash(), Client: "app", Form: "scope=openid&state=%C3%A4", Created: now, Expires: now.Add(time.Hour)}))
	s.record(st, entries)
	s.ok(st.Close())
}

// addRevokedKey adds one that does not open and is revoked, perhaps because of that.
func (s *scene) addRevokedKey(st store.Store) {
	s.Helper()
	broken := store.SigningKey{ID: "broken", Algorithm: tokens.ES256, Sealed: []byte{1}, Created: now, Activates: now}
	s.ok(st.RotateSigningKey(s.Context(), store.KeyRotation{Write: write(), Key: broken}))
	_, err := st.RevokeSigningKey(s.Context(), store.KeyRevocation{Write: write(), ID: broken.ID})
	s.ok(err)
}

func (s *scene) addKey(st store.Store) (id string) {
	s.Helper()
	box, err := seal.New(sealingKey)
	s.ok(err)
	key, err := tokens.Generate(tokens.ES256)
	s.ok(err)
	sealed, err := key.Seal(box)
	s.ok(err)
	w := store.KeyRotation{Write: write(), Key: store.SigningKey{ID: key.ID, Algorithm: key.Algorithm, Sealed: sealed, Created: now, Activates: now}}
	was, err := st.SigningKeys(s.Context())
	s.ok(err)
	if was[0].Current() {
		w.Was, w.WasRetires = was[0].ID, now.Add(time.Hour)
	}
	s.ok(st.RotateSigningKey(s.Context(), w))
	return key.ID
}

// record writes n entries, some with what is personal.
func (s *scene) record(st store.Store, n int) {
	s.Helper()
	var some []audit.Entry
	for i := range n {
		e := audit.New(audit.KindRefused, now.Add(time.Duration(i)*time.Millisecond))
		e.Actor = oauth.Party{Issuer: issuer, Subject: "ann"}
		if e.Set("rule", "protected"); i%2 == 0 {
			e.Subject, e.Client = oauth.Party{Issuer: issuer, Subject: "jane"}, "app"
			e.SetPersonal("reason", "cannot find the report tab")
		}
		if some = append(some, e); len(some) == 1000 || i == n-1 {
			s.ok(st.Record(s.Context(), some...))
			some = nil
		}
	}
}

// sessions starts three impersonations: one that lives, one that was stopped, one whose ticket waits.
func (s *scene) sessions(st store.Store) {
	s.Helper()
	login := impersonation.Login{ID: oauth.NewID("lgn"), User: "ann", AuthTime: now, ACR: "urn:acr:2", AMR: []string{"pwd", "otp"}, Created: now, LastUsed: now, Expires: now.Add(8 * time.Hour)}
	s.ok(st.CreateLogin(s.Context(), store.LoginWrite{Write: write(), Login: login, Cookie: oauth.NewSecret().Hash()}))
	for i := range 3 {
		t := impersonation.Ticket{Hash: oauth.NewSecret().Hash(), Client: "app", RedirectURI: "https://app.acme.test/cb", Actor: "ann", Subject: "john", Login: login.ID,
			Mode: oauth.ModeRead, Scope: []string{"openid"}, Resource: resource, Duration: 30 * time.Minute, Reason: "cannot find the report", CodeChallenge: "x", Created: now, Expires: now.Add(time.Minute)}
		facts, err := st.LoadStart(s.Context(), impersonation.StartKey{Client: "app", Actor: "ann", Subject: "john", Login: login.ID, Now: now})
		s.ok(err)
		s.ok(st.IssueTicket(s.Context(), impersonation.TicketWrite{Write: recorded(audit.KindTicket, "", login.ID), Ticket: t, Guard: facts.Guard}))
		if i == 2 {
			return
		}
		w := impersonation.StartWrite{Write: recorded(audit.KindStart, oauth.NewID("imp"), login.ID), Ticket: t.Hash, Guard: facts.Guard, Return: oauth.NewSecret().Hash(), ReturnEnds: now.Add(35 * time.Minute)}
		w.Session = impersonation.Session{ID: w.Entries[0].Session, Audit: w.Entries[0].ID, Client: "app", Actor: "ann", Subject: "john", Login: login.ID, Mode: t.Mode, Scope: t.Scope,
			Resource: t.Resource, Reason: t.Reason, Via: policy.ViaPage, JTI: oauth.NewID("tok"), Policy: "v1", Started: now, Expires: now.Add(30 * time.Minute), LastActive: now, LoginExpires: login.Expires,
			Before: impersonation.ActorToken{JTI: oauth.NewID("tok"), Scope: []string{"openid"}, Audience: resource, Left: time.Minute, Issued: now, Expires: now.Add(time.Minute)}}
		s.ok(st.Start(s.Context(), w))
		if i == 0 {
			next := &impersonation.ActorToken{JTI: oauth.NewID("tok"), Grant: oauth.NewID("grt"), Scope: []string{"openid"}, Audience: resource, Issued: now, Expires: now.Add(time.Minute)}
			s.ok(st.Stop(s.Context(), impersonation.StopWrite{Write: recorded(audit.KindStop, w.Session.ID, login.ID), Return: w.Return, Session: w.Session.ID, Next: next}))
		}
	}
}

// notice ends a login of which a client is to hear.
func (s *scene) notice(st store.Store) {
	s.Helper()
	login := impersonation.Login{ID: oauth.NewID("lgn"), User: "john", AuthTime: now, Created: now, LastUsed: now, Expires: now.Add(8 * time.Hour)}
	s.ok(st.CreateLogin(s.Context(), store.LoginWrite{Write: write(), Login: login, Cookie: oauth.NewSecret().Hash()}))
	s.ok(st.CreateGrant(s.Context(), store.Grant{ID: oauth.NewID("grt"), Client: "listener", User: "john", Login: login.ID, CodeHash: oauth.NewSecret().Hash(),
		Created: now, JTI: oauth.NewID("tok"), Issued: now, Expires: now.Add(time.Minute)}))
	_, err := st.EndLogin(s.Context(), impersonation.EndWrite{Write: write(), ID: login.ID, Reason: impersonation.EndSignedOut})
	s.ok(err)
}

// stream is one that has acknowledged some of what it heard, beside one that has heard nothing.
func (s *scene) stream(st store.Store) {
	s.Helper()
	for _, to := range []store.Cursor{{}, {Position: 1, Acked: []int64{3, 4}, Fresh: true}} {
		one, err := st.OpenStream(s.Context(), store.Stream{ID: oauth.NewID("str"), Client: "app", Status: "enabled", Description: "pod <1>",
			Events: []string{"https://e.test/a"}, Created: now, Polled: now}, now, 64)
		s.ok(err)
		s.ok(st.MoveStream(s.Context(), one.ID, one.Cursor, to, now))
		s.ok(st.VerifyStream(s.Context(), one.ID, "state", now, now))
	}
}

// recorded is a write with an entry and an event.
func recorded(kind audit.Kind, session, login string) impersonation.Write {
	w, e := write(), audit.New(kind, now)
	e.Actor, e.Subject = oauth.Party{Issuer: issuer, Subject: "ann"}, oauth.Party{Issuer: issuer, Subject: "john"}
	e.Client, e.Session = "app", session
	e.Set("login", login)
	e.Set("via", "page")
	e.SetPersonal("reason", "cannot find the report")
	w.Entries, w.Events = []audit.Entry{e}, []impersonation.Event{{Kind: string(kind), Actor: "ann", Session: session, Time: now}}
	return w
}

// sourceDB opens the file past all stores.
func (s *scene) sourceDB() *sql.DB {
	s.Helper()
	name := url.URL{Scheme: "file", Path: s.path, RawQuery: "_busy_timeout=5000"}
	db, err := sql.Open("sqlite", name.String())
	s.ok(err)
	s.Cleanup(func() { db.Close() })
	return db
}

// inSource runs statements on the file past all stores.
func (s *scene) inSource(statements ...string) {
	s.Helper()
	db := s.sourceDB()
	for _, q := range statements {
		if _, err := db.ExecContext(s.Context(), q); err != nil {
			s.Fatalf("%s: %v", q, err)
		}
	}
	s.ok(db.Close())
}

// inTarget runs statements as the superuser.
func (s *scene) inTarget(statements ...string) {
	s.Helper()
	conn, err := pgx.Connect(s.Context(), s.db.Superuser)
	s.ok(err)
	defer conn.Close(context.WithoutCancel(s.Context()))
	for _, q := range statements {
		if _, err := conn.Exec(s.Context(), q); err != nil {
			s.Fatalf("%s: %v", q, err)
		}
	}
}

// marks are those of both sides.
func (s *scene) marks() (from, into string) {
	s.Helper()
	const q = `SELECT marker FROM installation`
	s.ok(s.sourceDB().QueryRowContext(s.Context(), q).Scan(&from))
	conn, err := pgx.Connect(s.Context(), s.db.Superuser)
	s.ok(err)
	defer conn.Close(context.WithoutCancel(s.Context()))
	s.ok(conn.QueryRow(s.Context(), q).Scan(&into))
	return from, into
}

// wantMarks checks how far both sides are; "" for no mark.
func (s *scene) wantMarks(from, into store.CopyState) {
	s.Helper()
	gotFrom, gotInto := s.marks()
	if !strings.HasPrefix(gotFrom, string(from)) || from == "" && gotFrom != "" || !strings.HasPrefix(gotInto, string(into)) || into == "" && gotInto != "" {
		s.Errorf("the sides are marked %q and %q, want %q and %q", gotFrom, gotInto, from, into)
	}
}

// same holds the two sides against each other by means of their own.
func (s *scene) same() {
	s.Helper()
	if _, err := transfer.Verify(s.Context(), s.config()); err != nil {
		s.Error(err)
	}
}
