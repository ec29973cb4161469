package server_test

import (
	"net/http"
	"sync"
	"testing"
)

const (
	racers = 32
	rounds = 200
)

// race runs f by 32 goroutines at once and gives their answers.
func race(f func() reply) []reply {
	var (
		wg    sync.WaitGroup
		gate  = make(chan struct{})
		mu    sync.Mutex
		found []reply
	)
	for range racers {
		wg.Go(func() {
			<-gate
			r := f()
			mu.Lock()
			defer mu.Unlock()
			found = append(found, r)
		})
	}
	close(gate)
	wg.Wait()
	return found
}

// TestOnceUnderRace (LAB-3): a code, a ticket and a return token each work once out of 32 parallel tries. Losers get the error of
// the wire, never 500; and since they were second uses, what the first gave is over where the rules say so.
func TestOnceUnderRace(t *testing.T) { onBoth(t, testOnceUnderRace) }

func testOnceUnderRace(t *testing.T, o options) {
	n := rounds
	if testing.Short() {
		n /= 10
	}
	h := setup(t, o)
	cookie, _ := h.login("ann")
	actor := h.token(cookie, "app", actorScope)
	for range n {
		code := h.code(cookie, "app", "openid")
		one(t, "code", "invalid_grant", race(func() reply { return h.post("/oauth2/token", "app", redeem(code)) }))

		ticket := h.ticket(cookie, "app", "john", "read")
		won := one(t, "ticket", "invalid_request", race(func() reply { return h.post("/oauth2/token", "app", startForm(ticket, actor)) }))
		if h.active("app", won.str("access_token")) {
			t.Fatal("the session lives though its ticket came 31 times more")
		}

		r := h.post("/oauth2/token", "app", startForm(h.ticket(cookie, "app", "john", "read"), actor))
		if r.status != http.StatusOK {
			t.Fatalf("start: %s", r.body)
		}
		ret := r.str("understudy_return_token")
		back := one(t, "return token", "invalid_request", race(func() reply { return h.post("/oauth2/token", "app", stopForm(ret)) }))
		if h.active("app", r.str("access_token")) || !h.active("app", back.str("access_token")) {
			t.Fatal("after 32 stops at once the impersonation must be over and the admin's token good")
		}
	}
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
