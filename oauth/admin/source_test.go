package admin_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// source adds okta.
func (b *bundle) source() store.Source {
	b.t.Helper()
	s, err := b.AddSource(b.t.Context(), "okta", admin.SourceSettings{Organisation: "acme", Issuer: "https://idp.acme.test"})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// provisioned adds a user of okta as no operator could: without a name, with a role that nobody registered, and edited.
func (b *bundle) provisioned(id string, edit func(*directory.User)) directory.User {
	b.t.Helper()
	u := directory.User{ID: id, Email: id + "@acme.test", Organisation: "acme", Roles: []string{"gone"}, Source: "scim:okta", UserName: id, Enabled: true}
	edit(&u)
	if err := b.st.CreateUser(b.t.Context(), store.UserWrite{User: u}); err != nil {
		b.t.Fatal(err)
	}
	return u
}

func TestSource(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.source()
	want := map[string]string{"source": "okta", "organisation": "acme", "issuer": "https://idp.acme.test", "may_grant": "false", "may_staff": "false"}
	if d := cmp.Diff(want, b.last(audit.KindSourceAdd).Fields); d != "" {
		t.Errorf("entry (-want +got):\n%s", d)
	}
	grant := func(s *admin.SourceSettings) { s.MayGrant = true }
	changed, err := b.ChangeSource(t.Context(), "okta", grant)
	if err != nil || !changed.MayGrant || !changed.Updated.After(s.Updated) {
		t.Fatalf("ChangeSource: got %+v, %v", changed, err)
	}
	if f := b.last(audit.KindSourceChange).Fields; f["was_may_grant"] != "false" || f["may_grant"] != "true" || f["was_organisation"] != "acme" {
		t.Errorf("entry of the change: got %v", f)
	}
	n := len(b.entries())
	if again, err := b.ChangeSource(t.Context(), "okta", grant); err != nil || again != changed || len(b.entries()) != n {
		t.Errorf("the same again: got %+v, %v and %d entries, want nothing new", again, err, len(b.entries())-n)
	}
	if err := b.RemoveSource(t.Context(), "okta"); err != nil {
		t.Fatal(err)
	}
	if f := b.last(audit.KindSourceRemove).Fields; f["source"] != "okta" {
		t.Errorf("entry of the removal: got %v", f)
	}
	_, err = b.ChangeSource(t.Context(), "okta", grant)
	if _, _, tokenErr := b.AddSourceToken(t.Context(), "okta", time.Time{}); !errors.Is(err, store.ErrNotFound) || !errors.Is(tokenErr, store.ErrNotFound) {
		t.Errorf("after its removal: got %v and %v, want ErrNotFound", err, tokenErr)
	}
}

// Only the hash of a token is kept, and neither trail nor log has more.
func TestSourceToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.source()
	secret, k, err := b.AddSourceToken(t.Context(), "okta", time.Now().Add(time.Hour))
	if err != nil || len(secret) != oauth.SecretLength {
		t.Fatalf("AddSourceToken: got %d characters, %v", len(secret), err)
	}
	if f := b.last(audit.KindSourceChange).Fields; f["token"] != k.ID || f["token_was"] != "added" || f["expires"] == "" {
		t.Errorf("entry: got %v", f)
	}
	if s, found, err := b.st.SourceByToken(t.Context(), secret.Hash(), time.Now()); err != nil || s.Name != "okta" || found.ID != k.ID {
		t.Errorf("SourceByToken: got %v, %v, %v", s.Name, found.ID, err)
	}
	if err := b.RevokeSourceToken(t.Context(), "okta", k.ID); err != nil {
		t.Fatal(err)
	}
	if f := b.last(audit.KindSourceChange).Fields; f["token_was"] != "revoked" || f["source"] != "okta" {
		t.Errorf("entry of the revocation: got %v", f)
	}
	if _, _, err := b.st.SourceByToken(t.Context(), secret.Hash(), time.Now()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("once revoked: got %v, want ErrNotFound", err)
	}
	if err := b.RevokeSourceToken(t.Context(), "okta", k.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("revoked again: got %v, want ErrNotFound", err)
	}
	if told := fmt.Sprint(b.entries(), b.log); strings.Contains(told, string(secret)) {
		t.Error("the token is in the trail or in the log")
	}
}

// Whoever a source sent can be kept out, also where no operator could have added them.
func TestDisableUsersOf(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.source()
	many := make([]string, 500)
	for i := range many {
		many[i] = fmt.Sprintf("a group with a long name, number %d", i)
	}
	john := b.provisioned("john", func(u *directory.User) { u.Groups = many })
	b.provisioned("jane", func(*directory.User) {})
	b.provisioned("jack", func(u *directory.User) { u.Enabled = false })
	other := b.user("other@acme.test")
	sid, l := b.session(john, other, "app"), b.login(john)
	if err := b.RemoveSource(t.Context(), "okta"); err != nil {
		t.Fatal(err)
	}
	var steps []string
	n, err := b.DisableUsersOf(t.Context(), "okta", func(done, of int) { steps = append(steps, fmt.Sprint(done, "/", of)) })
	if err != nil || n != 2 || !slices.Equal(steps, []string{"1/2", "2/2"}) {
		t.Errorf("DisableUsersOf: got %d, %v in steps %v, want 2", n, err, steps)
	}
	for id, want := range map[string]bool{"john": false, "jane": false, other.ID: true} {
		if u, err := b.st.Get(t.Context(), id); err != nil || u.Enabled != want {
			t.Errorf("%s: enabled %v, %v", id, u.Enabled, err)
		}
	}
	if why := b.endReason(sid); why != impersonation.EndDisabled {
		t.Errorf("session: got %q, want disabled", why)
	}
	if l, err := b.st.Login(t.Context(), l.ID); err != nil || l.Ended.IsZero() {
		t.Errorf("login: got %v, %v, want it ended", l.Ended, err)
	}
	for _, e := range b.entries() {
		if e.Kind == audit.KindUserDisable && e.Subject.Subject == "john" && !strings.HasSuffix(e.Fields["groups"], ",... 500 in all") {
			t.Errorf("groups in the entry: got %q", e.Fields["groups"])
		}
	}
	if n, err := b.DisableUsersOf(t.Context(), "okta", nil); n != 0 || err != nil {
		t.Errorf("again: got %d, %v", n, err)
	}
	if _, err := b.DisableUsersOf(t.Context(), "never", nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of none: got %v, want ErrNotFound", err)
	}
}

// Who is in a source's group is said by the source; roles and protection are the operator's.
func TestKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.source()
	john := b.provisioned("john", func(u *directory.User) { u.Name, u.Roles, u.Groups = "John", nil, []string{"by hand"} })
	g := store.Group{ID: "grp_1", Source: "scim:okta", Name: "sales"}
	if _, err := b.st.CreateGroup(t.Context(), store.GroupWrite{Write: impersonation.Write{Now: time.Now()}, Group: g, Add: []string{"john"}}); err != nil {
		t.Fatal(err)
	}
	ann := b.user("ann@acme.test")
	for name, tt := range map[string]struct {
		id     string
		groups []string
		ok     bool
	}{
		"a stranger is added": {ann.ID, []string{"sales"}, false},
		"a member is removed": {john.ID, []string{"by hand"}, false},
		"a member stays":      {john.ID, []string{"sales", "another"}, true},
		"others are free":     {ann.ID, []string{"support"}, true},
	} {
		_, err := b.SetRights(t.Context(), tt.id, admin.Rights{SetGroups: &tt.groups})
		var invalid *admin.InvalidError
		if tt.ok && err != nil || !tt.ok && (!errors.As(err, &invalid) || invalid.Field != "groups") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := b.AddUser(t.Context(), admin.NewUser{Email: "new@acme.test", Name: "New", Groups: []string{"sales"}}); err == nil {
		t.Error("a new user was added to a source's group")
	}
	yes := true
	u, err := b.SetRights(t.Context(), john.ID, admin.Rights{AddRoles: []string{"editor"}, Protected: &yes})
	if err != nil || !u.Protected || !slices.Equal(u.Roles, []string{"editor"}) || u.Source != "scim:okta" {
		t.Errorf("rights: got %+v, %v", u, err)
	}
}

// An operator's word stands over a source's, by whatever way it comes: their disabling of whom the source has disabled is theirs, and
// their enabling lifts any.
func TestDisabledBy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.source()
	imports := func(enabled bool) func(string) error {
		return func(id string) error {
			b.imports(admin.ImportConfig{Update: true}, admin.Row{ID: id, Enabled: &enabled})
			return nil
		}
	}
	for name, c := range map[string]struct {
		by   string // whom they are disabled by before
		do   func(id string) error
		kind audit.Kind
		want bool
	}{
		"disable":        {"scim:okta", func(id string) error { _, err := b.Disable(t.Context(), id); return err }, audit.KindUserDisable, false},
		"enable":         {"scim:okta", func(id string) error { _, err := b.Enable(t.Context(), id); return err }, audit.KindUserEnable, true},
		"enable of ours": {"", func(id string) error { _, err := b.Enable(t.Context(), id); return err }, audit.KindUserEnable, true},
		"import":         {"scim:okta", imports(false), audit.KindUserDisable, false},
		"import enabled": {"scim:okta", imports(true), audit.KindUserEnable, true},
	} {
		u := b.provisioned(strings.ReplaceAll(name, " ", "-"), func(u *directory.User) {
			u.Name, u.Roles, u.Enabled, u.DisabledBy, u.Updated = "John", nil, false, c.by, time.Now().Truncate(time.Millisecond)
		})
		n := len(b.entries())
		if err := c.do(u.ID); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := b.st.Get(t.Context(), u.ID); err != nil || got.Enabled != c.want || got.DisabledBy != "" {
			t.Errorf("%s: got enabled %v, disabled by %q, %v; want enabled %v and nobody", name, got.Enabled, got.DisabledBy, err, c.want)
		}
		if f := b.last(c.kind).Fields; len(b.entries()) != n+1 || f["was_disabled_by"] != c.by || f["disabled_by"] != "" {
			t.Errorf("%s: got %v, one of %d entries; want who had disabled them", name, f, len(b.entries())-n)
		}
		if err := c.do(u.ID); err != nil || len(b.entries()) != n+1 {
			t.Errorf("%s, again: %v and %d entries, want nothing new", name, err, len(b.entries())-n)
		}
	}
}

// TestRightsOfWhomOthersFill: neither the groups that a source puts somebody into, nor a role that is registered no more, keep anybody
// from taking rights away.
func TestRightsOfWhomOthersFill(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.source()
	yes := true
	for name, do := range map[string]func(id string) (directory.User, error){
		"role": func(id string) (directory.User, error) {
			return b.SetRights(t.Context(), id, admin.Rights{RemoveRoles: []string{"admin"}})
		},
		"protect": func(id string) (directory.User, error) {
			return b.SetRights(t.Context(), id, admin.Rights{Protected: &yes})
		},
		"unlink": func(id string) (directory.User, error) { return b.Unlink(t.Context(), id, "https://acme.okta.test") },
		"enable": func(id string) (directory.User, error) { return b.Enable(t.Context(), id) },
		"import": func(id string) (directory.User, error) {
			b.imports(admin.ImportConfig{Update: true}, admin.Row{ID: id, Roles: &[]string{}})
			return b.st.Get(t.Context(), id)
		},
	} {
		u := b.provisioned(name, func(u *directory.User) {
			u.Name, u.Roles, u.Enabled, u.Updated = "John", []string{"admin", "gone"}, name != "enable", time.Now().Truncate(time.Millisecond)
			u.Identities = []oauth.Party{{Issuer: "https://acme.okta.test", Subject: name}}
			for i := range 300 {
				u.Groups = append(u.Groups, fmt.Sprintf("a group with a long name, number %d", i))
			}
		})
		if got, err := do(u.ID); err != nil || got.Updated.Equal(u.Updated) {
			t.Errorf("%s: %v, want it done", name, err)
		}
	}
}
