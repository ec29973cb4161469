package scim_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
)

// TestToken: whoever has no token of a source that is there gets nothing, not even what the service can do.
func TestToken(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		good := h.tokens["okta"]
		expired := h.addToken(store.SourceToken{Source: "okta", Expires: time.Now().Add(-time.Second)})
		revoked := h.addToken(store.SourceToken{Source: "okta"})
		tokens, err := h.store.SourceTokens(t.Context(), "okta")
		h.ok(err)
		for _, k := range tokens {
			if k.Hash == oauth.Secret(revoked).Hash() {
				h.ok(h.store.RevokeSourceToken(t.Context(), store.SourceTokenWrite{Write: h.write(), Token: k}))
			}
		}
		h.addSource(store.Source{Name: "gone", Organisation: "acme"})
		h.ok(h.store.RemoveSource(t.Context(), store.SourceWrite{Write: h.write(), Source: store.Source{Name: "gone"}}))
		for _, tt := range []struct {
			name, header, challenge string
		}{
			{"none", "", `Bearer realm="understudy"`},
			{"another scheme", "Basic " + good, `error="invalid_token"`},
			{"no scheme", good, `error="invalid_token"`},
			{"unknown", "Bearer " + string(oauth.NewSecret()), `error="invalid_token"`},
			{"short", "Bearer x", `error="invalid_token"`},
			{"empty", "Bearer ", `error="invalid_token"`},
			{"expired", "Bearer " + expired, `error="invalid_token"`},
			{"revoked", "Bearer " + revoked, `error="invalid_token"`},
			{"of a source that was removed", "Bearer " + h.tokens["gone"], `error="invalid_token"`},
		} {
			for _, path := range []string{"Users", "Groups/grp_1", "ServiceProviderConfig", "Schemas", "ResourceTypes", "Bulk", ""} {
				req := httptest.NewRequest("GET", "/scim/v2/"+path, nil)
				if tt.header != "" {
					req.Header.Set("Authorization", tt.header)
				}
				r := h.want(h.serve(req), http.StatusUnauthorized)
				if got := r.header.Get("WWW-Authenticate"); !strings.Contains(got, tt.challenge) || tt.header == "" && strings.Contains(got, "error") {
					t.Errorf("%s at %q: got WWW-Authenticate %q, want %q", tt.name, path, got, tt.challenge)
				}
			}
		}
		if r := h.do("okta", "GET", "Users", "", "Authorization: bearer "+good); r.status != http.StatusOK {
			t.Errorf("the scheme in another case: got %d, want 200", r.status)
		}
	})
}

func TestTokenTwice(t *testing.T) {
	t.Parallel()
	h := setup(t)
	req := httptest.NewRequest("GET", "/scim/v2/Users", nil)
	req.Header["Authorization"] = []string{"Bearer " + h.tokens["okta"], "Bearer " + h.tokens["okta"]}
	h.want(h.serve(req), http.StatusUnauthorized)
}

func TestTokenInQuery(t *testing.T) {
	t.Parallel()
	h := setup(t)
	r := h.serve(httptest.NewRequest("GET", "/scim/v2/Users?access_token="+h.tokens["okta"], nil))
	if h.want(r, http.StatusBadRequest); strings.Contains(r.body, h.tokens["okta"]) {
		t.Error("the answer repeats the token")
	}
}

// TestGuessing: a failure is counted, and who has too many waits, without a look into the store; a token that has been here does not wait.
func TestGuessing(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.want(h.do("okta", "GET", "Users", ""), http.StatusOK)
	if h.want(h.do("nobody", "GET", "Users", ""), http.StatusUnauthorized); h.failed != 1 {
		t.Errorf("got %d failures, want 1", h.failed)
	}
	h.waits = 1500 * time.Millisecond
	if r := h.want(h.do("nobody", "GET", "Users", ""), http.StatusTooManyRequests); r.header.Get("Retry-After") != "2" {
		t.Errorf("got Retry-After %q, want 2", r.header.Get("Retry-After"))
	}
	if h.want(h.do("okta", "GET", "Users", ""), http.StatusOK); h.failed != 2 {
		t.Errorf("got %d failures, want none more for a good token", h.failed)
	}
	h.ok(h.store.Close())
	h.tokens["nobody"] = string(oauth.NewSecret())
	h.want(h.do("nobody", "GET", "Users", ""), http.StatusTooManyRequests)
	h.want(h.do("okta", "GET", "Users", ""), http.StatusServiceUnavailable)
}

func TestTokenIsTouched(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.want(h.do("okta", "GET", "Users", ""), http.StatusOK)
	tokens, err := h.store.SourceTokens(t.Context(), "okta")
	if err != nil || len(tokens) != 1 || time.Since(tokens[0].LastUsed) > time.Minute {
		t.Errorf("got %+v, %v, want it used just now", tokens, err)
	}
}

// TestOthers: what another source keeps, or nobody but us, does not exist: the same answer as for an id that nobody has.
func TestOthers(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		theirs, group := h.user("okta", "ann@acme.test"), h.group("okta", "Sales")
		before := h.stored(theirs)
		for _, path := range []string{"Users/" + theirs, "Users/usr_nobody", "Users/local", "Groups/" + group, "Groups/grp_nobody"} {
			body := userBody("eve@globex.test")
			if strings.HasPrefix(path, "Groups") {
				body = groupBody("Marketing")
			}
			none := ""
			for _, r := range []reply{
				h.do("entra", "GET", path, ""), h.do("entra", "PUT", path, body), h.do("entra", "PATCH", path, patchOf(`{"op":"replace","path":"displayName","value":"Eve"}`)),
				h.do("entra", "DELETE", path, ""),
			} {
				if h.want(r, http.StatusNotFound); none != "" && r.body != none {
					t.Errorf("%s: got %s and %s, want the same", path, none, r.body)
				}
				none = r.body
			}
		}
		for _, filter := range []string{"", `userName eq "ann@acme.test"`, `id eq "` + theirs + `"`, `emails.value eq "ann@acme.test"`} {
			if n := h.find("entra", "Users", filter).total(); n != 0 {
				t.Errorf("filter %s: got %d, want none", filter, n)
			}
		}
		if n := h.find("entra", "Groups", "").total(); n != 0 {
			t.Errorf("groups: got %d, want none", n)
		}
		if after := h.stored(theirs); !after.Updated.Equal(before.Updated) {
			t.Error("another source changed the user")
		}
	})
}
