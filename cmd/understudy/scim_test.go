package main_test

import (
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
)

// Who keeps a user is shown, and said where the source decides on what was changed; what it keeps is counted.
func TestProvisionedUser(t *testing.T) { onBoth(t, testProvisionedUser) }

func testProvisionedUser(t *testing.T, dir string) {
	runs(t, dir, "scim", "add", "okta", "--organisation", "acme")
	u := directory.User{ID: "john", Email: "john@acme.test", Name: "John", Organisation: "acme", Source: "scim:okta", UserName: "JD", ExternalID: "00u1", Enabled: true}
	if err := opened(t, dir).CreateUser(t.Context(), store.UserWrite{User: u}); err != nil {
		t.Fatal(err)
	}
	show := runs(t, dir, "user", "show", "john")
	for _, want := range []string{"scim:okta", "JD", "00u1"} {
		if !strings.Contains(show, want) {
			t.Errorf("user show: got\n%s\nwant %s", show, want)
		}
	}
	if out := runs(t, dir, "scim", "ls", "-o", "json"); !strings.Contains(out, `"users": 1`) {
		t.Errorf("scim ls: got\n%s\nwant one user", out)
	}
	for _, c := range []struct {
		args []string
		hint bool
	}{
		{[]string{"user", "role", "john", "--organisation", "globex"}, true},
		{[]string{"user", "role", "john", "--protected"}, false},
		{[]string{"user", "disable", "john"}, false},
		{[]string{"user", "enable", "john"}, true},
	} {
		out, err := understudy(t, dir, c.args...).CombinedOutput()
		if err != nil || strings.Contains(string(out), "hint: john@acme.test is kept by scim:okta: ") != c.hint {
			t.Errorf("%v: got %v and\n%s\nwant a hint: %v", c.args, err, out, c.hint)
		}
	}
	testDisabledBySource(t, dir)
	w := store.UserWrite{User: directory.User{ID: "okta", Email: "eve@acme.test", Organisation: "acme", Enabled: true}}
	e := audit.New(audit.KindUserChange, time.Now())
	e.Actor, e.Subject = oauth.Party{Issuer: "scim", Subject: "okta"}, oauth.Party{Issuer: "https://else.test", Subject: "okta"}
	w.Entries = []audit.Entry{e}
	if err := opened(t, dir).CreateUser(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if out := runs(t, dir, "audit", "ls", "--kind", "user.change"); !strings.Contains(out, " scim:okta  okta ") || strings.Contains(out, "eve@acme.test") {
		t.Errorf("audit ls: got\n%s\nwant the source and nobody whose ID is its name", out)
	}
	if out := runs(t, dir, "scim", "rm", "okta", "--disable-users", "--yes"); !strings.Contains(out, "disabled 1 user;") {
		t.Errorf("scim rm: got %s", out)
	}
}

// Who disabled a user is shown; an operator's word stands over a source's, and who is removed may come again, which is said.
func testDisabledBySource(t *testing.T, dir string) {
	t.Helper()
	u := directory.User{ID: "jim", Email: "jim@acme.test", Name: "Jim", Organisation: "acme", Source: "scim:okta", UserName: "jim", DisabledBy: "scim:okta"}
	if err := opened(t, dir).CreateUser(t.Context(), store.UserWrite{User: u}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want, not string }{
		{"user show jim", "disabled by scim:okta", ""},
		{"user ls", "disabled by scim:okta", ""},
		{"user show jim -o json", `"disabled_by": "scim:okta"`, ""},
		{"user disable jim -o json", `"enabled": false`, "disabled_by"},
		{"user show jim", "disabled", "disabled by"},
		{"user enable jim -o json", `"enabled": true`, "disabled_by"},
	} {
		if out := runs(t, dir, strings.Fields(c.args)...); !strings.Contains(out, c.want) || c.not != "" && strings.Contains(out, c.not) {
			t.Errorf("%s: got\n%s\nwant %q and not %q", c.args, out, c.want, c.not)
		}
	}
	out, err := understudy(t, dir, "user", "rm", "jim", "--yes").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "hint: scim:okta may add them again; to keep them out, disable them instead") {
		t.Errorf("user rm: got %v and\n%s", err, out)
	}
	u.ID, u.DisabledBy, u.Enabled = "jim2", "", true
	if err := opened(t, dir).CreateUser(t.Context(), store.UserWrite{User: u}); err != nil {
		t.Errorf("the same again, as who is new: %v", err)
	}
	runs(t, dir, "user", "rm", "jim2", "--yes")
}
