package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
)

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// TestUpstreamSignIn: the page offers the upstream, who comes back from it is signed in and goes on to where they were going, and is
// the same person the next time.
func TestUpstreamSignIn(t *testing.T) { onBoth(t, testUpstreamSignIn) }

func testUpstreamSignIn(t *testing.T, o options) {
	h := setupAbroad(t, o, nil)
	if page := h.get("/sign-in?return_to=%2Faudit", ""); !strings.Contains(page.body, "Continue with <bdi>Acme corp</bdi>") ||
		!strings.Contains(page.body, `action="/sign-in/upstream/corp?return_to=%2Faudit"`) || !strings.Contains(page.body, `name="password"`) {
		t.Errorf("the page is\n%s", page.body)
	}
	j := jar{}
	to := h.out(j, "return_to=%2Faudit")
	q := to.Query()
	for name, want := range map[string]string{"response_type": "code", "response_mode": "query", "code_challenge_method": "S256", "client_id": "understudy",
		"redirect_uri": h.issuer + "/sign-in/callback/corp", "max_age": "", "prompt": ""} {
		if q.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, q.Get(name), want)
		}
	}
	if len(q.Get("state")) < 43 || len(q.Get("nonce")) < 43 || !slices.Contains(strings.Fields(q.Get("scope")), "openid") {
		t.Errorf("asked %v", q)
	}
	r := h.back(j, h.idp.visit(to))
	if r.status != http.StatusSeeOther || r.location.String() != "/audit" || len(j) != 1 {
		t.Fatalf("got %d to %v with %d cookies; want 303 to /audit and one", r.status, r.location, len(j))
	}
	u, err := h.store.ByIdentity(t.Context(), oauth.Party{Issuer: h.idp.url, Subject: "sam-there"})
	h.must(err)
	if u.Email != "sam@acme.test" || u.Name != "Sam There" || u.Source != "upstream:corp" || !u.Enabled || len(u.Roles) > 0 || u.LastSignIn.IsZero() {
		t.Errorf("got %+v", u)
	}
	l, err := h.store.Login(t.Context(), h.loginOf(j))
	h.must(err)
	if l.User != u.ID || l.Upstream != h.idp.url || l.UpstreamSession != "sid-1" || l.ACR != oauth.ACRPassword || len(l.AMR) > 0 {
		t.Errorf("got %+v", l)
	}
	hint, err := h.store.LoginHint(t.Context(), l.ID)
	h.must(err)
	if plain, err := h.box.Open("login:upstream-hint", hint); err != nil || strings.Count(string(plain), ".") != 2 {
		t.Errorf("the hint is %q, %v; want the ID token, sealed", plain, err)
	}
	again := jar{}
	h.through(again, "")
	if l, err := h.store.Login(t.Context(), h.loginOf(again)); err != nil || l.User != u.ID {
		t.Errorf("the second time: got %v, %v; want the same user", l.User, err)
	}
	h.sound()
}

// TestUpstreamAnswers: an answer counts in the browser that asked, once, in time, for the upstream that was asked, and from nobody else.
func TestUpstreamAnswers(t *testing.T) {
	t.Parallel()
	other := newIDP(t)
	second := other.upstream("second")
	h := setupAbroad(t, options{upstreams: []server.Upstream{second}}, nil)
	other.clock = h.clock
	other.says(map[string]any{"sub": "mallory", "email": "mallory@evil.test", "email_verified": true})
	const expired = "This page was open too long"
	start := func() (jar, url.Values) {
		j := jar{}
		return j, h.idp.visit(h.out(j, ""))
	}
	with := func(q url.Values, name, value string) url.Values {
		if q.Set(name, value); value == "" {
			q.Del(name)
		}
		return q
	}
	t.Run("another browser", func(t *testing.T) { // login CSRF: the victim would be signed in as the attacker
		_, q := start()
		victim := jar{}
		h.failed(victim, h.back(victim, q), 400, expired)
		victim, _ = start()
		h.failed(victim, h.back(victim, q), 400, expired)
	})
	t.Run("twice", func(t *testing.T) {
		j, q := start()
		copied := jar{}
		for name, value := range j {
			copied[name] = value
		}
		if r := h.back(j, q); r.status != http.StatusSeeOther {
			t.Fatalf("got %d", r.status)
		}
		h.failed(jar{}, h.back(jar{}, q), 400, expired)
		h.failed(jar{}, h.back(copied, q), 400, expired)
		u := h.idp.visit(&url.URL{Scheme: "http", Host: strings.TrimPrefix(h.idp.url, "http://"), Path: "/auth", RawQuery: h.idp.last().Encode()})
		h.failed(jar{}, h.back(copied, u), 400, expired)
	})
	t.Run("too late", func(t *testing.T) {
		j, q := start()
		h.clock.advance(10 * time.Minute)
		h.failed(j, h.back(j, q), 400, expired)
	})
	t.Run("at another upstream's address", func(t *testing.T) {
		j, q := start()
		r := h.get("/sign-in/callback/second?"+q.Encode(), j.header())
		j.take(r)
		h.failed(j, r, 400, expired)
	})
	t.Run("another issuer's", func(t *testing.T) { // mix-up, RFC 9207
		j, q := start()
		h.failed(j, h.back(j, with(q, "iss", other.url)), 400, expired)
		j, q = start()
		h.failed(j, h.back(j, with(q, "iss", "")), 400, expired)
	})
	t.Run("another state", func(t *testing.T) {
		for _, state := range []string{"", "x", strings.Repeat("A", 43), "../" + strings.Repeat("A", 40)} {
			j, q := start()
			h.failed(j, h.back(j, with(q, "state", state)), 400, expired)
		}
	})
	t.Run("another nonce", func(t *testing.T) {
		j, q := start()
		claims := sam()
		claims["nonce"] = "n"
		h.idp.says(claims)
		h.failed(j, h.back(j, q), 400, expired)
		h.idp.says(sam())
	})
	t.Run("another code", func(t *testing.T) { // a code that was made for another verifier
		_, q := start()
		j, mine := start()
		h.failed(j, h.back(j, with(mine, "code", q.Get("code"))), 400, "did not sign you in")
	})
	t.Run("a refusal", func(t *testing.T) {
		j, q := start()
		h.failed(j, h.back(j, with(with(q, "code", ""), "error", "access_denied")), 400, "did not sign you in")
	})
	t.Run("neither or both", func(t *testing.T) {
		j, q := start()
		h.failed(j, h.back(j, with(q, "code", "")), 400, expired)
		j, q = start()
		h.failed(j, h.back(j, with(q, "error", "access_denied")), 400, expired)
	})
	t.Run("a parameter twice", func(t *testing.T) {
		j, q := start()
		q.Add("state", q.Get("state"))
		h.failed(j, h.back(j, q), 400, "more than once")
	})
	t.Run("of nobody", func(t *testing.T) {
		if r := h.get("/sign-in/callback/nobody?code=a&state=b", ""); r.status != http.StatusNotFound {
			t.Errorf("got %d", r.status)
		}
	})
	t.Run("from another site", func(t *testing.T) {
		req, err := http.NewRequest(http.MethodPost, h.url+"/sign-in/upstream/corp", strings.NewReader(""))
		h.must(err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		if r := h.do(req); r.status != http.StatusForbidden || r.header.Get("Refresh") != "" {
			t.Errorf("got %d", r.status)
		}
	})
}

// TestUpstreamFixation: a cookie of before is never the login of after, and the login of before is over.
func TestUpstreamFixation(t *testing.T) {
	t.Parallel()
	h := setupAbroad(t, options{}, nil)
	cookie, before := h.login("ann")
	j := jar{"__Host-op": strings.TrimPrefix(cookie, "__Host-op=")}
	h.through(j, "")
	if "__Host-op="+j["__Host-op"] == cookie {
		t.Error("the cookie is that of before")
	}
	if l, err := h.store.Login(t.Context(), before); err != nil || l.Ended.IsZero() {
		t.Errorf("the login of before: got %v, %v; want it over", l.Ended, err)
	}
}

// TestUpstreamReturn: one goes on to a page of ours, whatever the link says; and a long way there is kept.
func TestUpstreamReturn(t *testing.T) {
	t.Parallel()
	h := setupAbroad(t, options{}, nil)
	for to, want := range map[string]string{
		"https://evil.test/": "/", "//evil.test/": "/", "/\\evil.test": "/", "/elsewhere": "/", "javascript:alert(1)": "/",
		"/impersonate?reason=" + strings.Repeat("%E6%96%87", 500): "/impersonate?reason=" + strings.Repeat("%E6%96%87", 500),
	} {
		j := jar{}
		r := h.through(j, url.Values{"return_to": {to}}.Encode())
		if r.status != http.StatusSeeOther || r.header.Get("Location") != want || j["__Host-op"] == "" {
			t.Errorf("%.40s: got %d to %.80s", to, r.status, r.header.Get("Location"))
		}
	}
}

// TestUpstreamTabs: tabs that a browser opens all at once each come back, and no more cookies than a few are left by those that do not.
func TestUpstreamTabs(t *testing.T) {
	t.Parallel()
	h := setupAbroad(t, options{}, nil)
	j := jar{}
	one := h.idp.visit(h.out(j, "return_to=%2Faudit"))
	two := h.idp.visit(h.out(j, "return_to=%2Fimpersonate"))
	if r := h.back(j, one); r.header.Get("Location") != "/audit" {
		t.Errorf("the first tab: got %d to %v", r.status, r.location)
	}
	if r := h.back(j, two); r.header.Get("Location") != "/impersonate" {
		t.Errorf("the second tab: got %d to %v", r.status, r.location)
	}
	for range 10 {
		h.out(j, "")
	}
	if len(j) != 1+4 {
		t.Errorf("%d cookies, want the login and four", len(j))
	}
}

// TestUpstreamNewcomer: who is found, linked and added, and who is not.
func TestUpstreamNewcomer(t *testing.T) { onBoth(t, testUpstreamNewcomer) }

func testUpstreamNewcomer(t *testing.T, o options) {
	say := func(changes map[string]any) map[string]any {
		claims := sam()
		for name, v := range changes {
			claims[name] = v
		}
		return claims
	}
	linking := func(u *server.Upstream) { u.LinkByEmail, u.Organisation = true, "acme" }
	linkingStaff := func(u *server.Upstream) { u.LinkByEmail = true }
	for _, c := range []struct {
		name    string
		change  func(*server.Upstream)
		prepare func(*abroad)
		claims  map[string]any
		user    string // who it is; "" for nobody, "new" for somebody new
		words   string // of the refusal
	}{
		{"nobody knows them", func(u *server.Upstream) { u.CreateUsers = false }, nil, sam(), "", "You have no account here"},
		{"the address is no identity", func(u *server.Upstream) { u.CreateUsers = false }, nil, say(map[string]any{"email": "john@acme.test"}), "", "You have no account here"},
		{"added", nil, nil, sam(), "new", ""},
		{"an address that is not verified", nil, nil, say(map[string]any{"email_verified": false}), "", "no verified e-mail address"},
		{"an address of which nothing is said", nil, nil, say(map[string]any{"email_verified": nil}), "", "no verified e-mail address"},
		{"an address that is trusted", func(u *server.Upstream) { u.TrustEmail = true }, nil, say(map[string]any{"email_verified": nil}), "new", ""},
		{"an address that is trusted and denied", func(u *server.Upstream) { u.TrustEmail = true }, nil, say(map[string]any{"email_verified": false}), "", "no verified e-mail address"},
		{"no address", func(u *server.Upstream) { u.TrustEmail = true }, nil, say(map[string]any{"email": nil}), "", "no verified e-mail address"},
		{"somebody's address", nil, nil, say(map[string]any{"email": "JOHN@acme.test"}), "", "in use here"},
		{"somebody's address, which nobody verified", func(u *server.Upstream) { u.TrustEmail = true }, nil,
			say(map[string]any{"email": "john@acme.test", "email_verified": nil}), "", "You have no account here"},
		{"linked by the address", func(u *server.Upstream) { u.LinkByEmail, u.CreateUsers, u.Organisation = true, false, "acme" }, nil, say(map[string]any{"email": "JOHN@acme.test"}), "john", ""},
		{"not by one that is not verified", func(u *server.Upstream) { u.LinkByEmail, u.CreateUsers, u.Organisation = true, false, "acme" }, nil,
			say(map[string]any{"email": "john@acme.test", "email_verified": false}), "", "You have no account here"},
		{"not to who has rights", linkingStaff, nil, say(map[string]any{"email": "ann@acme.test"}), "", "in use here"},
		{"not to support", linking, nil, say(map[string]any{"email": "sue@acme.test"}), "", "in use here"},
		{"not to who is protected", linking, nil, say(map[string]any{"email": "pat@acme.test"}), "", "in use here"},
		{"not to who has a password", linking, func(h *abroad) {
			phc := "$argon2id$x"
			h.must(h.store.SetCredentials(t.Context(), store.CredentialsWrite{Write: h.write(), UserID: "john", Password: &phc}))
		}, say(map[string]any{"email": "john@acme.test"}), "", "in use here"},
		{"not to who is disabled", linking, func(h *abroad) {
			h.edit("john", func(u *directory.User) { u.Enabled = false })
		}, say(map[string]any{"email": "john@acme.test"}), "", "in use here"},
		{"not to who has an identity there", linking, func(h *abroad) {
			h.edit("john", func(u *directory.User) { u.Identities = []oauth.Party{{Issuer: h.idp.url, Subject: "john-there"}} })
		}, say(map[string]any{"email": "john@acme.test"}), "", "in use here"},
		{"not to whom another upstream keeps", linking, func(h *abroad) {
			h.edit("john", func(u *directory.User) { u.Source = "upstream:other" })
		}, say(map[string]any{"email": "john@acme.test"}), "", "in use here"},
		{"not to who has an identity elsewhere", linking, func(h *abroad) {
			h.edit("john", func(u *directory.User) {
				u.Identities = []oauth.Party{{Issuer: "https://other.test", Subject: "john-there"}}
			})
		}, say(map[string]any{"email": "john@acme.test"}), "", "in use here"},
		{"not to whom SCIM keeps", linking, func(h *abroad) {
			h.edit("john", func(u *directory.User) { u.Source, u.UserName = "scim:okta", "john" })
		}, say(map[string]any{"email": "john@acme.test"}), "", "in use here"},
		{"not to whom an upstream of this name kept", linking, func(h *abroad) {
			h.edit("john", func(u *directory.User) { u.Source, u.ExternalID = "upstream:corp", "john-there" })
		}, say(map[string]any{"email": "john@acme.test"}), "", "in use here"},
		{"not in an organisation of which the upstream knows nothing", linkingStaff, nil, say(map[string]any{"email": "john@acme.test"}), "", "in use here"},
		{"staff by an upstream of staff", linkingStaff, func(h *abroad) {
			h.edit("john", func(u *directory.User) { u.Organisation = "" })
		}, say(map[string]any{"email": "john@acme.test"}), "john", ""},
		{"not staff by an upstream of an organisation", linking, func(h *abroad) {
			h.edit("john", func(u *directory.User) { u.Organisation = "" })
		}, say(map[string]any{"email": "john@acme.test"}), "", "in use here"},
		{"not in another organisation", func(u *server.Upstream) { u.LinkByEmail, u.Organisation = true, "globex" }, nil,
			say(map[string]any{"email": "john@acme.test"}), "", "in use here"},
		{"in their organisation", func(u *server.Upstream) { u.LinkByEmail, u.Organisation = true, "acme" }, nil,
			say(map[string]any{"email": "john@acme.test"}), "john", ""},
		{"not in another organisation, as claimed", func(u *server.Upstream) { u.LinkByEmail, u.Provider.OrganisationClaim = true, "org" }, nil,
			say(map[string]any{"email": "john@acme.test", "org": "globex"}), "", "in use here"},
		{"not where no organisation is claimed", func(u *server.Upstream) { u.LinkByEmail, u.Provider.OrganisationClaim = true, "org" }, func(h *abroad) {
			h.edit("john", func(u *directory.User) { u.Organisation = "" })
		}, say(map[string]any{"email": "john@acme.test"}), "", "in use here"},
		{"in their organisation, as claimed", func(u *server.Upstream) { u.LinkByEmail, u.Provider.OrganisationClaim = true, "org" }, nil,
			say(map[string]any{"email": "john@acme.test", "org": "acme"}), "john", ""},
		{"by identity", func(u *server.Upstream) { u.CreateUsers = false }, func(h *abroad) {
			h.edit("eve", func(u *directory.User) { u.Identities = []oauth.Party{{Issuer: h.idp.url, Subject: "sam-there"}} })
		}, say(map[string]any{"email": "john@acme.test"}), "eve", ""},
		{"the same sub at another issuer", func(u *server.Upstream) { u.CreateUsers = false }, func(h *abroad) {
			h.edit("eve", func(u *directory.User) {
				u.Identities = []oauth.Party{{Issuer: "https://other.test", Subject: "sam-there"}}
			})
		}, sam(), "", "You have no account here"},
		{"the ID of somebody as sub", func(u *server.Upstream) { u.CreateUsers = false }, nil, say(map[string]any{"sub": "ann"}), "", "You have no account here"},
		{"who is disabled stays so", nil, func(h *abroad) { // CVE-2026-58422
			h.edit("eve", func(u *directory.User) {
				u.Enabled, u.Source, u.Identities = false, "upstream:corp", []oauth.Party{{Issuer: h.idp.url, Subject: "sam-there"}}
			})
		}, sam(), "", "Your account is disabled"},
		{"no organisation", func(u *server.Upstream) { u.Provider.OrganisationClaim = "org" }, nil, sam(), "", "which organisation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := setupAbroad(t, o, c.change)
			if c.prepare != nil {
				c.prepare(h)
			}
			before := h.base.dump(t)
			h.idp.says(c.claims)
			j := jar{}
			r := h.through(j, "")
			if c.user == "" {
				h.failed(j, r, http.StatusForbidden, c.words)
				if after := h.base.dump(t); !slices.Equal(after["app_user"], before["app_user"]) || len(after["audit_entry"]) != len(before["audit_entry"]) || len(after["login"]) > 0 {
					t.Error("something was stored")
				}
				return
			}
			if r.status != http.StatusSeeOther {
				t.Fatalf("got %d\n%s", r.status, r.body)
			}
			l, err := h.store.Login(t.Context(), h.loginOf(j))
			h.must(err)
			if old := slices.Contains([]string{"john", "eve"}, l.User); c.user == "new" == old || old && l.User != c.user {
				t.Errorf("they are %s, want %s", l.User, c.user)
			}
		})
	}
}

// TestUpstreamTakenLooksUnknown: where nobody verifies addresses, whose address is somebody's here is told what one is told whom nobody knows,
// to the byte; the operator is told which it was.
func TestUpstreamTakenLooksUnknown(t *testing.T) {
	t.Parallel()
	h := setupAbroad(t, options{}, func(u *server.Upstream) { u.TrustEmail = true })
	closed := h.idp.upstream("corp")
	closed.CreateUsers, closed.TrustEmail = false, true
	none := &abroad{h.replica(options{upstreams: []server.Upstream{closed}}), h.idp}
	answer := func(h *abroad, email string) string {
		claims := sam()
		claims["email"], claims["email_verified"] = email, nil
		h.idp.says(claims)
		j := jar{}
		r := h.through(j, "return_to=%2Faudit")
		h.failed(j, r, http.StatusForbidden, "You have no account here")
		id := r.header.Get("X-Request-Id") // each answer's own, as the time is, and the name of the cookie that goes, which has the state
		r.header.Del("X-Request-Id")
		r.header.Del("Date")
		for i, c := range r.header["Set-Cookie"] {
			name, rest, _ := strings.Cut(c, "=")
			r.header["Set-Cookie"][i] = name[:len(name)-8] + rest
		}
		return fmt.Sprint(r.status, r.header, strings.Replace(r.body, id, "", 1))
	}
	unknown, taken := answer(none, "sam@acme.test"), answer(h, "john@acme.test")
	if unknown != taken {
		t.Errorf("got\n%s\nwant\n%s", taken, unknown)
	}
	if logs := h.logs.String(); strings.Count(logs, "fault=taken") != 1 || strings.Contains(logs, "john@acme.test") {
		t.Errorf("the log has\n%s", logs)
	}
}

// edit changes a user.
func (h *house) edit(id string, change func(*directory.User)) {
	h.t.Helper()
	ctx := h.t.(*testing.T).Context()
	u, err := h.store.Get(ctx, id)
	h.must(err)
	change(&u)
	h.must(h.store.UpdateUser(ctx, store.UserWrite{Write: h.write(), User: u}))
}

// TestUpstreamLinkIsRecorded: what a sign-in changes about somebody is in the trail, with who they are elsewhere. It takes nothing from them, so nothing
// of theirs ends.
func TestUpstreamLinkIsRecorded(t *testing.T) {
	t.Parallel()
	h := setupAbroad(t, options{}, func(u *server.Upstream) { u.LinkByEmail, u.Organisation = true, "acme" })
	claims := sam()
	claims["email"] = "john@acme.test"
	h.idp.says(claims)
	cookie, _ := h.login("john")
	as := h.start("ann", "app", "john", "read")
	h.through(jar{}, "")
	if !h.alive(cookie) || !h.active("app", as.token) {
		t.Error("a sign-in or an impersonation of john is over")
	}
	page, _, err := h.store.Entries(t.Context(), store.EntryQuery{Kind: audit.KindUserLink})
	h.must(err)
	if len(page) != 1 || page[0].Entry.Subject != (oauth.Party{Issuer: h.issuer, Subject: "john"}) || page[0].Entry.Fields["identity_subject"] != "sam-there" ||
		page[0].Entry.Fields["identity_issuer"] != h.idp.url {
		t.Errorf("got %+v", page)
	}
	u, err := h.store.Get(t.Context(), "john")
	h.must(err)
	if u.Name != "John Doe" || u.Source != "" || u.Organisation != "acme" { // nobody but who keeps them changes them
		t.Errorf("got %+v, want john as he was", u)
	}
}

// TestUpstreamMapping: groups, roles and the like of whom the upstream keeps follow its claims; what was set here stays; and what they
// were used for ends when they change.
func TestUpstreamMapping(t *testing.T) { onBoth(t, testUpstreamMapping) }

func testUpstreamMapping(t *testing.T, o options) {
	h := setupAbroad(t, o, func(u *server.Upstream) {
		u.Organisation, u.Protected = "acme", []string{"board"}
		u.Groups, u.Roles = map[string]string{"eng": "engineering", "ops": "operations"}, map[string]string{"helpdesk": "support"}
	})
	become := func(changes map[string]any) directory.User {
		t.Helper()
		claims := sam()
		for name, v := range changes {
			claims[name] = v
		}
		h.idp.says(claims)
		if r := h.through(jar{}, ""); r.status != http.StatusSeeOther {
			t.Fatalf("got %d\n%s", r.status, r.body)
		}
		u, err := h.store.ByIdentity(t.Context(), oauth.Party{Issuer: h.idp.url, Subject: "sam-there"})
		h.must(err)
		return u
	}
	u := become(map[string]any{"groups": []string{"eng", "admin", "root"}, "roles": []string{"helpdesk", "admin"}})
	if !slices.Equal(u.Groups, []string{"engineering"}) || !slices.Equal(u.Roles, []string{"support"}) || u.Organisation != "acme" || u.Protected {
		t.Fatalf("got %+v; want what is mapped and nothing else", u)
	}
	started := h.start(u.ID, "app", "john", "read")
	h.edit(u.ID, func(u *directory.User) { u.Groups = append(u.Groups, "by hand") })
	was := u.Updated
	u = become(map[string]any{"groups": []string{"eng"}, "roles": []string{"helpdesk"}})
	if !h.active("app", started.token) || !slices.Contains(u.Groups, "by hand") || !u.Updated.Equal(was) {
		t.Errorf("a sign-in that changes nothing changed something: %+v", u)
	}
	u = become(map[string]any{"groups": []string{"ops"}, "roles": []string{}, "name": "Sam Elsewhere", "email": "sam2@acme.test"})
	if !slices.Equal(u.Groups, []string{"by hand", "operations"}) || len(u.Roles) > 0 || u.Name != "Sam Elsewhere" || u.Email != "sam2@acme.test" {
		t.Errorf("got %+v; want what is said now", u)
	}
	if h.active("app", started.token) {
		t.Error("an impersonation outlived the right to it")
	}
	u = become(map[string]any{"groups": "board", "email": "john@acme.test"})
	if !u.Protected || u.Email != "sam2@acme.test" {
		t.Errorf("got %+v; want them protected, and the address that is theirs", u)
	}
	if u = become(map[string]any{"email": "sam3@acme.test", "email_verified": false}); !u.Protected || u.Email != "sam2@acme.test" {
		t.Errorf("got %+v; want them protected still, and no address that nobody vouches for", u)
	}
	h.sound(started.token)
}

// TestUpstreamTwoIssuers: the same sub at two issuers is two people.
func TestUpstreamTwoIssuers(t *testing.T) {
	t.Parallel()
	other := newIDP(t)
	h := setupAbroad(t, options{upstreams: []server.Upstream{other.upstream("second")}}, nil)
	other.clock = h.clock
	claims := sam()
	claims["email"] = "sam@second.test"
	other.says(claims)
	h.through(jar{}, "")
	j := jar{}
	r := h.form("/sign-in/upstream/second?", "", url.Values{})
	j.take(r)
	r = h.get("/sign-in/callback/second?"+other.visit(h.leaves(r)).Encode(), j.header())
	if r.status != http.StatusSeeOther {
		t.Fatalf("got %d\n%s", r.status, r.body)
	}
	one, err := h.store.ByIdentity(t.Context(), oauth.Party{Issuer: h.idp.url, Subject: "sam-there"})
	h.must(err)
	two, err := h.store.ByIdentity(t.Context(), oauth.Party{Issuer: other.url, Subject: "sam-there"})
	h.must(err)
	if one.ID == two.ID {
		t.Error("two issuers' people are one")
	}
}

// TestUpstreamAtOnce: a first sign-in in many tabs at once adds one user and signs all of them in.
func TestUpstreamAtOnce(t *testing.T) { onBoth(t, testUpstreamAtOnce) }

func testUpstreamAtOnce(t *testing.T, o options) {
	h := setupAbroad(t, o, nil)
	const n = 8
	var ways [n]string
	var jars [n]jar
	for i := range ways {
		jars[i] = jar{}
		ways[i] = h.idp.visit(h.out(jars[i], "")).Encode()
	}
	done := make(chan error, n)
	for i := range ways {
		go func() {
			r := recordedWith(h.handler, "/sign-in/callback/corp?"+ways[i], jars[i].header())
			if r.Code != http.StatusSeeOther {
				done <- errors.New(r.Body.String())
				return
			}
			done <- nil
		}()
	}
	for range n {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// lateStore finds nobody by their identity, as often as misses says.
type lateStore struct {
	store.Store
	misses *atomic.Int32
}

func (s lateStore) ByIdentity(ctx context.Context, p oauth.Party) (directory.User, error) {
	if s.misses.Add(-1) >= 0 {
		return directory.User{}, directory.ErrNotFound
	}
	return s.Store.ByIdentity(ctx, p)
}

// TestUpstreamBetween: who was added by another tab after this one looked for them is not told that their own address is somebody else's.
func TestUpstreamBetween(t *testing.T) {
	t.Parallel()
	var misses atomic.Int32
	h := setupAbroad(t, options{wrap: func(st store.Store) store.Store { return lateStore{st, &misses} }}, nil)
	h.through(jar{}, "")
	misses.Store(1)
	if r := h.through(jar{}, ""); r.status != http.StatusSeeOther {
		t.Errorf("got %d, want 303\n%s", r.status, r.body)
	}
}

// TestUpstreamDown: an upstream that is down, slow or lying gives a page that says so, a line in the log, and nothing is stored. The
// other way in still works.
func TestUpstreamDown(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	for name, c := range map[string]struct {
		broken http.HandlerFunc
		status int // 504 does too for one that is slow: which of two limits ends it is the machine's matter
		words  string
	}{
		"error": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, 502, "did not answer"},
		"slow": {func(http.ResponseWriter, *http.Request) {
			<-over
		}, 502, "did not answer"},
		"not JSON":       {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }, 502, "an answer that can&#39;t be used"},
		"another issuer": {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"issuer":"https://other.test"}`)) }, 502, "an answer that can&#39;t be used"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setupAbroad(t, options{}, nil)
			if name == "slow" {
				t.Cleanup(func() { close(over) }) // before the upstream closes, which waits for its answers
			}
			h.setPassword()
			h.idp.breaks(c.broken)
			r := h.form("/sign-in/upstream/corp?return_to=%2Faudit", "", url.Values{})
			if name == "slow" && r.status == http.StatusGatewayTimeout {
				c.status = r.status
			}
			h.failed(jar{}, r, c.status, c.words)
			if !strings.Contains(r.body, `href="/sign-in?return_to=%2Faudit&amp;out=1"`) || r.header.Get("Retry-After") == "" {
				t.Errorf("no way on:\n%s", r.body)
			}
			if !strings.Contains(h.logs.String(), "a sign-in through Acme corp came to nothing") {
				t.Errorf("the log has %s", h.logs)
			}
			if r := h.typed("ann@acme.test", annsPassword); r.status != http.StatusSeeOther {
				t.Errorf("the other way in: got %d", r.status)
			}
			h.idp.breaks(nil)
			h.clock.advance(2 * time.Minute) // it is asked again after a while
			j := jar{}
			way := h.idp.visit(h.out(j, ""))
			h.idp.breaks(c.broken)
			r = h.back(j, way)
			if r.status < 400 || r.status == http.StatusGatewayTimeout && name != "slow" || j["__Host-op"] != "" {
				t.Errorf("the callback: got %d\n%s", r.status, r.body)
			}
			if users := h.base.dump(t)["app_user"]; len(users) != 7 {
				t.Errorf("%d users, want those of before", len(users))
			}
		})
	}
}

// TestUpstreamRenamed: whoever gets the name of an upstream gets none of its users, also where one is linked to both.
func TestUpstreamRenamed(t *testing.T) { onBoth(t, testUpstreamRenamed) }

func testUpstreamRenamed(t *testing.T, o options) {
	h := setupAbroad(t, o, func(u *server.Upstream) { u.Roles = map[string]string{"helpdesk": "support"} })
	h.edit("john", func(u *directory.User) { // added by what was called corp before
		u.Source, u.ExternalID = "upstream:corp", "john-there"
		u.Identities = []oauth.Party{{Issuer: "https://before.test", Subject: "john-there"}, {Issuer: h.idp.url, Subject: "sam-there"}}
	})
	claims := sam()
	claims["name"], claims["roles"] = "Not John", []string{"helpdesk"}
	h.idp.says(claims)
	j := jar{}
	if r := h.through(j, ""); r.status != http.StatusSeeOther || j["__Host-op"] == "" {
		t.Fatalf("got %d", r.status)
	}
	u, err := h.store.Get(t.Context(), "john")
	h.must(err)
	if u.Name != "John Doe" || u.Email != "john@acme.test" || len(u.Roles) > 0 || u.Organisation != "acme" {
		t.Errorf("got %+v, want john as he was", u)
	}
}

// TestUpstreamConfig: upstreams that could not be told apart, and a server that nobody could sign in to, do not start.
func TestUpstreamConfig(t *testing.T) {
	t.Parallel()
	b := onSQLite(t).store(t)
	corp := func(name, issuer string) server.Upstream {
		return (&abroadIDP{url: issuer}).upstream(name)
	}
	trusting := corp("corp", "https://corp.test")
	trusting.LinkByEmail, trusting.TrustEmail = true, true
	nowhere, both := corp("corp", "https://corp.test"), corp("corp", "https://corp.test")
	anywhere := nowhere
	nowhere.Staff, both.Organisation = false, "acme"
	anywhere.Staff, anywhere.CreateUsers, anywhere.LinkByEmail = false, false, true
	for want, c := range map[string]server.Config{
		"Upstreams[0]: upstream: name must":           {Upstreams: []server.Upstream{corp("../corp", "https://corp.test")}},
		"Upstreams[0]: upstream: name must be 1":      {Upstreams: []server.Upstream{corp("-corp", "https://corp.test")}},
		"Upstreams[0]: issuer is this server":         {Upstreams: []server.Upstream{corp("corp", "https://id.acme.test")}},
		"Upstreams[1]: another has the same name or":  {Upstreams: []server.Upstream{corp("corp", "https://corp.test"), corp("corp", "https://other.test")}},
		"Upstreams[1]: another has the same":          {Upstreams: []server.Upstream{corp("corp", "https://corp.test"), corp("other", "https://corp.test")}},
		"Upstreams[0]: link_by_email and trust_email": {Upstreams: []server.Upstream{trusting}},
		"Upstreams[0]: create_users needs":            {Upstreams: []server.Upstream{nowhere}},
		"Upstreams[0]: link_by_email needs":           {Upstreams: []server.Upstream{anywhere}},
		"Upstreams[0]: staff are in no organisation":  {Upstreams: []server.Upstream{both}},
		"Local is disabled and there are no":          {Local: server.LocalDisabled},
		`Local "never" must be`:                       {Local: "never"},
	} {
		c.PublicURL, c.Store, c.Box, c.Registry = "https://id.acme.test", b, newBox(t), policy.Default()
		if _, err := server.New(t.Context(), c); err == nil || !strings.HasPrefix(err.Error(), "server: "+want) {
			t.Errorf("got %v; want %q", err, want)
		}
	}
}

// TestUpstreamReplicas: who left from one server may come back to another, and is back once on all of them.
func TestUpstreamReplicas(t *testing.T) { onBoth(t, testUpstreamReplicas) }

func testUpstreamReplicas(t *testing.T, o options) {
	h := setupAbroad(t, o, nil)
	o.upstreams = []server.Upstream{h.idp.upstream("corp")}
	other := &abroad{h.replica(o), h.idp}
	j := jar{}
	way := h.idp.visit(h.out(j, "return_to=%2Faudit"))
	copied := maps.Clone(j)
	if r := other.back(j, way); r.status != http.StatusSeeOther || r.location.String() != "/audit" {
		t.Fatalf("got %d to %v, want 303 to /audit\n%s", r.status, r.location, r.body)
	}
	if r := h.get("/audit", j.header()); r.status == http.StatusSeeOther {
		t.Errorf("the first server does not know the login: sent to %v", r.location)
	}
	h.failed(copied, h.back(copied, way), 400, "This page was open too long")
}

// TestUpstreamTakenAway: what people came to through an upstream, or by a password, is over once that way in is closed: cookies, tokens, their
// renewal and impersonations. Break-glass keeps passwords.
func TestUpstreamTakenAway(t *testing.T) { onBoth(t, testUpstreamTakenAway) }

func testUpstreamTakenAway(t *testing.T, o options) {
	for name, c := range map[string]struct {
		local  bool // how they signed in
		closes func(*options)
		lives  bool
	}{
		"upstream kept":    {false, func(*options) {}, true},
		"upstream gone":    {false, func(o *options) { o.upstreams = nil }, false},
		"password kept":    {true, func(*options) {}, true},
		"for emergencies":  {true, func(o *options) { o.local = server.LocalBreakGlass }, true},
		"password no more": {true, func(o *options) { o.local = server.LocalDisabled }, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := setupAbroad(t, o, nil)
			h.addClientAs("shop", refreshing)
			h.edit("ann", func(u *directory.User) { u.Identities = []oauth.Party{{Issuer: h.idp.url, Subject: "sam-there"}} })
			cookie, _ := h.login("ann")
			if !c.local {
				j := jar{}
				h.through(j, "")
				cookie = "__Host-op=" + j["__Host-op"]
			}
			pair := h.granted(h.post("/oauth2/token", "shop", redeem(h.code(cookie, "shop", "openid"))))
			actor := h.token(cookie, "app", actorScope)
			started := h.post("/oauth2/token", "app", startForm(h.ticket(cookie, "app", "john", "read"), actor))
			if started.status != http.StatusOK {
				t.Fatalf("start: got %d %s", started.status, started.body)
			}
			changed := o
			changed.upstreams = []server.Upstream{h.idp.upstream("corp")}
			c.closes(&changed)
			after := h.replica(changed)
			for what, token := range map[string]string{"access": pair.access, "actor": actor, "impersonation": started.str("access_token")} {
				if got := after.active(map[string]string{"access": "shop", "actor": "app", "impersonation": "app"}[what], token); got != c.lives {
					t.Errorf("%s token: active is %t, want %t", what, got, c.lives)
				}
			}
			renewed := after.post("/oauth2/token", "shop", refreshForm(pair.refresh))
			if got := renewed.status == http.StatusOK; got != c.lives {
				t.Errorf("renewed is %t, want %t: %s", got, c.lives, renewed.body)
			}
			if got := after.get("/", cookie).status == http.StatusOK; got != c.lives {
				t.Errorf("signed in is %t, want %t", got, c.lives)
			}
			stopped := after.post("/oauth2/token", "app", stopForm(started.str("understudy_return_token")))
			if got := stopped.status == http.StatusOK; got != c.lives {
				t.Errorf("a stop gives a token: %t, want %t: %s", got, c.lives, stopped.body)
			}
		})
	}
}

// TestUpstreamCrossingsAreLimited: who comes back again and again from one network waits, before anything is stored or the upstream is asked.
func TestUpstreamCrossingsAreLimited(t *testing.T) {
	t.Parallel()
	h := setupAbroad(t, options{}, nil)
	j := jar{}
	q := h.out(j, "").Query()
	back := "/sign-in/callback/corp?" + url.Values{"error": {"access_denied"}, "state": {q.Get("state")}, "iss": {h.idp.url}}.Encode()
	h.clock.stop()
	for range 300 {
		h.get(back, j.header())
	}
	used := len(h.base.dump(t)["jti_seen"])
	if r := h.get(back, j.header()); r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") == "" {
		t.Errorf("got %d", r.status)
	}
	fresh := jar{}
	if r := h.through(fresh, ""); r.status != http.StatusTooManyRequests || fresh["__Host-op"] != "" || len(fresh) != 1 {
		t.Errorf("another browser of that network: got %d with %d cookies", r.status, len(fresh))
	}
	if after := len(h.base.dump(t)["jti_seen"]); after != used {
		t.Errorf("%d rows more", after-used)
	}
	h.clock.advance(time.Minute)
	if r := h.through(fresh, ""); r.status != http.StatusSeeOther {
		t.Errorf("a minute later: got %d", r.status)
	}
}
