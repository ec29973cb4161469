package rp

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/understudy-id/understudy/oauth/ssf"
)

const (
	// silence is how long an answer to a poll vouches, from when it was asked for: three times as long as a poll waits.
	silence = 3 * time.Second
	// pollWait is how long a poll waits for an event.
	pollWait = time.Second
	// pollEvery is how often at most it is asked, whatever the answers are: a thousand ends are told in a second.
	pollEvery = 100 * time.Millisecond
	// idleStream is how long a process listens after the last request under impersonation. An app that nobody impersonates in asks for
	// nothing, and holds none of the streams that its client may have.
	idleStream = 10 * time.Minute
	// firstTry doubles with each try that fails, up to lastTry.
	firstTry = 500 * time.Millisecond
	lastTry  = time.Minute
	// steady is how long a connection must have held for the tries to begin again with firstTry.
	steady = 30 * time.Second
	// troubleEvery is how often at most the log says that the stream fails, and stillFailing how often while it goes on failing.
	troubleEvery = time.Minute
	stillFailing = time.Hour
)

// stream listens to what the issuer tells of this client's sessions (OpenID Shared Signals Framework 1.0, by poll). One runs in a process, from
// its first request under impersonation on. It tells a Liveness, which asks the issuer itself wherever nobody is heard: so what is wrong
// here costs an introspection, and never lets a session go on.
type stream struct {
	*signed
	life     context.Context
	believes *introspected
	log      *slog.Logger

	used    atomic.Int64 // when somebody last asked, in nanoseconds since 1970
	running atomic.Bool

	// What follows belongs to the goroutine that runs.
	door     door
	troubled time.Time // when the log last said so
	failing  bool
}

// listenTo makes l hear what ends, from the first time that it is asked until life ends.
func listenTo(life context.Context, l *introspected, v *signed, log *slog.Logger) {
	l.events = &stream{signed: v, life: life, believes: l, log: log}
}

// wake starts the stream if none runs, and keeps it running.
func (s *stream) wake(now time.Time) {
	if s == nil {
		return
	}
	s.used.Store(now.UnixNano())
	if !s.running.Load() && s.life.Err() == nil && s.running.CompareAndSwap(false, true) {
		go s.run()
	}
}

// wanted reports whether somebody still asks.
func (s *stream) wanted() bool {
	return s.life.Err() == nil && s.now().Sub(time.Unix(0, s.used.Load())) < idleStream
}

func (s *stream) run() {
	defer s.running.Store(false)
	defer s.leave()
	for wait := firstTry; s.wanted(); wait = min(2*wait, lastTry) {
		began := s.now()
		err := s.listen(s.life)
		s.believes.doubt()
		if err == nil || s.life.Err() != nil {
			continue
		}
		s.issuer.client.CloseIdleConnections() // one that is half open would take the next poll too
		s.drop()
		if s.now().Sub(began) >= steady {
			wait = firstTry
		}
		s.complain(err)
		select {
		case <-s.life.Done():
		case <-time.After(wait/2 + rand.N(wait/2)): // many processes lose the issuer at one time
		}
	}
}

// listen connects and hears until something is wrong, nil when nobody asks any longer. It begins by being told all that has ended.
func (s *stream) listen(ctx context.Context) error {
	for next := (pollRequest{Snapshot: true, Immediately: true}); s.wanted(); {
		if err := s.open(ctx); err != nil {
			return err
		}
		again := time.After(pollEvery)
		heard, err := s.poll(ctx, next)
		if err != nil {
			return err
		}
		next = heard
		s.recovered()
		select {
		case <-again:
		case <-ctx.Done():
		}
	}
	return nil
}

// poll asks once and passes on what it hears. What it gives acknowledges that.
func (s *stream) poll(ctx context.Context, r pollRequest) (next pollRequest, err error) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	sent := s.now()
	var a ssf.PollAnswer
	if err := s.call(ctx, http.MethodPost, s.door.poll, r, http.StatusOK, &a); err != nil {
		return next, err
	}
	switch {
	case r.Snapshot && a.Ended == nil:
		return next, errors.New("the answer lacks understudy_ended")
	case len(a.Sets) > ssf.MaxEvents:
		return next, errors.New("the answer has more SETs than an answer may")
	}
	n := news{ended: make(map[string]time.Time), epochs: a.State.Epochs}
	if a.State.Vouches && !a.MoreAvailable { // while there is more, somebody may have ended of whom it is not told yet
		n.vouched = sent.Add(silence)
	}
	n.snapshot(a.Ended, sent)
	faults, err := s.read(ctx, a.Sets, &n, &next)
	if err != nil || len(faults) > 0 {
		n.vouched = time.Time{}
	}
	if err := errors.Join(err, s.believes.hear(n)); err != nil {
		return next, err
	}
	if len(faults) > 0 {
		return next, s.refuse(ctx, next.Ack, faults)
	}
	next.Wait = int(pollWait / time.Second)
	next.Immediately = a.MoreAvailable
	return next, nil
}

// snapshot adds what an answer says of sessions that ended, but for what is no longer of interest.
func (n *news) snapshot(ended []ssf.Ended, now time.Time) {
	for _, e := range ended {
		until := time.Unix(e.Expires, 0)
		if last := now.Add(longest); until.After(last) {
			until = last
		}
		if sessionID(e.Session) && now.Before(until) {
			n.ended[e.Session] = until
		}
	}
}

// leave gives the stream back.
func (s *stream) leave() {
	s.believes.doubt()
	s.drop()
	s.door = door{}
}

// drop gives up a stream of which an answer is missing. The poll may still be on its way, and would take from that stream what ended; so the
// next connection has a stream of its own. Where it cannot be closed its lease ends it.
func (s *stream) drop() {
	if s.door.id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.life), pollWait)
	defer cancel()
	s.close(ctx)
	s.door.id = ""
}

// complain logs that the stream fails, as rarely as is of use.
func (s *stream) complain(err error) {
	every := troubleEvery
	if s.failing {
		every = stillFailing
	}
	s.failing = true
	if now := s.now(); now.Sub(s.troubled) >= every {
		s.troubled = now
		s.log.Warn("understudy's events cannot be heard: each session is asked for instead", "issuer", s.issuer.url, "error", brief(err))
	}
}

func (s *stream) recovered() {
	if s.failing {
		s.failing = false
		s.log.Info("understudy's events are heard again", "issuer", s.issuer.url)
	}
}

// brief is err in one short line: what it quotes may be a stranger's.
func brief(err error) string {
	const most = 300 // bytes
	text := err.Error()
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}
