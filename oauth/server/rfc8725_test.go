package server_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/store"
)

// TestOnlyCurrentAlgorithms: of all that is announced, published and issued nothing is by none, by a shared secret, by SHA-1 or by PKCS #1 v1.5
// encryption, whatever a client was registered with.
//
// Covers RFC8725-3.2-01.
func TestOnlyCurrentAlgorithms(t *testing.T) {
	t.Parallel()
	current := []string{"ES256", "EdDSA", "RS256"}
	h := setup(t, options{})
	lists := 0
	for member, values := range h.get(discoveryPath, "").json {
		if !strings.Contains(member, "_alg_values_supported") && !strings.Contains(member, "_enc_values_supported") {
			continue
		}
		lists++
		for _, v := range values.([]any) {
			if !slices.Contains(current, v.(string)) {
				t.Errorf("%s announces %v", member, v)
			}
		}
	}
	if lists < 3 {
		t.Errorf("%d lists of algorithms are announced; have their names changed?", lists)
	}
	for _, key := range h.keySet().Keys {
		if !slices.Contains(current, key.Algorithm) || key.Use != "sig" {
			t.Errorf("the JWKS has a key for %s, %s", key.Algorithm, key.Use)
		}
	}
	s := h.start("ann", "app", "john", "read")
	issued := map[string]string{"the admin's": s.actor, "impersonation": s.token}
	for _, algorithm := range []string{"", "RS256", "none", "HS256", "RS1"} {
		id := "for " + algorithm
		h.newClient(id, func(c *store.Client) { c.Settings.IDTokenAlg = algorithm })
		r := h.authorize(s.cookie, func(q url.Values) { q.Set("client_id", id) })
		r = h.post("/oauth2/token", id, redeem(r.location.Query().Get("code")))
		if good := algorithm == "" || algorithm == "RS256"; good != (r.str("id_token") != "") {
			t.Errorf("an ID token by %q: got %d %s", algorithm, r.status, r.body)
		} else if good {
			issued["ID token by "+algorithm] = r.str("id_token")
		}
	}
	for what, token := range issued {
		if header, _ := claims(t, token); !slices.Contains(current, fmt.Sprint(header["alg"])) {
			t.Errorf("%s: alg %v", what, header["alg"])
		}
	}
}

// TestKeyOfTheIssuer: what says that it is this issuer's counts only by one of this issuer's keys, whoever else has a key that is known here;
// and what is another issuer's is about nobody here, also where a user has the same name.
//
// Covers RFC8725-3.8-01.
func TestKeyOfTheIssuer(t *testing.T) {
	t.Parallel()
	h, stranger := setup(t, options{}), setup(t, options{})
	client := h.addKeyed("keyed")
	s := h.start("ann", "app", "john", "read")
	header, payload := claims(t, s.actor)
	ours := header["kid"]
	forgeries := map[string]string{"another issuer's": stranger.start("ann", "app", "john", "read").actor}
	for _, kid := range []any{ours, "k1", nil, client.jkt, ""} {
		head := maps.Clone(header)
		head["kid"] = kid
		if kid == nil {
			delete(head, "kid")
		}
		forgeries[fmt.Sprintf("by a client's key, kid %v", kid)] = client.sign(encode(t, head), encode(t, payload))
		head["jwk"] = client.jwk()
		forgeries[fmt.Sprintf("by a client's key, in the header, kid %v", kid)] = client.sign(encode(t, head), encode(t, payload))
	}
	ticket := h.ticket(s.cookie, "app", "eve", "read")
	for name, token := range forgeries {
		refused(t, h.post("/oauth2/token", "app", startForm(ticket, token)), http.StatusBadRequest, "invalid_request")
		asSubject := startForm(token, s.actor)
		asSubject.Set("subject_token_type", typeToken)
		refused(t, h.post("/oauth2/token", "app", asSubject), http.StatusBadRequest, "invalid_request")
		if got := h.seen("app", token); got.body != `{"active":false}` {
			t.Errorf("%s: introspection says %s", name, got.body)
		}
		if r := h.userinfo(token); r.status != http.StatusUnauthorized {
			t.Errorf("%s: userinfo got %d %s", name, r.status, r.body)
		}
		if r := h.authorize(s.cookie, func(q url.Values) { q.Set("id_token_hint", token) }); r.location.Query().Get("error") != "invalid_request" {
			t.Errorf("%s: as a hint got %v", name, r.location)
		}
		h.revoked("app", token, "")
	}
	if !h.active("app", s.actor) {
		t.Error("a forgery ended what it was forged after")
	}
	if r := h.post("/oauth2/token", "app", startForm(ticket, s.actor)); r.status != http.StatusOK {
		t.Errorf("the ticket, with the right token: got %d %s", r.status, r.body)
	}
}
