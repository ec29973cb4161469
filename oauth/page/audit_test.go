package page_test

import (
	"context"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/page"
)

// trail is a trail in a slice, newest first.
type trail struct {
	all      []audit.Entry
	sessions []impersonation.Session
	fail     error
	most     int // entries a page, 0 for as many as asked for
	asked    []page.AuditQuery
}

func (x *trail) read(_ context.Context, q page.AuditQuery) (out page.AuditPage, err error) {
	x.asked = append(x.asked, q)
	if x.fail != nil {
		return out, x.fail
	}
	after, err := strconv.Atoi(q.After + strings.Repeat("0", 1-min(1, len(q.After))))
	if err != nil {
		return out, page.ErrCursor
	}
	for i, e := range x.all[after:] {
		own := q.Own == "" || e.Actor.Subject == q.Own || slices.ContainsFunc(x.sessions, func(s impersonation.Session) bool { return s.ID == e.Session && s.Actor == q.Own })
		if !own || q.Session != "" && e.Session != q.Session || q.Person != "" && e.Actor.Subject != q.Person && e.Subject.Subject != q.Person {
			continue
		}
		if len(out.Entries) == q.Limit || x.most > 0 && len(out.Entries) == x.most {
			out.Next = strconv.Itoa(after + i)
			break
		}
		out.Entries = append(out.Entries, e)
	}
	return out, nil
}

func (x *trail) session(_ context.Context, id string) (impersonation.Session, error) {
	for _, s := range x.sessions {
		if s.ID == id {
			return s, x.fail
		}
	}
	return impersonation.Session{}, page.ErrNoSession
}

// add records one more entry, a minute after the one before: of ann about bob, changed by name-value pairs of fields.
func (x *trail) add(kind audit.Kind, session string, fields ...string) *audit.Entry {
	e := audit.New(kind, now.Add(time.Duration(len(x.all)-60)*time.Minute))
	e.ID = "aud_" + strconv.Itoa(len(x.all))
	e.Actor, e.Subject = oauth.Party{Issuer: issuer, Subject: "usr_ann"}, oauth.Party{Issuer: issuer, Subject: "usr_bob"}
	e.Session, e.Client = session, "billing"
	for i := 0; i < len(fields); i += 2 {
		e.Set(fields[i], fields[i+1])
	}
	x.all = slices.Insert(x.all, 0, e)
	return &x.all[0]
}

// addStory records a whole session of ann's, and one that somebody else began.
func (x *trail) addStory() {
	const sid = "imp_aaaaaaaaaaaaaaaaaaaaaaaaaa"
	x.sessions = []impersonation.Session{
		{ID: sid, Client: "billing", Actor: "usr_ann", Subject: "usr_bob", Mode: oauth.ModeRead, Reason: "Cannot see the <b>last</b> invoice", TicketNumber: "SUP-1",
			Started: now.Add(-59 * time.Minute), Expires: now.Add(-29 * time.Minute), Ended: now.Add(-54 * time.Minute), EndReason: impersonation.EndStopped, EndedBy: "usr_ann"},
		{ID: "imp_other", Client: "gone", Actor: "usr_marta", Subject: "usr_omar", Mode: oauth.ModeWrite, Reason: "Asked to repair it", Started: now.Add(-9 * time.Minute), Expires: now.Add(21 * time.Minute)},
		{ID: "imp_late", Client: "billing", Actor: "usr_marta", Subject: "usr_omar", Mode: oauth.ModeRead, Started: now.Add(-time.Hour), Expires: now.Add(-time.Minute)},
		{ID: "imp_operator", Client: "billing", Actor: "usr_ann", Subject: "usr_gone", Mode: oauth.ModeRead, Started: now.Add(-time.Hour), Expires: now, Ended: now, EndReason: impersonation.EndOperator, EndedBy: "cli"},
	}
	names := []string{"actor_name", "Ann Lee", "actor_email", "ann@acme.test", "subject_name", "Bob Marsh", "subject_email", "bob@acme.test"}
	x.add(audit.KindTicket, "", append(names, "mode", "read", "reason", "Cannot see the last invoice", "ticket_number", "SUP-1")...)
	x.add(audit.KindStart, sid, append(names, "mode", "read", "reason", "Cannot see the last invoice", "ticket_number", "SUP-1")...)
	x.add(audit.KindAction, sid, append(names, "action", "a1", "phase", "before", "method", "POST", "route", "/notes")...)
	x.add(audit.KindAction, sid, append(names, "action", "a1", "phase", "after", "method", "POST", "route", "/notes", "status", "200")...)
	x.add(audit.KindAction, sid, append(names, "action", "a2", "phase", "after", "method", "POST", "route", "/account/delete", "status", "403", "note", "forbidden")...)
	x.add(audit.KindStop, sid, names...)
	x.add(audit.KindAction, sid, append(names, "action", "a3", "phase", "after", "method", "GET", "route", "/late", "status", "200", "session_state", "over")...)
	x.add(audit.KindEnd, sid, "reason", "stopped", "impersonator", "usr_ann").Actor = oauth.Party{}
	x.add(audit.KindRefused, "", "actor_email", "ann@acme.test", "subject_email", "omar@acme.test", "rule", "never.protected", "reason", "testing it").Subject.Subject = "usr_omar"
	theirs := x.add(audit.KindStart, "imp_other", "actor_name", "Marta Ruiz", "actor_email", "marta@acme.test", "mode", "write", "reason", "Asked to repair it")
	theirs.Actor.Subject, theirs.Client = "usr_marta", "gone"
	kill := x.add(audit.KindKill, "", "note", "break-in")
	kill.Actor, kill.Subject, kill.Client = oauth.Party{Issuer: "cli", Subject: "root"}, oauth.Party{}, ""
	x.add("future.kind", "").Actor = oauth.Party{Issuer: "https://other.example", Subject: "x"}
}

// auditor makes ann read everything.
func auditor(b *bench) { b.who.User.Roles = []string{"auditor"} }

func getAudit(query ...string) *http.Request {
	v := make(url.Values)
	for i := 0; i < len(query); i += 2 {
		v.Set(query[i], query[i+1])
	}
	return httptest.NewRequest(http.MethodGet, "/audit?"+v.Encode(), nil)
}

// auditStates is every state of /audit, and the pages that lead there.
func auditStates() (all []state) {
	bad := "\u202e</title><script>alert(1)</script>\U0001F469\u200d\U0001F4BB\n\"x\"<b>"
	cases := []struct {
		name   string
		bend   func(*bench)
		r      *http.Request
		status int
	}{
		{"audit", auditor, getAudit(), 200},
		{"audit-person", auditor, getAudit("person", " Marta@acme.test"), 200},
		{"audit-own", nil, getAudit("person", "usr_marta"), 200},
		{"audit-empty", func(b *bench) { auditor(b); b.trail.all = nil }, getAudit(), 200},
		{"audit-nobody", auditor, getAudit("person", "nobody@acme.test<b>"), 200},
		{"audit-older", func(b *bench) {
			auditor(b)
			b.trail.most = 3
		}, getAudit("after", "7"), 200},
		{"audit-hostile", func(b *bench) {
			auditor(b)
			b.client.Name, b.trail.all = bad, nil
			e := b.trail.add(audit.KindAction, bad, "route", "/"+bad, "method", bad, "note", bad, "status", bad, "actor_name", bad, "actor_email", bad)
			e.ID, e.Subject.Subject = bad, bad
			b.trail.add(audit.KindEnd, "", "reason", bad, "note", bad).Actor = oauth.Party{Issuer: "cli", Subject: bad}
			b.trail.add(audit.Kind(bad), bad, "mode", bad, "reason", bad, "ticket_number", bad, "query", bad, "count", bad, "roles", bad, "rule", bad)
		}, getAudit(), 200},
		{"audit-cursor", auditor, getAudit("after", "x"), 400},
		{"audit-not-staff", func(b *bench) { b.who.User.Roles = nil }, getAudit(), 403},
		{"audit-factor-first", func(b *bench) { auditor(b); b.cfg.RequireSecondFactor = true }, getAudit("session", "imp_other"), 403},
		{"audit-down", func(b *bench) { auditor(b); b.trail.fail = errDown }, getAudit(), 503},
		{"story", nil, getAudit("session", "imp_aaaaaaaaaaaaaaaaaaaaaaaaaa"), 200},
		{"story-live", auditor, getAudit("session", "imp_other"), 200},
		{"story-late", auditor, getAudit("session", "imp_late"), 200},
		{"story-operator", nil, getAudit("session", "imp_operator"), 200},
		{"story-source", func(b *bench) {
			s := &b.trail.sessions[3] // a source may be called as somebody's ID is
			s.EndReason, s.EndedBy = impersonation.EndDisabled, "scim:usr_marta"
			b.trail.add(audit.KindEnd, "imp_operator", "reason", "disabled").Actor = oauth.Party{Issuer: "scim", Subject: "usr_marta"}
		}, getAudit("session", "imp_operator"), 200},
		{"story-hostile", func(b *bench) {
			b.client.Name, b.trail.all = bad, b.trail.all[10:]
			s := &b.trail.sessions[0]
			s.Reason, s.TicketNumber, s.EndReason, s.EndedBy, s.Subject = bad, bad, impersonation.EndReason(bad), bad, bad
		}, getAudit("session", "imp_aaaaaaaaaaaaaaaaaaaaaaaaaa"), 200},
		{"story-unknown", nil, getAudit("session", "imp_nobody<b>"), 404},
	}
	for _, c := range cases {
		all = append(all, state{c.name, c.status, func(t *testing.T) *http.Response {
			b := setup(t)
			b.trail.addStory()
			if c.bend != nil {
				c.bend(b)
			}
			return b.serve(t, c.r.Clone(t.Context()))
		}})
	}
	return append(all, state{"home-audit", http.StatusOK, func(t *testing.T) *http.Response {
		b := setup(t)
		p, err := page.New(b.cfg)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		p.Home(w, httptest.NewRequest(http.MethodGet, "/", nil), b.who)
		return w.Result()
	}})
}

// TestAuditShowsRoutes: a request is shown whole, its hash with it, and one that was refused since its path was too long as refused.
func TestAuditShowsRoutes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	auditor(b)
	route := "/" + strings.Repeat("x", 438) + "… sha256:" + strings.Repeat("0f", 32)
	b.trail.add(audit.KindAction, "", "phase", "after", "method", "BASELINE-CONTROL", "route", route, "status", "414", "note", "too_long")
	b.trail.add(audit.KindAction, "", "phase", "after", "method", "POST", "route", "/own", "status", "414")
	got := b.serve(t, getAudit())
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<bdi>BASELINE-CONTROL " + route + "</bdi>", "Its path was too long to be recorded whole"} {
		if strings.Count(string(body), want) != 1 {
			t.Errorf("the page lacks %q:\n%s", want, body)
		}
	}
	if n := strings.Count(string(body), "Action refused"); n != 1 {
		t.Errorf("%d actions are shown as refused, want 1", n)
	}
}

// TestAuditRights: who reads what. Somebody else's session is as unknown as none, byte for byte.
func TestAuditRights(t *testing.T) {
	t.Parallel()
	const own, theirs = "imp_aaaaaaaaaaaaaaaaaaaaaaaaaa", "imp_other"
	for role, c := range map[string]struct {
		list, own, theirs, none int
		sees                    []string // of the four below
	}{
		"auditor": {200, 200, 200, 404, []string{"Asked to repair it", "never.protected", "omar@acme.test", "break-in"}},
		"support": {200, 200, 404, 404, nil},
		"user":    {403, 403, 403, 403, nil},
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.trail.addStory()
			b.who.User.Roles = []string{role}
			answers := make(map[string]string)
			for query, want := range map[string]int{"": c.list, own: c.own, theirs: c.theirs, "imp_nobody": c.none} {
				r := b.serve(t, getAudit("session", query))
				answers[query] = body(t, r)
				if r.StatusCode != want {
					t.Errorf("%q: status %d, want %d", query, r.StatusCode, want)
				}
			}
			for _, s := range []string{"Asked to repair it", "never.protected", "omar@acme.test", "break-in"} {
				if got, want := strings.Contains(answers[""], s), slices.Contains(c.sees, s); got != want {
					t.Errorf("the list shows %q: %v, want %v", s, got, want)
				}
			}
			if role != "auditor" && answers[theirs] != answers["imp_nobody"] {
				t.Errorf("somebody else's session can be told from none:\n%s", answers[theirs])
			}
			for _, q := range b.trail.asked {
				if role != "auditor" && q.Session == "" && (q.Own != "usr_ann" || q.Person != "") {
					t.Errorf("asked for %+v; want their own", q)
				}
			}
		})
	}
}

// TestAuditSignIn: signed out one goes to the sign-in and comes back to the same page.
func TestAuditSignIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signed = false
	to, q := location(t, b.serve(t, getAudit("session", "imp_1", "colour", "blue")))
	if to != "/sign-in" || q.Get("return_to") != "/audit?session=imp_1" {
		t.Errorf("sent to %s with %v", to, q)
	}
	r := b.serve(t, httptest.NewRequest(http.MethodPost, "/audit", nil))
	if r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: got %s, Allow %q", r.Status, r.Header.Get("Allow"))
	}
}

// TestAuditPages: 50 entries a page, and by its links one reads all of them once.
func TestAuditPages(t *testing.T) {
	t.Parallel()
	b := setup(t)
	auditor(b)
	for range 120 {
		b.trail.add(audit.KindSearch, "", "query", "mar")
	}
	var sizes []int
	seen := make(map[string]bool)
	for link := "/audit?person=usr_ann"; link != ""; {
		text := body(t, b.serve(t, httptest.NewRequest(http.MethodGet, link, nil)))
		ids := entryID.FindAllString(text, -1)
		sizes, link = append(sizes, len(ids)), ""
		for _, id := range ids {
			seen[id] = true
		}
		if m := older.FindStringSubmatch(text); m != nil {
			link = html.UnescapeString(m[1])
		}
	}
	if !slices.Equal(sizes, []int{50, 50, 20}) || len(seen) != 120 {
		t.Errorf("pages of %v with %d entries; want 50, 50, 20 and all", sizes, len(seen))
	}
}

var (
	entryID = regexp.MustCompile(`<bdi>aud_\d+</bdi>`)
	older   = regexp.MustCompile(`href="([^"]+)">Older entries`)
)

// TestKindsHaveWords: each kind of entry and each way to end has its word.
func TestKindsHaveWords(t *testing.T) {
	t.Parallel()
	b := setup(t)
	auditor(b)
	for _, kind := range audit.Kinds() {
		b.trail.all = nil
		b.trail.add(kind, "")
		if text := body(t, b.serve(t, getAudit())); strings.Contains(text, "<strong><bdi>") {
			t.Errorf("%s has no word", kind)
		}
	}
	source, err := os.ReadFile(filepath.Join("..", "impersonation", "store.go"))
	if err != nil {
		t.Fatal(err)
	}
	reasons := regexp.MustCompile(`\bEnd\w+ +EndReason = "(\w+)"`).FindAllSubmatch(source, -1)
	if len(reasons) < 13 {
		t.Fatalf("found %d reasons", len(reasons))
	}
	for _, m := range reasons {
		b.trail.all = nil
		b.trail.add(audit.KindEnd, "", "reason", string(m[1]))
		if text := body(t, b.serve(t, getAudit())); strings.Contains(text, "<bdi>"+string(m[1])+"</bdi>") {
			t.Errorf("%s has no words", m[1])
		}
	}
}
