package page_test

import (
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/policy"
)

// TestShippedPolicy shows what the registry of an installation that registered nothing makes of the pages.
func TestShippedPolicy(t *testing.T) {
	t.Parallel()
	rules, err := policy.New(policy.Default(), policy.Options{RequireSecondFactor: true})
	if err != nil {
		t.Fatal(err)
	}
	with := func(role string) *bench {
		b := setup(t)
		b.who.User.Roles = []string{role}
		b.client.Policy.Resources = []string{"urn:understudy:resource:local"}
		b.client.Policy.Scopes = []string{"openid", "app:read", "app:write"}
		b.cfg.Decider, b.cfg.MayImpersonate = rules, rules.Registry().MayImpersonate
		abroad, boss := user("usr_zoe", "Zoe Marsh", "zoe@other.test"), user("usr_zz", "Kit Marsh", "kit@acme.test")
		abroad.Organisation, boss.Roles = "Other Ltd", []string{"admin"}
		b.users.all = append(b.users.all, abroad, boss)
		b.cfg.AnyOrganisation = func(policy.Person) bool { return true }
		return b
	}
	for role, want := range map[string]struct {
		found        []string
		write, hours bool
	}{
		"support": {[]string{"bob@acme.test"}, false, false},
		"admin":   {[]string{"bob@acme.test", "zoe@other.test"}, true, true},
	} {
		b := with(role)
		text := body(t, b.serve(t, get("q", "marsh")))
		for _, u := range b.users.all {
			shown, wanted := strings.Contains(text, "<bdi>"+u.Email+"</bdi></td>"), false
			for _, email := range want.found {
				wanted = wanted || email == u.Email
			}
			if shown != wanted {
				t.Errorf("%s: %s shown: %v, want %v", role, u.Email, shown, wanted)
			}
		}
		text = body(t, b.serve(t, get("subject", "usr_bob")))
		if write := !strings.Contains(text, `value="write" required disabled`); write != want.write {
			t.Errorf("%s: full access on offer: %v, want %v", role, write, want.write)
		}
		if hours := strings.Contains(text, `name="minutes" value="60"`); hours != want.hours {
			t.Errorf("%s: 60 minutes on offer: %v, want %v", role, hours, want.hours)
		}
	}
	if got := with("user").serve(t, get("q", "marsh")); got.StatusCode != 403 {
		t.Errorf("user: got %s, want 403", got.Status)
	}
}
