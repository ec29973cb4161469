package main_test

import (
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
)

// TestAuditTellsActions: what was done in a session is told in words, with how it went, and a session's entries read as its story.
func TestAuditTellsActions(t *testing.T) { onBoth(t, testAuditTellsActions) }

func testAuditTellsActions(t *testing.T, dir string) {
	runs(t, dir, "client", "add", "--id", "app", "--name", "App", "--redirect-uri", "https://app.test/cb")
	runs(t, dir, "user", "add", "--id", "ann", "--email", "ann@acme.test", "--name", "Ann Bell", "--role", "admin")
	runs(t, dir, "user", "add", "--id", "john", "--email", "john@acme.test", "--name", "John Doe")
	sid := live(t, dir)
	id := act(t, dir, sid, "phase", "before", "method", "POST", "route", "/notes")
	act(t, dir, sid, "phase", "after", "method", "POST", "route", "/notes", "status", "201")
	act(t, dir, sid, "phase", "after", "method", "POST", "route", "/account/delete", "status", "403", "note", "forbidden")
	act(t, dir, sid, "phase", "after", "method", "POST", "status", "403") // erased, and refused without a word
	act(t, dir, sid, "phase", "after", "method", "POST", "route", "/long", "status", "414", "note", "too_long")
	act(t, dir, sid, "phase", "after", "method", "POST", "route", "/longer", "status", "414") // the app's own answer
	runs(t, dir, "session", "end", sid, "--reason", "case closed")

	story := runs(t, dir, "audit", "ls", "--session", sid)
	at := 0
	for _, line := range []string{"POST /notes  ", "POST /notes 201  ", "POST /account/delete refused: forbidden  ", "POST refused  ", "POST /long refused: too_long  ", "POST /longer 414  ", "case closed"} {
		i := strings.Index(story[at:], line)
		if i < 0 {
			t.Fatalf("the story lacks %q, or tells it too early:\n%s", line, story)
		}
		at += i
	}
	want(t, story, `(?m)^\S+ +impersonation.action +ann@acme.test +john@acme.test +app +`+sid+` +POST /notes 201 +aud_\w+$`)
	newest := runs(t, dir, "audit", "ls", "--limit", "4")
	if !strings.Contains(newest, "case closed") || !strings.Contains(newest, "POST refused") || strings.Index(newest, "case closed") > strings.Index(newest, "POST refused") {
		t.Errorf("audit ls: got\n%s\nwant the end first", newest)
	}
	want(t, runs(t, dir, "audit", "ls", "--kind", "impersonation.action", "-o", "json"), `"note": "forbidden"`)
	want(t, runs(t, dir, "audit", "show", id), `(?m)^did +POST /notes$`)
}

// act records an action as a server would have, and gives its entry's ID.
func act(t *testing.T, dir, sid string, fields ...string) string {
	t.Helper()
	e := audit.New(audit.KindAction, time.Now())
	e.Actor, e.Subject = oauth.Party{Issuer: "http://localhost:8080", Subject: "ann"}, oauth.Party{Issuer: "http://localhost:8080", Subject: "john"}
	e.Client, e.Session = "app", sid
	for i := 0; i < len(fields); i += 2 {
		e.Set(fields[i], fields[i+1])
	}
	if err := opened(t, dir).RecordOnce(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e.ID
}
