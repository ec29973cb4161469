package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
)

// provisioner is a source at the door of a house.
type provisioner struct {
	*house
	bearer string
}

// source adds one that provisions users of acme, known at the issuer https://acme.okta.test.
func (h *house) source(change func(*store.Source)) provisioner {
	h.t.Helper()
	now, secret := h.clock.Now(), oauth.NewSecret()
	s := store.Source{Name: "okta", Organisation: "acme", Issuer: "https://acme.okta.test", Created: now, Updated: now}
	if change != nil {
		change(&s)
	}
	h.must(h.store.CreateSource(h.t.Context(), store.SourceWrite{Write: h.write(), Source: s}))
	h.must(h.store.AddSourceToken(h.t.Context(), store.SourceTokenWrite{Write: h.write(), Token: store.SourceToken{
		ID: oauth.NewID("sct"), Source: s.Name, Hash: secret.Hash(), Created: now}}))
	return provisioner{h, string(secret)}
}

// scim sends a request and demands the status.
func (p provisioner) scim(status int, method, path, body string) map[string]any {
	p.t.Helper()
	req, err := http.NewRequest(method, p.url+"/scim/v2/"+path, strings.NewReader(body))
	p.must(err)
	req.Header.Set("Authorization", "Bearer "+p.bearer)
	req.Header.Set("Content-Type", "application/scim+json")
	r := p.do(req)
	if r.status != status {
		p.t.Fatalf("%s %s: got %d %s, want %d", method, path, r.status, r.body, status)
	}
	var out map[string]any
	if r.body != "" {
		p.must(json.Unmarshal([]byte(r.body), &out))
	}
	return out
}

func (p provisioner) add(email string) (id string) {
	p.t.Helper()
	id, _ = p.scim(201, "POST", "Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"`+email+`","externalId":"x-`+email+`","displayName":"Sam"}`)["id"].(string)
	return id
}

// patch sends one operation.
func (p provisioner) patch(status int, path, operation string) {
	p.t.Helper()
	p.scim(status, "PATCH", path, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[`+operation+`]}`)
}

// helpers is a registry in which members of Helpers impersonate, and can be impersonated.
func helpers() *policy.Registry {
	r := policy.Default()
	r.Roles = append(r.Roles, policy.Role{Name: "helper", Groups: []string{"Helpers"}, Scopes: []string{"openid", "profile", "email", "roles", "app:read"},
		Impersonate: &policy.Impersonate{Scopes: []string{"openid", "profile", "email", "roles", "app:read"}}})
	return &r
}

// life is all that somebody may have under way.
type life struct {
	granted
	cookie             string
	asActor, asSubject started
	agent              string // token of an agent that acts for them
}

func provisioned(t *testing.T, o options, change func(*store.Source)) provisioner {
	t.Helper()
	o.registry = helpers()
	h := setup(t, o)
	h.addClientAs("shop", refreshing)
	h.addClientAs("bot", agent)
	return h.source(change)
}

// live opens it for a user.
func (p provisioner) live(id string) (l life) {
	p.t.Helper()
	l.asSubject = p.start("ann", "app", id, "read")
	l.asActor = p.start(id, "app", "john", "read")
	l.granted, l.cookie, _ = p.enter(id, "shop")
	p.consent("client:bot", "bot", func(c *impersonation.Consent) { c.Subject = id })
	r := p.post("/oauth2/token", "bot", ownForm(p.token(l.cookie, "bot", "openid app:read"), ""))
	if l.agent = r.str("access_token"); l.agent == "" {
		p.t.Fatalf("the agent: got %d %s", r.status, r.body)
	}
	p.wantLife(l, true)
	return l
}

// wantLife demands that all of it goes on, or nothing.
func (p provisioner) wantLife(l life, want bool) {
	p.t.Helper()
	for what, got := range map[string]bool{
		"the impersonation of the user": p.active("app", l.asSubject.token), "the impersonation by the user": p.active("app", l.asActor.token),
		"the agent's": p.active("bot", l.agent), "the user's own token": p.active("shop", l.access), "the sign-in": p.alive(l.cookie),
	} {
		if got != want {
			p.t.Errorf("%s goes on: %v, want %v", what, got, want)
		}
	}
	if !want {
		p.dead("the user's own", "shop", l.granted)
		refused(p.t, p.post("/oauth2/token", "app", stopForm(l.asActor.ret)), http.StatusBadRequest, "invalid_request")
	}
}

const (
	off = `{"op":"Replace","path":"active","value":"False"}`
	on  = `{"op":"replace","value":{"active":true}}`
)

// TestProvisionedDisable: with the answer to the PATCH all is over, as subject and as actor, and only the source's own word, or an
// operator's, lets the user in again, to nothing of before.
func TestProvisionedDisable(t *testing.T) { onBoth(t, testProvisionedDisable) }

func testProvisionedDisable(t *testing.T, o options) {
	p := provisioned(t, o, func(s *store.Source) { s.MayGrant = true })
	id := p.add("sam@acme.test")
	p.change(id, func(u *directory.User) { u.Roles = []string{"helper"} })
	l, other := p.live(id), p.start("ann", "app", "john", "read")
	p.patch(200, "Users/"+id, off)
	p.wantLife(l, false)
	if !p.active("app", other.token) {
		t.Error("an impersonation of somebody else is over")
	}
	p.patch(200, "Users/"+id, `{"op":"replace","path":"displayName","value":"Sam Roe"}`)
	p.scim(200, "PUT", "Users/"+id, `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"sam@acme.test","externalId":"x-sam@acme.test"}`)
	if u, err := p.store.Get(t.Context(), id); err != nil || u.Enabled {
		t.Errorf("got %+v, %v, want the user disabled until active is true", u, err)
	}
	p.patch(200, "Users/"+id, on)
	p.wantLife(l, false)
	p.live(id)
}

// TestProvisionedDelete: the same, and the consent of who is gone is gone.
func TestProvisionedDelete(t *testing.T) { onBoth(t, testProvisionedDelete) }

func testProvisionedDelete(t *testing.T, o options) {
	p := provisioned(t, o, func(s *store.Source) { s.MayGrant = true })
	id := p.add("sam@acme.test")
	p.change(id, func(u *directory.User) { u.Roles = []string{"helper"} })
	l := p.live(id)
	p.scim(204, "DELETE", "Users/"+id, "")
	p.wantLife(l, false)
	consents, err := p.store.Consents(t.Context(), store.ConsentQuery{Subject: id})
	if err != nil || len(consents) != 1 || consents[0].Revoked.IsZero() {
		t.Errorf("got %+v, %v, want the consent revoked", consents, err)
	}
	p.scim(404, "PATCH", "Users/"+id, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[`+on+`]}`)
}

// TestProvisionedName: what decides nothing ends nothing, nor does a first identity. Another identity than before, or none any more, ends all.
func TestProvisionedName(t *testing.T) { onBoth(t, testProvisionedName) }

func testProvisionedName(t *testing.T, o options) {
	p := provisioned(t, o, func(s *store.Source) { s.MayGrant = true })
	id := p.add("sam@acme.test")
	p.change(id, func(u *directory.User) { u.Roles = []string{"helper"} })
	l := p.live(id)
	p.patch(200, "Users/"+id, `{"op":"replace","value":{"displayName":"Sam Roe","title":"Boss","emails":[{"value":"roe@acme.test"}],"active":true}}`)
	p.wantLife(l, true)
	for _, takes := range []string{`{"op":"replace","path":"externalId","value":"00u2"}`, `{"op":"remove","path":"externalId"}`} {
		p.patch(200, "Users/"+id, takes)
		p.wantLife(l, false)
		p.withdraw(p.consented(id))
		l = p.live(id)
	}
	p.patch(200, "Users/"+id, `{"op":"add","path":"externalId","value":"00u3"}`)
	p.wantLife(l, true)
	if u, err := p.store.Get(t.Context(), id); err != nil || len(u.Identities) != 1 || u.Identities[0].Subject != "00u3" {
		t.Errorf("got %v, %v, want the identity that was added", u.Identities, err)
	}
}

// consented is the consent that live gave, which is over with nothing but the user.
func (p provisioner) consented(id string) string {
	p.t.Helper()
	c, err := p.store.LivingConsent(p.t.Context(), id, "bot", p.clock.Now())
	p.must(err)
	return c.ID
}

// TestProvisionedGroup: who leaves a group that confers a role loses what stood on it, and nothing else.
func TestProvisionedGroup(t *testing.T) { onBoth(t, testProvisionedGroup) }

func testProvisionedGroup(t *testing.T, o options) {
	p := provisioned(t, o, func(s *store.Source) { s.MayGrant = true })
	id := p.add("sam@acme.test")
	group, _ := p.scim(201, "POST", "Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Helpers","members":[{"value":"`+id+`"}]}`)["id"].(string)
	l := p.live(id)
	p.patch(204, "Groups/"+group, `{"op":"remove","path":"members[value eq \"`+id+`\"]"}`)
	if p.active("app", l.asActor.token) {
		t.Error("an impersonation outlives the group that allowed it")
	}
	if !p.active("shop", l.access) || !p.alive(l.cookie) {
		t.Error("the sign-in is over too")
	}
	cookie, _ := p.login(id)
	if r := p.form("/impersonate?"+ask("app"), cookie, why("john", "read")); r.status == http.StatusSeeOther && r.location.Query().Get("ticket") != "" {
		t.Error("who left the group starts another impersonation")
	}
}

// TestProvisionedRefusal: what is refused to a source is in the trail, and so is that it would let in whom the operator disabled.
func TestProvisionedRefusal(t *testing.T) { onBoth(t, testProvisionedRefusal) }

func testProvisionedRefusal(t *testing.T, o options) {
	p := provisioned(t, o, nil)
	id := p.add("sam@acme.test")
	p.scim(409, "POST", "Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"sam@acme.test"}`)
	if e := p.entry(audit.KindSourceRefused); e.Fields["rule"] != "source.taken" || e.Fields["method"] != "POST" || e.Actor.Subject != "okta" || e.Request == "" {
		t.Errorf("got %+v, want the conflict, by the source", e)
	}
	p.change(id, func(u *directory.User) { u.Enabled = false })
	p.patch(200, "Users/"+id, on)
	if e := p.entry(audit.KindSourceRefused); e.Fields["rule"] != "source.disabled_user" || e.Subject.Subject != id {
		t.Errorf("got %+v, want who stays out", e)
	}
	if u, err := p.store.Get(t.Context(), id); err != nil || u.Enabled {
		t.Errorf("got %+v, %v, want the user disabled", u, err)
	}
}

// TestProvisionedStranger: without a source no token counts, one of ours is none of its, and who guesses waits.
func TestProvisionedStranger(t *testing.T) {
	t.Parallel()
	h := setup(t, options{limits: &server.Limits{ClientFailures: 3}})
	cookie, _ := h.login("ann")
	for _, token := range []string{"", string(oauth.NewSecret()), h.token(cookie, "app", actorScope)} {
		h.clock.advance(time.Minute)
		guess := call{method: "GET", path: "/scim/v2/Users", header: http.Header{"Authorization": {"Bearer " + token}}}
		if r := h.from("192.0.2.7:1", guess); r.status != http.StatusUnauthorized || !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("got %d %v, want 401 and how", r.status, r.header)
		}
		if r := h.from("192.0.2.7:1", guess); r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") == "" {
			t.Errorf("the next: got %d, want 429", r.status)
		}
	}
	p := h.source(nil)
	good := call{method: "GET", path: "/scim/v2/Users", header: http.Header{"Authorization": {"Bearer " + p.bearer}}}
	for _, from := range []string{"192.0.2.8:1", "192.0.2.7:1"} {
		if r := h.from(from, good); r.status != http.StatusOK {
			t.Errorf("a good token from %s, the second time beside who guesses: got %d %s, want 200", from, r.status, r.body)
		}
	}
}

// TestProvisionedSignIn: to come in does not enable anybody.
func TestProvisionedSignIn(t *testing.T) {
	t.Parallel()
	p := provisioned(t, options{}, nil)
	id := p.add("sam@acme.test")
	cookie, _ := p.login(id)
	p.patch(200, "Users/"+id, off)
	p.get("/", cookie)
	if r := p.typed("sam@acme.test", "whatever"); r.status != http.StatusUnauthorized {
		t.Errorf("got %d, want 401", r.status)
	}
	if u, err := p.store.Get(t.Context(), id); err != nil || u.Enabled {
		t.Errorf("got %+v, %v, want the user disabled", u, err)
	}
}
