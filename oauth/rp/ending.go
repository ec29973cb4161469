package rp

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

const (
	// maxEndings is how many sessions may wait for the issuer to confirm their end.
	maxEndings = 1000
	// firstRetry doubles with each try, up to lastRetry.
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// endings are the sessions whose end the issuer has not confirmed yet. They are tried again until it has, or until their
// time is up anyway, or the app stops.
type endings struct {
	ctx    context.Context
	issuer *issuer
	log    *slog.Logger
	now    func() time.Time

	mu      sync.Mutex
	waiting map[oauth.Secret]struct{} // by what ends them: a session whose answer could not be read has no ID
}

func newEndings(ctx context.Context, a *App) *endings {
	return &endings{ctx: ctx, issuer: a.issuer, log: a.log, now: a.now, waiting: make(map[oauth.Secret]struct{})}
}

// add tries until the session that token stands for is ended.
func (e *endings) add(token oauth.Secret, s Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.waiting[token]; ok {
		return
	}
	if len(e.waiting) >= maxEndings {
		e.log.Error("too many stops wait for the issuer: this session ends by itself", "session", s.ID, "expires", s.Expires)
		return
	}
	e.waiting[token] = struct{}{}
	go func() {
		e.run(token, s)
		e.mu.Lock()
		delete(e.waiting, token)
		e.mu.Unlock()
	}()
}

func (e *endings) run(token oauth.Secret, s Session) {
	until := s.Expires
	if until.IsZero() {
		until = e.now().Add(time.Hour) // the longest that a session can last
	}
	for wait := firstRetry; e.now().Before(until); wait = min(2*wait, lastRetry) {
		select {
		case <-e.ctx.Done():
			return
		case <-time.After(wait):
		}
		err := e.issuer.revoke(e.ctx, token)
		if err == nil || isOver(err) {
			e.log.Info("a stop was confirmed late", "session", s.ID)
			return
		}
	}
	e.log.Warn("a stop was never confirmed: the session ran out", "session", s.ID)
}
