package main_test

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

// runs runs the command and gives what it prints.
func runs(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := understudy(t, dir, args...).Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, err.(*exec.ExitError).Stderr)
	}
	return string(out)
}

// live writes a session of ann over john that a server would have started.
func live(t *testing.T, dir string) string {
	t.Helper()
	ctx, now := t.Context(), time.Now().UTC().Truncate(time.Millisecond)
	st := opened(t, dir)
	write := impersonation.Write{Now: now, RequestID: oauth.NewID("req")}
	l := impersonation.Login{ID: oauth.NewID("lgn"), User: "ann", AuthTime: now, Created: now, LastUsed: now, Expires: now.Add(time.Hour)}
	if err := st.CreateLogin(ctx, store.LoginWrite{Write: write, Login: l, Cookie: oauth.NewSecret().Hash()}); err != nil {
		t.Fatal(err)
	}
	f, err := st.LoadStart(ctx, impersonation.StartKey{Client: "app", Actor: "ann", Subject: "john", Login: l.ID, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	s := impersonation.Session{
		ID: oauth.NewID("imp"), Audit: oauth.NewID("aud"), Client: "app", Actor: "ann", Subject: "john", Login: l.ID, Mode: oauth.ModeRead,
		Resource: policy.DefaultResource, Reason: "no report\x1b[2J tab", Via: policy.ViaUserID, JTI: oauth.NewID("tok"),
		Started: now, Expires: now.Add(time.Hour), LastActive: now, LoginExpires: l.Expires,
	}
	if err := st.Start(ctx, impersonation.StartWrite{Write: write, Guard: f.Guard, Session: s}); err != nil {
		t.Fatal(err)
	}
	return s.ID
}

func TestSessionEnd(t *testing.T) { onBoth(t, testSessionEnd) }

func testSessionEnd(t *testing.T, dir string) {
	runs(t, dir, "client", "add", "--id", "app", "--name", "App", "--redirect-uri", "https://app.test/cb")
	runs(t, dir, "user", "add", "--id", "ann", "--email", "ann@acme.test", "--name", "Ann Bell", "--role", "admin")
	runs(t, dir, "user", "add", "--id", "john", "--email", "john@acme.test", "--name", "John Doe")
	sid := live(t, dir)
	want(t, runs(t, dir, "session", "ls"), `(?m)^`+sid+` +ann@acme.test +john@acme.test +app +read +\S+Z +\S+Z +- +no report�\[2J tab$`)
	want(t, runs(t, dir, "session", "ls", "--subject", "john@acme.test", "-o", "json"), `"name": "John Doe"`)
	if out := runs(t, dir, "session", "ls", "--actor", "john@acme.test"); strings.Contains(out, sid) {
		t.Errorf("sessions by another actor: got\n%s", out)
	}
	want(t, runs(t, dir, "session", "end", sid, "--reason", "case closed"), `^ended 1 live session\n$`)
	if out := runs(t, dir, "session", "ls"); strings.Contains(out, sid) {
		t.Errorf("live sessions: got the ended one:\n%s", out)
	}
	want(t, runs(t, dir, "session", "ls", "--all"), sid+` .* \S+Z operator +no report`)
	want(t, runs(t, dir, "audit", "ls", "--session", sid), `impersonation.end +cli:\S+ +john@acme.test +app +`+sid+` +case closed `)
}

func want(t *testing.T, got, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(got) {
		t.Errorf("got\n%s\nwant a match for %s", got, pattern)
	}
}

// An auditor needs neither the sealing key nor a right to the people.
func TestAuditor(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), postgrestest.Fresh(t)
	use(t, dir, db.Application)
	runs(t, dir, "user", "add", "--id", "ann", "--email", "ann@acme.test", "--name", "Ann Bell")
	check(t, os.WriteFile(configFile(dir), fmt.Appendf(nil, "database: %q\n", db.Auditor), 0o600))
	list := runs(t, dir, "audit", "ls")
	want(t, list, `user\.add +cli:\S+ +ann@acme\.test`)
	want(t, runs(t, dir, "audit", "ls", "--kind", "user.add"), `ann@acme\.test`)
	runs(t, dir, "audit", "show", regexp.MustCompile(`aud_[a-z2-7]{26}`).FindString(list))
	use(t, dir, db.Auditor)
	wantRefused(t, understudy(t, dir, "user", "ls"), "permission denied for table app_user", "hint: understudy migrate up is for the role that owns the tables; what others need")
}

func TestAuditShow(t *testing.T) { onBoth(t, testAuditShow) }

func testAuditShow(t *testing.T, dir string) {
	runs(t, dir, "user", "add", "--id", "ann", "--email", "ann@acme.test", "--name", "Ann Bell")
	id := regexp.MustCompile(`aud_[a-z2-7]{26}`).FindString(runs(t, dir, "audit", "ls"))
	whole := runs(t, dir, "audit", "show", id)
	want(t, whole, `(?m)^subject +ann@acme.test ann at http://localhost:8080$`)
	want(t, whole, `(?m)^canonical +\{"actor":\{"iss":"cli",.*"id":"`+id+`".*\}$`)
	want(t, whole, `(?m)^opening +\{"subject_email":\{"salt":"[A-Za-z0-9_-]{22}","value":"ann@acme.test"\}`)
	want(t, runs(t, dir, "audit", "show", id, "-o", "json"), `"canonical": "\{\\"actor\\"`)

	forge(t, dir)
	wantRefused(t, understudy(t, dir, "audit", "show", id), "opening does not fit the entry", "hint: an entry was changed")
}

// forge changes an address in the trail, as somebody with the database's file could, or its superuser.
func forge(t *testing.T, dir string) {
	t.Helper()
	db, isPostgres := direct(t, dir)
	statements := []string{
		`ALTER TABLE audit_entry DISABLE TRIGGER ALL`,
		`UPDATE audit_entry SET opening = convert_to(replace(convert_from(opening, 'UTF8'), 'ann@acme.test', 'eve@acme.test'), 'UTF8')`,
	}
	if !isPostgres {
		statements = append(dropTriggers(t, db), `UPDATE audit_entry SET opening = CAST(replace(CAST(opening AS TEXT), 'ann@acme.test', 'eve@acme.test') AS BLOB)`)
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
}

// dropTriggers are the statements that take the trail's guards away.
func dropTriggers(t *testing.T, db *sql.DB) (statements []string) {
	t.Helper()
	rows, err := db.Query(`SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_entry'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		statements = append(statements, "DROP TRIGGER "+name)
	}
	return statements
}

// TestSessionShow: what an app counted and never told is missing, by process.
func TestSessionShow(t *testing.T) { onBoth(t, testSessionShow) }

func testSessionShow(t *testing.T, dir string) {
	runs(t, dir, "client", "add", "--id", "app", "--name", "App", "--redirect-uri", "https://app.test/cb")
	runs(t, dir, "user", "add", "--id", "ann", "--email", "ann@acme.test", "--name", "Ann Bell", "--role", "admin")
	runs(t, dir, "user", "add", "--id", "john", "--email", "john@acme.test", "--name", "John Doe")
	sid := live(t, dir)
	for _, told := range []struct{ writer, seq string }{{"wrt_a", "1"}, {"wrt_a", "4"}, {"wrt_b", "1"}, {"", "0"}} {
		act(t, dir, sid, "method", "GET", "route", "/", "phase", "after", "writer", told.writer, "seq", told.seq)
	}
	act(t, dir, sid, "method", "GET", "route", "/", "phase", "after", "server", "orders", "writer", "wrt_a", "seq", "2")
	act(t, dir, sid, "method", "GET", "route", "/", "phase", "after", "server", "orders", "seq", "0")
	out := runs(t, dir, "session", "show", sid)
	want(t, out, `(?m)^session +`+sid+`$`)
	want(t, out, `(?m)^actions +1 of orders, not counted$`)
	want(t, out, `(?m)^actions +1 by wrt_a of orders, up to 2; missing: 1$`)
	want(t, out, `(?m)^actions +1, not counted$`)
	want(t, out, `(?m)^actions +2 by wrt_a, up to 4; missing: 2-3$`)
	want(t, out, `(?m)^actions +1 by wrt_b, up to 1, none missing$`)
	want(t, runs(t, dir, "session", "show", sid, "-o", "json"), `"missing": \[\s+\{\s+"first": 2,\s+"last": 3`)
}
