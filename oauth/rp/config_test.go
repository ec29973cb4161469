package rp_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
)

func good() rp.Config {
	return rp.Config{Issuer: "https://issuer.test", ClientID: "app", ClientSecret: oauth.NewSecret(), BaseURL: "https://app.test"}
}

// TestConfig refuses what cannot be safe, and names the field. Some are of CVE-2026-25679 and CVE-2025-47912.
func TestConfig(t *testing.T) {
	t.Parallel()
	token := func(*http.Request) (oauth.Secret, error) { return "", nil }
	hold := func(http.ResponseWriter, *http.Request, string) error { return nil }
	has := func(*http.Request) (string, error) { return "", nil }
	for _, c := range []struct {
		name string
		bend func(*rp.Config)
		want string // "" is good
	}{
		{"least", func(*rp.Config) {}, ""},
		{"origin", func(c *rp.Config) { c.Origin = "https://as-user.app.test" }, ""},
		{"loopback", func(c *rp.Config) { c.BaseURL, c.Origin = "http://localhost:3000", "http://127.0.0.1:3000" }, ""},
		{"actor token", func(c *rp.Config) { c.ActorToken, c.Hold, c.Held = token, hold, has }, ""},
		{"no issuer", func(c *rp.Config) { c.Issuer = "" }, "Issuer"},
		{"no client", func(c *rp.Config) { c.ClientID = "" }, "ClientID"},
		{"no secret", func(c *rp.Config) { c.ClientSecret = "" }, "ClientSecret"},
		{"no base", func(c *rp.Config) { c.BaseURL = "" }, "BaseURL"},
		{"path", func(c *rp.Config) { c.BaseURL = "https://app.test/x" }, "BaseURL"},
		{"http", func(c *rp.Config) { c.BaseURL = "http://app.test" }, "BaseURL"},
		{"http issuer", func(c *rp.Config) { c.Issuer = "http://issuer.test" }, "Issuer"},
		{"http origin", func(c *rp.Config) { c.Origin = "http://as-user.app.test" }, "Origin"},
		{"upper case", func(c *rp.Config) { c.BaseURL = "https://App.test" }, "lower case"},
		{"half an address", func(c *rp.Config) { c.BaseURL = "https://[fe80::1" }, "BaseURL"}, // and what follows are of CVE-2026-25679, CVE-2025-47912
		{"address with a zone", func(c *rp.Config) { c.BaseURL = "https://[fe80::1%25eth0]" }, "BaseURL"},
		{"loopback with a zone", func(c *rp.Config) { c.Issuer = "http://[::1%25x]" }, "Issuer"},
		{"name in brackets", func(c *rp.Config) { c.BaseURL = "https://[app.test]" }, "BaseURL"},
		{"user", func(c *rp.Config) { c.Issuer = "https://app@issuer.test" }, "Issuer"},
		{"line break", func(c *rp.Config) { c.Origin = "https://as-user.app.test\r\nX: y" }, "Origin"},
		{"space", func(c *rp.Config) { c.BaseURL = "https://app.test " }, "BaseURL"},
		{"another port only", func(c *rp.Config) { c.Origin = "https://app.test:444" }, "hosts"},
		{"foreign actor", func(c *rp.Config) { c.ActorToken, c.Hold, c.Held, c.ForeignActor = token, hold, has, true }, ""},
		{"foreign actor of nobody", func(c *rp.Config) { c.ForeignActor = true }, "ForeignActor needs ActorToken"},
		{"foreign actor on an origin", func(c *rp.Config) { c.Origin, c.ForeignActor = "https://b.test", true }, "exclude"},
		{"foreign actor without hold", func(c *rp.Config) { c.ActorToken, c.ForeignActor = token, true }, "Hold and Held"},
		{"both", func(c *rp.Config) { c.Origin, c.ActorToken = "https://b.test", token }, "exclude"},
		{"hold without token", func(c *rp.Config) { c.Hold = hold }, "Hold"},
		{"token without hold", func(c *rp.Config) { c.ActorToken = token }, "Hold and Held"},
		{"hold with origin", func(c *rp.Config) { c.Origin, c.Held = "https://b.test", has }, "Held"},
		{"write with origin", func(c *rp.Config) { c.Origin, c.AllowSameOriginWrite = "https://b.test", true }, "AllowSameOriginWrite"},
		{"insecure elsewhere", func(c *rp.Config) { c.InsecureCookies = true }, "InsecureCookies"},
		{"short key", func(c *rp.Config) { c.CookieKeys = [][]byte{make([]byte, 16)} }, "CookieKeys"},
		{"no spool", func(c *rp.Config) { c.Spool = "/dev/null/spool" }, "Spool"},
		{"small spool", func(c *rp.Config) { c.SpoolBytes = 1 }, "SpoolBytes"},
		{"long sign-in", func(c *rp.Config) { c.SignInLifetime = 25 * time.Hour }, "SignInLifetime"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			config := good()
			c.bend(&config)
			_, err := rp.New(context.Background(), config)
			if (err == nil) != (c.want == "") || err != nil && (!strings.HasPrefix(err.Error(), "rp: Config.") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), string(config.ClientSecret)) && config.ClientSecret != "") {
				t.Errorf("got %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestKeyRotation: the new key seals, the old one still opens, and is dropped later.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	one, two := []byte(strings.Repeat("1", 32)), []byte(strings.Repeat("2", 32))
	var keys [][]byte
	h := setup(t, apart, func(_ *house, c *rp.Config) { c.CookieKeys = [][]byte{one}; keys = c.CookieKeys })
	if len(keys) != 1 {
		t.Fatal("no keys")
	}
	b := h.ann()
	b.impersonate("john", "read")
	for _, c := range []struct {
		name string
		keys [][]byte
		want int
	}{
		{"both", [][]byte{two, one}, http.StatusOK},
		{"only the new one", [][]byte{two}, http.StatusForbidden},
	} {
		config := h.config
		config.CookieKeys = c.keys
		app, err := rp.New(context.Background(), config)
		if err != nil {
			t.Fatal(err)
		}
		w := serve(app, b.request(http.MethodGet, h.asUser+"/", nil), b.cookies(h.asUser))
		if w.Code != c.want {
			t.Errorf("%s: %d, want %d", c.name, w.Code, c.want)
		}
	}
}

// TestHoldFails: where the app cannot hold the actor's sign-in nobody is impersonated, and the page does not blame the browser.
func TestHoldFails(t *testing.T) {
	t.Parallel()
	h := setup(t, over, func(h *house, c *rp.Config) {
		ownSignIn(h, c)
		c.Hold = func(http.ResponseWriter, *http.Request, string) error {
			return errors.New("the app's database is away")
		}
	})
	b := h.browser()
	h.login(b, "ann")
	b.cookies(h.app)["session"] = "ann"
	r := b.say(b.ask("john", ""), "john", "read")
	if r.status != http.StatusBadGateway || !strings.Contains(r.body, "could not be set aside") || strings.Contains(r.body, "database") || h.live() != 0 || h.held() != "" {
		t.Errorf("%d %s, %d live", r.status, r.body, h.live())
	}
}

// TestOwnSignIn is an app with its own sign-in on one origin: it is held on the app's side, whatever the browser drops.
func TestOwnSignIn(t *testing.T) {
	t.Parallel()
	h := setup(t, over, ownSignIn)
	b := h.browser()
	h.login(b, "ann")
	b.cookies(h.app)["session"] = "ann"
	b.impersonate("john", "read")
	if h.held() == "" {
		t.Fatal("the app's session is not held")
	}
	for _, drop := range []string{actingCookie, heldCookie} {
		delete(b.cookies(h.app), drop)
		h.taken(&h.seen)
		if r := b.one(http.MethodGet, h.app+"/admin", nil); r.status != http.StatusForbidden {
			t.Errorf("without %s: %d, want 403", drop, r.status)
		}
		nobodyElse(t, h, b, "without "+drop)
	}
	b.post(h.app + "/.understudy/stop")
	if h.held() != "" {
		t.Error("still held after a stop")
	}
	b.impersonate("john", "read")
	if r := b.post(h.app + "/.understudy/stop"); r.url.Path != "/admin" || h.held() != "" || b.cookies(h.app)[signInCookie] != "" {
		t.Errorf("after a stop: %s, held %q", r.url, h.held())
	}
}
