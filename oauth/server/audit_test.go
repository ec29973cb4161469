package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// wantPage demands a status, and that a page holds all of some texts and none of others.
func wantPage(t *testing.T, what string, r reply, status int, has, hasNot []string) {
	t.Helper()
	if r.status != status {
		t.Errorf("%s: got %d %v; want %d", what, r.status, r.location, status)
	}
	for _, s := range has {
		if !strings.Contains(r.body, s) {
			t.Errorf("%s: the page does not hold %q:\n%s", what, s, r.body)
		}
	}
	for _, s := range hasNot {
		if strings.Contains(r.body, s) {
			t.Errorf("%s: the page holds %q", what, s)
		}
	}
}

// TestAuditTellsTheStory: start, a refused delete and the stop of one session are on its page, with names, reason and ticket number.
func TestAuditTellsTheStory(t *testing.T) { onBoth(t, testAuditTellsTheStory) }

func testAuditTellsTheStory(t *testing.T, o options) {
	h := setup(t, o)
	s := h.start("sue", "app", "john", "read")
	h.act("app", batch(h.action(s.sid, "phase", "after", "status", 403, "note", "forbidden")))
	live := h.get("/audit?session="+s.sid, s.cookie)
	wantPage(t, "while it goes on", live, 200, []string{"It goes on", "1 recorded, 1 of them refused"}, nil)
	if r := h.post("/oauth2/token", "app", stopForm(s.ret)); r.status != http.StatusOK {
		t.Fatal(r.body)
	}
	bea, _ := h.login("bea")
	for reader, cookie := range map[string]string{"an admin": bea, "the actor": s.cookie} {
		story := h.get("/audit?session="+s.sid, cookie)
		wantPage(t, reader, story, 200, []string{
			"<h1><bdi>Sue Support</bdi> (<bdi>sue@acme.test</bdi>) impersonated <bdi>John Doe</bdi> (<bdi>john@acme.test</bdi>)</h1>", "The app",
			"Look only", "cannot find the report tab", "SUP-1", "They pressed Stop", "1 recorded, 1 of them refused",
			"<strong>Started</strong>", "<strong>Action refused</strong>", "<bdi>POST /account/delete</bdi>", "Nobody may do this in somebody else's name", "<strong>Stopped</strong>",
		}, nil)
		if start, stop := strings.Index(story.body, "<strong>Started"), strings.Index(story.body, "<strong>Stopped"); start > stop {
			t.Errorf("%s: the story begins with its end", reader)
		}
		wantPage(t, reader+", the list", h.get("/audit", cookie), 200, []string{`href="/audit?session=` + s.sid, "<strong>Stopped</strong>"}, nil)
		wantPage(t, reader+", home", h.get("/", cookie), 200, []string{`href="/audit"`}, nil)
	}
}

// TestAuditRights: the whole trail is for who may audit; who may impersonate reads their own; a user reads nothing.
func TestAuditRights(t *testing.T) { onBoth(t, testAuditRights) }

func testAuditRights(t *testing.T, o options) {
	h := setup(t, o)
	sues, anns := h.start("sue", "app", "john", "read"), h.start("ann", "app", "zoe", "read")
	// Sue tries somebody of another organisation, and learns nothing about them, now or later.
	h.form("/impersonate?"+ask("app"), sues.cookie, why("zoe", "read"))
	john, _ := h.login("john")

	wantPage(t, "sue's list", h.get("/audit", sues.cookie), 200, []string{sues.sid, "You see your own sessions only", "<strong>Refused</strong>", "<bdi>zoe</bdi>"},
		[]string{anns.sid, "zoe@other.test", "Zoe Roe", "Rule ", "Ann Admin", `name="person"`})
	wantPage(t, "sue asks about zoe", h.get("/audit?person=zoe@other.test", sues.cookie), 200, []string{sues.sid}, []string{anns.sid, "nobody has", "Zoe Roe"})
	wantPage(t, "ann's list", h.get("/audit", anns.cookie), 200, []string{sues.sid, anns.sid, "zoe@other.test", `name="person"`}, []string{"your own sessions only"})
	wantPage(t, "ann asks about zoe", h.get("/audit?person=ZOE@other.test", anns.cookie), 200, []string{anns.sid}, []string{sues.sid})
	wantPage(t, "ann asks about john", h.get("/audit?person=john", anns.cookie), 200, []string{sues.sid}, []string{anns.sid})
	wantPage(t, "ann asks about nobody", h.get("/audit?person=no@body.test", anns.cookie), 200, []string{"nobody has"}, []string{sues.sid, anns.sid})
	for _, who := range []string{"", "?session=" + sues.sid, "?session=imp_none", "?person=john"} {
		wantPage(t, "john, "+who, h.get("/audit"+who, john), 403, []string{"Your account can't read the trail"}, []string{sues.sid, "John Doe"})
	}
	wantPage(t, "john's home", h.get("/", john), 200, nil, []string{"/audit"})

	wantPage(t, "ann, sue's story", h.get("/audit?session="+sues.sid, anns.cookie), 200, []string{"Sue Support"}, nil)
	theirs, none := h.get("/audit?session="+anns.sid, sues.cookie), h.get("/audit?session=imp_none", sues.cookie)
	wantPage(t, "sue, ann's story", theirs, 404, []string{"There is no such session"}, []string{">zoe<", "zoe@", "Zoe Roe", "ann@"})
	same := func(r reply) string { return strings.ReplaceAll(r.body, r.header.Get("X-Request-Id"), "") }
	if same(theirs) != same(none) {
		t.Errorf("ann's session can be told from none:\n%s\n%s", theirs.body, none.body)
	}
	// A role that is taken away counts at once.
	h.change("ann", func(u *directory.User) { u.Roles = nil })
	wantPage(t, "ann without her role", h.get("/audit", anns.cookie), 403, nil, []string{sues.sid})
}

// TestAuditSignIn: nobody reads without signing in, and with the second factor where that is required; both lead back.
func TestAuditSignIn(t *testing.T) { onBoth(t, testAuditSignIn) }

func testAuditSignIn(t *testing.T, o options) {
	o.secondFactor = true
	h := setup(t, o)
	r := h.get("/audit?session=imp_x", "")
	if r.status != http.StatusSeeOther || r.location.Path != "/sign-in" || r.location.Query().Get("return_to") != "/audit?session=imp_x" || r.location.Query().Has("over") {
		t.Errorf("got %d to %v; want the sign-in, and back", r.status, r.location)
	}
	if r := h.get(r.location.RequestURI(), ""); !strings.Contains(r.body, "return_to=%2Faudit%3Fsession%3Dimp_x") || strings.Contains(r.body, "is over") {
		t.Errorf("the sign-in does not lead back, or says that something is over:\n%s", r.body)
	}
	weak := h.loginBy("ann", "pwd")
	wantPage(t, "by password alone", h.get("/audit", weak), 403, []string{"You need a second factor to read the trail", "/sign-in/second-factor?return_to=%2Faudit"}, []string{"ann@acme.test about"})
	cookie, _ := h.login("ann")
	wantPage(t, "by two factors", h.get("/audit", cookie), 200, []string{"<h1>Audit</h1>"}, nil)
}

// loginBy opens a login by one factor and gives its cookie.
func (h *house) loginBy(user, factor string) string {
	h.t.Helper()
	secret, now := oauth.NewSecret(), h.clock.Now().UTC()
	h.must(h.store.CreateLogin(context.Background(), store.LoginWrite{Write: h.write(), Cookie: secret.Hash(), Login: impersonation.Login{
		ID: oauth.NewID("lgn"), User: user, AuthTime: now, AMR: []string{factor}, Created: now, LastUsed: now, Expires: now.Add(8 * time.Hour),
	}}))
	return "__Host-op=" + string(secret)
}

// TestAuditPaging: 50 a page, every entry once, and a mangled cursor is the reader's fault.
func TestAuditPaging(t *testing.T) { onBoth(t, testAuditPaging) }

func testAuditPaging(t *testing.T, o options) {
	h := setup(t, o)
	cookie, _ := h.login("ann")
	entries := make([]audit.Entry, 120)
	for i := range entries {
		entries[i] = audit.New(audit.KindSearch, h.clock.Now())
		entries[i].Actor = oauth.Party{Issuer: h.url, Subject: "eve"}
	}
	h.must(h.store.Record(context.Background(), entries...))
	seen := make(map[string]bool)
	pages := 0
	for link := "/audit?person=eve%40acme.test"; link != ""; pages++ {
		r := h.get(link, cookie)
		for _, e := range entries {
			if strings.Contains(r.body, e.ID) {
				if seen[e.ID] {
					t.Errorf("%s comes twice", e.ID)
				}
				seen[e.ID] = true
			}
		}
		before, _, more := strings.Cut(r.body, `">Older entries`)
		if link = ""; more {
			link = strings.ReplaceAll(before[strings.LastIndex(before, `"`)+1:], "&amp;", "&")
		}
	}
	if pages != 3 || len(seen) != len(entries) {
		t.Errorf("%d entries on %d pages; want 120 on 3", len(seen), pages)
	}
	wantPage(t, "a mangled cursor", h.get("/audit?after=1%20OR%201", cookie), 400, []string{"after"}, nil)
	wantPage(t, "a parameter twice", h.get("/audit?person=a&person=b", cookie), 400, []string{"person"}, nil)
}

// unreadable cannot read the trail.
type unreadable struct{ store.Store }

func (unreadable) Entries(context.Context, store.EntryQuery) ([]store.StoredEntry, string, error) {
	return nil, "", fmt.Errorf("reading /var/db: %w", store.ErrUnavailable)
}

// TestAuditUnavailable: a store that is down is 503, never an empty trail.
func TestAuditUnavailable(t *testing.T) {
	t.Parallel()
	h := setup(t, options{wrap: func(s store.Store) store.Store { return unreadable{s} }})
	s := h.start("ann", "app", "john", "read")
	for _, path := range []string{"/audit", "/audit?session=" + s.sid} {
		r := h.get(path, s.cookie)
		wantPage(t, path, r, 503, []string{"Try again"}, []string{"/var/db", "No entries"})
		if r.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
}

// TestSessionOver: who posts a filled form after their login ended is told so, signs in, and finds the form filled in; so is who comes
// by a link with the cookie of a login that is over. A stranger is told nothing of the kind.
func TestSessionOver(t *testing.T) { onBoth(t, testSessionOver) }

func testSessionOver(t *testing.T, o options) {
	for name, end := range map[string]func(h *house, login string){
		"idle":           func(h *house, _ string) { h.clock.advance(2 * time.Hour) },
		"ended":          func(h *house, login string) { signOut(h, login) },
		"cookie is gone": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t, o)
			cookie, login := h.login("ann")
			if end == nil {
				cookie = ""
			} else {
				end(h, login)
			}
			filled := why("john", "read")
			filled.Set("reason", "cannot find the report tab — “überall”")
			r := h.form("/impersonate?"+ask("app"), cookie, filled)
			if r.status != http.StatusSeeOther || r.location.Path != "/sign-in" {
				t.Fatalf("got %d to %v; want the sign-in", r.status, r.location)
			}
			signIn := h.get(r.location.RequestURI(), cookie)
			wantPage(t, "the sign-in", signIn, 200, []string{"Your session is over: sign in again. What you typed is kept."}, nil)

			again, _ := h.login("ann")
			back := h.get(r.location.Query().Get("return_to"), again)
			wantPage(t, "the form", back, 200, []string{"cannot find the report tab — “überall”", `value="SUP-1"`, "John Doe"}, nil)

			byLink := h.get("/impersonate?"+ask("app"), cookie)
			if got, want := byLink.location.Query().Has("over"), end != nil; got != want {
				t.Errorf("by a link: sent to %v; says that the session is over: %v, want %v", byLink.location, got, want)
			}
		})
	}
	h := setup(t, o)
	if r := h.get("/impersonate?"+ask("app"), "__Host-op="+string(oauth.NewSecret())); r.location.Query().Has("over") {
		t.Errorf("a cookie that was never ours: sent to %v", r.location)
	}
	// A wrong password says that, and not what is over.
	r := h.form("/sign-in?"+url.Values{"return_to": {"/impersonate"}, "over": {"1"}}.Encode(), "", url.Values{"email": {"ann@acme.test"}, "password": {"x"}})
	wantPage(t, "a wrong password", r, 401, []string{"is wrong"}, []string{"is over"})
}
