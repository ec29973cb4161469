package upstream_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// logoutClaims are those of a good logout token.
func (f *fake) logoutClaims() map[string]any {
	return map[string]any{
		"iss": f.url, "aud": clientID, "iat": f.seconds(0), "exp": f.seconds(2 * time.Minute), "jti": "jti-1", "sid": "session-1", "sub": "ann-there",
		"events": map[string]any{logoutEvent: map[string]any{}},
	}
}

// TestLogoutTokens: the forms that issuers send are taken, and give what is over.
func TestLogoutTokens(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(nil)
	for name, c := range map[string]struct{ header, changes map[string]any }{
		"typed":              {map[string]any{"typ": "logout+jwt"}, nil},
		"typed in full":      {map[string]any{"typ": "application/logout+jwt"}, nil},
		"of before the type": {map[string]any{"typ": "JWT"}, nil},
		"without a type":     {nil, nil},
		"by sid alone":       {nil, map[string]any{"sub": nil}},
		"by sub alone":       {nil, map[string]any{"sid": nil}},
		"aud an array":       {nil, map[string]any{"aud": []string{clientID}}},
	} {
		claims := with(f.logoutClaims(), c.changes)
		got, err := p.Logout(t.Context(), jwt(t, f.signer(), c.header, claims))
		want := upstream.Ended{Issuer: f.url, ID: "jti-1", Expires: time.Unix(claims["exp"].(int64), 0).UTC()}
		want.Session, _ = claims["sid"].(string)
		want.Subject, _ = claims["sub"].(string)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got:\n%s", name, err, diff)
		}
	}
	// What is remembered of a jti is bounded, whatever exp says.
	got, err := p.Logout(t.Context(), jwt(t, f.signer(), nil, with(f.logoutClaims(), map[string]any{"exp": f.seconds(1000 * time.Hour)})))
	if err != nil || got.Expires.After(f.clk.now().Add(10*time.Minute)) {
		t.Errorf("got %+v, %v; want it forgotten after ten minutes", got, err)
	}
}

// TestForgedLogoutTokens: nobody but the issuer ends anything, and no other JWT of it does.
//
// Covers RFC8725-3.9-01, RFC8725-3.12-01.
func TestForgedLogoutTokens(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(nil)
	sign := func(changes map[string]any) string { return jwt(t, f.signer(), nil, with(f.logoutClaims(), changes)) }
	all := append(f.outsides("logout+jwt", f.logoutClaims()), f.insides(sign)...)
	for name, c := range map[string]struct {
		changes map[string]any
		want    error
	}{
		"no events":           {map[string]any{"events": nil}, upstream.ErrAnswer},
		"another event":       {map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout2": map[string]any{}}}, upstream.ErrAnswer},
		"the event null":      {map[string]any{"events": map[string]any{logoutEvent: nil}}, upstream.ErrAnswer},
		"the event a string":  {map[string]any{"events": map[string]any{logoutEvent: "x"}}, upstream.ErrAnswer},
		"events an array":     {map[string]any{"events": []string{logoutEvent}}, upstream.ErrAnswer},
		"a nonce":             {map[string]any{"nonce": "n"}, upstream.ErrAnswer},
		"a nonce that's null": {map[string]any{"nonce": noValue{}}, upstream.ErrAnswer},
		"no jti":              {map[string]any{"jti": nil}, upstream.ErrAnswer},
		"jti far too long":    {map[string]any{"jti": strings.Repeat("j", 257)}, upstream.ErrDocument},
		"neither sid nor sub": {map[string]any{"sid": nil, "sub": nil}, upstream.ErrAnswer},
		"both empty":          {map[string]any{"sid": "", "sub": ""}, upstream.ErrAnswer},
		"a long sub":          {map[string]any{"sub": strings.Repeat("s", 256)}, upstream.ErrAnswer},
	} {
		all = append(all, forgery{name, sign(c.changes), c.want})
	}
	r := request()
	all = append(all, forgery{"an ID token", f.idToken(r, nil), upstream.ErrAnswer}, forgery{"an ID token without nonce", f.idToken(r, map[string]any{"nonce": nil, "jti": "j"}), upstream.ErrAnswer})
	for _, c := range all {
		got, err := p.Logout(t.Context(), c.token)
		if errors.Is(err, upstream.ErrUnavailable) { // a kid that the issuer was not asked for, and is when it comes again
			f.clk.pass(11 * time.Second)
			got, err = p.Logout(t.Context(), c.token)
		}
		if !errors.Is(err, c.want) || got != (upstream.Ended{}) {
			t.Errorf("%s: got %+v, %v; want %v", c.name, got, err, c.want)
			continue
		}
		shows(t, c.name, err)
	}
	if _, err := p.Logout(t.Context(), sign(nil)); err != nil {
		t.Errorf("the good one: %v", err)
	}
	other := newFake(t)
	elsewhere := other.provider(nil)
	elsewhere.Logout(t.Context(), sign(map[string]any{"iss": other.url}))
	other.clk.pass(11 * time.Second)
	if _, err := elsewhere.Logout(t.Context(), sign(map[string]any{"iss": other.url})); !errors.Is(err, upstream.ErrAnswer) {
		t.Errorf("at another issuer, with its iss: got %v; want ErrAnswer", err)
	}
	down := newFake(t)
	down.answer(keysPath, says(""))
	if _, err := down.provider(nil).Logout(t.Context(), sign(nil)); !errors.Is(err, upstream.ErrDocument) {
		t.Errorf("keys that cannot be read: got %v; want ErrDocument", err)
	}
}

// TestEndSessionURL: the way out carries the hint, where to come back to and state.
func TestEndSessionURL(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.change("end_session_endpoint", f.url+"/end?tenant=1")
	for name, c := range map[string]struct {
		hint  oauth.Secret
		state string
		back  string
		want  url.Values
	}{
		"all":             {"id.to.ken", "st", "https://id.test/bye", url.Values{"id_token_hint": {"id.to.ken"}, "state": {"st"}, "post_logout_redirect_uri": {"https://id.test/bye"}}},
		"no hint":         {"", "st", "https://id.test/bye", url.Values{"state": {"st"}, "post_logout_redirect_uri": {"https://id.test/bye"}}},
		"too long a hint": {oauth.Secret(strings.Repeat("x", 5000)), "", "https://id.test/bye", url.Values{"post_logout_redirect_uri": {"https://id.test/bye"}}},
		"nowhere to go":   {"id.to.ken", "st", "", url.Values{"id_token_hint": {"id.to.ken"}}},
	} {
		got, ok, err := f.provider(func(p *upstream.Config) { p.PostLogoutURI = c.back }).EndSessionURL(t.Context(), c.hint, c.state)
		if err != nil || !ok {
			t.Fatalf("%s: %v", name, err)
		}
		c.want["client_id"], c.want["tenant"] = []string{clientID}, []string{"1"}
		u, err := url.Parse(got)
		if err != nil || !strings.HasPrefix(got, f.url+"/end?") {
			t.Fatalf("%s: got %s, %v", name, got, err)
		}
		if diff := cmp.Diff(c.want, u.Query()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	f.change("end_session_endpoint", nil)
	if got, ok, err := f.provider(nil).EndSessionURL(t.Context(), "", ""); got != "" || ok || err != nil {
		t.Errorf("without the endpoint: got %q, %v, %v", got, ok, err)
	}
	f.answer(discoveryPath, says(""))
	if _, _, err := f.provider(nil).EndSessionURL(t.Context(), "", ""); !errors.Is(err, upstream.ErrDocument) {
		t.Errorf("a document that cannot be read: got %v", err)
	}
}

// TestLogoutByANewKey: a logout token by a key that the issuer has just begun to use is not refused for good where strangers, with kids that they
// made up, have used up the asking; it counts when it comes again.
func TestLogoutByANewKey(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	p := f.provider(nil)
	if _, err := p.Logout(t.Context(), jwt(t, f.signer(), nil, f.logoutClaims())); err != nil {
		t.Fatal(err)
	}
	f.clk.pass(11 * time.Second)
	stranger := newKey(t, "ES256")
	if _, err := p.Logout(t.Context(), jwt(t, stranger, nil, f.logoutClaims())); !errors.Is(err, upstream.ErrAnswer) {
		t.Errorf("a kid that was asked for: got %v; want ErrAnswer", err)
	}
	fresh := newKey(t, "ES256")
	f.publish(f.keys[0], fresh)
	for _, k := range []key{stranger, fresh} {
		if _, err := p.Logout(t.Context(), jwt(t, k, nil, f.logoutClaims())); !errors.Is(err, upstream.ErrUnavailable) {
			t.Errorf("a kid that was not asked for: got %v; want ErrUnavailable", err)
		}
	}
	f.clk.pass(11 * time.Second)
	p.Logout(t.Context(), jwt(t, stranger, nil, f.logoutClaims()))
	if _, err := p.Logout(t.Context(), jwt(t, fresh, nil, f.logoutClaims())); err != nil {
		t.Errorf("the new key, behind a stranger: %v", err)
	}
}

// TestManyKeys: an issuer may have as many keys as are read, also where its tokens have no kid.
func TestManyKeys(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for len(f.keys) < 32 {
		f.publish(append(f.keys, newKey(t, "EdDSA"))...)
	}
	last := f.keys[31]
	last.ID = ""
	if _, err := f.provider(nil).Logout(t.Context(), jwt(t, last, map[string]any{"kid": nil}, f.logoutClaims())); err != nil {
		t.Error(err)
	}
}
