package plugin_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	fositeoauth "github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/token/jwt"

	"github.com/understudy-id/understudy/oauth/plugin"
	"github.com/understudy-id/understudy/oauth/policy"
)

// wired is a Config that New takes.
func wired(t *testing.T) (*provider, plugin.Config) {
	t.Helper()
	st := openStore()
	t.Cleanup(func() { st.Close() })
	rules, err := policy.New(registry, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := newProvider()
	return p, p.wiring("https://login.acme.example", st, rules)
}

// TestNewNamesWhatIsMissing: a hook that was forgotten shows before anybody signs in, by the field's name.
func TestNewNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]func(*plugin.Config){
		"Config.Issuer":     func(c *plugin.Config) { c.Issuer = "" },
		"Config.Store":      func(c *plugin.Config) { c.Store = nil },
		"Config.Storage":    func(c *plugin.Config) { c.Storage = nil },
		"Config.Directory":  func(c *plugin.Config) { c.Directory = nil },
		"Config.Login ":     func(c *plugin.Config) { c.Login = nil },
		"Config.LoginOf":    func(c *plugin.Config) { c.LoginOf = nil },
		"Config.Session":    func(c *plugin.Config) { c.Session = nil },
		"Config.Rules":      func(c *plugin.Config) { c.Rules = nil },
		"Lifetimes.Ticket ": func(c *plugin.Config) { c.Lifetimes.Ticket = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c := wired(t)
			forget(&c)
			if _, err := plugin.New(t.Context(), c); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("New: got %v, want an error about %s", err, name)
			}
		})
	}
	if _, c := wired(t); true {
		if _, err := plugin.New(t.Context(), c); err != nil {
			t.Errorf("New with all of them: %v", err)
		}
	}
}

// custom is a session of somebody's own, which does as they like.
type custom struct {
	fosite.DefaultSession
	clone func(*custom) fosite.Session
}

func (s *custom) Clone() fosite.Session { return s.clone(s) }

// mute says nothing at introspection.
type mute struct{ fosite.Session }

func (m mute) Clone() fosite.Session { return m }

// forJWT tells a JWT less than introspection.
type forJWT struct{ *fosite.DefaultSession }

func (s forJWT) GetJWTClaims() jwt.JWTClaimsContainer { return &jwt.JWTClaims{Subject: s.Subject} }
func (forJWT) GetJWTHeader() *jwt.Headers             { return new(jwt.Headers) }
func (s forJWT) Clone() fosite.Session                { return s }

// TestNewTriesTheSession: a session that would lose act, its login or its subject is found at New. Any of them would make the token of an
// impersonation the subject's own, sooner or later.
func TestNewTriesTheSession(t *testing.T) {
	t.Parallel()
	session := func(t plugin.Token) *fosite.DefaultSession {
		return &fosite.DefaultSession{Subject: t.Subject, Extra: t.Claims}
	}
	without := func(name string) func(plugin.Token) (fosite.Session, error) {
		return func(t plugin.Token) (fosite.Session, error) { delete(t.Claims, name); return session(t), nil }
	}
	for name, c := range map[string]struct {
		make func(plugin.Token) (fosite.Session, error)
		want string
	}{
		"as it should": {func(t plugin.Token) (fosite.Session, error) { return session(t), nil }, ""},
		"an error":     {func(plugin.Token) (fosite.Session, error) { return nil, errors.New("no") }, "zero Token"},
		"none":         {func(plugin.Token) (fosite.Session, error) { return nil, nil }, "zero Token"},
		"none for a token": {func(t plugin.Token) (fosite.Session, error) {
			if t.Subject != "" {
				return nil, nil
			}
			return session(t), nil
		}, "gave none"},
		"no claims": {func(t plugin.Token) (fosite.Session, error) {
			return &fosite.DefaultSession{Subject: t.Subject}, nil
		}, "Config.LoginOf"},
		"no act": {without("act"), "act of Token.Claims"},
		"no sid": {func(t plugin.Token) (fosite.Session, error) {
			if t.Delegation != nil {
				delete(t.Claims, "sid")
			}
			return session(t), nil
		}, "sid of Token.Claims"},
		"no txn":        {without("txn"), "txn of Token.Claims"},
		"no client_id":  {without("client_id"), "client_id of Token.Claims"},
		"another sub":   {func(t plugin.Token) (fosite.Session, error) { t.Subject = "root"; return session(t), nil }, "GetSubject"},
		"act for all":   {func(t plugin.Token) (fosite.Session, error) { return acting(session(t)), nil }, "and none without"},
		"another act":   {func(t plugin.Token) (fosite.Session, error) { return renamed(session(t)), nil }, "act of Token.Claims"},
		"nothing extra": {func(t plugin.Token) (fosite.Session, error) { return mute{session(t)}, nil }, "ExtraClaimsSession"},
		"a JWT without": {func(t plugin.Token) (fosite.Session, error) { return forJWT{session(t)}, nil }, "of Token.Claims"},
		"a clone without act": {func(t plugin.Token) (fosite.Session, error) {
			return &custom{*session(t), func(s *custom) fosite.Session {
				return &fosite.DefaultSession{Subject: s.Subject, Extra: map[string]any{"sid": s.Extra["sid"], "client_id": s.Extra["client_id"]}}
			}}, nil
		}, "of a clone too"},
		"a clone of nobody": {func(t plugin.Token) (fosite.Session, error) {
			return &custom{*session(t), func(*custom) fosite.Session { return new(fosite.DefaultSession) }}, nil
		}, "of a clone too"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, cfg := wired(t)
			cfg.Session = func(_ context.Context, t plugin.Token) (fosite.Session, error) { return c.make(t) }
			_, err := plugin.New(t.Context(), cfg)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), "Config.Session: ") || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("New: got %v, want an error of Config.Session with %q", err, c.want)
			}
		})
	}
}

func acting(s *fosite.DefaultSession) *fosite.DefaultSession {
	s.GetExtraClaims()["act"] = map[string]any{"iss": "https://login.acme.example", "sub": "usr_actor"}
	return s
}

func renamed(s *fosite.DefaultSession) *fosite.DefaultSession {
	if s.GetExtraClaims()["act"] != nil {
		s.Extra["act"] = map[string]any{"iss": "https://login.acme.example", "sub": "somebody"}
	}
	return s
}

// TestComposeRefuses: parts that do not fit are told apart before anybody relies on them.
func TestComposeRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		compose func(*provider, *plugin.Plugin) error
		want    string
	}{
		"no strategy": {func(p *provider, g *plugin.Plugin) error {
			_, err := g.Compose(p.config, nil, factories...)
			return err
		}, "AccessTokenStrategy"},
		"JWTs of sessions that are for none": {func(p *provider, g *plugin.Plugin) error {
			strategy := compose.NewOAuth2JWTStrategy(func(context.Context) (any, error) { return nil, errors.New("no key") }, nil, p.config)
			_, err := g.Compose(p.config, strategy, factories...)
			return err
		}, "makes no token"},
		"nobody introspects": {func(p *provider, g *plugin.Plugin) error {
			_, err := g.Compose(p.config, compose.NewOAuth2HMACStrategy(p.config), compose.OAuth2AuthorizeExplicitFactory)
			return err
		}, "introspect"},
		"a config in use": {func(p *provider, g *plugin.Plugin) error {
			strategy := compose.NewOAuth2HMACStrategy(p.config)
			compose.Compose(p.config, p, strategy, compose.OAuth2TokenRevocationFactory)
			_, err := g.Compose(p.config, strategy, factories...)
			return err
		}, "another provider"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, cfg := wired(t)
			g, err := plugin.New(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.compose(p, g); err == nil || !strings.Contains(err.Error(), "plugin: Compose: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Compose: got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// TestHandlerNamesWhatIsMissing: as New does.
func TestHandlerNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	for _, c := range []struct {
		name  string
		pages plugin.Pages
	}{
		{"Pages.SignedIn", plugin.Pages{SignInURL: func(string) string { return "/" }}},
		{"Pages.SignInURL", plugin.Pages{SignedIn: func(*http.Request) (string, error) { return "", nil }}},
		{"SupportURL", plugin.Pages{SignedIn: func(*http.Request) (string, error) { return "", nil }, SignInURL: func(string) string { return "/" }, SupportURL: "javascript:x"}},
	} {
		if _, err := h.plugin.Handler(c.pages); err == nil || !strings.Contains(err.Error(), c.name) {
			t.Errorf("Handler: got %v, want an error about %s", err, c.name)
		}
	}
}

var _ fositeoauth.JWTSessionContainer = forJWT{}
