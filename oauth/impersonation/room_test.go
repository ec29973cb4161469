package impersonation_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

// limited gives the service that allows an actor most sessions at once, 0 for its default.
func (h *house) limited(most int) *house {
	h.Helper()
	h.config.MaxSessions = most
	var err error
	h.Service, err = impersonation.New(h.config)
	h.ok(err)
	return h
}

// TestRoomForSessions: the session too many is refused at the page, in words, and at the start; one that ended makes room, and one
// that takes another's place needs none.
func TestRoomForSessions(t *testing.T) {
	t.Parallel()
	h := setup(t).limited(2)
	first, second := h.start(h.proof(time.Hour, time.Minute)), h.start(h.proof(time.Hour, time.Minute))
	third := h.proof(time.Hour, time.Minute)
	_, err := h.IssueTicket(t.Context(), h.request(third))
	refusedBy(t, err, "limit.sessions")
	var ref *impersonation.Refusal
	if errors.As(err, &ref); ref.Decision.Advice != "You already impersonate in 2 places; stop one first." {
		t.Errorf("the page would say %q", ref.Decision.Advice)
	}
	if got := h.entries(audit.KindRefused); len(got) != 1 || got[0].Fields["rule"] != "limit.sessions" {
		t.Errorf("refusals on record = %+v; want the one", got)
	}

	_, err = h.Stop(t.Context(), impersonation.StopRequest{Return: first.Return, Client: "app"})
	h.ok(err)
	ticket := h.ticket(third)
	fourth := h.proof(time.Hour, time.Minute)
	late := h.ticket(fourth)
	_, err = h.Start(t.Context(), redeem(ticket, third))
	h.ok(err)
	_, err = h.Start(t.Context(), redeem(late, fourth))
	refusedBy(t, err, "limit.sessions")
	if n := len(h.entries(audit.KindStart)); n != 3 || !h.alive(second) {
		t.Errorf("%d starts, the second one alive: %t; want 3 and true", n, h.alive(second))
	}
	h.start(third) // at the same client by the same login: in the place of the one before
}

// TestRoomByDefault: somebody who sets nothing has a limit, and a negative number is none.
func TestRoomByDefault(t *testing.T) {
	t.Parallel()
	h := setup(t)
	for range impersonation.DefaultMaxSessions {
		h.start(h.proof(time.Hour, time.Minute))
	}
	h.start(h.proof(time.Hour, time.Minute))
	_, err := h.limited(0).IssueTicket(t.Context(), h.request(h.proof(time.Hour, time.Minute)))
	refusedBy(t, err, "limit.sessions")
}

// TestRoomUnderRace: starts that are decided at the same moment do not pass the limit together.
func TestRoomUnderRace(t *testing.T) {
	t.Parallel()
	h := setup(t).limited(3)
	var requests []impersonation.StartRequest
	for range 16 {
		p := h.proof(time.Hour, time.Minute)
		requests = append(requests, redeem(h.ticket(p), p))
	}
	var wg sync.WaitGroup
	var started atomic.Int32
	gate := make(chan struct{})
	for _, r := range requests {
		wg.Go(func() {
			<-gate
			_, err := h.Start(t.Context(), r)
			var ref *impersonation.Refusal
			switch {
			case err == nil:
				started.Add(1)
			case !errors.As(err, &ref) && !errors.Is(err, impersonation.ErrChanged):
				t.Errorf("a loser got %v", err)
			}
		})
	}
	close(gate)
	wg.Wait()
	if n := started.Load(); n != 3 {
		t.Errorf("%d started; want 3", n)
	}
}
