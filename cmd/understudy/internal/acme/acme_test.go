package acme_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/cmd/understudy/internal/demo"
)

// Each role has its own tabs, and what lies behind a tab is refused without it.
func TestRoles(t *testing.T) {
	t.Parallel()
	d := startDemo(t, demo.Config{})
	for _, tt := range []struct {
		email, title      string
		reports, projects bool
		admin             int
	}{
		{"ann@acme.test", "Users", false, false, http.StatusOK},
		{"sue@acme.test", "Users", false, false, http.StatusOK},
		{"john@acme.test", "Overview", false, true, http.StatusForbidden},
		{"mei@acme.test", "Overview", true, true, http.StatusForbidden},
	} {
		t.Run(tt.email, func(t *testing.T) {
			t.Parallel()
			v := newVisitor(t, d)
			home := v.signIn(tt.email)
			home.wants(t, http.StatusOK, "<h1>"+tt.title+"</h1>")
			for path, want := range map[string]bool{"/reports": tt.reports, "/projects": tt.projects} {
				if got := strings.Contains(home.body, `<li><a href="`+path+`"`); got != want {
					t.Errorf("tab %s: got %v, want %v", path, got, want)
				}
			}
			status := http.StatusForbidden
			if tt.reports {
				status = http.StatusOK
			}
			v.get(d.AppURL+"/reports").wants(t, status)
			v.get(d.AppURL+"/admin").wants(t, tt.admin)
			v.get(d.AppURL+"/nowhere").wants(t, http.StatusNotFound, "Not found")
		})
	}
}

// An administrator has everybody in the list, a support agent their organisation; staff have no button.
func TestUserList(t *testing.T) {
	t.Parallel()
	d := startDemo(t, demo.Config{})
	ann, sue := newVisitor(t, d), newVisitor(t, d)
	all := ann.signIn("ann@acme.test")
	all.wants(t, http.StatusOK, "John Doe", "Lena Okafor", "Omar Haddad", "Finn O&#39;Connor", "43 users")
	for _, name := range []string{"Ann Bell", "Omar Haddad", "Sue Park"} {
		_, row, _ := strings.Cut(all.body, `scope="row"><bdi>`+name+"</bdi>")
		row, _, _ = strings.Cut(row, "</tr>")
		if strings.Contains(row, "Impersonate") || !strings.Contains(row, "Staff") {
			t.Errorf("%s is staff: got %s, want no button", name, row)
		}
	}
	ann.get(d.AppURL+"/admin?q=BIRCH").wants(t, http.StatusOK, "Lena Okafor", "!John Doe")
	ann.get(d.AppURL+"/admin?q=nobody").wants(t, http.StatusOK, "0 users", "!<table")
	sue.signIn("sue@acme.test").wants(t, http.StatusOK, "John Doe", "!Lena Okafor", "!Omar Haddad")
}

// "Last seen" is when they were there themselves.
func TestLastSeen(t *testing.T) {
	t.Parallel()
	d := startDemo(t, demo.Config{Now: func() time.Time { return time.Now().Add(-time.Hour) }})
	ann, john := newVisitor(t, d), newVisitor(t, d)
	if list := ann.signIn("ann@acme.test"); !lastSeen(list, "John Doe", "Never") {
		t.Errorf("John was not here yet: got\n%s", list.body)
	}
	john.signIn("john@acme.test")
	if list := ann.get(d.AppURL + "/admin"); lastSeen(list, "John Doe", "Never") || !lastSeen(list, "John Doe", "<time datetime=") {
		t.Errorf("John was here: got\n%s", list.body)
	}
}

// What customers write is kept, escaped, and their organisation's alone.
func TestProjects(t *testing.T) {
	t.Parallel()
	d := startDemo(t, demo.Config{})
	john, lena := newVisitor(t, d), newVisitor(t, d)
	john.signIn("john@acme.test")
	lena.signIn("lena@birch.test")
	mine := john.get(d.AppURL + "/projects")
	mine = john.send(mine, "/projects/1/notes", url.Values{"text": {`<script>"hello"</script>`}})
	mine.wants(t, http.StatusOK, "&lt;script&gt;&#34;hello&#34;", "<bdi>John Doe</bdi>", "!<script>")
	john.send(mine, "/projects/1/name", url.Values{"name": {"Autumn launch"}}).wants(t, http.StatusOK, "Autumn launch", "!Spring launch")

	theirs := lena.get(d.AppURL + "/projects")
	theirs.wants(t, http.StatusOK, "Spring launch", "!Autumn launch", "!hello")
	for _, path := range []string{"/projects/1/name", "/projects/1/notes", "/projects/x/name"} {
		lena.post(d.AppURL+path, url.Values{"name": {"mine now"}, "text": {"mine now"}}).wants(t, http.StatusNotFound, "Not found")
	}
	for path, form := range map[string]url.Values{
		"/projects/1/name":  {"name": {strings.Repeat("a", 81)}},
		"/projects/1/notes": {"text": {" "}},
	} {
		john.post(d.AppURL+path, form).wants(t, http.StatusUnprocessableEntity, "<title>Error: Projects", `role="alert"`)
	}
	john.get(d.AppURL+"/projects").wants(t, http.StatusOK, "Autumn launch", "!mine now", "!aaaa")
}

func TestChangeEmail(t *testing.T) {
	t.Parallel()
	d := startDemo(t, demo.Config{})
	john := newVisitor(t, d)
	john.signIn("john@acme.test")
	form := john.get(d.AppURL + "/account/email")
	for _, wrong := range []string{"", "john", "John <john@acme.test>", "j@" + strings.Repeat("a", 253)} {
		john.send(form, "/account/email", url.Values{"email": {wrong}}).wants(t, http.StatusUnprocessableEntity, "is not an e-mail address")
	}
	john.send(form, "/account/email", url.Values{"email": {"doe@home.test"}}).wants(t, http.StatusOK, "<h1>Account</h1>", "doe@home.test")
}

// Who deletes their account has none any more: not after signing in again, not in the list, and not after a restart.
func TestDeleteAccount(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := startDemo(t, demo.Config{Directory: dir})
	john, ann := newVisitor(t, d), newVisitor(t, d)
	john.signIn("john@acme.test")
	projects := john.get(d.AppURL + "/projects")
	john.send(projects, "/projects/1/notes", url.Values{"text": {"a note of John's"}}).wants(t, http.StatusOK, "a note of John")
	john.send(john.get(d.AppURL+"/account/delete"), "/account/delete", nil).wants(t, http.StatusGone, "<h1>Account deleted</h1>")
	for _, path := range []string{"/", "/account", "/projects"} {
		john.get(d.AppURL+path).wants(t, http.StatusGone, "Account deleted", "!John Doe")
	}
	ann.signIn("ann@acme.test").wants(t, http.StatusOK, "!John Doe", "42 users")
	mei := newVisitor(t, d)
	mei.signIn("mei@acme.test")
	mei.get(d.AppURL+"/projects").wants(t, http.StatusOK, "Spring launch", "!a note of John")
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	again := startDemo(t, demo.Config{Directory: dir})
	bea := newVisitor(t, again)
	p := bea.get(again.AppURL + "/")
	bea.post(p.url.String(), url.Values{"email": {"john@acme.test"}, "password": {demo.Password}}).wants(t, http.StatusGone, "Account deleted")
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	d := startDemo(t, demo.Config{})
	john := newVisitor(t, d)
	out := john.send(john.signIn("john@acme.test"), "/.understudy/sign-out", nil)
	out.wants(t, http.StatusOK, `href="`+d.IssuerURL+`/sign-out"`, "!John Doe")
	john.post(d.IssuerURL+"/sign-out", nil).wants(t, http.StatusOK)
	if p := john.get(d.AppURL + "/account"); p.url.Path != "/sign-in" {
		t.Errorf("after signing out of both: got %s, want the issuer's sign-in", p.url)
	}
}

// Every page has the strict policy, and nothing in it that the policy would block.
func TestHeaders(t *testing.T) {
	t.Parallel()
	d := startDemo(t, demo.Config{})
	mei := newVisitor(t, d)
	mei.signIn("mei@acme.test")
	for _, path := range []string{"/", "/projects", "/reports", "/account", "/account/email", "/account/delete", "/admin", "/nowhere", "/static/acme.css"} {
		p := mei.get(d.AppURL + path)
		want := "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
		if got := p.header.Get("Content-Security-Policy"); got != want {
			t.Errorf("%s: got policy %q, want %q", path, got, want)
		}
		for _, inline := range []string{"<script", "<style", " style=", " onclick="} {
			if strings.Contains(p.body, inline) {
				t.Errorf("%s has %q", path, inline)
			}
		}
	}
	if p := mei.get(d.AppURL + "/static/acme.css"); p.status != http.StatusOK || p.header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("the style: got %d %s", p.status, p.header.Get("Content-Type"))
	}
}

// A form that another site sends does nothing.
func TestCrossSite(t *testing.T) {
	t.Parallel()
	d := startDemo(t, demo.Config{})
	john := newVisitor(t, d)
	john.signIn("john@acme.test")
	own := john.http.Transport
	john.http.Transport = crossSite{own}
	john.post(d.AppURL+"/account/delete", nil).wants(t, http.StatusForbidden)
	john.http.Transport = own
	john.get(d.AppURL+"/account").wants(t, http.StatusOK, "John Doe")
}

// crossSite marks requests as a browser marks those that another site sends.
type crossSite struct{ http.RoundTripper }

func (c crossSite) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	return c.RoundTripper.RoundTrip(r)
}
