package upstream_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/upstream"
)

// nested puts value below names, the outermost first.
func nested(value any, names ...string) map[string]any {
	for i := len(names) - 1; i > 0; i-- {
		value = map[string]any{names[i]: value}
	}
	return map[string]any{names[0]: value}
}

// TestNestedClaims: a claim of exactly the configured name counts first, else the one that its dots lead to, from the ID token or from userinfo.
func TestNestedClaims(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	const long = "a.b.c.d.e"
	admins := []string{"admins"}
	for name, c := range map[string]struct {
		claim  string
		claims map[string]any
		want   []string
	}{
		"Keycloak's default":          {"realm_access.roles", nested(admins, "realm_access", "roles"), admins},
		"one string":                  {"realm_access.roles", nested("admins", "realm_access", "roles"), admins},
		"a URL":                       {"https://acme.test/groups", nested(admins, "https://acme.test/groups"), admins},
		"the exact name first":        {"a.b", map[string]any{"a.b": admins, "a": map[string]any{"b": []string{"others"}}}, admins},
		"the exact name null":         {"a.b", map[string]any{"a.b": nil, "a": map[string]any{"b": admins}}, admins},
		"an exact name below":         {"access.my.app", nested(admins, "access", "my.app"), admins},
		"in four objects":             {long, nested(admins, strings.Split(long, ".")...), admins},
		"in five":                     {long + ".f", nested(admins, strings.Split(long+".f", ".")...), nil},
		"no such claim":               {"realm_access.roles", nested(admins, "realm_access", "groups"), nil},
		"no such object":              {"realm_access.roles", nested(admins, "access", "roles"), nil},
		"null on the way":             {"realm_access.roles", nested(nil, "realm_access"), nil},
		"null at its end":             {"realm_access.roles", nested(nil, "realm_access", "roles"), nil},
		"other capitals":              {"realm_access.roles", nested(admins, "Realm_access", "roles"), nil},
		"a name that ends with a dot": {"realm_access.", nested(admins, "realm_access", "roles"), nil},
	} {
		p := f.provider(func(p *upstream.Config) { p.GroupsClaim = c.claim })
		r := request()
		f.userinfo(map[string]any{"sub": "ann-there"})
		got, err := f.redeem(p, r, f.idToken(r, c.claims))
		if err != nil || !cmp.Equal(got.Groups, c.want) {
			t.Errorf("%s: got %+v, %v; want %v", name, got, err, c.want)
		}
		f.userinfo(with(c.claims, map[string]any{"sub": "ann-there"}))
		if got, err = f.redeem(p, r, f.idToken(r, nil)); err != nil || !cmp.Equal(got.Groups, c.want) {
			t.Errorf("%s, in userinfo: got %+v, %v; want %v", name, got, err, c.want)
		}
	}
}

// What lies below is held to the rules of what lies at the top, and a way that leads nowhere is refused: to do without would take rights away.
func TestBadNestedClaims(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(func(p *upstream.Config) { p.GroupsClaim = "realm_access.roles" })
	for name, claims := range map[string]map[string]any{
		"in a string":  nested("roles", "realm_access"),
		"in an array":  nested([]string{"roles"}, "realm_access"),
		"in a number":  nested(7, "realm_access"),
		"an object":    nested(map[string]bool{"admins": true}, "realm_access", "roles"),
		"numbers":      nested([]int{7}, "realm_access", "roles"),
		"an empty one": nested([]string{""}, "realm_access", "roles"),
		"elsewhere":    with(nested("src1", "_claim_names", "realm_access"), nested("https://idp.test", "_claim_sources", "src1", "endpoint")),
	} {
		r := request()
		f.userinfo(map[string]any{"sub": "ann-there"})
		got, err := f.redeem(p, r, f.idToken(r, claims))
		if !errors.Is(err, upstream.ErrDocument) || got != nil || !strings.Contains(err.Error(), "realm_access.roles") {
			t.Errorf("%s: got %v, %v; want ErrDocument that names the claim", name, got, err)
			continue
		}
		shows(t, name, err)
		if name == "elsewhere" {
			continue // userinfo has no such member
		}
		f.userinfo(with(claims, map[string]any{"sub": "ann-there"}))
		if got, err := f.redeem(p, r, f.idToken(r, nil)); !errors.Is(err, upstream.ErrDocument) || got != nil {
			t.Errorf("%s, in userinfo: got %v, %v; want ErrDocument", name, got, err)
		}
	}
}

// TestEmailVerifiedText: some large providers write true and false in text.
func TestEmailVerifiedText(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for text, want := range map[string]bool{"true": true, "false": false} {
		r := request()
		if got, err := f.redeem(f.provider(nil), r, f.idToken(r, map[string]any{"email_verified": text})); err != nil || got.EmailVerified != want || got.EmailUnverified == want {
			t.Errorf("%q: got %+v, %v; want %t", text, got, err, want)
		}
		f.userinfo(map[string]any{"sub": "ann-there", "email": "ann@acme.test", "email_verified": text})
		if got, err := f.redeem(f.provider(nil), r, f.idToken(r, map[string]any{"email_verified": nil})); err != nil || got.EmailVerified != want {
			t.Errorf("%q in userinfo: got %+v, %v; want %t", text, got, err, want)
		}
	}
}
