package scim_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/scim"
)

// TestHostileBodies: what is no body of SCIM is refused with a word that says why, and nothing is stored.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	h := setup(t)
	user, group := "Users/"+h.user("okta", "ann@acme.test"), "Groups/"+h.group("okta", "Sales")
	const core = `"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"]`
	for _, tt := range []struct {
		name, body string
		status     int
		scimType   string
	}{
		{"nothing", "", 0, ""}, // below: without a Content-Type it is not SCIM
		{"not JSON", "userName=x", 400, "invalidSyntax"},
		{"half", `{"schemas":`, 400, "invalidSyntax"},
		{"two", `{} {}`, 400, "invalidSyntax"},
		{"no object", `[]`, 400, "invalidSyntax"},
		{"null", `null`, 400, "invalidSyntax"},
		{"not UTF-8", "{\"a\":\"\xff\"}", 400, "invalidSyntax"},
		{"half a character", `{` + core + `,"userName":"\ud800@x.test"}`, 400, "invalidSyntax"},
		{"half a character in a name", `{"\ud800":1}`, 400, "invalidSyntax"},
		{"a member twice", `{` + core + `,"userName":"a@x.test","userName":"b@x.test"}`, 400, "invalidSyntax"},
		{"a member twice in another case", `{` + core + `,"userName":"a@x.test","USERNAME":"b@x.test"}`, 400, "invalidSyntax"},
		{"a member twice far inside", `{` + core + `,"userName":"a@x.test","name":{"givenName":"a","GIVENNAME":"b"}}`, 400, "invalidSyntax"},
		{"deep", `{` + core + `,"a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, 400, "invalidSyntax"},
		{"very deep", strings.Repeat(`{"a":`, 100_000), 400, "invalidSyntax"},
		{"huge", `{` + core + `,"a":"` + strings.Repeat("x", 1<<20) + `"}`, 413, ""},
		{"no schema", `{"userName":"a@x.test"}`, 400, "invalidSyntax"},
		{"version 1.1", `{"schemas":["urn:scim:schemas:core:1.0"],"userName":"a@x.test"}`, 400, "invalidSyntax"},
		{"another schema", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"userName":"a@x.test"}`, 400, "invalidSyntax"},
		{"schemas of another type", `{"schemas":"urn:ietf:params:scim:schemas:core:2.0:User","userName":"a@x.test"}`, 400, "invalidSyntax"},
	} {
		for _, at := range []struct{ method, path string }{{"POST", "Users"}, {"PUT", user}, {"PATCH", user}, {"POST", "Groups"}, {"PUT", group}, {"PATCH", group}, {"POST", "Users/.search"}} {
			if tt.body == "" {
				h.want(h.do("okta", at.method, at.path, ""), http.StatusUnsupportedMediaType)
				h.want(h.do("okta", at.method, at.path, "", "Content-Type: application/scim+json"), 400, "invalidSyntax")
				continue
			}
			if r := h.want(h.do("okta", at.method, at.path, tt.body), tt.status, tt.scimType); strings.Contains(r.body, "a@x.test") {
				t.Errorf("%s: %s repeats what was sent", tt.name, r.body)
			}
		}
	}
	for _, tt := range []struct{ name, members string }{
		{"no userName", `"displayName":"x"`}, {"an empty userName", `"userName":""`}, {"a userName of another type", `"userName":7`}, {"no address", `"userName":"ann"`},
		{"an address that is none", `"userName":"ann","emails":[{"value":"x"}]`}, {"emails of another type", `"userName":"a@x.test","emails":"a@x.test"`},
		{"an email of another type", `"userName":"a@x.test","emails":["a@x.test"]`}, {"emails without a value", `"userName":"ann","emails":[{"type":"work"}]`},
		{"an array for one value", `"userName":"a@x.test","title":["x"]`}, {"an object for one value", `"userName":"a@x.test","title":{"a":1}`},
		{"active of another type", `"userName":"a@x.test","active":1`}, {"name of another type", `"userName":"a@x.test","name":"x"`},
		{"direction of writing", `"userName":"a@x.test","displayName":"\u202eeoD nhoJ"`}, {"control characters", `"userName":"a@x.test","displayName":"a\u0007b"`},
		{"a long name", `"userName":"a@x.test","displayName":"` + strings.Repeat("x", 201) + `"`}, {"a long userName", `"userName":"` + strings.Repeat("x", 300) + `@x.test"`},
		{"a long externalId", `"userName":"a@x.test","externalId":"` + strings.Repeat("x", 300) + `"`}, {"a client's name", `"userName":"a@x.test","externalId":"client:app"`},
		{"many emails", `"userName":"a@x.test","emails":[` + strings.Repeat(`{"value":"a@x.test"},`, 30) + `{"value":"a@x.test"}]`},
	} {
		if r := h.want(h.do("okta", "POST", "Users", `{`+core+`,`+tt.members+`}`), http.StatusBadRequest, "invalidValue"); strings.Contains(r.body, "x.test") {
			t.Errorf("%s: %s repeats what was sent", tt.name, r.body)
		}
	}
	if n := h.find("okta", "Users", "").total(); n != 1 {
		t.Errorf("got %d users, want ann alone", n)
	}
}

func TestMediaTypes(t *testing.T) {
	t.Parallel()
	h := setup(t)
	for media, want := range map[string]int{
		"application/scim+json": 201, "application/json": 201, "Application/SCIM+JSON; charset=UTF-8": 201,
		"application/x-www-form-urlencoded": 415, "text/plain": 415, "application/scim+json; charset=latin1": 415, "": 415,
	} {
		name := strings.ToLower(strings.Map(func(c rune) rune {
			if strings.ContainsRune("/ ;=+", c) {
				return -1
			}
			return c
		}, media)) + "@acme.test"
		h.want(h.do("okta", "POST", "Users", userBody(name), "Content-Type: "+media), want)
	}
	h.want(h.do("okta", "POST", "Users", userBody("z@acme.test"), "Content-Encoding: gzip"), 415)
}

// TestTooManyMembers: a list of members is bounded, and so is an answer.
func TestTooManyMembers(t *testing.T) {
	t.Parallel()
	h := setup(t)
	many := slices.Repeat([]string{"u"}, 10_001)
	h.want(h.do("okta", "POST", "Groups", groupBody("Sales", many...)), http.StatusBadRequest, "invalidValue")

	h.handler.(*scim.Handler).AnswerMembers(3)
	ann, bob := h.user("okta", "ann@acme.test"), h.user("okta", "bob@acme.test")
	h.group("okta", "Sales", ann, bob)
	h.want(h.do("okta", "GET", "Groups", ""), http.StatusOK)
	h.group("okta", "Marketing", ann, bob)
	h.want(h.do("okta", "GET", "Groups", ""), http.StatusBadRequest, "tooMany")
	h.want(h.do("okta", "GET", "Groups?excludedAttributes=members", ""), http.StatusOK)
	h.want(h.do("okta", "GET", "Groups?count=1", ""), http.StatusOK)
}

// TestTrail: each thing that a source did is on record under its kind, with nothing personal in clear, and the log has ids alone.
func TestTrail(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		id := h.user("okta", "ann@acme.test")
		for _, op := range []string{
			`{"op":"replace","path":"displayName","value":"Ann Roe"}`, `{"op":"replace","path":"active","value":false}`, `{"op":"replace","path":"active","value":true}`,
			`{"op":"replace","path":"externalId","value":"00u9"}`, `{"op":"remove","path":"externalId"}`, `{"op":"add","path":"emails","value":[{"value":"roe@acme.test"}]}`,
			`{"op":"replace","value":{"active":false,"displayName":"Gone"}}`,
		} {
			h.want(h.patch("okta", "Users/"+id, op), http.StatusOK)
		}
		h.want(h.do("okta", "DELETE", "Users/"+id, ""), http.StatusNoContent)
		kinds := h.kinds(id)
		slices.Reverse(kinds)
		want := []audit.Kind{audit.KindUserAdd, audit.KindUserChange, audit.KindUserDisable, audit.KindUserEnable, audit.KindUserUnlink, audit.KindUserLink, audit.KindUserChange,
			audit.KindUserUnlink, audit.KindUserChange, audit.KindUserChange, audit.KindUserDisable, audit.KindUserChange, audit.KindUserDelete}
		if !slices.Equal(kinds, want) {
			t.Errorf("got entries %v, want %v", kinds, want)
		}
		for _, e := range h.entries(id) {
			if e.Actor.Issuer != "scim" || e.Actor.Subject != "okta" || e.Subject.Subject != id || !strings.HasPrefix(e.Fields["token"], "sct_") || e.Request != "req_1" {
				t.Errorf("got entry %+v, want it by okta, about ann, with token and request", e)
			}
			for name, value := range e.Fields {
				for _, personal := range []string{"ann@", "Ann Roe", "roe@", "00u9", "Gone"} {
					if strings.Contains(value, personal) && e.Salts[name] == nil {
						t.Errorf("%s: field %s is personal, and in clear", e.Kind, name)
					}
				}
			}
		}
		logs := h.logs.String()
		for _, line := range []string{"added user", "changed user", "disabled user", "enabled user", "deleted user"} {
			if !strings.Contains(logs, "scim:okta "+line) || !strings.Contains(logs, id) {
				t.Errorf("the log has no line of %q: %s", line, logs)
			}
		}
		if strings.Contains(logs, "acme.test") || strings.Contains(logs, "Ann") {
			t.Errorf("the log has somebody's name or address: %s", logs)
		}
	})
}

func TestGroupTrail(t *testing.T) {
	t.Parallel()
	h := setup(t)
	id := h.group("okta", "Sales")
	h.want(h.patch("okta", "Groups/"+id, `{"op":"replace","path":"displayName","value":"Marketing"}`), http.StatusNoContent)
	h.want(h.do("okta", "DELETE", "Groups/"+id, ""), http.StatusNoContent)
	var got []string
	for _, e := range h.entries("okta") {
		got = append(got, string(e.Kind)+" "+e.Fields["was_group_name"]+" "+e.Fields["group_name"])
		if e.Fields["group"] != id {
			t.Errorf("got entry %+v, want it about %s", e, id)
		}
	}
	if want := []string{"group.remove  Marketing", "group.change Sales Marketing", "group.add  Sales"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestStoreAway: while nobody knows, nothing is said to be done.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.ok(h.store.Close())
	if r := h.want(h.do("okta", "POST", "Users", userBody("ann@acme.test")), http.StatusServiceUnavailable); r.header.Get("Retry-After") != "1" {
		t.Errorf("got Retry-After %q, want 1", r.header.Get("Retry-After"))
	}
	if !strings.Contains(h.logs.String(), "answering a SCIM error") || strings.Contains(h.logs.String(), h.tokens["okta"]) {
		t.Errorf("got log %s, want the failure and no token", h.logs)
	}
}

// FuzzBody: no body makes the handler panic or answer that it is at fault.
func FuzzBody(f *testing.F) {
	h := setup(f)
	user := "Users/" + h.user("okta", "ann@acme.test")
	f.Add(barbara)
	f.Add(patchOf(`{"op":"replace","value":{"emails[type eq \"work\"].value":"x@y.test"}}`))
	f.Add(patchOf(`{"op":"Add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager","value":"x"}`))
	f.Add(groupBody("Sales"))
	f.Fuzz(func(t *testing.T, body string) {
		for _, at := range []struct{ method, path string }{{"PATCH", user}, {"PUT", user}, {"POST", "Groups/.search"}} {
			req := httptest.NewRequest(at.method, "/scim/v2/"+at.path, strings.NewReader(body))
			req.Header.Set("Authorization", "Bearer "+h.tokens["okta"])
			req.Header.Set("Content-Type", "application/scim+json")
			w := httptest.NewRecorder()
			if h.handler.ServeHTTP(w, req); w.Code >= 500 {
				t.Errorf("%s %s: got %d %s", at.method, at.path, w.Code, w.Body)
			}
		}
	})
}
