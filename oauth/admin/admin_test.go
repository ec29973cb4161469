package admin_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

const (
	issuer = "https://login.acme.test"
	api    = "https://api.acme.test"
)

var operator = oauth.Party{Issuer: "cli", Subject: "olga"}

// bundle is a fresh store with its admin.
type bundle struct {
	*admin.Admin
	t   *testing.T
	st  store.Store
	log *bytes.Buffer
}

func setup(t *testing.T) *bundle {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db"), Migrate: true, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	b := &bundle{t: t, st: st, log: new(bytes.Buffer)}
	b.Admin, err = admin.New(admin.Config{
		Store: st, Issuer: issuer, By: operator, SealingKey: sealing(make([]byte, 32)), Logger: testLogger(b.log),
		Registry: policy.Registry{
			Resources: []policy.Resource{{URI: api, AcceptsAct: true}},
			Scopes:    []policy.Scope{{Name: "openid", Class: policy.ScopeRead}, {Name: "pay", Class: policy.ScopeWrite}, {Name: "impersonate", Class: policy.ScopeNever}},
			Roles:     []policy.Role{{Name: policy.RoleUser}, {Name: "admin", Privileged: true}, {Name: "editor"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sealing gives key as Config.SealingKey does.
func sealing(key []byte) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return key, nil }
}

func (b *bundle) user(email string, roles ...string) directory.User {
	b.t.Helper()
	u, err := b.AddUser(b.t.Context(), admin.NewUser{Email: email, Name: "Somebody", Roles: roles})
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// entries are the kinds in the trail, newest first.
func (b *bundle) entries() []audit.Entry {
	b.t.Helper()
	page, _, err := b.st.Entries(b.t.Context(), store.EntryQuery{})
	if err != nil {
		b.t.Fatal(err)
	}
	var out []audit.Entry
	for _, e := range page {
		out = append(out, e.Entry)
	}
	return out
}

// last is the newest entry, which must be of kind and by the operator.
func (b *bundle) last(kind audit.Kind) audit.Entry {
	b.t.Helper()
	all := b.entries()
	if len(all) == 0 {
		b.t.Fatalf("the trail is empty, want an entry of kind %s", kind)
	}
	if all[0].Kind != kind || all[0].Actor != operator {
		b.t.Fatalf("newest entry: got %s by %v, want %s by %v", all[0].Kind, all[0].Actor, kind, operator)
	}
	return all[0]
}

// login signs u in, for acts that end it.
func (b *bundle) login(u directory.User) impersonation.Login {
	b.t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	l := impersonation.Login{ID: oauth.NewID("lgn"), User: u.ID, AuthTime: now, ACR: "pwd", AMR: []string{"pwd"}, Created: now, LastUsed: now, Expires: now.Add(time.Hour)}
	w := store.LoginWrite{Write: impersonation.Write{Now: now, RequestID: oauth.NewID("req")}, Login: l, Cookie: oauth.NewSecret().Hash()}
	if err := b.st.CreateLogin(b.t.Context(), w); err != nil {
		b.t.Fatal(err)
	}
	return l
}

// session writes a session of actor over subject that is alive.
func (b *bundle) session(actor, subject directory.User, client string) string {
	b.t.Helper()
	ctx, now := b.t.Context(), time.Now().UTC().Truncate(time.Millisecond)
	l := b.login(actor)
	facts, err := b.st.LoadStart(ctx, impersonation.StartKey{Client: client, Actor: actor.ID, Subject: subject.ID, Login: l.ID, Now: now})
	if err != nil {
		b.t.Fatal(err)
	}
	s := impersonation.Session{
		ID: oauth.NewID("imp"), Audit: oauth.NewID("aud"), Client: client, Actor: actor.ID, Subject: subject.ID, Login: l.ID,
		Mode: oauth.ModeRead, Resource: api, Reason: "cannot find the report", Via: policy.ViaUserID, JTI: oauth.NewID("jti"),
		Started: now, Expires: now.Add(time.Hour), LastActive: now, LoginExpires: l.Expires,
	}
	w := impersonation.StartWrite{Write: impersonation.Write{Now: now, RequestID: oauth.NewID("req")}, Guard: facts.Guard, Session: s}
	if err := b.st.Start(ctx, w); err != nil {
		b.t.Fatal(err)
	}
	return s.ID
}

// endReason is why the session ended, "" while it is alive.
func (b *bundle) endReason(sid string) impersonation.EndReason {
	b.t.Helper()
	s, err := b.st.Session(b.t.Context(), sid)
	if err != nil {
		b.t.Fatal(err)
	}
	return s.EndReason
}

// wantInvalid checks that err is about field and that nothing was written since before.
func (b *bundle) wantInvalid(err error, field string, before int) {
	b.t.Helper()
	var inv *admin.InvalidError
	if !errors.As(err, &inv) || inv.Field != field {
		b.t.Errorf("got error %v, want an InvalidError about %s", err, field)
	}
	if got := len(b.entries()); got != before {
		b.t.Errorf("got %d entries after a refused act, want %d", got, before)
	}
}

func TestNewNeeds(t *testing.T) {
	t.Parallel()
	st := setup(t).st
	tests := []struct {
		name, want string
		c          admin.Config
	}{
		{"no store", "Store", admin.Config{Issuer: issuer, By: operator}},
		{"no issuer", "Issuer", admin.Config{Store: st, By: operator}},
		{"nobody", "By", admin.Config{Store: st, Issuer: issuer}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := admin.New(tt.c)
			var inv *admin.InvalidError
			if !errors.As(err, &inv) || inv.Field != tt.want {
				t.Errorf("got %v, want an InvalidError about %s", err, tt.want)
			}
		})
	}
}

func TestAddUser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	u := b.user(" Ann@Acme.Test ", "editor", "admin", "editor")
	got, err := b.st.ByEmail(t.Context(), "ann@acme.test")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"admin", "editor"}, got.Roles); diff != "" || !got.Enabled || got.ID != u.ID {
		t.Errorf("got %+v, want an enabled user %s with sorted roles:\n%s", got, u.ID, diff)
	}
	e := b.last(audit.KindUserAdd)
	if want := (oauth.Party{Issuer: issuer, Subject: u.ID}); e.Subject != want {
		t.Errorf("entry's subject: got %v, want %v", e.Subject, want)
	}
	if e.Fields["roles"] != "admin,editor" || e.Fields["subject_email"] != u.Email || e.Salts["subject_email"] == nil {
		t.Errorf("entry's fields: got %v, want roles in clear and the address as personal", e.Fields)
	}
	if !strings.Contains(b.log.String(), "olga added user ann@acme.test") {
		t.Errorf("got log %q, want a line about the act", b.log)
	}
	if _, err := b.AddUser(t.Context(), admin.NewUser{Email: "ANN@acme.test", Name: "Other"}); !errors.Is(err, store.ErrExists) {
		t.Errorf("same address in other case: got %v, want ErrExists", err)
	}
}

func TestAddUserRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tests := []struct {
		name, field string
		n           admin.NewUser
	}{
		{"no address", "email", admin.NewUser{Name: "Ann"}},
		{"no name", "name", admin.NewUser{Email: "a@acme.test", Name: " "}},
		{"name that turns the line around", "name", admin.NewUser{Email: "a@acme.test", Name: "nna\u202e"}},
		{"id like an address", "id", admin.NewUser{ID: "ann@acme.test", Email: "a@acme.test", Name: "Ann"}},
		{"id with a space", "id", admin.NewUser{ID: "a b", Email: "a@acme.test", Name: "Ann"}},
		{"more groups than an entry holds", "groups", admin.NewUser{Email: "a@acme.test", Name: "Ann", Groups: manyGroups()}},
		{"role that nobody registered", "role", admin.NewUser{Email: "a@acme.test", Name: "Ann", Roles: []string{"root"}}},
		{"role that all have", "role", admin.NewUser{Email: "a@acme.test", Name: "Ann", Roles: []string{"user"}}},
	}
	for _, tt := range tests {
		_, err := b.AddUser(t.Context(), tt.n)
		b.wantInvalid(err, tt.field, 0)
	}
}

func manyGroups() []string {
	var out []string
	for i := range 100 {
		out = append(out, strings.Repeat("g", 60)+strconv.Itoa(i))
	}
	return out
}

func TestRightsEndSessions(t *testing.T) {
	t.Parallel()
	yes, organisation := true, "acme"
	tests := []struct {
		name string
		act  func(context.Context, *admin.Admin, string) error
		want impersonation.EndReason
	}{
		{"add a role", rights(admin.Rights{AddRoles: []string{"editor"}}), impersonation.EndChanged},
		{"remove a role", rights(admin.Rights{RemoveRoles: []string{"admin"}}), impersonation.EndChanged},
		{"set roles", rights(admin.Rights{SetRoles: new([]string)}), impersonation.EndChanged},
		{"set groups", rights(admin.Rights{SetGroups: &[]string{"staff"}}), impersonation.EndChanged},
		{"move", rights(admin.Rights{Organisation: &organisation}), impersonation.EndChanged},
		{"protect", rights(admin.Rights{Protected: &yes}), impersonation.EndChanged},
		{"the role that they have", rights(admin.Rights{AddRoles: []string{"admin"}}), ""},
		{"disable", func(ctx context.Context, a *admin.Admin, id string) error { _, err := a.Disable(ctx, id); return err }, impersonation.EndDisabled},
		{"enable the enabled", func(ctx context.Context, a *admin.Admin, id string) error { _, err := a.Enable(ctx, id); return err }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			ann, john, eve := b.user("ann@acme.test", "admin"), b.user("john@acme.test"), b.user("eve@acme.test")
			b.client("app")
			as, of, other := b.session(ann, john, "app"), b.session(eve, ann, "app"), b.session(eve, john, "app")
			if err := tt.act(t.Context(), b.Admin, ann.ID); err != nil {
				t.Fatal(err)
			}
			if got := []impersonation.EndReason{b.endReason(as), b.endReason(of), b.endReason(other)}; got[0] != tt.want || got[1] != tt.want || got[2] != "" {
				t.Errorf("ends as actor, as subject, of others: got %q, want %q twice and none", got, tt.want)
			}
		})
	}
}

func rights(r admin.Rights) func(context.Context, *admin.Admin, string) error {
	return func(ctx context.Context, a *admin.Admin, id string) error {
		_, err := a.SetRights(ctx, id, r)
		return err
	}
}

func TestDisableEndsLogins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	john := b.user("john@acme.test")
	l := b.login(john)
	consents := b.consents(john)
	if _, err := b.Disable(t.Context(), john.ID); err != nil {
		t.Fatal(err)
	}
	got, err := b.st.Login(t.Context(), l.ID)
	if err != nil || got.Ended.IsZero() {
		t.Errorf("got login %+v, %v, want it ended", got, err)
	}
	e := b.last(audit.KindUserDisable)
	if e.Fields["was_enabled"] != "true" || e.Fields["enabled"] != "false" {
		t.Errorf("entry's fields: got %v, want what was and what is", e.Fields)
	}
	if u, err := b.Enable(t.Context(), john.ID); err != nil || !u.Enabled {
		t.Errorf("enable: got %+v, %v", u, err)
	}
	b.wantConsents(consents[2])
	b.last(audit.KindUserEnable)
}

func TestTwoOperatorsUndoNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	john := b.user("john@acme.test")
	const n = 8
	errs := make(chan error, 2*n)
	for range n {
		go func() {
			_, err := b.SetRights(t.Context(), john.ID, admin.Rights{AddRoles: []string{"editor"}})
			errs <- err
		}()
		go func() { _, err := b.Disable(t.Context(), john.ID); errs <- err }()
	}
	for range 2 * n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	u, err := b.st.Get(t.Context(), john.ID)
	if err != nil || u.Enabled || !cmp.Equal(u.Roles, []string{"editor"}) {
		t.Errorf("got %+v, %v, want a disabled editor", u, err)
	}
}

func TestUnknownUser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, noTOTP := b.RemoveTOTP(t.Context(), "usr_nobody")
	for name, err := range map[string]error{
		"rights":   rights(admin.Rights{})(t.Context(), b.Admin, "usr_nobody"),
		"password": b.SetPassword(t.Context(), "usr_nobody", "a long enough phrase"),
		"totp":     noTOTP,
	} {
		if !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%s: got %v, want directory.ErrNotFound", name, err)
		}
	}
}
