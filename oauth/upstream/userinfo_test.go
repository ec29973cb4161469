package upstream_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/upstream"
)

// TestUserinfo: what the ID token does not say userinfo does, of the same person alone.
//
// Covers OIDC-5.3.2-01.
func TestUserinfo(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(func(c *upstream.Config) { c.GroupsClaim = "groups" })
	r := request()
	none := map[string]any{"email": nil, "email_verified": nil, "name": nil}
	f.userinfo(map[string]any{"sub": "ann-there", "email": "ann@there.test", "email_verified": true, "name": "Ann There", "groups": []string{"a"}, "iss": "x", "acr": "no", "sid": "no"})
	got, err := f.redeem(p, r, f.idToken(r, none))
	if err != nil {
		t.Fatal(err)
	}
	if got.Email != "ann@there.test" || !got.EmailVerified || got.Name != "Ann There" || !cmp.Equal(got.Groups, []string{"a"}) || got.ACR != "mfa" || got.Session != "session-1" {
		t.Errorf("got %+v", got)
	}
	// The ID token's own count first.
	if got, err = f.redeem(p, r, f.idToken(r, nil)); err != nil || got.Email != "ann@acme.test" || got.Name != "Ann Admin" || len(got.Groups) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	// One address is not verified by what is said of another.
	if got, err = f.redeem(p, r, f.idToken(r, map[string]any{"email_verified": nil})); err != nil || got.Email != "ann@there.test" || !got.EmailVerified {
		t.Errorf("got %+v, %v", got, err)
	}
	f.userinfo(map[string]any{"sub": "ann-there", "email_verified": true})
	if got, err = f.redeem(p, r, f.idToken(r, none)); err != nil || got.Email != "" || got.EmailVerified {
		t.Errorf("verified nothing: got %+v, %v", got, err)
	}
	if got, err = f.redeem(p, r, f.idToken(r, map[string]any{"email_verified": nil})); err != nil || got.Email != "ann@acme.test" || got.EmailVerified {
		t.Errorf("verified without an address: got %+v, %v", got, err)
	}
	f.userinfo(map[string]any{"sub": "ann-there", "email": "bob@there.test"})
	if got, err = f.redeem(p, r, f.idToken(r, map[string]any{"email": nil})); err != nil || got.Email != "bob@there.test" || got.EmailVerified {
		t.Errorf("another address than was verified: got %+v, %v", got, err)
	}
	// A denial counts, wherever it stands.
	for name, c := range map[string]struct{ info, token map[string]any }{
		"there":                    {map[string]any{"email": "bob@there.test", "email_verified": false}, map[string]any{"email_verified": nil}},
		"there, in text":           {map[string]any{"email": "bob@there.test", "email_verified": "false"}, none},
		"there, without":           {map[string]any{"email_verified": false}, map[string]any{"email_verified": nil}},
		"here, without an address": {map[string]any{"email": "bob@there.test", "email_verified": true}, map[string]any{"email": nil, "email_verified": false}},
		"here":                     {map[string]any{"email": "bob@there.test", "email_verified": true}, map[string]any{"email_verified": false}},
	} {
		f.userinfo(with(c.info, map[string]any{"sub": "ann-there"}))
		if got, err = f.redeem(p, r, f.idToken(r, c.token)); err != nil || got.EmailVerified || !got.EmailUnverified {
			t.Errorf("denied %s: got %+v, %v", name, got, err)
		}
	}
	for name, c := range map[string]struct {
		info map[string]any
		want error
	}{
		"another person":  {map[string]any{"sub": "bob-there", "email": "bob@acme.test"}, upstream.ErrAnswer},
		"another case":    {map[string]any{"sub": "Ann-there"}, upstream.ErrAnswer},
		"nobody":          {map[string]any{"email": "bob@acme.test"}, upstream.ErrAnswer},
		"sub a number":    {map[string]any{"sub": 7}, upstream.ErrDocument},
		"name a number":   {map[string]any{"sub": "ann-there", "name": 7}, upstream.ErrDocument},
		"groups a number": {map[string]any{"sub": "ann-there", "groups": 7}, upstream.ErrDocument},
	} {
		f.userinfo(c.info)
		if got, err := f.redeem(p, r, f.idToken(r, none)); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, c.want)
		}
	}
	f.change("userinfo_endpoint", nil)
	if got, err := f.redeem(f.provider(nil), r, f.idToken(r, none)); err != nil || got.Email != "" {
		t.Errorf("without userinfo: got %+v, %v", got, err)
	}
}
