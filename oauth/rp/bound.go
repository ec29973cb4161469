package rp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What Bound and NewContext answer beside ErrOver. Test with errors.Is.
var (
	// ErrUnknown: whether the impersonation goes on cannot be told now.
	ErrUnknown = errors.New("rp: whether the impersonation goes on is not known")
	// ErrForbidden: nobody may do this in somebody else's name, or the impersonation is look only.
	ErrForbidden = errors.New("rp: not while impersonating")
)

// boundPoll is how often a Bound context asks. What it asks has an age of its own.
const boundPoll = time.Second

// Bound gives a context that ends when the impersonation that ctx belongs to does: for what outlives the look at liveness before a request, such as
// a WebSocket, server-sent events or a long download. It also ends with the session's or the token's time, with ctx, and when nobody can tell any more whether the
// session goes on; context.Cause tells by ErrOver and ErrUnknown. Without an impersonation it ends with ctx, and with the token if there is one. It is
// some 6 seconds late at most. cancel frees what it holds: call it when the connection is over.
//
// A connection that a handler takes over (http.Hijacker) ends in the same way by itself. What comes in over one is not on record by itself, and was let pass as one request.
func Bound(ctx context.Context) (bound context.Context, cancel context.CancelFunc) {
	t := tieOf(ctx)
	if t == nil {
		return context.WithCancel(ctx)
	}
	bound, stop := context.WithCancelCause(ctx)
	go t.watch(bound, stop)
	return bound, func() { stop(context.Canceled) }
}

// tie is what a context that goes on depends on.
type tie struct {
	live    Liveness
	session *Session // nil without an impersonation
	expires time.Time
	now     func() time.Time
}

// tieOf gives what the rest of a request depends on; nil for nothing.
func tieOf(ctx context.Context) *tie {
	switch v := ctx.Value(ctxKey{}).(type) {
	case *visit:
		if v.session != nil {
			return v.tie()
		}
	case *call:
		return v.tie()
	}
	return nil
}

// tie is that of an impersonation.
func (v *visit) tie() *tie { return &tie{v.app.live, v.session, v.session.Expires, v.app.now} }

// tie is that of a token.
func (c *call) tie() *tie { return &tie{c.bearer.live, c.session, c.Expires, c.bearer.now} }

// watch asks until ctx has ended, or ends it.
func (t *tie) watch(ctx context.Context, stop context.CancelCauseFunc) {
	tick := time.NewTicker(boundPoll)
	defer tick.Stop()
	for {
		if err := t.check(ctx); err != nil {
			stop(err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (t *tie) check(ctx context.Context) error {
	if !t.now().Before(t.expires) {
		return ErrOver
	}
	if t.session == nil {
		return nil
	}
	alive, err := t.live.Alive(ctx, t.session.ID, t.session.Token)
	switch {
	case err != nil:
		return errors.Join(ErrUnknown, err)
	case !alive:
		return ErrOver
	}
	return nil
}

// methodJob is what the trail and the patterns of Allow and Block call a job by: Allow("JOB /invoices/export").
const methodJob = "JOB"

// NewContext is for what is done in s's name after its request, such as a job in a queue: in the context that it gives, Subject, Actor and
// Impersonating are those of s, and Bound ends it with the session. job names what is done, 1 to 100 of A-Z a-z 0-9 - _ . /; it is put on record before, as an
// action of the method JOB, and the session is asked for now. A nil s, of nobody who is impersonated, gives ctx.
//
// It fails with ErrOver, ErrUnknown, or ErrForbidden: for a session that is look only, unless "JOB /" and job is one of Allow's patterns, or for one of
// Block's. s may have waited long, in a queue's own store if its Token is sealed there.
func (a *App) NewContext(ctx context.Context, s *Session, job string) (context.Context, error) {
	if s == nil {
		return ctx, nil
	}
	v := &visit{app: a, site: a.acting, session: s}
	if err := a.guard.begin(ctx, &v.entry, a.record, s, job); err != nil {
		return nil, err
	}
	return context.WithValue(ctx, ctxKey{}, v), nil
}

// NewContext is App.NewContext for what was begun by a request with a token. s is what FromContext gave there.
func (b *Bearer) NewContext(ctx context.Context, s *Session, job string) (context.Context, error) {
	if s == nil {
		return ctx, nil
	}
	c := &call{Context: ctx, bearer: b, access: &access{session: s, Access: Access{Expires: s.Expires}}, entry: new(entry)}
	if err := b.guard.begin(ctx, c.entry, b.record, s, job); err != nil {
		return nil, err
	}
	return c, nil
}

// begin puts a job on record, as begun or as refused.
func (g guard) begin(ctx context.Context, e *entry, j *journal, s *Session, job string) error {
	if !jobName(job) {
		return errors.New("rp: a job's name must be 1 to 100 of A-Z a-z 0-9 - _ . /")
	}
	if !j.now().Before(s.Expires) {
		return ErrOver
	}
	r := &http.Request{Method: methodJob, URL: &url.URL{Path: "/" + job}, Header: http.Header{}}
	var alive bool
	var err error
	reason := g.refuses(r, peek{}, s.Mode)
	if reason != "" {
		_, alive, err = e.refuse(ctx, r, j, s, reason)
	} else {
		e.did, e.before, e.after = newAction(r, s, PhaseBefore), true, true
		e.did.Time = j.stamp()
		alive, err = j.tell(ctx, e.did, s.Expires)
	}
	switch {
	case err != nil:
		return errors.Join(ErrUnknown, err)
	case !alive:
		return ErrOver
	case reason != "":
		return ErrForbidden
	}
	return nil
}

func jobName(job string) bool {
	return job != "" && len(job) <= 100 && !strings.ContainsFunc(job, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-_./", c))
	})
}
