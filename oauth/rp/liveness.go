package rp

import (
	"context"
	"sync"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

const (
	// believed is how long an answer of the issuer counts: how late a kill may reach a safe request.
	believed = 5 * time.Second
	// maxBelieved bounds the memory: beyond it answers are asked for anew rather than kept.
	maxBelieved = 10_000
)

// introspected is Liveness by introspection (RFC 7662). It remembers only good news, by sid and token both: a bad answer
// kept for 5 seconds would let whoever guesses a sid switch somebody off.
type introspected struct {
	issuer *issuer
	now    func() time.Time

	mu   sync.RWMutex
	seen map[string]sighting // by sid
}

type sighting struct {
	token oauth.Secret
	at    time.Time
}

// Alive implements Liveness.
func (l *introspected) Alive(ctx context.Context, sid string, token oauth.Secret) (bool, error) {
	now := l.now()
	l.mu.RLock()
	s, ok := l.seen[sid]
	l.mu.RUnlock()
	if age := now.Sub(s.at); ok && s.token == token && age >= 0 && age < believed {
		return true, nil
	}
	alive, err := l.issuer.introspect(ctx, sid, token)
	if err != nil {
		return false, err
	}
	if !alive {
		l.forget(sid)
		return false, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil || len(l.seen) >= maxBelieved {
		l.seen = make(map[string]sighting)
	}
	l.seen[sid] = sighting{token, now}
	return true, nil
}

// forget makes the next request ask.
func (l *introspected) forget(sid string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.seen, sid)
}
