package scim_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/scim"
	"github.com/understudy-id/understudy/oauth/store"
)

// TestMapping: what a source says becomes a user of the directory, and what gives rights does not.
func TestMapping(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		for _, tt := range []struct {
			name, body, email, shown string
		}{
			{"the address from the name", `"userName":"Ann@acme.test"`, "ann@acme.test", "Ann@acme.test"},
			{"the primary address", `"userName":"bob","emails":[{"value":"b1@acme.test"},{"value":"B2@acme.test","primary":true}],"displayName":"Bob"`, "b2@acme.test", "Bob"},
			{"the first address", `"userName":"cy","emails":[{"value":"c1@acme.test"},{"value":"c2@acme.test"}],"name":{"givenName":"Cy","familyName":"Roe"}`, "c1@acme.test", "Cy Roe"},
			{"the formatted name", `"userName":"dan@acme.test","name":{"formatted":"Dan A. Roe","givenName":"Dan"}`, "dan@acme.test", "Dan A. Roe"},
			{"names in another case", `"USERNAME":"el@acme.test","displayname":"El"`, "el@acme.test", "El"},
		} {
			r := h.want(h.do("okta", "POST", "Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"externalId":"x-`+tt.email+`",
				"roles":[{"value":"admin"}],"entitlements":[{"value":"all"}],"groups":[{"value":"Admins"}],"password":"secret","protected":true,`+tt.body+`}`), http.StatusCreated)
			u := h.stored(r.str("id"))
			if u.Email != tt.email || u.Name != tt.shown || u.Organisation != "acme" || !u.Enabled || u.Source != "scim:okta" {
				t.Errorf("%s: got %+v, want %s, %s, of acme, enabled", tt.name, u, tt.email, tt.shown)
			}
			if len(u.Roles)+len(u.Groups) > 0 || u.Protected || strings.Contains(r.body, "secret") {
				t.Errorf("%s: got %+v, want no rights", tt.name, u)
			}
			if want := (oauth.Party{Issuer: "https://acme.okta.test", Subject: "x-" + tt.email}); len(u.Identities) != 1 || u.Identities[0] != want {
				t.Errorf("%s: got identities %v, want %v", tt.name, u.Identities, want)
			}
			if c, err := h.store.Credentials(t.Context(), u.ID); err != nil || c.Password != "" {
				t.Errorf("%s: got credentials %v, %v, want none", tt.name, c, err)
			}
		}
	})
}

func TestOrganisation(t *testing.T) {
	t.Parallel()
	h := setup(t)
	const department = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:organization"
	said := `,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"organization":"initech"}`
	h.changeSource("okta", func(s *store.Source) { s.Organisation, s.OrganisationAttribute = "", strings.ToUpper(department) })
	if u := h.stored(h.user("okta", "a@acme.test", said)); u.Organisation != "initech" {
		t.Errorf("got organisation %q, want initech", u.Organisation)
	}
	h.want(h.do("okta", "POST", "Users", userBody("b@acme.test")), http.StatusForbidden)
	h.changeSource("okta", func(s *store.Source) { s.MayStaff = true })
	if u := h.stored(h.user("okta", "b@acme.test")); u.Organisation != "" {
		t.Errorf("got organisation %q, want staff", u.Organisation)
	}
	h.changeSource("okta", func(s *store.Source) { s.Organisation = "acme" })
	if u := h.stored(h.user("okta", "c@acme.test", said)); u.Organisation != "acme" {
		t.Errorf("got organisation %q, want the source's", u.Organisation)
	}
	h.changeSource("okta", func(s *store.Source) { s.Organisation, s.OrganisationAttribute = "", "emails" })
	if r := h.do("okta", "POST", "Users", userBody("d@acme.test")); r.status != http.StatusInternalServerError {
		t.Errorf("an attribute that cannot be one: got %d, want 500: nobody becomes staff by a slip", r.status)
	}
}

// TestTaken: what is unique is a conflict, and the answer does not tell whose it is.
func TestTaken(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		h.ok(h.store.CreateUser(t.Context(), store.UserWrite{Write: h.write(), User: directory.User{ID: "local", Email: "root@acme.test", Name: "Root", Enabled: true, Created: time.Now()}}))
		h.user("okta", "ann@acme.test")
		bob := h.user("entra", "bob@globex.test")
		group := h.group("okta", "Sales")
		answers := map[string]bool{}
		for _, r := range []reply{
			h.do("okta", "POST", "Users", userBody("ann@acme.test")),
			h.do("okta", "POST", "Users", userBody("ANN@acme.test")),
			h.do("entra", "POST", "Users", userBody("ann@acme.test")),
			h.do("entra", "POST", "Users", userBody("root@acme.test")),
			h.do("entra", "PUT", "Users/"+bob, userBody("ann@acme.test")),
			h.patch("entra", "Users/"+bob, `{"op":"add","path":"emails","value":[{"value":"root@acme.test"}]}`),
			h.do("okta", "POST", "Groups", groupBody("Sales")),
			h.do("entra", "POST", "Groups", groupBody("Sales")),
		} {
			answers[h.want(r, http.StatusConflict, "uniqueness").body] = true
		}
		if len(answers) != 1 {
			t.Errorf("got %d different answers %v, want one", len(answers), answers)
		}
		if other := h.user("entra", "eve@globex.test", `,"externalId2":"x"`); h.stored(other).UserName != "eve@globex.test" {
			t.Error("a name that another source has is not free to this one")
		}
		_ = group
	})
}

// TestSameIdentity: one person at the issuer is one user here.
func TestSameIdentity(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		ann, bob := h.user("okta", "ann@acme.test"), h.user("okta", "bob@acme.test")
		h.want(h.patch("okta", "Users/"+bob, `{"op":"replace","path":"externalId","value":"ext-ann@acme.test"}`), http.StatusConflict, "uniqueness")
		if u := h.stored(ann); len(u.Identities) != 1 || u.Identities[0].Subject != "ext-ann@acme.test" {
			t.Errorf("got %v, want ann's identity as it was", u.Identities)
		}
		h.want(h.patch("okta", "Users/"+bob, `{"op":"replace","path":"externalId","value":"with space"}`), http.StatusBadRequest, "invalidValue")
	})
}

func TestList(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		var ids []string
		for _, name := range []string{"cy@acme.test", "ann@acme.test", "bob@acme.test", "dan@acme.test", "el@acme.test"} {
			ids = append(ids, h.user("okta", name))
		}
		h.want(h.patch("okta", "Users/"+ids[4], `{"op":"replace","path":"active","value":false}`), http.StatusOK)
		for filter, want := range map[string]int{
			"": 5, `userName eq "ANN@acme.test"`: 1, `externalId eq "ext-ann@acme.test"`: 1, `id eq "` + ids[0] + `"`: 1, `active eq true`: 4, `active eq "False"`: 1,
			`userName eq "el@acme.test" and active eq true`: 0, `userName eq "el@acme.test" and active eq false`: 1, `userName eq ""`: 0, `externalId eq "" and active eq true`: 0,
			`userName eq "ann@acme.test" and displayName sw "User"`: 1, `userName eq "ann@acme.test" and displayName eq "x"`: 0, `userName eq "ann@acme.test" and userName eq "bob@acme.test"`: 0,
			`userName eq "ann@acme.test" and meta.lastModified gt "2020-01-01T00:00:00Z"`: 1, `userName eq "ann@acme.test" and meta.lastModified gt "2100-01-01T00:00:00Z"`: 0,
			`emails.value eq "ann@acme.test"`: 0, // she has a name that is an address, and no emails
		} {
			if r := h.find("okta", "Users", filter); r.total() != want || len(r.json["Resources"].([]any)) != want {
				t.Errorf("%s: got %d of %d, want %d", filter, len(r.json["Resources"].([]any)), r.total(), want)
			}
		}
		for _, tt := range []struct {
			query       string
			items, from int
		}{
			{"startIndex=1&count=2", 2, 1}, {"startIndex=4&count=2", 2, 4}, {"startIndex=5&count=2", 1, 5}, {"startIndex=6&count=2", 0, 6}, {"startIndex=-3&count=2", 2, 1},
			{"count=0", 0, 1}, {"count=-1", 0, 1}, {"count=100000", 5, 1},
		} {
			r := h.find("okta", "Users", "", tt.query)
			if len(r.json["Resources"].([]any)) != tt.items || r.total() != 5 || r.json["startIndex"] != float64(tt.from) || r.json["itemsPerPage"] != float64(tt.items) {
				t.Errorf("%s: got %s, want %d of 5 from %d", tt.query, r.body, tt.items, tt.from)
			}
		}
		var seen []string
		for _, page := range []string{"startIndex=1&count=2", "startIndex=3&count=2", "startIndex=5&count=2"} {
			for _, u := range h.find("okta", "Users", "", page, "attributes=userName").json["Resources"].([]any) {
				seen = append(seen, u.(map[string]any)["userName"].(string))
			}
		}
		if !slices.Equal(seen, []string{"ann@acme.test", "bob@acme.test", "cy@acme.test", "dan@acme.test", "el@acme.test"}) {
			t.Errorf("got %v over three pages, want each once, in order", seen)
		}
	})
}

func TestListRefuses(t *testing.T) {
	t.Parallel()
	h := setup(t)
	for query, want := range map[string]string{
		"count=x": "invalidValue", "startIndex=1.5": "invalidValue", "filter=title+eq+%22x%22": "invalidFilter", "filter=userName+co+%22x%22": "invalidFilter",
		"filter=userName+eq+%22x%22+or+title+pr": "invalidFilter", "filter=not+(active+eq+true)": "invalidFilter", "filter=(((": "invalidFilter", "a;b": "invalidValue",
		"filter=shoeSize+pr": "invalidFilter",
	} {
		h.want(h.do("okta", "GET", "Users?"+query, ""), http.StatusBadRequest, want)
	}
	h.want(h.do("okta", "GET", "Groups?filter=displayName+co+%22x%22", ""), http.StatusBadRequest, "invalidFilter")
	h.want(h.do("okta", "GET", "Groups?filter=members%5Btype+eq+%22User%22%5D.value+eq+%22x%22", ""), http.StatusBadRequest, "invalidFilter")
}

func TestSearch(t *testing.T) {
	t.Parallel()
	h := setup(t)
	h.user("okta", "ann@acme.test")
	h.user("okta", "bob@acme.test")
	h.group("okta", "Sales")
	const schema = `"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]`
	r := h.want(h.do("okta", "POST", "Users/.search", `{`+schema+`,"filter":"userName eq \"ann@acme.test\"","attributes":["userName"],"startIndex":1,"count":10}`), http.StatusOK)
	one := r.json["Resources"].([]any)[0].(map[string]any)
	if r.total() != 1 || one["userName"] != "ann@acme.test" || one["displayName"] != nil {
		t.Errorf("got %s, want ann's userName", r.body)
	}
	if r := h.want(h.do("okta", "POST", "Groups/.search", `{`+schema+`,"filter":"displayName eq \"Sales\"","excludedAttributes":["members"]}`), http.StatusOK); r.total() != 1 || strings.Contains(r.body, `"members"`) {
		t.Errorf("got %s, want the group without members", r.body)
	}
	h.want(h.do("okta", "POST", "Users/.search", `{"filter":"userName eq \"x\""}`), http.StatusBadRequest, "invalidSyntax")
	h.want(h.do("okta", "POST", "Users/.search", `{`+schema+`,"filter":7}`), http.StatusBadRequest, "invalidFilter")
	h.want(h.do("okta", "POST", "Users/.search", `{`+schema+`,"count":"x"}`), http.StatusBadRequest, "invalidValue")
	h.want(h.do("okta", "POST", ".search", `{`+schema+`}`), http.StatusNotImplemented)
}

// TestVersions: a version guards a change, and spares a read (RFC 7644 §3.14).
func TestVersions(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		for path, change := range map[string]string{
			"Users/" + h.user("okta", "ann@acme.test"): `{"op":"replace","path":"title","value":"Boss"}`,
			"Groups/" + h.group("okta", "Sales"):       `{"op":"replace","path":"displayName","value":"Marketing"}`,
		} {
			first := h.want(h.do("okta", "GET", path, ""), http.StatusOK).header.Get("ETag")
			if !strings.HasPrefix(first, `W/"`) {
				t.Fatalf("got ETag %s, want a weak one", first)
			}
			if r := h.do("okta", "GET", path, "", "If-None-Match: "+first); r.status != http.StatusNotModified || r.body != "" {
				t.Errorf("%s: got %d %s, want 304", path, r.status, r.body)
			}
			h.want(h.do("okta", "PATCH", path, patchOf(change), `If-Match: W/"0"`), http.StatusPreconditionFailed)
			second := h.do("okta", "PATCH", path, patchOf(change), "If-Match: "+first)
			if second.status >= 300 || second.header.Get("ETag") == first {
				t.Errorf("%s: got %d %s, want it changed, and another version than %s", path, second.status, second.header.Get("ETag"), first)
			}
			if r := h.do("okta", "GET", path, "", "If-None-Match: "+first); r.status != http.StatusOK {
				t.Errorf("%s: got %d for the old version, want 200", path, r.status)
			}
			again := h.do("okta", "PATCH", path, patchOf(change), "If-Match: *")
			if again.status >= 300 || again.header.Get("ETag") != second.header.Get("ETag") {
				t.Errorf("%s: the same again: got %d %s, want nothing written", path, again.status, again.header.Get("ETag"))
			}
			h.want(h.do("okta", "DELETE", path, "", "If-Match: "+first), http.StatusPreconditionFailed)
			h.want(h.do("okta", "DELETE", path, "", "If-Match: "+second.header.Get("ETag")), http.StatusNoContent)
			h.want(h.do("okta", "DELETE", path, ""), http.StatusNotFound)
		}
	})
}

func TestProjection(t *testing.T) {
	t.Parallel()
	h := setup(t)
	path := "Users/" + h.user("okta", "ann@acme.test", `,"title":"Boss","name":{"givenName":"Ann","familyName":"Roe"},"emails":[{"value":"ann@acme.test","type":"work"},{"value":"a@home.test","type":"home"}]`)
	for query, want := range map[string]string{
		"attributes=title":                                  `{"title":"Boss"}`,
		"attributes=TITLE,name.givenName":                   `{"title":"Boss","name":{"givenName":"Ann"}}`,
		"attributes=emails.value":                           `{"emails":[{"value":"ann@acme.test"},{"value":"a@home.test"}]}`,
		"attributes=emails.value,emails.type":               `{"emails":[{"value":"ann@acme.test","type":"work"},{"value":"a@home.test","type":"home"}]}`,
		"attributes=shoeSize":                               `{}`,
		"excludedAttributes=meta,emails,name.familyName,id": `{"title":"Boss","name":{"givenName":"Ann"},"userName":"ann@acme.test","externalId":"ext-ann@acme.test","displayName":"User ann@acme.test","active":true}`,
	} {
		r := h.want(h.do("okta", "GET", path+"?"+query, ""), http.StatusOK)
		if r.json["id"] == nil || r.json["schemas"] == nil {
			t.Errorf("%s: got %s, want id and schemas always", query, r.body)
		}
		delete(r.json, "id")
		delete(r.json, "schemas")
		same(t, query, r.json, decoded(t, want))
	}
	if r := h.do("okta", "HEAD", path, ""); r.status != http.StatusOK {
		t.Errorf("HEAD: got %d, want 200", r.status)
	}
}

// TestActive: nobody is let in or put out by what is not said.
func TestActive(t *testing.T) {
	t.Parallel()
	h := setup(t)
	id := h.user("okta", "ann@acme.test", `,"active":false`)
	for _, op := range []string{`{"op":"remove","path":"active"}`, `{"op":"replace","path":"active","value":null}`, `{"op":"replace","value":{"active":null}}`} {
		h.want(h.patch("okta", "Users/"+id, op), http.StatusBadRequest, "mutability")
	}
	h.want(h.patch("okta", "Users/"+id, `{"op":"replace","path":"displayName","value":"Ann"}`), http.StatusOK)
	h.want(h.do("okta", "PUT", "Users/"+id, userBody("ann@acme.test")), http.StatusOK)
	if h.stored(id).Enabled {
		t.Error("a user was enabled by what says nothing of active")
	}
	h.want(h.do("okta", "PUT", "Users/"+id, userBody("ann@acme.test", `,"active":true`)), http.StatusOK)
	if !h.stored(id).Enabled {
		t.Error("active true did not enable the user")
	}
}

// TestExternalIDStays: a PUT without externalId, which is Okta's, takes it from nobody, nor the identity that it is; null does, and a PATCH.
func TestExternalIDStays(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		id := h.user("okta", "ann@acme.test")
		put := func(more string) {
			t.Helper()
			h.want(h.do("okta", "PUT", "Users/"+id, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ann@acme.test"`+more+`}`), http.StatusOK)
		}
		has := func(externalID string, kind audit.Kind) {
			t.Helper()
			if u := h.stored(id); u.ExternalID != externalID || len(u.Identities) != min(len(externalID), 1) {
				t.Errorf("got externalId %q and identities %v, want %q", u.ExternalID, u.Identities, externalID)
			}
			if kinds := h.kinds(id); !slices.Contains(kinds[:2], kind) {
				t.Errorf("got entries %v, want one of %s at the end", kinds, kind)
			}
		}
		put(`,"displayName":"Ann Roe"`)
		has("ext-ann@acme.test", audit.KindUserChange)
		if kinds := h.kinds(id); slices.Contains(kinds, audit.KindUserUnlink) {
			t.Errorf("got entries %v: what was not said unlinked", kinds)
		}
		put(`,"externalId":null`)
		has("", audit.KindUserUnlink)
		put(`,"externalId":"00u1"`)
		has("00u1", audit.KindUserLink)
		put("")
		has("00u1", audit.KindUserLink)
		h.want(h.patch("okta", "Users/"+id, `{"op":"remove","path":"externalId"}`), http.StatusOK)
		has("", audit.KindUserUnlink)

		sales := "Groups/" + h.want(h.do("okta", "POST", "Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Sales","externalId":"g1"}`), http.StatusCreated).str("id")
		if r := h.want(h.do("okta", "PUT", sales, groupBody("Sale", id)), http.StatusOK); r.str("externalId") != "g1" {
			t.Errorf("a group: got %s", r.body)
		}
	})
}

// TestDelete: who is deleted is gone, and may come again as somebody else.
func TestDelete(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		ann := h.user("okta", "ann@acme.test")
		sales := "Groups/" + h.group("okta", "Sales", ann)
		version := h.do("okta", "GET", sales, "").header.Get("ETag")
		h.want(h.do("okta", "DELETE", "Users/"+ann, ""), http.StatusNoContent)
		h.want(h.do("okta", "DELETE", "Users/"+ann, ""), http.StatusNotFound)
		h.want(h.do("okta", "GET", "Users/"+ann, ""), http.StatusNotFound)
		if h.find("okta", "Users", `userName eq "ann@acme.test"`).total() != 0 {
			t.Error("a deleted user is found")
		}
		if again := h.want(h.do("okta", "GET", sales, ""), http.StatusOK); again.header.Get("ETag") == version {
			t.Error("a group of which a member is deleted has the version of before")
		}
		if again := h.user("okta", "ann@acme.test"); again == ann {
			t.Error("the same id was given again")
		}
		if kinds := h.kinds(ann); !slices.Equal(kinds, []audit.Kind{audit.KindUserDelete, audit.KindUserRole, audit.KindUserAdd}) {
			t.Errorf("got entries %v, want one of each act", kinds)
		}
	})
}

func TestMethods(t *testing.T) {
	t.Parallel()
	h := setup(t)
	for path, allow := range map[string]string{"Users": "GET, POST", "Users/x": "GET, PUT, PATCH, DELETE", "Schemas": "GET", "Users/.search": "POST"} {
		if r := h.want(h.do("okta", "OPTIONS", path, ""), http.StatusMethodNotAllowed); r.header.Get("Allow") != allow {
			t.Errorf("%s: got Allow %q, want %q", path, r.header.Get("Allow"), allow)
		}
	}
	h.want(h.do("okta", "POST", "Bulk", "{}"), http.StatusNotImplemented)
	h.want(h.do("okta", "GET", "Me", ""), http.StatusNotImplemented)
	h.want(h.do("okta", "GET", "nothing", ""), http.StatusNotFound)
	h.want(h.do("okta", "GET", "Users/a/b", ""), http.StatusNotFound)
	h.want(h.do("okta", "GET", "Schemas?filter=id+pr", ""), http.StatusForbidden)
	h.want(h.do("okta", "GET", "Schemas/urn:ietf:params:scim:schemas:core:2.0:Group", ""), http.StatusOK)
	h.want(h.do("okta", "GET", "Schemas/urn:acme", ""), http.StatusNotFound)
	h.want(h.do("okta", "GET", "ResourceTypes/User", ""), http.StatusOK)
	h.want(h.do("okta", "GET", "ResourceTypes/Robot", ""), http.StatusNotFound)
}

// TestIsText: what tells an organisation is one text that is kept.
func TestIsText(t *testing.T) {
	t.Parallel()
	const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	for path, want := range map[string]bool{
		"userType": true, "USERTYPE": true, "name.familyName": true, enterprise + ":organization": true, enterprise + ":manager.value": true,
		"": false, "fooo": false, "userType.x": false, "name": false, enterprise: false, enterprise + ":fooo": false, "urn:x:User:organization": false,
		"emails": false, "emails.value": false, "active": false, "id": false, "meta.version": false, "roles": false, "password": false, "userType ": false,
	} {
		if got := scim.IsText(path); got != want {
			t.Errorf("%q: got %v, want %v", path, got, want)
		}
	}
}
