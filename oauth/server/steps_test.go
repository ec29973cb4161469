package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// step is a place in a start or a stop: both are one read and one write.
type step string

const (
	beforeRead  step = "before the read"
	afterRead   step = "after the read"
	beforeWrite step = "before the write"
	afterWrite  step = "after the commit" // the answer of the store is lost
)

// stepped does something at one step, and fails there if that gives an error.
type stepped struct {
	store.Store
	mu    sync.Mutex
	at    step
	times int
	do    func() error
	// subject takes the place of a ticket's, past the rules of the page; bend falsifies what a stop reads.
	subject string
	bend    func(*impersonation.StopFacts)
}

func (s *stepped) arm(at step, times int, do func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.times, s.do = at, times, do
}

func (s *stepped) reach(at step) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at != at || s.times == 0 {
		return nil
	}
	s.times--
	return s.do()
}

func through[T any](s *stepped, before, after step, f func() (T, error)) (out T, err error) {
	if err := s.reach(before); err != nil {
		return out, err
	}
	out, err = f()
	if err != nil {
		return out, err
	}
	return out, s.reach(after)
}

func (s *stepped) IssueTicket(ctx context.Context, w impersonation.TicketWrite) error {
	if s.subject != "" {
		w.Ticket.Subject, w.Entries[0].Subject.Subject = s.subject, s.subject
	}
	return s.Store.IssueTicket(ctx, w)
}

func (s *stepped) LoadStart(ctx context.Context, k impersonation.StartKey) (impersonation.Facts, error) {
	return through(s, beforeRead, afterRead, func() (impersonation.Facts, error) { return s.Store.LoadStart(ctx, k) })
}

func (s *stepped) LoadStop(ctx context.Context, ret oauth.Hash) (impersonation.StopFacts, error) {
	f, err := through(s, beforeRead, afterRead, func() (impersonation.StopFacts, error) { return s.Store.LoadStop(ctx, ret) })
	if err == nil && s.bend != nil {
		s.bend(&f)
	}
	return f, err
}

func (s *stepped) Start(ctx context.Context, w impersonation.StartWrite) error {
	_, err := through(s, beforeWrite, afterWrite, func() (struct{}, error) { return struct{}{}, s.Store.Start(ctx, w) })
	return err
}

func (s *stepped) Stop(ctx context.Context, w impersonation.StopWrite) error {
	_, err := through(s, beforeWrite, afterWrite, func() (struct{}, error) { return struct{}{}, s.Store.Stop(ctx, w) })
	return err
}

// setupSteps is a house whose server can be made to fail at a step, and ann's way to a start.
func setupSteps(t *testing.T, o options) *stepHouse {
	t.Helper()
	h := new(stepHouse)
	h.house = setup(t, o.wrapped(func(s store.Store) store.Store { h.steps = &stepped{Store: s}; return h.steps }))
	h.http.Transport = inProcess{h.handler} // so that a caller who leaves still hears the answer
	h.cookie, _ = h.login("ann")
	h.actor = h.token(h.cookie, "app", actorScope)
	return h
}

type stepHouse struct {
	*house
	steps         *stepped
	cookie, actor string
	tokens        []string // of starts that were answered
}

// start is one with a fresh ticket, which ends the one before.
func (h *stepHouse) start(ctx context.Context) reply {
	h.t.Helper()
	return h.keep(h.exchange(ctx, startForm(h.ticket(h.cookie, "app", "john", "read"), h.actor)))
}

func (h *stepHouse) keep(r reply) reply {
	if r.status == http.StatusOK {
		h.tokens = append(h.tokens, r.str("access_token"))
	}
	return r
}

func (h *stepHouse) exchange(ctx context.Context, form map[string][]string) reply {
	h.t.Helper()
	c := h.as("app", tokenCall(form))
	req, err := http.NewRequestWithContext(ctx, c.method, h.url+c.path, strings.NewReader(c.body.Encode()))
	h.must(err)
	req.Header = c.header
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return h.do(req)
}

// answered demands of a call that something happened to: a token that counts, or a refusal that gives nothing. It is never 500.
func (h *stepHouse) answered(name string, r reply) {
	h.t.Helper()
	switch token := r.str("access_token"); {
	case r.status == http.StatusOK && !h.active("app", token):
		h.t.Errorf("%s: got a token that is not active", name)
	case r.status == http.StatusServiceUnavailable && r.header.Get("Retry-After") == "":
		h.t.Errorf("%s: got 503 without Retry-After", name)
	case r.status != http.StatusOK && r.status != http.StatusServiceUnavailable || r.status != http.StatusOK && token != "":
		h.t.Errorf("%s: got %d %s; want a token or 503", name, r.status, r.body)
	}
}

// startsAnew is what a client does after any start that failed. One session is left, the new one.
func (h *stepHouse) startsAnew(name string) (ret string) {
	h.t.Helper()
	r := h.start(h.t.(*testing.T).Context())
	if live := h.live(); r.status != http.StatusOK || len(live) != 1 || !h.active("app", r.str("access_token")) {
		h.t.Fatalf("%s: the next start: got %d %s, with %d sessions alive; want it alone", name, r.status, r.body, len(live))
	}
	return r.str("understudy_return_token")
}

// stopsAgain is what a client does after any stop that failed: 200, or 400 if it had happened. Nothing is left.
func (h *stepHouse) stopsAgain(name, ret string) {
	h.t.Helper()
	r := h.exchange(h.t.(*testing.T).Context(), stopForm(ret))
	if r.status != http.StatusOK && (r.status != http.StatusBadRequest || r.str("error") != "invalid_request") {
		h.t.Errorf("%s: the next stop: got %d %s; want 200 or 400", name, r.status, r.body)
	}
	if live := h.live(); len(live) != 0 {
		h.t.Errorf("%s: %d sessions are alive after the next stop; want none", name, len(live))
	}
}

// live lists the sessions that nothing has ended.
func (h *house) live() []impersonation.Session {
	h.t.Helper()
	live, _, err := h.store.Sessions(context.Background(), store.SessionQuery{Live: true, Now: h.clock.Now()})
	h.must(err)
	return live
}

// mishap is what goes wrong at a step: an error of the store, or nil where the caller leaves instead.
var mishaps = map[step][]error{
	beforeRead:  {store.ErrUnavailable, context.DeadlineExceeded, nil},
	afterRead:   {store.ErrUnavailable, context.DeadlineExceeded, nil},
	beforeWrite: {store.ErrUnavailable, impersonation.ErrSpent, impersonation.ErrChanged, context.DeadlineExceeded, nil},
	afterWrite:  {store.ErrUnavailable, context.DeadlineExceeded, nil},
}

// eachMishap calls f for every one, which after arm happens once, or whenever the step is reached.
func eachMishap(h *stepHouse, f func(name string, ctx context.Context, arm func())) {
	for at, errs := range mishaps {
		for _, err := range errs {
			for _, times := range []int{1, 1000} {
				ctx, leave := context.WithCancel(context.Background())
				f(fmt.Sprintf("%s, %v, %d times", at, err, times), ctx, func() {
					h.steps.arm(at, times, func() error {
						if err == nil {
							leave()
						}
						return err
					})
				})
				leave()
			}
		}
	}
}

func (s *stepped) disarm() { s.arm("", 0, nil) }

// TestStartFailsAtAnyStep: whatever goes wrong wherever in a start, there is a session with its entry or there is none, and the
// actor starts anew.
func TestStartFailsAtAnyStep(t *testing.T) { onBoth(t, testStartFailsAtAnyStep) }

func testStartFailsAtAnyStep(t *testing.T, o options) {
	h := setupSteps(t, o)
	eachMishap(h, func(name string, ctx context.Context, arm func()) {
		ticket := h.ticket(h.cookie, "app", "john", "read")
		arm()
		r := h.keep(h.exchange(ctx, startForm(ticket, h.actor)))
		h.steps.disarm()
		if ctx.Err() == nil || r.status != http.StatusBadRequest { // whom the policy refused since they left hears nothing of it
			h.answered(name, r)
		}
		h.startsAnew(name)
	})
	h.sound(h.tokens...)
}

// TestStopFailsAtAnyStep: a stop that failed may have happened or not; the next one within a minute makes sure of it.
func TestStopFailsAtAnyStep(t *testing.T) { onBoth(t, testStopFailsAtAnyStep) }

func testStopFailsAtAnyStep(t *testing.T, o options) {
	h := setupSteps(t, o)
	eachMishap(h, func(name string, ctx context.Context, arm func()) {
		ret := h.startsAnew(name)
		arm()
		r := h.exchange(ctx, stopForm(ret))
		h.steps.disarm()
		h.answered(name, r)
		if r.status == http.StatusOK && len(h.live()) != 0 {
			t.Errorf("%s: a stop was answered 200 and the session is alive", name)
		}
		h.stopsAgain(name, ret)
	})
	h.sound(h.tokens...)
}

// TestSigningFails: a start that could not be signed leaves no session, a stop that could not be has ended it, and neither stands in the
// way of the next.
func TestSigningFails(t *testing.T) { onBoth(t, testSigningFails) }

func testSigningFails(t *testing.T, o options) {
	h := setupSteps(t, o)
	// No token names a person by a replacement character: another reader may have put it there for something else.
	odd := directory.User{ID: "j\uFFFDhn", Email: "odd@acme.test", Name: "Odd Doe", Organisation: "acme", Enabled: true, Created: h.clock.Now(), Updated: h.clock.Now()}
	h.must(h.store.CreateUser(t.Context(), store.UserWrite{Write: h.write(), User: odd}))
	h.steps.subject = odd.ID
	r := h.start(t.Context())
	h.steps.subject = ""
	refused(t, r, http.StatusInternalServerError, "server_error")
	if live := h.live(); len(live) != 0 {
		t.Errorf("alive: %v; want none that was not signed for", live)
	}
	if e := h.entry(audit.KindEnd); e.Subject.Subject != odd.ID || e.Fields["reason"] != string(impersonation.EndRevoked) {
		t.Errorf("on record is %+v; want the end of that session", e)
	}
	ret := h.startsAnew("start")

	h.steps.bend = func(f *impersonation.StopFacts) { f.Login.ACR = "\uFFFD" }
	refused(t, h.exchange(t.Context(), stopForm(ret)), http.StatusInternalServerError, "server_error")
	if live := h.live(); len(live) != 0 {
		t.Errorf("%d sessions are alive after a stop that was not signed for; want none", len(live))
	}
	h.steps.bend = nil
	h.stopsAgain("stop", ret)
	h.sound(h.tokens...)
}
