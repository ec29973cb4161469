package rp

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
)

// recorded is an API's answer. Under impersonation it goes out once it is on record, or is kept to be. For the handler's own goroutine, as any
// http.ResponseWriter.
type recorded struct {
	w    http.ResponseWriter
	c    *call
	said bool // the status
	held bool // nobody may see it
}

// Header is the handler's own.
func (a *recorded) Header() http.Header { return a.w.Header() }

// Unwrap lets http.ResponseController set deadlines.
func (a *recorded) Unwrap() http.ResponseWriter { return a.w }

// WriteHeader records status. Informational answers are not the answer (RFC 9110 §15.2).
func (a *recorded) WriteHeader(status int) {
	if a.held || !a.said && (status >= 200 || status == http.StatusSwitchingProtocols) && !a.say(status) {
		return
	}
	a.w.WriteHeader(status)
}

// say records status, and where that cannot be done answers otherwise and reports false.
func (a *recorded) say(status int) bool {
	a.said = true
	b, s := a.c.bearer, a.c.session
	if s != nil {
		onlyOnce(a.w.Header())
	}
	varyBy(a.w.Header(), byAuthorization)
	if s == nil || a.c.leave(a.c, b.record, s, status) {
		return true
	}
	a.held = true
	clear(a.w.Header())
	b.answer(a.w, errUnavailable)
	return false
}

// Write passes p on.
func (a *recorded) Write(p []byte) (int, error) {
	if a.finish(); a.held {
		return len(p), nil
	}
	return a.w.Write(p)
}

// ReadFrom lets files go out without a copy.
func (a *recorded) ReadFrom(src io.Reader) (int64, error) {
	if a.finish(); a.held {
		return io.Copy(io.Discard, src)
	}
	return io.Copy(a.w, src)
}

// FlushError sends what was written.
func (a *recorded) FlushError() error {
	if a.finish(); a.held {
		return nil
	}
	return http.NewResponseController(a.w).Flush()
}

// Flush sends what was written.
func (a *recorded) Flush() { _ = a.FlushError() }

// Hijack hands the connection over, for as long as the token counts.
func (a *recorded) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(a.w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	a.said = true
	if a.c.session != nil {
		a.c.upgraded = true
	}
	return bind(a.c.bearer.keys.life, conn, a.c.tie()), rw, nil
}

// finish records the answer of a handler that said nothing of a status.
func (a *recorded) finish() {
	if !a.said {
		a.say(http.StatusOK)
	}
}

// only records a call whose answer this package will not see, and reports whether it could.
func (e *entry) only(ctx context.Context, j *journal, s *Session) bool {
	if e.before {
		e.release(j, s)
		return true
	}
	room := e.room
	e.room, e.after, e.did.Time = 0, true, j.stamp()
	if j.keep(e.did, room, s.Expires) == nil {
		return true
	}
	alive, err := j.tell(ctx, e.did, s.Expires) // the issuer itself can still take it
	return alive && err == nil
}
