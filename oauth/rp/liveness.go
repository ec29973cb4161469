package rp

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/ssf"
)

const (
	// believed is how long an answer of the issuer counts where nobody tells what ends: how late a kill may reach a safe request.
	believed = 5 * time.Second
	// resight is the same while a stream vouches. It is not needed to hear of an end; but the issuer ends what nobody uses, and where what only
	// looks is recorded elsewhere, or a connection stays open (Bound), to be asked is how it knows. config check notes an impersonation_idle that is too short for it.
	resight = time.Minute
	// maxBelieved bounds the memory: beyond it answers are asked for anew rather than kept.
	maxBelieved = 10_000
	// longest is for how long the end of a session can matter: the longest that one can last, and room for clocks that differ.
	longest = time.Hour + 5*time.Minute
	// maxEnded is how many ends are remembered: two of the largest snapshots.
	maxEnded = 100_000
	// sweepEvery is how often what no longer matters is forgotten.
	sweepEvery = time.Minute
)

// introspected is Liveness by introspection (RFC 7662), and by events where a stream tells them: while that vouches, one look at a
// session serves until its end is told. Of answers it remembers only good news, by sid and token both: a bad one kept for 5
// seconds would let whoever guesses a sid switch somebody off.
type introspected struct {
	issuer *issuer
	now    func() time.Time
	events *stream // nil: nobody tells what ends

	mu   sync.RWMutex
	seen map[string]sighting  // by sid
	told map[string]time.Time // the sessions whose end was told, and until when that matters. They never live again.
	// vouched is until when every end of a session of this client is in told. Zero while nobody says so.
	vouched time.Time
	epochs  []ssf.Epoch // the kill switches that were on when last heard
	moved   uint64      // counts how often one was: what was asked before and is answered after is not remembered
	swept   time.Time
}

type sighting struct {
	token oauth.Secret
	at    time.Time // when it was asked for
	own   bool      // a session of this client: of others no stream of ours tells
}

// Alive implements Liveness.
func (l *introspected) Alive(ctx context.Context, sid string, token oauth.Secret) (bool, error) {
	now := l.now()
	l.events.wake(now)
	l.mu.RLock()
	_, over := l.told[sid]
	counts := !over && l.counts(sid, token, now)
	moved := l.moved
	l.mu.RUnlock()
	if over || counts {
		return counts, nil
	}
	alive, own, err := l.issuer.introspect(ctx, sid, token)
	if err != nil {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, over := l.told[sid]; over || !alive {
		delete(l.seen, sid)
		return false, nil
	}
	if l.moved == moved {
		l.remember(sid, sighting{token, now, own})
	}
	return true, nil
}

// counts reports whether what was seen of a session still does; l is locked.
func (l *introspected) counts(sid string, token oauth.Secret, now time.Time) bool {
	s, ok := l.seen[sid]
	age, most := now.Sub(s.at), believed
	if s.own && now.Before(l.vouched) {
		most = resight
	}
	return ok && s.token == token && age >= 0 && age < most
}

func (l *introspected) remember(sid string, s sighting) {
	if l.seen == nil || len(l.seen) >= maxBelieved {
		l.seen = make(map[string]sighting)
	}
	l.seen[sid] = s
}

// forget makes the next request ask.
func (l *introspected) forget(sid string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.seen, sid)
}

// news is what one answer of the issuer to a poll tells.
type news struct {
	ended   map[string]time.Time // by sid, until when that matters
	epochs  []ssf.Epoch
	vouched time.Time // until when nothing else has ended; zero where that is not said
}

var errTooManyEnds = errors.New("more sessions have ended than are remembered")

// hear takes news in. Where a kill switch was moved each session is asked for once more, at once: that says in the issuer's own words whom a
// switch concerns, and no session that it ended is back when it is lifted.
func (l *introspected) hear(n news) error {
	now := l.now()
	slices.SortFunc(n.epochs, func(a, b ssf.Epoch) int {
		return cmp.Or(strings.Compare(a.Scope, b.Scope), strings.Compare(a.ID, b.ID))
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.epochs, n.epochs) {
		l.epochs, l.seen = n.epochs, nil
		l.moved++
	}
	if err := l.bury(n.ended, now); err != nil {
		l.vouched = time.Time{}
		return err
	}
	l.vouched = n.vouched
	return nil
}

// end takes in that one session is over, by whatever way that was told. fresh reports that it was not known.
func (l *introspected) end(sid string) (fresh bool, err error) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := l.told[sid]
	return !known, l.bury(map[string]time.Time{sid: now.Add(longest)}, now)
}

// bury remembers what is over; l is locked.
func (l *introspected) bury(ended map[string]time.Time, now time.Time) error {
	if l.told == nil {
		l.told = make(map[string]time.Time)
	}
	if now.Sub(l.swept) >= sweepEvery || len(l.told)+len(ended) > maxEnded {
		l.sweep(now)
	}
	for sid, until := range ended {
		delete(l.seen, sid)
		if len(l.told) >= maxEnded {
			return errTooManyEnds
		}
		l.told[sid] = until
	}
	return nil
}

// doubt makes answers count for no longer than without a stream.
func (l *introspected) doubt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.vouched = time.Time{}
}

// sweep forgets what no longer matters; l is locked.
func (l *introspected) sweep(now time.Time) {
	l.swept = now
	maps.DeleteFunc(l.told, func(_ string, until time.Time) bool { return now.After(until) })
	maps.DeleteFunc(l.seen, func(_ string, s sighting) bool { return now.Sub(s.at) >= resight })
}
