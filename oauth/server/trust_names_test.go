package server_test

import (
	"net/http"
	"net/url"
	"reflect"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/server"
)

// mappedTrust is a trustHouse with the client mapped, which knows people by their names at idp: ann is A-1 there and john eve. Nobody
// else is anybody there.
func mappedTrust(t *testing.T, o options) *trustHouse {
	t.Helper()
	r := policy.Default()
	r.Resources = append(r.Resources, policy.Resource{URI: namedResource, AcceptsAct: true})
	o.registry = &r
	h := setupTrust(t, o, func(r *server.TrustedIssuer) { r.TrustConfig.Clients = map[string][]string{"mapped": {"crm"}} })
	h.addClientAs("mapped", mapped)
	h.linked("ann", idp, "A-1")
	h.linked("john", idp, "eve")
	return h
}

// mappedTicket is one of user, for whom the client mapped knows as subject.
func (h *trustHouse) mappedTicket(user, subject string) string {
	h.t.Helper()
	cookie, _ := h.login(user)
	return h.ticket(cookie, "mapped", subject, "read")
}

// TestMappedClientWithForeignActor is a client that knows people by their names at one provider, where somebody acts by a token of another: sub is the
// name that the client knows, act who the actor's issuer says they are, sub_id who the subject is there; iss is ours and the trail has the IDs.
//
// Covers RFC8693-4.1-02.
func TestMappedClientWithForeignActor(t *testing.T) { onBoth(t, testMappedClientWithForeignActor) }

func testMappedClientWithForeignActor(t *testing.T, o options) {
	h := mappedTrust(t, o)
	r := h.come("mapped", h.mappedTicket("ann", "john"), h.corp.token("f-ann", nil))
	if r.status != http.StatusOK || r.str("understudy_return_token") != "" {
		t.Fatalf("start: got %d %s", r.status, r.body)
	}
	token := r.str("access_token")
	act, id := oauth.Party{Issuer: h.corp.url, Subject: "f-ann"}, map[string]any{"format": "iss_sub", "iss": h.corp.url, "sub": "f-john"}
	_, c := claims(t, token)
	for name, says := range map[string]map[string]any{"token": c, "introspection": h.seen("mapped", token).json, "userinfo": h.userinfo(token).json} {
		if says["sub"] != "eve" || partyOf(says["act"]) != act || !reflect.DeepEqual(says["sub_id"], id) || name != "userinfo" && says["iss"] != h.issuer {
			t.Errorf("%s says %v; want sub eve, act %v, sub_id %v", name, says, act, id)
		}
	}
	if info := h.userinfo(token); info.str("email") != "john@acme.test" {
		t.Errorf("userinfo is about %s; want john", info.body)
	}
	told, _ := r.json["understudy_session"].(map[string]any)
	subject, _ := told["subject"].(map[string]any)
	if partyOf(subject).Subject != "eve" || !reflect.DeepEqual(subject["sub_id"], id) || partyOf(told["actor"]) != act {
		t.Errorf("understudy_session: %v", told)
	}
	own := func(id string) oauth.Party { return oauth.Party{Issuer: h.issuer, Subject: id} }
	if e := h.onlyEntry(audit.KindStart); e.Actor != own("ann") || e.Subject != own("john") || e.Fields["actor_iss"] != h.corp.url ||
		e.Fields["subject_sub"] != "eve" || e.Fields["actor_sub"] != "f-ann" {
		t.Errorf("on record: %+v", e)
	}
	h.sound(token)

	if r := h.post("/oauth2/revoke", "mapped", url.Values{"token": {token}}); r.status != http.StatusOK || h.active("mapped", token) || h.userinfo(token).status != http.StatusUnauthorized {
		t.Errorf("revoked: got %d, active %t", r.status, h.active("mapped", token))
	}
	if e := h.onlyEntry(audit.KindEnd); e.Actor != own("ann") || e.Subject != own("john") {
		t.Errorf("on record: %+v", e)
	}
}

// TestMappedClientUnlinked: a link of the subject or the actor that goes, at the provider of the names or at the actor's, takes the token with it.
func TestMappedClientUnlinked(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		for name, c := range map[string]struct {
			user   string
			issuer func(*trustHouse) string
		}{
			"the subject's name":   {"john", func(*trustHouse) string { return idp }},
			"the subject's sub_id": {"john", func(h *trustHouse) string { return h.corp.url }},
			"the actor's identity": {"ann", func(h *trustHouse) string { return h.corp.url }},
		} {
			t.Run(name, func(t *testing.T) {
				h := mappedTrust(t, o)
				r := h.come("mapped", h.mappedTicket("ann", "john"), h.corp.token("f-ann", nil))
				token := r.str("access_token")
				if !h.active("mapped", token) {
					t.Fatalf("start: got %d %s", r.status, r.body)
				}
				h.change(c.user, func(u *directory.User) {
					var kept []oauth.Party
					for _, p := range u.Identities {
						if p.Issuer != c.issuer(h) {
							kept = append(kept, p)
						}
					}
					u.Identities = kept
				})
				if h.active("mapped", token) || h.userinfo(token).status != http.StatusUnauthorized {
					t.Error("the token outlived what it says")
				}
			})
		}
	})
}

// TestNamesArePublic: clients with one naming are told of a person by one sub, which is what subject_types_supported calls public (OpenID Connect
// Core §8).
func TestNamesArePublic(t *testing.T) {
	t.Parallel()
	h := namesHouse(t, options{})
	h.addClientAs("same", mapped)
	cookie, _ := h.login("john")
	for _, client := range []string{"mapped", "same"} {
		if _, c := claims(t, h.token(cookie, client, "openid")); c["sub"] != "eve" {
			t.Errorf("%s: got sub %v, want eve", client, c["sub"])
		}
	}
}
