package rp

import (
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

const browserAccept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// notices is every state, with a session of hostile names.
func notices() (*App, map[string]notice) {
	a, s := impersonation()
	h := *s
	h.Subject.Name, h.Actor.Email = hostileName, "\u202eann\"<b>"
	same, wayOn := a.base, link{URL: "/invoices?a=1&b=\"><script>", Text: text("retry")}
	blocked := a.blockedNotice(&h, "read_only")
	blocked.links = append([]link{wayOn}, blocked.links...)
	away := a.unavailableNotice()
	away.links = append(away.links, wayOn)
	all := map[string]notice{
		"ended": a.endedNotice(a.acting, s, false), "ended-held": a.endedNotice(same, &h, true),
		"ended-unknown": a.endedNotice(a.acting, nil, false), "ended-unknown-held": a.endedNotice(same, nil, true),
		"nobody": a.nobodyNotice(), "first": a.stopFirstNotice(&h), "first-unknown": a.stopFirstNotice(nil),
		"blocked-read": blocked, "blocked-forbidden": a.blockedNotice(s, "forbidden"), "blocked-too-long": a.blockedNotice(s, "too_long"), "stale": a.staleNotice(&h),
		"unavailable": away, "stopping": a.stoppingNotice(s), "stop": a.stopNotice(&h), "return": a.failedNotice("return", "https://evil.example/\u202e<b>"),
	}
	for key := range messages {
		if name, ok := strings.CutSuffix(key, ".title"); ok && strings.HasPrefix(key, "failed.") {
			all[strings.ReplaceAll(name, ".", "-")] = a.failedNotice(name, "")
		}
	}
	all["failed-veto"] = a.failedNotice("failed.veto", "closed <account> "+hostileName)
	return a, all
}

func noticed(a *App, r *http.Request, st *site, n notice) (*http.Response, string) {
	rec := httptest.NewRecorder()
	a.notice(rec, r, st, n)
	return rec.Result(), rec.Body.String()
}

func TestNotices(t *testing.T) {
	t.Parallel()
	a, all := notices()
	for name, n := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := asking("document")
			r.Header.Set("Accept", browserAccept)
			got, body := noticed(a, r, a.acting, n)
			if got.StatusCode != n.status || got.StatusCode == 0 {
				t.Errorf("status %d, want %d", got.StatusCode, n.status)
			}
			want := map[string]string{
				"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Vary": "Cookie", "X-Content-Type-Options": "nosniff",
				"Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
				"Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self' https://app.example https://id.example; base-uri 'none'; frame-ancestors 'none'",
			}
			for k, v := range want {
				if got.Header.Get(k) != v {
					t.Errorf("%s: %q, want %q", k, got.Header.Get(k), v)
				}
			}
			wantSoundNotice(t, body, n)
			goldenNotice(t, name, body)
		})
	}
}

// wantSoundNotice checks what must hold of every notice.
func wantSoundNotice(t *testing.T, body string, n notice) {
	for _, once := range []string{"<h1>", `<main id="main"`, `href="#main"`, "<html lang=\"en\">", "<header>", "/.understudy/page.css"} {
		if strings.Count(body, once) != 1 {
			t.Errorf("%d times %s, want once", strings.Count(body, once), once)
		}
	}
	if failed := strings.Contains(body, "<title>Error: "); failed != (n.status >= 400) {
		t.Errorf("the title says Error: %v, at status %d", failed, n.status)
	}
	for _, never := range []string{"<script", "<style", " style=", "javascript:", "ZgotmplZ", "\u202e", "<b>", "%!"} {
		if strings.Contains(body, never) {
			t.Errorf("it holds %q", never)
		}
	}
	if !strings.Contains(body, "<a ") || n.stop == "" && len(n.links) == 0 {
		t.Error("there is no way on")
	}
}

func goldenNotice(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "notice-"+name+".html")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from its golden file (-want +got); run with -update if that is right:\n%s", diff)
	}
}

func TestNoticeCSPStaysOnTheOrigin(t *testing.T) {
	t.Parallel()
	a, s := impersonation()
	a.acting = a.base
	r := asking("document")
	r.Header.Set("Accept", browserAccept)
	got, _ := noticed(a, r, a.base, a.stopNotice(s))
	if csp := got.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "; form-action 'self' https://id.example; ") {
		t.Errorf("CSP %q", csp)
	}
}

func TestNoticeForPrograms(t *testing.T) {
	t.Parallel()
	a, s := impersonation()
	for _, c := range []struct {
		accept, dest string
		page         bool
	}{
		{browserAccept, "document", true}, {browserAccept, "", true}, {"text/html", "iframe", true}, {browserAccept, "empty", false},
		{"", "", false}, {"*/*", "", false}, {"application/json", "", false}, {"application/json, text/html", "", false},
		{"application/problem+json;q=1, text/html", "document", false}, {"text/html, application/json", "document", true},
	} {
		r := asking(c.dest)
		r.Header.Set("Accept", c.accept)
		got, body := noticed(a, r, a.acting, a.blockedNotice(s, "forbidden"))
		kind := got.Header.Get("Content-Type")
		if page := strings.HasPrefix(kind, "text/html"); page != c.page || strings.Contains(body, "<!doctype") != c.page {
			t.Errorf("%q for %q: got %s", c.accept, c.dest, kind)
		}
	}
	for reason, code := range map[string]string{
		"read_only": "impersonation_blocked", "forbidden": "impersonation_blocked", "too_long": "impersonation_blocked", "ended": "impersonation_blocked", "unavailable": "unavailable", "impersonating": "failed", "veto": "failed",
	} {
		_, body := noticed(a, asking("empty"), a.acting, notice{status: 403, reason: reason, title: "T", lines: []string{text("detail", "x"), "Two."}})
		var got map[string]any
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"type": "about:blank", "title": "T", "status": 403.0, "detail": "It says: x Two.", "code": code, "reason": reason}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

// TestMessagesAreUsed holds that each message is used, and each use has one.
func TestMessagesAreUsed(t *testing.T) {
	t.Parallel()
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, f := range append(sources, "templates/notice.html") {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if f == "messages.go" || strings.HasSuffix(f, "_test.go") {
			continue
		}
		for _, m := range regexp.MustCompile(`(?:text\(|messages\[|\{t |\(t |\bt )"([a-z0-9._]+)"`).FindAllStringSubmatch(string(b), -1) {
			used[m[1]] = true
		}
		for _, m := range regexp.MustCompile(`"(failed\.[a-z]+|return)"`).FindAllStringSubmatch(string(b), -1) {
			used[m[1]+".title"], used[m[1]+".text"] = true, true
		}
	}
	made := regexp.MustCompile(`^blocked\.(read_only|forbidden|too_long)\.(title|text)$`)
	for key := range used {
		if _, ok := messages[key]; !ok && key != "blocked." {
			t.Errorf("no message %q", key)
		}
	}
	for key := range messages {
		if !used[key] && !made.MatchString(key) {
			t.Errorf("nothing says %q", key)
		}
	}
}

// TestReasonsAreListed: programs go by the reasons of failures, so each is in the package's comment, and stays.
func TestReasonsAreListed(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(doc), "The reasons:\n//\n")
	list, _, _ := strings.Cut(after, "//\n")
	listed := map[string]bool{}
	for line := range strings.Lines(list) {
		names, _, _ := strings.Cut(strings.TrimPrefix(line, "//\t"), "  ")
		for _, name := range strings.Split(names, ", ") {
			listed[name] = true
		}
	}
	a, _ := impersonation()
	want := map[string]bool{a.stopFirstNotice(nil).reason: true, a.failedNotice("return", "").reason: true}
	for key := range messages {
		if name, ok := strings.CutSuffix(key, ".title"); ok && strings.HasPrefix(key, "failed.") {
			want[a.failedNotice(name, "").reason] = true
		}
	}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("doc.go lists other reasons (-want +got):\n%s", diff)
	}
}

func TestStatic(t *testing.T) {
	t.Parallel()
	a, _ := impersonation()
	get := func(name, tag string) (*http.Response, string) {
		r, rec := asking("style"), httptest.NewRecorder()
		r.Header.Set("If-None-Match", tag)
		a.static(rec, r, name)
		b, _ := io.ReadAll(rec.Result().Body)
		return rec.Result(), string(b)
	}
	for name, kind := range map[string]string{"banner.css": "text/css; charset=utf-8", "page.css": "text/css; charset=utf-8", "banner.js": "text/javascript; charset=utf-8"} {
		got, body := get(name, "")
		h := got.Header
		if got.StatusCode != 200 || h.Get("Content-Type") != kind || h.Get("Cache-Control") != "public, max-age=3600" || h.Get("X-Content-Type-Options") != "nosniff" || body == "" {
			t.Errorf("%s: %d, %v", name, got.StatusCode, h)
		}
		for _, never := range []string{"url(", "@import", "innerHTML", "eval("} {
			if strings.Contains(body, never) {
				t.Errorf("%s holds %q", name, never)
			}
		}
		if len(body) > 4<<10 {
			t.Errorf("%s has %d bytes; every page loads it, want at most 4 KiB", name, len(body))
		}
		if got, body := get(name, `W/"x", `+h.Get("Etag")); got.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("%s again: %d, %q", name, got.StatusCode, body)
		}
	}
	for _, name := range []string{"", "x.css", "../rp.go", "static/page.css"} {
		if got, _ := get(name, ""); got.StatusCode != http.StatusNotFound {
			t.Errorf("%q: %d", name, got.StatusCode)
		}
	}
}
