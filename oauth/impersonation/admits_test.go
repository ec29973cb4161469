package impersonation_test

import (
	"errors"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
)

// closing is a house with one impersonation, and what closes the way in by which its actor came.
func closing(t *testing.T) (h *house, p impersonation.ActorProof, s *impersonation.Started, close func()) {
	t.Helper()
	h = setup(t)
	open := true
	h.config.Admits = func(l impersonation.Login) bool { return open && l.User == "ann" }
	var err error
	h.Service, err = impersonation.New(h.config)
	h.ok(err)
	p = h.proof(8*time.Hour, 10*time.Minute)
	return h, p, h.start(p), func() { open = false }
}

// TestClosedWayIn: a login whose way in is closed issues no ticket, starts nothing and keeps nothing alive.
func TestClosedWayIn(t *testing.T) {
	t.Parallel()
	h, p, s, close := closing(t)
	ticket := h.ticket(p)
	if !h.alive(s) {
		t.Fatal("dead while the way is open")
	}
	close()
	_, err := h.IssueTicket(t.Context(), h.request(p))
	refusedBy(t, err, "login.dead")
	_, err = h.Start(t.Context(), redeem(ticket, p))
	refusedBy(t, err, "login.dead")
	if h.alive(s) || h.session(s.Session.ID).EndReason != impersonation.EndSignedOut {
		t.Errorf("got %+v; want it signed out", h.session(s.Session.ID))
	}
}

// TestStopWithoutAWayIn: a stop ends the session all the same, and gives no token.
func TestStopWithoutAWayIn(t *testing.T) {
	t.Parallel()
	h, _, s, close := closing(t)
	close()
	if _, err := h.Stop(t.Context(), impersonation.StopRequest{Return: s.Return, Client: "app"}); !errors.Is(err, impersonation.ErrNothingLeft) {
		t.Errorf("got %v; want ErrNothingLeft", err)
	}
	if got := h.session(s.Session.ID).EndReason; got != impersonation.EndStopped {
		t.Errorf("the session ended by %q; want it stopped", got)
	}
}
