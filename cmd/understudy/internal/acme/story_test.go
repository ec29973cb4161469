package acme_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/cmd/understudy/internal/demo"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// The whole story: Ann looks as John, finds out why the report tab is missing, is refused what nobody may do in his name, and
// is back. It is the same on an origin of its own, under names below localhost, and on one origin.
func TestStory(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		config demo.Config
	}{
		{"origin of its own", demo.Config{}},
		{"names below localhost", demo.Config{AppURL: "http://app.localhost", AsUserURL: "http://as-user.app.localhost"}},
		{"same origin", demo.Config{SameOrigin: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := startDemo(t, tt.config)
			ann := newVisitor(t, d)
			list := ann.signIn("ann@acme.test")
			list.wants(t, http.StatusOK, "Signed in as <bdi>Ann Bell</bdi>", "<h1>Users</h1>")

			home := ann.impersonate(list, "John Doe", "read")
			home.wants(t, http.StatusOK, "<h1>Overview</h1>", "You're impersonating <b><bdi>John Doe", "Signed in as <bdi>John Doe</bdi>", "!Reports")
			where := d.AsUserURL
			if tt.config.SameOrigin {
				where = d.AppURL
			}
			if got := home.url.String(); got != where+"/" {
				t.Errorf("landed at %s, want %s/", got, where)
			}
			ann.get(where+"/account").wants(t, http.StatusOK, "Your role: <strong>Viewer</strong>. Reports are part of the Analyst role.")
			ann.get(where+"/reports").wants(t, http.StatusForbidden, "Reports are part of the Analyst role")
			ann.get(where+"/admin").wants(t, http.StatusForbidden, "For staff only")

			refused := ann.send(ann.get(where+"/account/delete"), "/account/delete", nil)
			refused.wants(t, http.StatusForbidden)
			ann.get(where+"/account").wants(t, http.StatusOK, "john@acme.test")

			back := ann.send(home, "/.understudy/stop", nil)
			back.wants(t, http.StatusOK, "<h1>Users</h1>", "Signed in as <bdi>Ann Bell</bdi>", "!impersonating")
			if back.url.String() != d.AppURL+"/admin" {
				t.Errorf("Stop led to %s, want %s/admin", back.url, d.AppURL)
			}
			if !lastSeen(back, "John Doe", "Never") {
				t.Errorf("somebody else's visit moved John's \"last seen\":\n%s", back.body)
			}
			checkTrail(t, d)
		})
	}
}

// lastSeen reports whether the row of name in the list says text.
func lastSeen(list page, name, text string) bool {
	_, row, _ := strings.Cut(list.body, "<bdi>"+name+"</bdi>")
	row, _, _ = strings.Cut(row, "</tr>")
	return strings.Contains(row, text)
}

// checkTrail reads the trail beside the running demo: Ann's start, what she was refused, her stop.
func checkTrail(t *testing.T, d *demo.Demo) {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: d.Database, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	john, err := st.ByEmail(t.Context(), "john@acme.test")
	if err != nil {
		t.Fatal(err)
	}
	sessions, _, err := st.Sessions(t.Context(), store.SessionQuery{Subject: john.ID})
	if err != nil || len(sessions) != 1 {
		t.Fatalf("got %d sessions as John, %v, want 1", len(sessions), err)
	}
	var told, looked []string
	wantLooks := []string{"GET / 200", "GET /account 200", "GET /account 200", "GET /account/delete 200", "GET /admin 403", "GET /reports 403"}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) { // what only looks is told in batches
		told, looked = nil, nil
		entries, _, err := st.Entries(t.Context(), store.EntryQuery{Session: sessions[0].ID})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if line := lineOf(e.Entry); strings.HasPrefix(line, "GET ") {
				looked = append(looked, line)
			} else {
				told = append(told, line)
			}
		}
		if len(looked) >= len(wantLooks) || time.Now().After(deadline) {
			break
		}
	}
	slices.Sort(looked)
	if diff := cmp.Diff(wantLooks, looked); diff != "" {
		t.Errorf("the looks of the session, sorted (-want +got):\n%s", diff)
	}
	want := []string{"impersonation.stop", "POST /account/delete 403", "impersonation.start cannot find the report tab SUP-1"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("the rest of its trail, newest first (-want +got):\n%s", diff)
	}
}

// lineOf is an entry in short: an action by its method, anything else by its kind.
func lineOf(e audit.Entry) string {
	f := e.Fields
	line := []string{f["method"]}
	if line[0] == "" {
		line[0] = string(e.Kind)
	}
	for _, name := range []string{"route", "status", "reason", "ticket_number"} {
		if f[name] != "" {
			line = append(line, f[name])
		}
	}
	return strings.Join(line, " ")
}

// With full access the harmless is done, and the dangerous is not.
func TestFullAccess(t *testing.T) {
	t.Parallel()
	d := startDemo(t, demo.Config{})
	ann := newVisitor(t, d)
	home := ann.impersonate(ann.signIn("ann@acme.test"), "John Doe", "write")
	home.wants(t, http.StatusOK, "Signed in as <bdi>John Doe</bdi>")
	projects := ann.get(d.AsUserURL + "/projects")
	ann.send(projects, "/projects/1/name", url.Values{"name": {"Summer launch"}}).wants(t, http.StatusOK, "Summer launch")
	email := ann.get(d.AsUserURL + "/account/email")
	ann.send(email, "/account/email", url.Values{"email": {"ann@evil.test"}}).wants(t, http.StatusForbidden)
	ann.send(ann.get(d.AsUserURL+"/account/delete"), "/account/delete", nil).wants(t, http.StatusForbidden)
	ann.get(d.AsUserURL+"/account").wants(t, http.StatusOK, "<bdi>john@acme.test</bdi> <a href=\"/account/email\">", "!evil")
}

// Who only looks changes nothing at all.
func TestLookOnly(t *testing.T) {
	t.Parallel()
	d := startDemo(t, demo.Config{})
	sue := newVisitor(t, d)
	sue.impersonate(sue.signIn("sue@acme.test"), "John Doe", "read").wants(t, http.StatusOK)
	projects := sue.get(d.AsUserURL + "/projects")
	sue.send(projects, "/projects/1/notes", url.Values{"text": {"I was here"}}).wants(t, http.StatusForbidden)
	sue.get(d.AsUserURL+"/projects").wants(t, http.StatusOK, "!I was here")
}
