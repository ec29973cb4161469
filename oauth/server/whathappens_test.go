package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// What happens away from the happy path, a row a case, and the tests that hold it.
//
//	double click on Stop, two tabs     TestReturnTokenTwice, TestOnceAcrossReplicas; rp: TestStopTwice
//	the answer to a start is lost      TestAnswerLost, TestLostCommit, TestConnectionLost
//	the store is unreachable           TestPostgresGone, TestSQLiteHeld, TestBackendsTerminated; rp: TestIssuerAway
//	the disk is full, or read-only     TestDiskFull, TestReadOnly; sqlite: TestFullDisk, TestQuota
//	an audit entry cannot be written   TestNoEntryNoAct, TestActionsFailClosed
//	the issuer is unreachable from rp  rp: TestIssuerAway
//	refusals before authentication     TestPublicClientsWriteNothing; after it, folded: impersonation: TestRefusalsAreFolded
//	a command line beside a server     TestEndedOnOne; sqlite: TestSecondProcess; a second server: cmd/understudy: TestServe
//	the demo's database                cmd/understudy: TestServeRefusesDemo

// TestAnswerLost: the session of a start whose answer got lost exists and is on record. The ticket is spent, and the actor starts
// again, which ends it; or the client tries the ticket again, and that ends it.
func TestAnswerLost(t *testing.T) { onBoth(t, testAnswerLost) }

func testAnswerLost(t *testing.T, o options) {
	for name, again := range map[string]func(h *stepHouse, ticket string) impersonation.EndReason{
		"starts again": func(h *stepHouse, _ string) impersonation.EndReason {
			h.startsAnew("the next")
			return impersonation.EndSuperseded
		},
		"tries the ticket again": func(h *stepHouse, ticket string) impersonation.EndReason {
			refused(h.t, h.exchange(t.Context(), startForm(ticket, h.actor)), http.StatusBadRequest, "invalid_request")
			return impersonation.EndReuse
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setupSteps(t, o)
			ticket := h.ticket(h.cookie, "app", "john", "read")
			h.exchange(t.Context(), startForm(ticket, h.actor)) // and nobody hears the answer
			live := h.live()
			if len(live) != 1 {
				t.Fatalf("%d sessions are alive; want the one that nobody knows of", len(live))
			}
			entries, _, err := h.store.Entries(t.Context(), store.EntryQuery{Session: live[0].ID, Kind: audit.KindStart})
			if err != nil || len(entries) != 1 {
				t.Errorf("%d start entries, %v; want one", len(entries), err)
			}
			want := again(h, ticket)
			if s, err := h.store.Session(t.Context(), live[0].ID); err != nil || s.EndReason != want {
				t.Errorf("it ended as %q, %v; want %q", s.EndReason, err, want)
			}
			h.sound(h.tokens...)
		})
	}
}

// outage is a house with a session and all that is needed for each call, made before the store fails.
type outage struct {
	*house
	s                     started
	cookie, actor, ticket string
}

func setupOutage(t *testing.T, o options) *outage {
	t.Helper()
	h := &outage{house: setup(t, o)}
	h.setPassword()
	h.s = h.start("sue", "app", "john", "read")
	h.cookie, _ = h.login("bea")
	h.actor = h.token(h.cookie, "app", actorScope)
	h.ticket = h.house.ticket(h.cookie, "app", "eve", "read")
	return h
}

// acts are the calls that write what goes on record.
func (h *outage) acts() map[string]func() reply {
	return map[string]func() reply{
		"start":                  func() reply { return h.post("/oauth2/token", "app", startForm(h.ticket, h.actor)) },
		"stop":                   func() reply { return h.post("/oauth2/token", "app", stopForm(h.s.ret)) },
		"revoke":                 func() reply { return h.post("/oauth2/revoke", "app", url.Values{"token": {h.s.token}}) },
		"revoke by return token": func() reply { return h.post("/oauth2/revoke", "app", url.Values{"token": {h.s.ret}}) },
		"action":                 func() reply { return h.act("app", batch(h.action(h.s.sid))) },
		"page":                   func() reply { return h.form("/impersonate?"+ask("app"), h.cookie, why("john", "read")) },
		"sign-in":                func() reply { return h.typed("ann@acme.test", annsPassword) },
	}
}

// looks are the calls that only read.
func (h *outage) looks() map[string]func() reply {
	return map[string]func() reply{
		"introspect": func() reply { return h.post("/oauth2/introspect", "app", url.Values{"token": {h.s.token}}) },
		"userinfo":   func() reply { return h.userinfo(h.s.token) },
		"authorize":  func() reply { return h.get("/oauth2/auth?client_id=app", h.cookie) },
	}
}

// failing demands that each call is answered by one of want and gives nothing to go on with, and 503 when to come back.
func (h *outage) failing(calls map[string]func() reply, want ...int) {
	h.t.Helper()
	for name, call := range calls {
		r := call()
		if !slices.Contains(want, r.status) || r.location != nil || r.str("access_token") != "" || setCookie(r, "__Host-op") != "" {
			h.t.Errorf("%s: got %d %v %s; want one of %d and nothing else", name, r.status, r.location, r.body, want)
		}
		if r.status == http.StatusServiceUnavailable && r.header.Get("Retry-After") == "" {
			h.t.Errorf("%s: no Retry-After", name)
		}
	}
}

// unavailable is failing, of a server that also says that it is not ready.
func (h *outage) unavailable(calls map[string]func() reply) {
	h.t.Helper()
	h.failing(calls, http.StatusServiceUnavailable)
	if w := recorded(h.private, "/readyz"); w.Code != http.StatusServiceUnavailable {
		h.t.Errorf("readyz: got %d; want 503", w.Code)
	}
}

// healed demands that all of it works again in the same process, as if nothing had been tried.
func (h *outage) healed() {
	h.t.Helper()
	h.recovers("healed")
	if !h.active("app", h.s.token) {
		h.t.Error("the session is over, though no stop was confirmed")
	}
	wantSessions(h.t.(*testing.T), h.act("app", batch(h.action(h.s.sid))), fmt.Sprintf("%q:%s", h.s.sid, `{"active":true}`))
	if r := h.post("/oauth2/token", "app", startForm(h.ticket, h.actor)); r.status != http.StatusOK {
		h.t.Errorf("start: got %d %s; want 200", r.status, r.body)
	}
	if r := h.post("/oauth2/token", "app", stopForm(h.s.ret)); r.status != http.StatusOK || h.active("app", h.s.token) {
		h.t.Errorf("stop: got %d %s; want 200 and the session over", r.status, r.body)
	}
	h.sound(h.s.token)
}

// TestPostgresGone kills Postgres under a running server.
func TestPostgresGone(t *testing.T) {
	t.Parallel()
	h := setupOutage(t, options{on: onOwnPostgres})
	h.base.cluster.Kill()
	h.unavailable(h.acts())
	h.unavailable(h.looks())
	h.base.cluster.Restart(t)
	h.healed()
}

// TestSQLiteHeld: another process holds the file for longer than the server waits. What was answered 503 may
// happen once the file is free: the next stop makes sure, and the next start takes the place of the one before.
func TestSQLiteHeld(t *testing.T) {
	t.Parallel()
	h := setupOutage(t, options{})
	c, err := h.base.admin.Conn(t.Context())
	h.must(err)
	defer c.Close()
	_, err = c.ExecContext(t.Context(), `BEGIN IMMEDIATE`)
	h.must(err)
	h.unavailable(atOnce(h.acts())) // for longer than a proof that it takes writes is good
	if r := h.looks()["introspect"](); r.status != http.StatusServiceUnavailable {
		t.Errorf("introspection: got %d %s; want 503 from one that could not end it", r.status, r.body)
	}
	_, err = c.ExecContext(t.Context(), `ROLLBACK`)
	h.must(err)

	h.recovers("released")
	if r := h.post("/oauth2/token", "app", stopForm(h.s.ret)); r.status != http.StatusOK && r.status != http.StatusBadRequest || h.active("app", h.s.token) {
		t.Errorf("the next stop: got %d %s; want 200 or 400, and the session over", r.status, r.body)
	}
	r := h.post("/oauth2/token", "app", startForm(h.house.ticket(h.cookie, "app", "eve", "read"), h.actor))
	if live := h.live(); r.status != http.StatusOK || len(live) != 1 {
		t.Errorf("the next start: got %d %s, with %d sessions alive; want it alone", r.status, r.body, len(live))
	}
	h.sound(h.s.token, r.str("access_token"))
}

// atOnce begins all calls, so that they wait together.
func atOnce(calls map[string]func() reply) map[string]func() reply {
	out := make(map[string]func() reply)
	for name, call := range calls {
		answer := make(chan reply, 1)
		go func() { answer <- call() }()
		out[name] = func() reply { return <-answer }
	}
	return out
}

// TestReadOnly: the database takes no writes any more, as one that has become a standby.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	h := setupOutage(t, options{on: onPostgres})
	var name string
	h.must(h.base.admin.QueryRow(`SELECT current_database()`).Scan(&name))
	const reconnect = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'application' AND datname = current_database()`
	h.base.run(t, `ALTER DATABASE `+name+` SET default_transaction_read_only = on`, reconnect)
	h.unavailable(h.acts())
	h.unavailable(h.looks()) // who cannot end a session does not vouch for one
	h.base.run(t, `ALTER DATABASE `+name+` RESET default_transaction_read_only`)
	h.healed()
}

// TestNoEntryNoAct: when the entry of an act cannot be written, the act does not happen, and whoever asked is told so. That is
// also true of a stop: what would not be on record is not confirmed, and the session stays until it is.
func TestNoEntryNoAct(t *testing.T) {
	t.Parallel()
	away := []int{http.StatusServiceUnavailable}
	for name, c := range map[string]struct {
		on          func(testing.TB) *base
		fault, mend string
		status      []int
		readyz      int
	}{
		"SQLite, no table":   {onSQLite, `ALTER TABLE audit_entry RENAME TO elsewhere`, `ALTER TABLE elsewhere RENAME TO audit_entry`, away, 200},
		"Postgres, no table": {onPostgres, `ALTER TABLE audit_entry RENAME TO elsewhere`, `ALTER TABLE elsewhere RENAME TO audit_entry`, away, 503},
		"Postgres, no right": {onPostgres, `REVOKE INSERT ON audit_entry FROM understudy_app`, `GRANT INSERT ON audit_entry TO understudy_app`, away, 503},
		// A rule that the database itself has set is found by a write alone. SQLite counts it with the constraints of the schema: no
		// other try mends that, so programs are not told to come back.
		"SQLite, a rule": {onSQLite, `CREATE TRIGGER refuse BEFORE INSERT ON audit_entry BEGIN SELECT RAISE(ABORT, 'no more'); END`, `DROP TRIGGER refuse`, []int{500, 503}, 200},
		"Postgres, a rule": {onPostgres, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no more'; END $$;
			CREATE TRIGGER refuse BEFORE INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION refuse()`, `DROP TRIGGER refuse ON audit_entry`, away, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setupOutage(t, options{on: c.on})
			before := h.rows(t)
			h.base.run(t, c.fault)
			h.failing(h.acts(), c.status...)
			if w := recorded(h.private, "/readyz"); w.Code != c.readyz {
				t.Errorf("readyz: got %d; want %d", w.Code, c.readyz)
			}
			h.base.run(t, c.mend)
			if diff := cmp.Diff(before, h.rows(t)); diff != "" {
				t.Errorf("something was written, -before +after:\n%s", diff)
			}
			h.healed()
		})
	}
}

// rows is all that is kept but for the tries to sign in, which are counted before the password is looked at.
func (h *outage) rows(t *testing.T) map[string]table {
	t.Helper()
	out := h.base.dump(t)
	if _, ok := out["sign_in_attempt"]; !ok {
		t.Fatal("there is no table of tries")
	}
	delete(out, "sign_in_attempt")
	return out
}

// TestDiskFull: the disk that holds the trail has no room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	h := setupOutage(t, options{on: onPostgres})
	dir := h.smallDisk(t, 4<<20)
	h.base.run(t, `CREATE TABLESPACE small LOCATION '`+dir+`'`, `ALTER TABLE audit_entry SET TABLESPACE small`)
	t.Cleanup(func() { h.base.run(t, `ALTER TABLE audit_entry SET TABLESPACE pg_default`, `DROP TABLESPACE small`) })
	ballast := filepath.Join(dir, "ballast")
	h.must(fill(ballast))

	full := 0
	for range 100 { // pages that are there have room for some
		if r := h.form("/impersonate?"+ask("app"), h.cookie, why("john", "read")); r.status == http.StatusServiceUnavailable {
			full++
		}
	}
	if full == 0 {
		t.Fatal("the disk never was full")
	}
	for small := range 1000 { // and for some more of what is smaller, as a stop may be
		if err := h.store.Record(t.Context(), audit.New(audit.KindKey, time.Now())); errors.Is(err, store.ErrUnavailable) {
			break
		} else if err != nil || small == 999 {
			t.Fatalf("the disk has room: %v", err)
		}
	}
	start := h.post("/oauth2/token", "app", startForm(h.ticket, h.actor))
	if start.status != http.StatusServiceUnavailable || start.header.Get("Retry-After") == "" {
		t.Errorf("start: got %d %s; want 503", start.status, start.body)
	}
	stop := h.post("/oauth2/token", "app", stopForm(h.s.ret))
	if stop.status != http.StatusServiceUnavailable || !h.active("app", h.s.token) {
		t.Errorf("stop: got %d %s; want 503 and a session that is not over", stop.status, stop.body)
	}
	h.must(os.Remove(ballast))
	h.healed()
}

// fill takes all the room there is.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); err != nil {
			return nil // no space left
		}
	}
}
