package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	racers = 32
	rounds = 200
)

// race runs f by 32 goroutines at once, in turn on each of the servers, and gives their answers. It asks again where again does.
func race(servers []*house, f func(*house) reply) []reply {
	var (
		wg    sync.WaitGroup
		gate  = make(chan struct{})
		found = make([]reply, racers)
	)
	for i := range racers {
		wg.Go(func() {
			<-gate
			found[i] = f(servers[i%len(servers)])
		})
	}
	close(gate)
	wg.Wait()
	return again(found, func(i int) reply { return f(servers[i%len(servers)]) })
}

// stalled is how many of the tries of a race may be told to come again: where the machine stands still for longer than a request may
// take, a server answers 503 with Retry-After, and who is told so asks again.
const stalled = 2

func again(found []reply, f func(i int) reply) []reply {
	var later []int
	for i, r := range found {
		if r.status == http.StatusServiceUnavailable && r.header.Get("Retry-After") != "" {
			later = append(later, i)
		}
	}
	if len(later) <= stalled {
		for _, i := range later {
			found[i] = f(i)
		}
	}
	return found
}

// TestOnceUnderRace: fosite's own storage lets a race through (LAB-3). Here a code, a ticket and a return token each work once out of 32 parallel tries. Losers get the error of
// the wire, never 500; and since they were second uses, what the first gave is over where the rules say so.
//
// Covers RFC6749-4.1.2-01.
func TestOnceUnderRace(t *testing.T) {
	t.Parallel()
	once(t, setup(t, options{}))
}

// TestOnceAcrossReplicas is the same where the tries are spread over two servers on one database. It is
// CVE-2026-1035.
func TestOnceAcrossReplicas(t *testing.T) {
	t.Parallel()
	h := setup(t, options{on: onPostgres})
	once(t, h, h.replica(options{}))
}

func once(t *testing.T, servers ...*house) {
	h, n := servers[0], rounds
	if testing.Short() {
		n /= 10
	}
	last := servers[len(servers)-1]
	cookie, _ := h.login("ann")
	actor := h.token(cookie, "app", actorScope)
	for range n {
		code := h.code(cookie, "app", "openid")
		one(t, "code", "invalid_grant", race(servers, func(h *house) reply { return h.post("/oauth2/token", "app", redeem(code)) }))

		ticket := h.ticket(cookie, "app", "john", "read")
		won := one(t, "ticket", "invalid_request", race(servers, func(h *house) reply { return h.post("/oauth2/token", "app", startForm(ticket, actor)) }))
		if last.active("app", won.str("access_token")) {
			t.Fatal("the session lives though its ticket came 31 times more")
		}

		r := h.post("/oauth2/token", "app", startForm(h.ticket(cookie, "app", "john", "read"), actor))
		if r.status != http.StatusOK {
			t.Fatalf("start: %s", r.body)
		}
		ret := r.str("understudy_return_token")
		back := one(t, "return token", "invalid_request", race(servers, func(h *house) reply { return h.post("/oauth2/token", "app", stopForm(ret)) }))
		if last.active("app", r.str("access_token")) || !last.active("app", back.str("access_token")) {
			t.Fatal("after 32 stops at once the impersonation must be over and the admin's token good")
		}
	}
	h.sound()
}

// one demands one success, and for the rest 400 with the given code.
func one(t *testing.T, what, code string, replies []reply) (won reply) {
	t.Helper()
	wins := 0
	for _, r := range replies {
		switch {
		case r.status == http.StatusOK:
			won = r
			wins++
		case r.status != http.StatusBadRequest || r.str("error") != code:
			t.Fatalf("%s: a loser got %d %s; want 400 %s", what, r.status, r.body, code)
		}
	}
	if wins != 1 {
		t.Fatalf("%s: %d of %d tries won; want 1", what, wins, len(replies))
	}
	return won
}

// TestCodeOfTheDeviceAcrossReplicas: the code of an authenticator signs in once (RFC 6238 §5.2), whichever server takes it, and
// the lock-out counts the tries of both. It is CVE-2026-22751 and CVE-2026-20779.
func TestCodeOfTheDeviceAcrossReplicas(t *testing.T) {
	t.Parallel()
	n := 20 // checking a password takes longer than all else
	if testing.Short() {
		n = 2
	}
	l := &lent{house: setup(t, options{on: onPostgres})}
	servers := []*house{l.house, l.replica(options{})}
	secret := l.signsInByCode("john")
	for range n {
		l.clock.advance(time.Hour) // the lock-out of the round before is over
		sent := l.form("/sign-in", "", url.Values{"email": {"john@acme.test"}, "password": {passcode}})
		pending, code := setCookie(sent, "__Host-op-pending"), oneTimeCode(t, secret, l.clock.Now())
		wins, locked := 0, 0
		for _, r := range race(servers, func(h *house) reply { return h.form("/sign-in/code", pending, url.Values{"code": {code}}) }) {
			switch {
			case r.status == http.StatusSeeOther && setCookie(r, "__Host-op") != "":
				wins++
			case r.status == http.StatusTooManyRequests:
				locked++
			case r.status != http.StatusUnauthorized || strings.Contains(r.header.Get("Set-Cookie"), "__Host-op="):
				t.Fatalf("a loser got %d %s; want 401 or 429", r.status, r.body)
			}
		}
		if wins != 1 {
			t.Fatalf("%d of %d tries signed in, %d were locked out; want 1", wins, racers, locked)
		}
	}
}
