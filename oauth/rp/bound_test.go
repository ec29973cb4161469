package rp_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/rp"
)

// ended waits for a context, and demands its cause.
func ended(t *testing.T, what string, ctx context.Context, want error) {
	t.Helper()
	select {
	case <-ctx.Done():
		if got := context.Cause(ctx); !errors.Is(got, want) {
			t.Errorf("%s: ended by %v, want %v", what, got, want)
		}
	case <-time.After(20 * time.Second):
		t.Errorf("%s: goes on after 20 s", what)
	}
}

func lives(t *testing.T, what string, ctx context.Context) {
	t.Helper()
	if ctx.Err() != nil {
		t.Errorf("%s: ended by %v", what, context.Cause(ctx))
	}
}

// TestBound: what outlives its request ends with the session, the token's time, the issuer's word and the request; and never before.
func TestBound(t *testing.T) {
	t.Parallel()
	bound := func(a *api, token string) (ctx context.Context, cancel context.CancelFunc) {
		in, err := a.bearer.Authenticate(t.Context(), "Bearer "+token, "", "GET", "/events")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel = rp.Bound(in)
		t.Cleanup(cancel)
		return ctx, cancel
	}
	for name, c := range map[string]struct {
		end  func(*api)
		want error
	}{
		"killed":    {func(a *api) { a.set(func() { a.over["imp_1"] = true }); a.clock.advance(5 * time.Second) }, rp.ErrOver},
		"expired":   {func(a *api) { a.clock.advance(10 * time.Minute) }, rp.ErrOver},
		"not known": {func(a *api) { a.set(func() { a.down["*"] = true }); a.clock.advance(5 * time.Second) }, rp.ErrUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, nil)
			ctx, _ := bound(a, a.acting())
			own, _ := bound(a, a.token())
			a.clock.advance(4 * time.Second)
			lives(t, "before", ctx)
			if p, _ := rp.Actor(ctx); p.Subject != "ann" {
				t.Errorf("the actor is %q", p.Subject)
			}
			c.end(a)
			ended(t, "ann as john", ctx, c.want)
			if name == "expired" {
				ended(t, "john's own", own, rp.ErrOver)
			} else {
				lives(t, "john's own", own)
			}
		})
	}
	a := newAPI(t, nil)
	ctx, cancel := bound(a, a.acting())
	cancel()
	ended(t, "cancelled", ctx, context.Canceled)
	parent, stop := context.WithCancel(t.Context())
	nobody, cancel := rp.Bound(parent)
	defer cancel()
	lives(t, "nobody's", nobody)
	stop()
	ended(t, "nobody's", nobody, context.Canceled)
}

// TestBoundInApps: the same under App.Handler, where the look at liveness is the app's.
func TestBoundInApps(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		b.impersonate("john", "read")
		in, _ := h.inside(b)
		bound, cancel := rp.Bound(in)
		defer cancel()
		lives(t, "before", bound)
		h.kill()
		h.clock.advance(5 * time.Second)
		ended(t, "killed", bound, rp.ErrOver)
	})
}

// inside gives the context, and the session, with which b's request reaches a handler.
func (h *house) inside(b *browser) (in context.Context, s *rp.Session) {
	h.t.Helper()
	return h.insideOf(h.rp, b.cookies(h.asUser))
}

// insideOf is inside for a process of the app.
func (h *house) insideOf(app *rp.App, cookies map[string]string) (in context.Context, s *rp.Session) {
	h.t.Helper()
	r := h.browser().request(http.MethodGet, h.asUser+"/x", nil)
	r.Host, r.RequestURI = r.URL.Host, r.URL.RequestURI()
	r.Header.Set("Cookie", cookieHeader(cookies))
	app.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		in = r.Context()
		s, _ = rp.FromContext(in)
	})).ServeHTTP(httptest.NewRecorder(), r)
	if s == nil {
		h.t.Fatal("nobody is impersonated")
	}
	return in, s
}

// TestJobs: what is done in somebody's name after the request is on record before it runs, as the same two people, not for a session that is over, and not more than
// the request might have done.
func TestJobs(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.bearer.Allow("JOB /export")
	a.bearer.Block("JOB /blocked")
	session := func(claims ...any) *rp.Session {
		in, err := a.bearer.Authenticate(t.Context(), "Bearer "+a.acting(claims...), "", "GET", "/me")
		if err != nil {
			t.Fatal(err)
		}
		s, _ := rp.FromContext(in)
		return s
	}
	look, full := session(), session("scope", fullAccess)
	a.recorded("the calls", "before GET /me", "before GET /me")
	job, err := a.bearer.NewContext(t.Context(), full, "invoices/send")
	if err != nil {
		t.Fatal(err)
	}
	subject, _ := rp.Subject(job)
	actor, _ := rp.Actor(job)
	if subject.Subject != "john" || actor.Subject != "ann" {
		t.Errorf("the job is for %q by %q", subject.Subject, actor.Subject)
	}
	bound, cancel := rp.Bound(job)
	defer cancel()
	a.recorded("begun", "before JOB /invoices/send")
	for _, c := range []struct {
		what    string
		session *rp.Session
		job     string
		want    error
		record  string
	}{
		{"look only", look, "invoices/send", rp.ErrForbidden, "after JOB /invoices/send 403 read_only"},
		{"look only, allowed", look, "export", nil, "before JOB /export"},
		{"blocked", full, "blocked", rp.ErrForbidden, "after JOB /blocked 403 forbidden"},
	} {
		if _, err := a.bearer.NewContext(t.Context(), c.session, c.job); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
		a.recorded(c.what, c.record)
	}
	for _, name := range []string{"", "a b", "a?b", "ä", string(make([]byte, 101))} {
		if _, err := a.bearer.NewContext(t.Context(), full, name); err == nil {
			t.Errorf("%q is a job", name)
		}
	}
	a.recorded("of no name")
	a.set(func() { a.down["*"] = true })
	if _, err := a.bearer.NewContext(t.Context(), full, "x"); !errors.Is(err, rp.ErrUnknown) {
		t.Errorf("nobody answers: %v", err)
	}
	a.set(func() { a.down["*"], a.over["imp_1"] = false, true })
	if _, err := a.bearer.NewContext(t.Context(), full, "x"); !errors.Is(err, rp.ErrOver) {
		t.Errorf("ended: %v", err)
	}
	ended(t, "the job that runs", bound, rp.ErrOver)
	a.set(func() { a.over["imp_1"] = false })
	a.clock.advance(10 * time.Minute)
	a.taken(&a.actions)
	if _, err := a.bearer.NewContext(t.Context(), full, "x"); !errors.Is(err, rp.ErrOver) {
		t.Errorf("expired: %v", err)
	}
	a.recorded("expired")
	if ctx, err := a.bearer.NewContext(t.Context(), nil, "x"); err != nil || ctx != t.Context() {
		t.Errorf("nobody's: %v", err)
	}
}

// TestJobsOfApps: the same from a session that a cookie held, against the real issuer.
func TestJobsOfApps(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		b.impersonate("john", "write")
		_, s := h.inside(b)
		job, err := h.rp.NewContext(t.Context(), s, "invoices/send")
		if err != nil {
			t.Fatal(err)
		}
		if p, _ := rp.Actor(job); p.Email != "ann@acme.test" || !rp.Impersonating(job) {
			t.Errorf("the job is by %+v", p)
		}
		if got := h.acts(); len(got) == 0 || got[len(got)-1] != "before JOB /invoices/send" {
			t.Errorf("on record: %q", got)
		}
		if ctx, err := h.rp.NewContext(t.Context(), nil, "x"); err != nil || rp.Impersonating(ctx) {
			t.Errorf("nobody's: %v", err)
		}
		h.kill()
		if _, err := h.rp.NewContext(t.Context(), s, "invoices/send"); !errors.Is(err, rp.ErrOver) {
			t.Errorf("killed: %v", err)
		}
	})
}
