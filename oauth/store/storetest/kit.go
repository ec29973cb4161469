package storetest

import (
	"errors"
	"sync"
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

const issuer = "https://id.acme.test"

// kit is a fresh store with two people, ann who may impersonate and john, an app, and ann's login.
type kit struct {
	*testing.T
	store store.Store
	now   time.Time
	login string
}

const (
	ann  = "usr_ann"
	john = "usr_john"
	app  = "app"
)

func newKit(t *testing.T, s store.Store) *kit {
	t.Helper()
	k := &kit{T: t, store: s, now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	k.ok(s.CreateUser(t.Context(), store.UserWrite{Write: k.write(), User: directory.User{ID: ann, Email: "ann@acme.test", Name: "Ann", Enabled: true, Roles: []string{"support"}}}))
	k.ok(s.CreateUser(t.Context(), store.UserWrite{Write: k.write(), User: directory.User{ID: john, Email: "john@globex.test", Name: "John Doe", Organisation: "globex", Enabled: true}}))
	k.ok(s.CreateClient(t.Context(), store.ClientWrite{Write: k.write(), Client: k.client(app)}))
	k.login = k.signIn(ann)
	return k
}

func (k *kit) client(id string) store.Client {
	return store.Client{
		Client: policy.Client{ID: id, Exchange: true, Scopes: []string{"openid", "orders:read"}, Resources: []string{"https://api.acme.test"}},
		Name:   "App", SecretHash: oauth.NewSecret().Hash(), RedirectURIs: []string{"https://app.acme.test/cb"}, Created: k.now,
	}
}

// write is what every write carries, for one that records nothing.
func (k *kit) write() impersonation.Write {
	return impersonation.Write{RequestID: oauth.NewID("req"), Now: k.now}
}

// recorded is a write with one entry and one event.
func (k *kit) recorded(kind audit.Kind) impersonation.Write {
	w := k.write()
	e := audit.New(kind, k.now)
	e.Actor, e.Subject = oauth.Party{Issuer: issuer, Subject: ann}, oauth.Party{Issuer: issuer, Subject: john}
	e.SetPersonal("reason", "cannot find the report")
	w.Entries = []audit.Entry{e}
	w.Events = []impersonation.Event{{Kind: string(kind), Actor: ann, Time: k.now}}
	return w
}

func (k *kit) signIn(user string) string {
	k.Helper()
	l := k.newLogin(user)
	k.ok(k.store.CreateLogin(k.Context(), store.LoginWrite{Write: k.write(), Login: l, Cookie: oauth.NewSecret().Hash()}))
	return l.ID
}

func (k *kit) newLogin(user string) impersonation.Login {
	return impersonation.Login{ID: oauth.NewID("lgn"), User: user, AuthTime: k.now, ACR: "urn:acr:2", AMR: []string{"pwd", "otp"},
		Created: k.now, LastUsed: k.now, Expires: k.now.Add(8 * time.Hour),
		Upstream: "https://idp.acme.test", UpstreamSession: "s-1"}
}

func (k *kit) load(key impersonation.StartKey) impersonation.Facts {
	k.Helper()
	key.Most = 1000
	f, err := k.store.LoadStart(k.Context(), key)
	k.ok(err)
	return f
}

func (k *kit) key() impersonation.StartKey {
	return impersonation.StartKey{Client: app, Actor: ann, Subject: john, Login: k.login, Now: k.now}
}

func (k *kit) ticket() impersonation.Ticket {
	return impersonation.Ticket{
		Hash: oauth.NewSecret().Hash(), Client: app, RedirectURI: "https://app.acme.test/cb", Actor: ann, Subject: john, Login: k.login,
		Mode: oauth.ModeRead, Scope: []string{"openid"}, Resource: "https://api.acme.test", Duration: 30 * time.Minute, Reason: "cannot find the report",
		TicketNumber: "HELP-1", CodeChallenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", Created: k.now, Expires: k.now.Add(time.Minute),
	}
}

// issue writes a ticket and answers it.
func (k *kit) issue() impersonation.Ticket {
	k.Helper()
	t := k.ticket()
	k.ok(k.store.IssueTicket(k.Context(), impersonation.TicketWrite{Write: k.recorded(audit.KindTicket), Ticket: t, Guard: k.load(k.key()).Guard}))
	return t
}

// startWrite is a start on the facts as they are now.
func (k *kit) startWrite(t impersonation.Ticket) impersonation.StartWrite {
	k.Helper()
	return k.startOn(k.load(impersonation.StartKey{Ticket: t.Hash, Now: k.now}), t)
}

func (k *kit) startOn(f impersonation.Facts, t impersonation.Ticket) impersonation.StartWrite {
	w := impersonation.StartWrite{Write: k.recorded(audit.KindStart), Ticket: t.Hash, Guard: f.Guard, Session: k.session(t), Return: oauth.NewSecret().Hash()}
	w.Session.Audit, w.Entries[0].Session = w.Entries[0].ID, w.Session.ID
	w.ReturnEnds = w.Session.Expires.Add(5 * time.Minute)
	return w
}

func (k *kit) session(t impersonation.Ticket) impersonation.Session {
	return impersonation.Session{
		ID: oauth.NewID("imp"), Client: t.Client, Actor: t.Actor, Subject: t.Subject, Login: t.Login, Mode: t.Mode, Scope: t.Scope, Resource: t.Resource,
		Reason: t.Reason, TicketNumber: t.TicketNumber, Via: policy.ViaPage, JTI: oauth.NewID("tok"), Policy: "v1", Started: k.now,
		Expires: k.now.Add(t.Duration), LastActive: k.now, LoginExpires: k.now.Add(8 * time.Hour),
		ActorKind: oauth.ActorUser, Key: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", Consent: "cns_1",
		TokenSubject: "00u1", TokenActor: oauth.Party{Issuer: "https://idp.acme.test", Subject: "00u2"},
		Before: impersonation.ActorToken{JTI: oauth.NewID("tok"), Scope: []string{"openid", "impersonate"}, Audience: "https://api.acme.test",
			Left: 7 * time.Minute, Issued: k.now.Add(-3 * time.Minute), Expires: k.now.Add(7 * time.Minute)},
	}
}

// start runs a whole start and answers its write.
func (k *kit) start() impersonation.StartWrite {
	k.Helper()
	w := k.startWrite(k.issue())
	k.ok(k.store.Start(k.Context(), w))
	return w
}

// startMany opens n sessions, each on a login of its own.
func (k *kit) startMany(n int) []impersonation.StartWrite {
	k.Helper()
	starts := make([]impersonation.StartWrite, n)
	var all sync.WaitGroup
	for first := range 16 {
		all.Go(func() {
			for i := first; i < n && !k.Failed(); i += 16 {
				l := k.newLogin(ann)
				err := k.store.CreateLogin(k.Context(), store.LoginWrite{Write: k.write(), Login: l, Cookie: oauth.NewSecret().Hash()})
				t := k.ticket()
				t.Login, t.Hash = l.ID, oauth.Hash{}
				f, err2 := k.store.LoadStart(k.Context(), impersonation.StartKey{Client: app, Actor: ann, Subject: john, Login: l.ID, Now: k.now})
				starts[i] = k.startOn(f, t)
				if err := errors.Join(err, err2, k.store.Start(k.Context(), starts[i])); err != nil {
					k.Error(err)
				}
			}
		})
	}
	all.Wait()
	if k.Failed() {
		k.FailNow()
	}
	return starts
}

func (k *kit) stopWrite(w impersonation.StartWrite) impersonation.StopWrite {
	return impersonation.StopWrite{
		Write: k.recorded(audit.KindStop), Return: w.Return, Session: w.Session.ID,
		Next: &impersonation.ActorToken{JTI: oauth.NewID("tok"), Grant: oauth.NewID("grt"), Scope: []string{"openid"}, Audience: "https://api.acme.test",
			Issued: k.now, Expires: k.now.Add(7 * time.Minute)},
	}
}

func (k *kit) endWrite(scope impersonation.EpochScope, id string) impersonation.EndWrite {
	return impersonation.EndWrite{Write: k.write(), Scope: scope, ID: id, Reason: impersonation.EndOperator,
		By: oauth.Party{Issuer: "cli", Subject: "root"}, Issuer: issuer, Note: "asked for"}
}

func (k *kit) end(w impersonation.EndWrite) []impersonation.Ended {
	k.Helper()
	ended, err := k.store.End(k.Context(), w)
	k.ok(err)
	return ended
}

func (k *kit) stored(sid string) impersonation.Session {
	k.Helper()
	s, err := k.store.Session(k.Context(), sid)
	k.ok(err)
	return s
}

func (k *kit) entries(q store.EntryQuery) []store.StoredEntry {
	k.Helper()
	page, _, err := k.store.Entries(k.Context(), q)
	k.ok(err)
	return page
}

func (k *kit) ok(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

func (k *kit) wantErr(what string, got, want error) {
	k.Helper()
	if !errors.Is(got, want) {
		k.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// same compares what came back with what went in.
func (k *kit) same(what string, got, want any) {
	k.Helper()
	if d := cmp.Diff(want, got); d != "" {
		k.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// at is the instant as a store keeps it.
func at(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
