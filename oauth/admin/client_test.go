package admin_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

func (b *bundle) client(id string) oauth.Secret {
	b.t.Helper()
	secret, err := b.AddClient(b.t.Context(), newClient(func(n *admin.NewClient) { n.ID = id }))
	if err != nil {
		b.t.Fatal(err)
	}
	return secret
}

// newClient is one that is good until change spoils it.
func newClient(change func(*admin.NewClient)) admin.NewClient {
	n := admin.NewClient{ID: "app", Name: "App", RedirectURIs: []string{"https://app.acme.test/callback"}, Exchange: true}
	if change != nil {
		change(&n)
	}
	return n
}

func TestAddClient(t *testing.T) {
	t.Parallel()
	b := setup(t)
	secret := b.client("app")
	got, err := b.st.Client(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	if len(secret) != oauth.SecretLength || got.SecretHash != secret.Hash() {
		t.Errorf("got a secret of %d characters and hash %x, want %d and its own hash", len(secret), got.SecretHash, oauth.SecretLength)
	}
	if diff := cmp.Diff([]string{"impersonate", "openid", "pay"}, got.Scopes); diff != "" {
		t.Errorf("default scopes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{api}, got.Resources); diff != "" {
		t.Errorf("default resources (-want +got):\n%s", diff)
	}
	if e := b.last(audit.KindClientAdd); e.Client != "app" || e.Fields["exchange"] != "true" {
		t.Errorf("got entry %+v, want one about app", e)
	}
	if _, err := b.AddClient(t.Context(), newClient(nil)); !errors.Is(err, store.ErrExists) {
		t.Errorf("again: got %v, want ErrExists", err)
	}
}

func TestAddClientWithSecret(t *testing.T) {
	t.Parallel()
	b := setup(t)
	mine := oauth.NewSecret()
	if got, err := b.AddClient(t.Context(), newClient(func(n *admin.NewClient) { n.Secret = mine })); err != nil || got != mine {
		t.Errorf("got another secret or %v, want the given one", err)
	}
	got, err := b.AddClient(t.Context(), newClient(func(n *admin.NewClient) { n.ID, n.Public, n.Exchange = "spa", true, false }))
	c, err2 := b.st.Client(t.Context(), "spa")
	if err != nil || err2 != nil || got != "" || !c.SecretHash.IsZero() {
		t.Errorf("public: got a secret of %d characters, hash zero %t, %v, %v, want none", len(got), c.SecretHash.IsZero(), err, err2)
	}
}

func TestAddClientRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	uri := func(s string) func(*admin.NewClient) {
		return func(n *admin.NewClient) { n.RedirectURIs = []string{s} }
	}
	tests := []struct {
		name, field string
		change      func(*admin.NewClient)
	}{
		{"no id", "id", func(n *admin.NewClient) { n.ID = "" }},
		{"a colon would split HTTP Basic", "id", func(n *admin.NewClient) { n.ID = "a:b" }},
		{"id of 65", "id", func(n *admin.NewClient) { n.ID = strings.Repeat("a", 65) }},
		{"no name", "name", func(n *admin.NewClient) { n.Name = "" }},
		{"control character in the name", "name", func(n *admin.NewClient) { n.Name = "a\x1b[2J" }},
		{"no redirect URI", "redirect_uri", func(n *admin.NewClient) { n.RedirectURIs = nil }},
		{"relative", "redirect_uri", uri("/callback")},
		{"http", "redirect_uri", uri("http://app.acme.test/callback")},
		{"http on a name that begins like localhost", "redirect_uri", uri("http://localhost.acme.test/callback")},
		{"fragment", "redirect_uri", uri("https://app.acme.test/callback#x")},
		{"empty fragment", "redirect_uri", uri("https://app.acme.test/callback#")},
		{"user name", "redirect_uri", uri("https://app.acme.test@evil.test/")},
		{"another scheme", "redirect_uri", uri("javascript:alert(1)")},
		{"newline", "redirect_uri", uri("https://app.acme.test/\n")},
		{"too long", "redirect_uri", uri("https://app.acme.test/" + strings.Repeat("a", 4000))},
		{"foreign resource", "resource", func(n *admin.NewClient) { n.Resources = []string{"https://other.test"} }},
		{"foreign resource to serve", "serves", func(n *admin.NewClient) { n.Serves = []string{"https://other.test"} }},
		{"scope with a space", "scope", func(n *admin.NewClient) { n.Scopes = []string{"a b"} }},
		{"scope that nobody registered", "scope", func(n *admin.NewClient) { n.Scopes = []string{"openid", "bogus"} }},
		{"the marker of write mode", "scope", func(n *admin.NewClient) { n.Scopes = []string{oauth.ScopeImpersonationWrite} }},
		{"public and exchange", "public", func(n *admin.NewClient) { n.Public = true }},
		{"public and a secret", "secret", func(n *admin.NewClient) { n.Public, n.Exchange, n.Secret = true, false, oauth.NewSecret() }},
		{"unknown method", "auth", settings(func(s *store.Settings) { s.Auth = "client_secret_jwt" })},
		{"none and not public", "auth", settings(func(s *store.Settings) { s.Auth = store.AuthNone })},
		{"public with a key", "auth", func(n *admin.NewClient) {
			n.Public, n.Exchange, n.Settings = true, false, store.Settings{Auth: store.AuthPrivateKey, Keys: publicKeys}
		}},
		{"key and secret", "secret", func(n *admin.NewClient) {
			n.Secret, n.Settings = oauth.NewSecret(), store.Settings{Auth: store.AuthPrivateKey, Keys: publicKeys}
		}},
		{"no keys", "jwks", settings(func(s *store.Settings) { s.Auth = store.AuthPrivateKey })},
		{"keys and a secret", "jwks", settings(func(s *store.Settings) { s.Keys = publicKeys })},
		{"private key", "jwks", settings(func(s *store.Settings) {
			s.Auth, s.Keys = store.AuthPrivateKey, json.RawMessage(strings.Replace(string(publicKeys), "{", `{"d":"AA",`, 2))
		})},
		{"no JSON", "jwks", settings(func(s *store.Settings) { s.Auth, s.Keys = store.AuthPrivateKey, json.RawMessage("x") })},
		{"empty set", "jwks", settings(func(s *store.Settings) { s.Auth, s.Keys = store.AuthPrivateKey, json.RawMessage(`{"keys":[]}`) })},
		{"ID tokens by none", "id_token_alg", settings(func(s *store.Settings) { s.IDTokenAlg = "none" })},
		{"ID tokens by HS256", "id_token_alg", settings(func(s *store.Settings) { s.IDTokenAlg = "HS256" })},
		{"service that is a user", "service", settings(func(s *store.Settings) { s.Service = oauth.ActorUser })},
		{"public service", "service", func(n *admin.NewClient) { n.Public, n.Exchange, n.Settings.Service = true, false, oauth.ActorService }},
		{"user ids without impersonation", "user_id_start", func(n *admin.NewClient) { n.Exchange, n.Settings.UserID = false, true }},
		{"sign-out to http", "post_logout_redirect_uri", settings(func(s *store.Settings) { s.PostLogoutRedirectURIs = []string{"http://app.acme.test/bye"} })},
		{"sign-out to too many", "post_logout_redirect_uri", settings(func(s *store.Settings) {
			s.PostLogoutRedirectURIs = []string{"https://app.acme.test/" + strings.Repeat("a", 4000)}
		})},
		{"back channel in clear", "backchannel_logout_uri", settings(func(s *store.Settings) { s.BackchannelLogoutURI = "http://app.acme.test/logout" })},
		{"back channel with a fragment", "backchannel_logout_uri", settings(func(s *store.Settings) { s.BackchannelLogoutURI = "https://app.acme.test/logout#x" })},
		{"back channel with a user", "backchannel_logout_uri", settings(func(s *store.Settings) { s.BackchannelLogoutURI = "https://u:p@app.acme.test/logout" })},
		{"names without scheme", "subject_issuer", settings(func(s *store.Settings) { s.SubjectIssuer = "idp.acme.test" })},
		{"names in clear", "subject_issuer", settings(func(s *store.Settings) { s.SubjectIssuer = "http://idp.acme.test" })},
		{"names with a query", "subject_issuer", settings(func(s *store.Settings) { s.SubjectIssuer = "https://idp.acme.test?" })},
		{"names with a fragment", "subject_issuer", settings(func(s *store.Settings) { s.SubjectIssuer = "https://idp.acme.test/#" })},
		{"names with a space", "subject_issuer", settings(func(s *store.Settings) { s.SubjectIssuer = "https://idp.acme.test/a b" })},
		{"names of great length", "subject_issuer", settings(func(s *store.Settings) { s.SubjectIssuer = "https://" + strings.Repeat("a", 248) })},
		{"names of our own", "subject_issuer", settings(func(s *store.Settings) { s.SubjectIssuer = issuer })},
		{"push in clear", "ssf_push_uri", settings(func(s *store.Settings) { s.PushURI = "http://app.acme.test/events" })},
		{"back channel to a file", "backchannel_logout_uri", settings(func(s *store.Settings) { s.BackchannelLogoutURI = "file:///etc/passwd" })},
		{"short secret", "secret", func(n *admin.NewClient) { n.Secret = "hunter2" }},
	}
	for _, tt := range tests {
		_, err := b.AddClient(t.Context(), newClient(tt.change))
		t.Log(tt.name, err)
		b.wantInvalid(err, tt.field, 0)
	}
	for _, good := range []string{"http://localhost:8080/cb", "http://127.0.0.1/cb", "http://[::1]:9/cb"} {
		if _, err := b.AddClient(t.Context(), newClient(func(n *admin.NewClient) { n.ID, n.RedirectURIs = oauth.NewID("app"), []string{good} })); err != nil {
			t.Errorf("%s: got %v, want it accepted", good, err)
		}
	}
}

// settings changes nothing else of a client.
func settings(change func(*store.Settings)) func(*admin.NewClient) {
	return func(n *admin.NewClient) { change(&n.Settings) }
}

// publicKeys is the first key of RFC 7517 Appendix A.1, and its thumbprint.
var publicKeys = json.RawMessage(`{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`)

const publicThumbprint = "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"

// full has every setting.
var full = store.Settings{
	Auth: store.AuthPrivateKey, Keys: publicKeys, DPoP: true, RequirePAR: true, IDTokenAlg: "ES256", Refresh: true, Service: oauth.ActorAIAgent, UserID: true,
	PostLogoutRedirectURIs: []string{"https://app.acme.test/bye"}, BackchannelLogoutURI: "http://localhost:9/logout", PushURI: "http://localhost:9/events",
}

// TestIDTokenAlgNeedsAKey: a client is registered for ID tokens of the server's own algorithm, of RS256, or of another once it has a key.
// What goes on without one may stay.
func TestIDTokenAlgNeedsAKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	add := func(id, algorithm string) error {
		_, err := b.AddClient(t.Context(), newClient(func(n *admin.NewClient) { n.ID, n.Settings.IDTokenAlg = id, algorithm }))
		return err
	}
	set := func(id, algorithm string) error {
		_, err := b.ChangeClient(t.Context(), id, admin.ClientChange{Settings: func(s store.Settings) store.Settings { s.IDTokenAlg = algorithm; return s }})
		return err
	}
	refused := func(what string, err error) {
		t.Helper()
		var invalid *admin.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "id_token_alg" || !strings.Contains(invalid.Rule, "EdDSA") {
			t.Errorf("%s: got %v; want id_token_alg refused, and EdDSA named", what, err)
		}
	}
	for id, algorithm := range map[string]string{"own": "ES256", "rsa": "RS256", "any": ""} {
		if err := add(id, algorithm); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	refused("add", add("ed", "EdDSA"))
	refused("set", set("own", "EdDSA"))
	r, err := b.RotateKey(t.Context(), "EdDSA", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(add("ed", "EdDSA"), set("own", "EdDSA")); err != nil {
		t.Errorf("with a key: %v", err)
	}
	if _, err := b.RevokeKey(t.Context(), r.Key.ID, "stolen"); err != nil {
		t.Fatal(err)
	}
	refused("add after its key was revoked", add("late", "EdDSA"))
	refused("set after its key was revoked", set("rsa", "EdDSA"))
	if err := set("ed", "EdDSA"); err != nil {
		t.Errorf("as it was: %v", err)
	}
}

// TestAddClientWithSettings: all of them are kept and on record, the keys by their thumbprints. A client that has a key has no secret.
func TestAddClientWithSettings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	secret, err := b.AddClient(t.Context(), newClient(func(n *admin.NewClient) { n.RedirectURIs, n.Settings = nil, full }))
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.st.Client(t.Context(), "app")
	if diff := cmp.Diff(full, got.Settings); err != nil || diff != "" || secret != "" || !got.SecretHash.IsZero() {
		t.Errorf("got a secret of %d characters, %v, settings (-want +got):\n%s", len(secret), err, diff)
	}
	fields := b.last(audit.KindClientAdd).Fields
	for name, want := range map[string]string{
		"auth_method": "private_key_jwt", "jwks": publicThumbprint, "dpop": "true", "require_par": "true", "id_token_alg": "ES256", "refresh": "true",
		"service": "ai_agent", "user_id_start": "true", "post_logout_redirect_uris": "https://app.acme.test/bye", "backchannel_logout_uri": "http://localhost:9/logout",
		"ssf_push_uri": "http://localhost:9/events",
	} {
		if fields[name] != want {
			t.Errorf("on record: %s = %q; want %q", name, fields[name], want)
		}
	}
	for _, auth := range []store.AuthMethod{"", store.AuthBasic, store.AuthPost} {
		secret, err := b.AddClient(t.Context(), newClient(func(n *admin.NewClient) { n.ID, n.Settings.Auth = "by"+string(auth), auth }))
		if err != nil || len(secret) != oauth.SecretLength {
			t.Errorf("%q: got a secret of %d characters, %v", auth, len(secret), err)
		}
	}
}

// TestChangeClient: a change says itself whether sessions end: what takes something away ends them, what gives leaves them.
func TestChangeClient(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	with := func(change func(*store.Settings)) admin.ClientChange {
		return admin.ClientChange{Settings: func(s store.Settings) store.Settings { change(&s); return s }}
	}
	for name, c := range map[string]struct {
		change admin.ClientChange
		ends   bool
	}{
		"nothing":          {admin.ClientChange{}, false},
		"exchange":         {admin.ClientChange{Exchange: &yes}, false},
		"no exchange":      {admin.ClientChange{Exchange: &no}, true},
		"DPoP":             {with(func(s *store.Settings) { s.DPoP = true }), true},
		"no refresh":       {with(func(s *store.Settings) { s.Refresh = false }), true},
		"no service":       {with(func(s *store.Settings) { s.Service = "" }), true},
		"another service":  {with(func(s *store.Settings) { s.Service = oauth.ActorService }), true},
		"no user ids":      {with(func(s *store.Settings) { s.UserID = false }), true},
		"PAR":              {with(func(s *store.Settings) { s.RequirePAR = true }), false},
		"other names":      {with(func(s *store.Settings) { s.SubjectIssuer = "https://idp.example" }), true},
		"a key":            {with(func(s *store.Settings) { s.Auth, s.Keys = store.AuthPrivateKey, publicKeys }), true},
		"a secret by post": {with(func(s *store.Settings) { s.Auth = store.AuthPost }), false},
		"another sign-out": {with(func(s *store.Settings) { s.PostLogoutRedirectURIs = nil }), false},
		"no back channel":  {with(func(s *store.Settings) { s.BackchannelLogoutURI = "" }), false},
		"ID tokens by RSA": {with(func(s *store.Settings) { s.IDTokenAlg = "RS256" }), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			ann, john := b.user("ann@acme.test"), b.user("john@acme.test")
			before := full
			before.Auth, before.Keys, before.DPoP = "", nil, false
			if _, err := b.AddClient(t.Context(), newClient(func(n *admin.NewClient) { n.Settings = before })); err != nil {
				t.Fatal(err)
			}
			sid := b.session(ann, john, "app")
			ended, err := b.ChangeClient(t.Context(), "app", c.change)
			if err != nil || ended != c.ends {
				t.Errorf("got %t, %v; want %t", ended, err, c.ends)
			}
			if got := b.endReason(sid); (got == impersonation.EndChanged) != c.ends {
				t.Errorf("the session ended by %q; want it ended: %t", got, c.ends)
			}
			want := before
			if c.change.Settings != nil {
				want = c.change.Settings(want)
			}
			want.UserID = want.UserID && c.change.Exchange != &no
			got, err := b.st.Client(t.Context(), "app")
			if diff := cmp.Diff(want, got.Settings); err != nil || diff != "" || got.SecretHash.IsZero() != (want.Auth == store.AuthPrivateKey) {
				t.Errorf("%v, secret gone: %t, settings (-want +got):\n%s", err, got.SecretHash.IsZero(), diff)
			}
			if e := b.last(audit.KindClientChange); e.Client != "app" || e.Fields["auth_method"] != string(got.AuthMethod()) {
				t.Errorf("got entry %+v, want one about app", e)
			}
		})
	}
}

// TestChangeClientRefuses: what AddClient refuses, and a secret for who has a key.
func TestChangeClientRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.AddClient(t.Context(), newClient(func(n *admin.NewClient) { n.Settings = full })); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*store.Settings){
		"auth":           func(s *store.Settings) { s.Auth, s.Keys = "", nil },
		"jwks":           func(s *store.Settings) { s.Keys = json.RawMessage(`{}`) },
		"subject_issuer": func(s *store.Settings) { s.SubjectIssuer = issuer },
	} {
		_, err := b.ChangeClient(t.Context(), "app", admin.ClientChange{Settings: func(s store.Settings) store.Settings { change(&s); return s }})
		b.wantInvalid(err, field, 1)
	}
	if _, err := b.ChangeClient(t.Context(), "none", admin.ClientChange{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestRemoveClient(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ann, john := b.user("ann@acme.test"), b.user("john@acme.test")
	b.client("app")
	sid := b.session(ann, john, "app")
	if err := b.RemoveClient(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	if got := b.endReason(sid); got != impersonation.EndClient {
		t.Errorf("got end %q, want %q", got, impersonation.EndClient)
	}
	var kinds []audit.Kind
	for _, e := range b.entries()[:2] {
		kinds = append(kinds, e.Kind)
	}
	if !cmp.Equal(kinds, []audit.Kind{audit.KindEnd, audit.KindClientRemove}) && !cmp.Equal(kinds, []audit.Kind{audit.KindClientRemove, audit.KindEnd}) {
		t.Errorf("got entries %v, want the removal and the end", kinds)
	}
	if err := b.RemoveClient(t.Context(), "app"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("again: got %v, want ErrNotFound", err)
	}
	if _, err := b.AddClient(t.Context(), newClient(nil)); !errors.Is(err, store.ErrExists) {
		t.Errorf("its id for another: got %v, want ErrExists", err)
	}
}
