package server_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// raced is a kind of end that meets starts: what ends runs on one server, the starts on the other.
type raced struct {
	end  func(other *house, cookie string)
	undo func(other *house) // so that the next try may start again
	kill bool               // it lasts until undo, which some tries run at once
}

// races are the five scopes of the kill switch, the end of a login, and a demotion.
func races() map[string]raced {
	out := map[string]raced{
		"login": {
			end: func(h *house, cookie string) {
				if r := h.form("/sign-out", cookie, url.Values{}); r.status != http.StatusOK {
					h.t.Errorf("sign-out: got %d %s", r.status, r.body)
				}
			},
			undo: func(*house) {},
		},
		"demotion": {
			end:  func(h *house, _ string) { h.demoted("ann") },
			undo: func(h *house) { h.change("ann", func(u *directory.User) { u.Roles = []string{"admin"} }) },
		},
	}
	for scope, id := range map[impersonation.EpochScope]string{
		impersonation.ScopeInstance: "", impersonation.ScopeClient: "app", impersonation.ScopeActor: "ann", impersonation.ScopeSubject: "john",
		impersonation.ScopeOrganisation: "acme",
	} {
		out[string(scope)] = raced{
			end: func(h *house, _ string) { h.killed(scope, id) }, undo: func(h *house) { h.lifted(scope, id) }, kill: true,
		}
	}
	return out
}

// The ways in which a start and an end can meet.
const (
	betweenReadAndWrite  = iota // the end runs whole after the start's read
	betweenLockAndCommit        // both wait for the end of the trail, the start first: it holds its locks
	atRandom
	onAndOff // a kill and its lift, at random
	meetings
)

// TestKillSwitchRace: whatever ends sessions, and however it meets a start on another server, no live session is left; and a
// session that lives after a kill and its lift came wholly after the lift. The thousand tries are on Postgres; SQLite, whose one
// writer leaves little to race, has a fifth of them, and -short a tenth.
func TestKillSwitchRace(t *testing.T) {
	onBoth(t, testKillSwitchRace)
}

func testKillSwitchRace(t *testing.T, o options) {
	kinds := races()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b *between
			h := setup(t, o.wrapped(func(s store.Store) store.Store { b = &between{Store: s}; return b }))
			tries := 1000/len(kinds) + 1
			if h.base.superuser == "" {
				tries /= 5
			}
			if testing.Short() {
				tries /= 10
			}
			r := &killRace{house: h, other: h.replica(options{}), between: b, raced: kind}
			for i := range tries {
				r.try(i % meetings)
			}
			t.Logf("%d tries: %d starts were too late, %d were ended, %d came after a lift, %d were held at the commit",
				tries, r.refused, tries-r.refused-r.after, r.after, r.held)
			if h.base.superuser != "" && r.held == 0 {
				t.Error("no start was held between its locks and its commit: the race was not forced")
			}
			h.sound()
		})
	}
}

// killRace is one kind of end, with what came of the tries.
type killRace struct {
	*house
	other   *house
	between *between
	raced
	cookie, actor        string
	refused, after, held int
}

func (k *killRace) try(meeting int) {
	k.t.Helper()
	if !k.kill || k.cookie == "" { // what ends the login, or the rights of its token
		k.cookie, _ = k.login("ann")
		k.actor = k.token(k.cookie, "app", actorScope)
	}
	ticket := k.ticket(k.cookie, "app", "john", "read")
	start := func() reply { return k.post("/oauth2/token", "app", startForm(ticket, k.actor)) }
	end := func() { k.end(k.other, k.cookie) }
	switch {
	case meeting == betweenReadAndWrite:
		k.between.arm(end)
		k.settle(start(), false)
	case meeting == betweenLockAndCommit && k.base.superuser != "":
		k.settle(k.hold(start, end), false)
	case meeting == onAndOff && k.kill:
		k.settle(together(start, func() { end(); k.undo(k.other) }), true)
		return
	default:
		k.settle(together(start, end), false)
	}
	k.undo(k.other)
}

// together runs both at once, one of them up to some milliseconds later, and gives the answer of the start.
func together(start func() reply, end func()) reply {
	answer := make(chan reply, 1)
	go func() { answer <- start() }()
	timer := time.NewTimer(rand.N(6 * time.Millisecond))
	defer timer.Stop()
	<-timer.C
	end()
	return <-answer
}

// hold begins the start, and the end once the start waits for the end of the trail with all its locks held; it lets them go when
// the end waits too.
func (k *killRace) hold(start func() reply, end func()) reply {
	k.t.Helper()
	trail, err := k.base.admin.Begin()
	k.must(err)
	defer trail.Rollback()
	_, err = trail.Exec(`SELECT 1 FROM installation FOR UPDATE`)
	k.must(err)
	answer, ended := make(chan reply, 1), make(chan struct{})
	go func() { answer <- start() }()
	first := k.waits(1, 5*time.Second)
	go func() { defer close(ended); end() }()
	if second := k.waits(2, time.Second); first && second {
		k.held++
	}
	k.must(trail.Commit())
	<-ended
	return <-answer
}

// waits reports that n connections wait for a lock, false if that does not come about within patience: those that wait give up
// after a second.
func (k *killRace) waits(n int, patience time.Duration) bool {
	k.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if count(k.t, k.base.admin, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) >= n {
			return true
		}
	}
	return false
}

func count(t testing.TB, db *sql.DB, q string) (n int) {
	t.Helper()
	if err := db.QueryRow(q).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// settle looks at what is left after a start that was answered by r met an end.
func (k *killRace) settle(r reply, lifted bool) {
	k.t.Helper()
	token := r.str("access_token")
	switch {
	case r.status == http.StatusOK && lifted && k.active("app", token):
		k.after++
		k.afterTheLift(r)
		_, err := k.store.End(context.Background(), impersonation.EndWrite{Write: k.write(), Scope: impersonation.ScopeActor, ID: "ann", Reason: impersonation.EndOperator})
		k.must(err)
	case r.status == http.StatusOK:
		if k.active("app", token) || k.other.active("app", token) {
			k.t.Error("a start that met an end is active")
		}
	case r.status == http.StatusBadRequest || r.status == http.StatusServiceUnavailable:
		k.refused++
	default:
		k.t.Errorf("start: got %d %s; want a token, 400 or 503", r.status, r.body)
	}
	if live, _, err := k.store.Sessions(context.Background(), store.SessionQuery{Live: true, Now: k.clock.Now()}); err != nil || len(live) != 0 {
		k.t.Fatalf("%d sessions are alive, %v; want none", len(live), err)
	}
}

// afterTheLift goes by the trail, which is in the order of commits.
func (k *killRace) afterTheLift(r reply) {
	k.t.Helper()
	newest := func(q store.EntryQuery) int64 {
		q.Limit = 1
		found, _, err := k.store.Entries(context.Background(), q)
		k.must(err)
		if len(found) != 1 {
			k.t.Fatalf("no entry of %s", q.Kind)
		}
		return found[0].Seq
	}
	sid := fmt.Sprint(r.json["understudy_session"].(map[string]any)["id"])
	started, lift := newest(store.EntryQuery{Session: sid, Kind: audit.KindStart}), newest(store.EntryQuery{Kind: audit.KindLift})
	if started < lift {
		k.t.Errorf("session %s lives: its start is number %d of the trail, the lift after the kill number %d", sid, started, lift)
	}
}
