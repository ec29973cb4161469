package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// naive is somebody's API: it checks the signature by the keys of the issuer, aud, exp and its own scopes, and has never heard of act.
type naive struct {
	keys     jose.JSONWebKeySet
	audience string
	now      func() time.Time
}

// allows tells whether a request with token would go through that needs scope.
func (n naive) allows(token, scope string) (bool, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return false, err
	}
	var std jwt.Claims
	var own struct {
		Scope string `json:"scope"`
	}
	if err := parsed.Claims(n.keys.Key(parsed.Headers[0].KeyID)[0].Key, &std, &own); err != nil {
		return false, err
	}
	if err := std.Validate(jwt.Expected{AnyAudience: jwt.Audience{n.audience}, Time: n.now()}); err != nil {
		return false, err
	}
	return slices.Contains(strings.Fields(own.Scope), scope), nil
}

// naiveRegistry has scopes of every class, and roles that would get them all.
func naiveRegistry() *policy.Registry {
	reg := policy.Default()
	reg.Scopes = append(reg.Scopes, policy.Scope{Name: "money", Class: policy.ScopeNever})
	for i := range reg.Roles {
		reg.Roles[i].Scopes = append(reg.Roles[i].Scopes, "forgotten", "money") // one that nobody registered
		if m := reg.Roles[i].Impersonate; m != nil {
			m.Scopes = append(m.Scopes, "forgotten")
		}
	}
	return &reg
}

// A token to look with writes nowhere, also not at an API that knows nothing of impersonation: by no door, with no scope that was asked
// for, registered or not. One to write with does, or nothing would be shown.
//
// Covers RFC8693-5-01, RFC8693-5-02.
func TestNaiveResourceServer(t *testing.T) {
	t.Parallel()
	h := setup(t, options{registry: naiveRegistry()})
	all := []string{"openid", "profile", "email", "roles", "app:read", "app:write", "forgotten", "money", "impersonate", "offline_access", "impersonation:write"}
	everything := func(c *store.Client) {
		c.Scopes = all
		c.Settings.UserID, c.Settings.Service = true, oauth.ActorAIAgent
	}
	api := naive{audience: resource, now: h.clock.Now}
	h.must(json.Unmarshal([]byte(h.get("/oauth2/jwks", "").body), &api.keys))
	johns, _ := h.login("john")
	doors := map[string]func(client string, mode oauth.Mode) url.Values{
		"page": func(client string, mode oauth.Mode) url.Values {
			cookie, _ := h.login("ann")
			return startForm(h.ticket(cookie, client, "john", string(mode)), h.token(cookie, client, actorScope))
		},
		"user id": func(client string, mode oauth.Mode) url.Values {
			if mode == oauth.ModeWrite {
				return nil // there is no such start
			}
			cookie, _ := h.login("ann")
			return userIDForm("john", h.token(cookie, client, actorScope))
		},
		"agent": func(client string, mode oauth.Mode) url.Values {
			h.consent("client:"+client, client, func(c *impersonation.Consent) { c.Scopes, c.Mode = all, mode })
			john := h.token(johns, client, "openid profile email roles app:read app:write forgotten")
			return ownForm(john, "")
		},
		"person with consent": func(client string, mode oauth.Mode) url.Values {
			h.consent("ann", client, func(c *impersonation.Consent) { c.Scopes, c.Mode = all, mode })
			john := h.token(johns, client, "openid profile email roles app:read app:write forgotten")
			cookie, _ := h.login("ann")
			return ownForm(john, h.token(cookie, client, actorScope))
		},
	}
	n := 0
	for door, form := range doors {
		for _, mode := range []oauth.Mode{oauth.ModeRead, oauth.ModeWrite} {
			for _, asked := range []string{"", "app:read app:write", "app:read forgotten money impersonation:write offline_access impersonate", "app:read"} {
				n++
				client := fmt.Sprint("app", n)
				h.addClientAs(client, everything)
				f := form(client, mode)
				if f == nil {
					continue
				}
				if asked != "" {
					f.Set("scope", asked)
				}
				r := h.post("/oauth2/token", client, f)
				if r.status != http.StatusOK {
					t.Fatalf("%s, %s, %q: got %d %s", door, mode, asked, r.status, r.body)
				}
				for _, scope := range all {
					allowed, err := api.allows(r.str("access_token"), scope)
					h.must(err)
					isRead := slices.Contains([]string{"openid", "profile", "email", "roles", "app:read"}, scope)
					writes := slices.Contains([]string{"app:write", "forgotten", oauth.ScopeImpersonationWrite}, scope)
					wanted := asked == "" || slices.Contains(strings.Fields(asked), scope) || scope == oauth.ScopeImpersonationWrite
					switch want := wanted && (isRead || writes && mode == oauth.ModeWrite); {
					case allowed && !want:
						t.Errorf("%s, %s, %q: the API would do what needs %s", door, mode, asked, scope)
					case !allowed && want:
						t.Errorf("%s, %s, %q: the API would not do what needs %s", door, mode, asked, scope)
					}
				}
				if _, err := (naive{keys: api.keys, audience: "https://other.example", now: api.now}).allows(r.str("access_token"), "app:read"); err == nil {
					t.Errorf("%s: another API takes the token", door)
				}
			}
		}
	}
}
