package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

const ssfPath = "/.well-known/ssf-configuration"

// TestTransmitterMetadata: the document says what is true, whichever keys there are, and a SET verifies by what it names.
//
// Covers SSF-7.2-01.
func TestTransmitterMetadata(t *testing.T) {
	t.Parallel()
	es, err := tokens.Generate(tokens.ES256)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o   options
		alg string
	}{
		"usual": {options{}, "RS256"}, "RS256": {options{algorithm: tokens.RS256}, "RS256"}, "EdDSA": {options{algorithm: tokens.EdDSA}, "RS256"},
		"keys of the program's own, none of RSA": {options{keys: []tokens.Key{es}}, "ES256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t, c.o)
			m := h.get(ssfPath, "")
			want := map[string]any{
				"spec_version": "1_0", "issuer": h.issuer, "jwks_uri": h.issuer + "/oauth2/jwks", "delivery_methods_supported": []any{"urn:ietf:rfc:8936", "urn:ietf:rfc:8935"},
				"configuration_endpoint": h.issuer + "/ssf/streams", "status_endpoint": h.issuer + "/ssf/status", "verification_endpoint": h.issuer + "/ssf/verify",
				"add_subject_endpoint": h.issuer + "/ssf/subjects/add", "remove_subject_endpoint": h.issuer + "/ssf/subjects/remove", "default_subjects": "ALL",
				"authorization_schemes":                       []any{map[string]any{"spec_urn": "urn:ietf:rfc:6749"}},
				"understudy_set_signing_alg_values_supported": []any{c.alg},
			}
			if diff := cmp.Diff(want, m.json); diff != "" || m.header.Get("Cache-Control") == "" {
				t.Errorf("Cache-Control %q (-want +got):\n%s", m.header.Get("Cache-Control"), diff)
			}
			r := h.receive("app")
			h.endMany("app", 1)
			for _, set := range r.now().Sets {
				header, _ := claims(t, set)
				if claims := r.verified(set); claims["iss"] != m.str("issuer") || header["alg"] != c.alg {
					t.Errorf("a SET of %v, header %v; want iss %s, alg %s", claims["iss"], header, m.str("issuer"), c.alg)
				}
			}
		})
	}
}

// TestStreamConfiguration reads, changes, replaces and removes a stream.
//
// Covers SSF-4.1.8-01.
func TestStreamConfiguration(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		r := h.receive("app")
		want := map[string]any{
			"stream_id": r.id, "iss": h.issuer, "aud": "app", "events_supported": []any{uriRevoked}, "events_requested": []any{uriRevoked}, "events_delivered": []any{uriRevoked},
			"delivery":                  map[string]any{"method": "urn:ietf:rfc:8936", "endpoint_url": h.issuer + "/ssf/poll/" + r.id},
			"min_verification_interval": 5.0, "inactivity_timeout": 60.0,
		}
		is := func(what string, got reply, status int) {
			t.Helper()
			if diff := cmp.Diff(want, got.json); diff != "" || got.status != status || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: got %d, Cache-Control %q (-want +got):\n%s", what, got.status, got.header.Get("Cache-Control"), diff)
			}
		}
		opened := maps.Clone(want)
		opened["delivery"] = map[string]any{"method": "urn:ietf:rfc:8936", "endpoint_url": h.issuer + r.url}
		if diff := cmp.Diff(opened, r.config); diff != "" {
			t.Errorf("opened (-want +got):\n%s", diff)
		}
		if secret := strings.TrimPrefix(r.url, "/ssf/poll/"+r.id+"."); len(secret) != 22 {
			t.Errorf("it is polled at %s; want a secret behind the stream's ID", r.url)
		}
		is("read", r.call(http.MethodGet, "/ssf/streams?stream_id="+r.id, ""), http.StatusOK)
		var list []map[string]any
		h.must(json.Unmarshal([]byte(r.call(http.MethodGet, "/ssf/streams", "").body), &list))
		if diff := cmp.Diff([]map[string]any{want}, list); diff != "" {
			t.Errorf("listed (-want +got):\n%s", diff)
		}
		want["description"] = "pod 1"
		is("changed", r.call(http.MethodPatch, "/ssf/streams", `{"stream_id":"`+r.id+`","description":"pod 1","iss":"`+h.issuer+`"}`), http.StatusOK)
		want["events_requested"], want["events_delivered"] = []any{"https://e.test/x"}, []any{}
		is("other events", r.call(http.MethodPatch, "/ssf/streams", `{"stream_id":"`+r.id+`","events_requested":["https://e.test/x"]}`), http.StatusOK)
		unheard := h.endMany("app", 1)
		if a := r.now(); len(a.Sets) > 0 || a.Ended != nil || *a.State.Vouches {
			t.Errorf("an event that was not asked for: got %+v", a)
		}
		delete(want, "events_requested")
		is("no events", r.call(http.MethodPatch, "/ssf/streams", `{"stream_id":"`+r.id+`","events_requested":[]}`), http.StatusOK)
		if a := r.now(); len(a.Sets) > 0 || a.Ended != nil || *a.State.Vouches {
			t.Errorf("with no events asked for: got %+v", a)
		}
		delete(want, "description")
		want["events_requested"], want["events_delivered"] = []any{uriRevoked}, []any{uriRevoked}
		is("replaced", r.call(http.MethodPut, "/ssf/streams", `{"stream_id":"`+r.id+`"}`), http.StatusOK)
		if a := r.now(); len(a.Ended) != 1 || a.Ended[0].Session != unheard[0] {
			t.Errorf("asked for again: got %+v; want a snapshot", a)
		}
		for _, body := range []string{``, `{}`, `[]`, `{"stream_id":1}`, `{"stream_id":"` + r.id + `","delivery":{"method":"urn:ietf:rfc:8935","endpoint_url":"https://evil.test/"}}`} {
			if got := r.call(http.MethodPatch, "/ssf/streams", body); got.status != http.StatusBadRequest {
				t.Errorf("%s: got %d %s; want 400", body, got.status, got.body)
			}
		}
		is("after what was refused", r.call(http.MethodGet, "/ssf/streams?stream_id="+r.id, ""), http.StatusOK)
		if got := r.call(http.MethodDelete, "/ssf/streams?stream_id="+r.id, ""); got.status != http.StatusNoContent || got.body != "" {
			t.Errorf("removed: got %d %s", got.status, got.body)
		}
		for _, path := range []string{"/ssf/streams?stream_id=" + r.id, "/ssf/status?stream_id=" + r.id, "/ssf/status"} {
			if got := r.call(http.MethodGet, path, ""); got.status != http.StatusNotFound {
				t.Errorf("%s of what is removed: got %d %s; want 404", path, got.status, got.body)
			}
		}
	})
}

// TestStreamStatus: a stream that is paused tells later, one that was disabled tells by a snapshot, and neither vouches meanwhile.
func TestStreamStatus(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		r := h.receive("app")
		set := func(status string) {
			t.Helper()
			got := r.call(http.MethodPost, "/ssf/status", fmt.Sprintf(`{"stream_id":%q,"status":%q,"reason":"deploying"}`, r.id, status))
			if read := r.call(http.MethodGet, "/ssf/status?stream_id="+r.id, ""); got.status != http.StatusOK || got.str("status") != status || read.body != got.body || got.str("reason") != "deploying" {
				t.Errorf("%s: got %d %s, then %s", status, got.status, got.body, read.body)
			}
		}
		silent := func(what string, a polled) {
			t.Helper()
			if len(a.Sets) > 0 || a.Ended != nil || *a.State.Vouches {
				t.Errorf("%s: got %+v; want nothing, and that it does not vouch", what, a)
			}
		}
		set("paused")
		sids := h.endMany("app", 1)
		silent("paused", r.now())
		set("enabled")
		a := r.now()
		r.wantTold("enabled again", a, false, sids...)
		r.ack(a)
		set("disabled")
		more := h.endMany("app", 1)
		silent("disabled", r.poll(`{"returnImmediately":true,"understudy_snapshot":true}`))
		set("enabled")
		if a := r.now(); len(a.Ended) != 2 || a.Ended[0].Session != more[0] || len(a.Sets) > 0 || !*a.State.Vouches {
			t.Errorf("enabled after it was disabled: got %+v; want a snapshot of both", a)
		}
		for _, body := range []string{``, `{}`, `{"stream_id":"` + r.id + `"}`, `{"stream_id":"` + r.id + `","status":"off"}`, `{"status":"paused"}`} {
			if got := r.call(http.MethodPost, "/ssf/status", body); got.status != http.StatusBadRequest {
				t.Errorf("%s: got %d %s; want 400", body, got.status, got.body)
			}
		}
	})
}

// TestStreamVerification: a receiver sees on its own stream what it asked for, and nobody else does.
//
// Covers SSF-8.1.4-01.
func TestStreamVerification(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		r, sibling, other := h.receive("app"), h.receive("app"), h.receive("other")
		state := `VGhpcyBpcyBhbg"\<é` // opaque to us
		body, err := json.Marshal(map[string]string{"stream_id": r.id, "state": state})
		h.must(err)
		if got := r.call(http.MethodPost, "/ssf/verify", string(body)); got.status != http.StatusNoContent || got.body != "" {
			t.Fatalf("got %d %s", got.status, got.body)
		}
		if got := r.call(http.MethodPost, "/ssf/verify", string(body)); got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") != "5" {
			t.Errorf("at once again: got %d %s, Retry-After %q; want 429", got.status, got.body, got.header.Get("Retry-After"))
		}
		a := r.now()
		if len(a.Sets) != 1 {
			t.Fatalf("got %v; want one SET", a.Sets)
		}
		for jti, set := range a.Sets {
			c := r.verified(set)
			want := map[string]any{"iss": h.issuer, "aud": "app", "jti": jti, "iat": c["iat"], "sub_id": map[string]any{"format": "opaque", "id": r.id},
				"events": map[string]any{uriVerification: map[string]any{"state": state}}}
			if diff := cmp.Diff(want, c); diff != "" {
				t.Errorf("the SET (-want +got):\n%s", diff)
			}
		}
		for name, s := range map[string]*receiver{"another process": sibling, "another client": other} {
			if a := s.now(); len(a.Sets) > 0 {
				t.Errorf("%s is told %v", name, a.Sets)
			}
		}
		r.ack(a)
		h.clock.advance(6 * time.Second)
		if got := r.call(http.MethodPost, "/ssf/verify", `{"stream_id":"`+r.id+`"}`); got.status != http.StatusNoContent {
			t.Errorf("later, without a state: got %d %s", got.status, got.body)
		}
		for _, set := range r.now().Sets {
			if event := r.verified(set)["events"].(map[string]any)[uriVerification]; !cmp.Equal(event, map[string]any{}) {
				t.Errorf("without a state: got %v", event)
			}
		}
	})
}

// TestStreamSubjects: every subject is in every stream, and none can be taken out of one.
func TestStreamSubjects(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	r := h.receive("app")
	subject := func(path, body string) reply { return r.call(http.MethodPost, "/ssf/subjects/"+path, body) }
	john := `{"stream_id":"` + r.id + `","subject":{"format":"iss_sub","iss":"` + h.issuer + `","sub":"john"}}`
	if got := subject("add", john); got.status != http.StatusOK || got.body != "" {
		t.Errorf("added: got %d %s", got.status, got.body)
	}
	if got := subject("remove", john); got.status != http.StatusForbidden {
		t.Errorf("removed: got %d %s; want 403", got.status, got.body)
	}
	for _, path := range []string{"add", "remove"} {
		for _, body := range []string{``, `{}`, `{"stream_id":"` + r.id + `"}`, `{"stream_id":"` + r.id + `","subject":"john"}`, `{"stream_id":"` + r.id + `","subject":{}}`} {
			if got := subject(path, body); got.status != http.StatusBadRequest {
				t.Errorf("%s %s: got %d %s; want 400", path, body, got.status, got.body)
			}
		}
	}
	sids := h.endMany("app", 1)
	r.wantTold("after all that", r.now(), false, sids...)
}

// TestSETIsNoToken: nobody takes a SET for anything else, whatever it says.
//
// Covers RFC8417-2.3-01.
func TestSETIsNoToken(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	r := h.receive("app")
	h.endMany("app", 1)
	set := slices.Collect(maps.Values(r.now().Sets))[0]
	if header, c := claims(t, set); header["typ"] != "secevent+jwt" || c["sub"] != nil || c["exp"] != nil {
		t.Errorf("got %v %v; want typ secevent+jwt, without sub and exp", header, c)
	}
	if got := h.userinfo(set); got.status != http.StatusUnauthorized {
		t.Errorf("as Bearer: got %d %s", got.status, got.body)
	}
	if got := r.callAs("Bearer "+set, http.MethodPost, r.url, `{}`); got.status != http.StatusUnauthorized {
		t.Errorf("as Bearer of a receiver: got %d %s", got.status, got.body)
	}
	if h.active("app", set) {
		t.Error("introspection calls it active")
	}
	cookie, _ := h.login("ann")
	actor := h.token(cookie, "app", actorScope)
	asSubject := startForm(set, actor)
	asSubject.Set("subject_token_type", typeToken)
	for _, form := range []url.Values{asSubject, startForm(h.ticket(cookie, "app", "john", "read"), set), stopForm(set), startForm(set, actor)} {
		refused(t, h.post("/oauth2/token", "app", form), http.StatusBadRequest, "invalid_request")
	}
	if got := h.get("/oauth2/logout?"+url.Values{"id_token_hint": {set}}.Encode(), cookie); got.status == http.StatusSeeOther {
		t.Errorf("as id_token_hint: got %d to %v; want that it asks", got.status, got.location)
	}
	assertion := url.Values{"grant_type": {"client_credentials"}, "client_assertion": {set}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
	refused(t, h.form("/oauth2/token", "", assertion), http.StatusUnauthorized, "invalid_client")
}

// TestReceiverToken: what a client gets for this is for nothing else, and no client gets it that cannot prove who it is.
func TestReceiverToken(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	h.addClientAs("spa", func(c *store.Client) { c.Public, c.Exchange = true, false })
	r := h.own("app", url.Values{"scope": {"ssf"}})
	if _, c := claims(t, r.str("access_token")); c["aud"] != h.issuer || c["sub"] != "client:app" || c["client_id"] != "app" || c["scope"] != "ssf" || c["sid"] != nil {
		t.Errorf("got %v", c)
	}
	if got := h.own("app", url.Values{"scope": {"ssf"}, "resource": {h.issuer}}); got.status != http.StatusOK {
		t.Errorf("with the issuer as resource: got %d %s", got.status, got.body)
	}
	refused(t, h.own("app", url.Values{"scope": {"ssf"}, "resource": {resource}}), http.StatusBadRequest, "invalid_target")
	refused(t, h.own("app", url.Values{"scope": {"ssf app:read"}}), http.StatusBadRequest, "unauthorized_client")
	refused(t, h.own("app", nil), http.StatusBadRequest, "unauthorized_client")
	refused(t, h.form("/oauth2/token", "", url.Values{"grant_type": {"client_credentials"}, "scope": {"ssf"}, "client_id": {"spa"}}), http.StatusBadRequest, "unauthorized_client")
	refused(t, h.form("/oauth2/token", "", url.Values{"grant_type": {"client_credentials"}, "scope": {"ssf"}, "client_id": {"app"}}), http.StatusUnauthorized, "invalid_client")
	if got := h.userinfo(r.str("access_token")); got.status != http.StatusForbidden {
		t.Errorf("userinfo: got %d %s; want 403", got.status, got.body)
	}
	if h.active("other", r.str("access_token")) {
		t.Error("it is active to another client")
	}
	cookie, _ := h.login("ann")
	refused(t, h.post("/oauth2/token", "app", startForm(h.ticket(cookie, "app", "john", "read"), r.str("access_token"))), http.StatusBadRequest, "invalid_request")
	mine := h.receive("app")
	h.post("/oauth2/revoke", "app", url.Values{"token": {mine.token}})
	if got := mine.call(http.MethodPost, mine.url, `{}`); got.status != http.StatusUnauthorized {
		t.Errorf("revoked: got %d %s; want 401", got.status, got.body)
	}
}

// TestEveryReason: each reason has its words, and no SET waits for one.
func TestEveryReason(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		r := h.receive("app")
		for _, reason := range []impersonation.EndReason{impersonation.EndStopped, impersonation.EndRevoked, impersonation.EndExpired, impersonation.EndIdle, impersonation.EndSuperseded,
			impersonation.EndReuse, impersonation.EndSignedOut, impersonation.EndOperator, impersonation.EndKilled, impersonation.EndDisabled, impersonation.EndChanged, impersonation.EndPolicy,
			impersonation.EndClient, impersonation.EndIssuer, impersonation.EndConsent, "of a later version"} {
			s := h.start("ann", "app", "john", "read")
			_, err := h.store.End(t.Context(), impersonation.EndWrite{Write: h.write(), Scope: impersonation.ScopeSession, ID: s.sid, Reason: reason, By: oauth.Party{Issuer: h.issuer, Subject: "bea"},
				Issuer: h.issuer, Note: "Bea saw John's letters"})
			h.must(err)
			a := r.now()
			for _, set := range a.Sets {
				event := revokedEvent(t, r.verified(set))
				by, _ := event["initiating_entity"].(string)
				why, _ := event["reason_admin"].(map[string]any)["en"].(string)
				if !slices.Contains([]string{"admin", "user", "policy", "system"}, by) || why == "" || (why == "impersonation ended") != (reason == "of a later version") {
					t.Errorf("%s: got %v", reason, event)
				}
				if text := fmt.Sprint(event); strings.Contains(text, "Bea") || strings.Contains(text, "bea") || strings.Contains(text, "John") || strings.Contains(text, "letters") {
					t.Errorf("%s: what was typed, or a name, is in %s", reason, text)
				}
			}
			if len(a.Sets) != 1 {
				t.Errorf("%s: got %d SETs", reason, len(a.Sets))
			}
			r.ack(a)
		}
	})
}
