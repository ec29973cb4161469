package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/understudy-id/understudy/oauth/store"
)

// kindsHouse has the client rp, which listens, and keyed, which authenticates by its key; and a logout token.
type kindsHouse struct {
	*house
	key, prover *prover
	logout      string
}

func newKindsHouse(t *testing.T) *kindsHouse {
	t.Helper()
	h := setup(t, options{})
	k := &kindsHouse{house: h, key: h.addKeyed("keyed"), prover: newProver(h).learns()}
	e := newEar(t)
	h.newClient("rp", func(c *store.Client) {
		c.Settings.BackchannelLogoutURI, c.Settings.PostLogoutRedirectURIs, c.Serves = e.URL+"/logout?key=hush", []string{loggedOut}, []string{resource}
	})
	h.ended("rp", 1)
	stop := h.running()
	h.toldAll()
	stop()
	k.logout = e.heard()[0]
	return k
}

// The kinds of JWT that this issuer and its clients make, each fresh, of the login of cookie where it is of one.
var kinds = map[string]func(k *kindsHouse, cookie string) string{
	"access token":        func(k *kindsHouse, cookie string) string { return k.token(cookie, "rp", actorScope) },
	"impersonation token": func(k *kindsHouse, _ string) string { return k.start("bea", "rp", "john", "read").token },
	"ID token":            func(k *kindsHouse, cookie string) string { return k.idTokenOf(cookie, "rp") },
	"logout token":        func(k *kindsHouse, _ string) string { return k.logout },
	"client assertion":    func(k *kindsHouse, _ string) string { return k.key.assertion("keyed") },
	"DPoP proof":          func(k *kindsHouse, _ string) string { return k.prover.proof("POST", "/oauth2/token", "") },
}

// place is where a JWT is consumed.
type place struct {
	accepts []string // kinds
	may     string   // the kind that belongs there by another name, which this test leaves to those of that place
	// offer sends a JWT and reports whether it was taken for what belongs there. An answer that refuses it is as it must be.
	offer func(k *kindsHouse, cookie, jwt string) bool
}

// exchanged is a start in which f is one thing that is not as it should be, perhaps.
func (k *kindsHouse) exchanged(cookie string, f func(url.Values)) bool {
	k.t.Helper()
	form := startForm(k.house.ticket(cookie, "rp", "john", "read"), k.token(cookie, "rp", actorScope))
	f(form)
	r := k.post("/oauth2/token", "rp", form)
	if r.status != http.StatusOK {
		refused(k.t, r, http.StatusBadRequest, "invalid_request")
	}
	return r.status == http.StatusOK
}

func asSubject(tokenType string) place {
	return place{nil, "", func(k *kindsHouse, cookie, jwt string) bool {
		return k.exchanged(cookie, func(f url.Values) { f.Set("subject_token", jwt); f.Set("subject_token_type", tokenType) })
	}}
}

func asActor(tokenType, may string, accepts ...string) place {
	return place{accepts, may, func(k *kindsHouse, cookie, jwt string) bool {
		return k.exchanged(cookie, func(f url.Values) { f.Set("actor_token", jwt); f.Set("actor_token_type", tokenType) })
	}}
}

const (
	typeJWT     = "urn:ietf:params:oauth:token-type:jwt"
	typeIDToken = "urn:ietf:params:oauth:token-type:id_token"
)

var places = map[string]place{
	"subject_token, access_token": asSubject(typeToken),
	"subject_token, jwt":          asSubject(typeJWT),
	"subject_token, id_token":     asSubject(typeIDToken),
	"actor_token, access_token":   asActor(typeToken, "", "access token"),
	"actor_token, jwt":            asActor(typeJWT, "access token"),
	"actor_token, id_token":       asActor(typeIDToken, ""),
	"client_assertion": {[]string{"client assertion"}, "", func(k *kindsHouse, _, jwt string) bool {
		f := asserting(jwt)
		f.Set("token", "x")
		r := k.post("/oauth2/introspect", "", f)
		if r.status != http.StatusOK {
			refused(k.t, r, http.StatusUnauthorized, "invalid_client")
		}
		return r.status == http.StatusOK
	}},
	"DPoP": {[]string{"DPoP proof"}, "", func(k *kindsHouse, cookie, jwt string) bool {
		r := k.sent("/oauth2/token", "rp", redeem(k.code(cookie, "rp", "openid")), jwt)
		if r.status != http.StatusOK {
			refused(k.t, r, http.StatusBadRequest, "invalid_dpop_proof")
		}
		return r.str("token_type") == "DPoP"
	}},
	"id_token_hint, sign-in": {[]string{"ID token"}, "", func(k *kindsHouse, cookie, jwt string) bool {
		q := url.Values{"client_id": {"rp"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"12345678"},
			"code_challenge": {challenge}, "code_challenge_method": {"S256"}, "prompt": {"none"}, "id_token_hint": {jwt}}
		r := k.get("/oauth2/auth?"+q.Encode(), cookie)
		return r.location != nil && r.location.Query().Get("code") != ""
	}},
	"id_token_hint, logout": {[]string{"ID token"}, "", func(k *kindsHouse, cookie, jwt string) bool {
		k.get(logoutAt(url.Values{"id_token_hint": {jwt}}), cookie)
		return !k.alive(cookie)
	}},
	"Authorization": {[]string{"access token", "impersonation token"}, "", func(k *kindsHouse, _, jwt string) bool {
		r := k.userinfo(jwt)
		if r.status != http.StatusOK && (r.status != http.StatusUnauthorized || r.str("error") != "invalid_token") {
			k.t.Errorf("userinfo: got %d %s", r.status, r.body)
		}
		return r.status == http.StatusOK
	}},
	"introspection": {[]string{"access token", "impersonation token"}, "", func(k *kindsHouse, _, jwt string) bool { return k.active("rp", jwt) }},
}

// TestKindsOfJWT: of all kinds of JWT that this issuer and its clients make, each is taken where it belongs, and nowhere else. It is
// CVE-2025-12421 and CVE-2026-41164.
//
// Covers RFC8693-3-05, RFC8725-3.12-01.
func TestKindsOfJWT(t *testing.T) {
	t.Parallel()
	for name, p := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKindsHouse(t)
			for kind, mint := range kinds {
				cookie, _ := k.login("ann")
				jwt := mint(k, cookie)
				if got, want := p.offer(k, cookie, jwt), slices.Contains(p.accepts, kind); got != want && kind != p.may {
					t.Errorf("%s: got accepted %v, want %v", kind, got, want)
				}
			}
		})
	}
}
