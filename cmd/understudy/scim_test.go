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
