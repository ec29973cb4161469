package impersonation

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/policy"
)

// EndRequest ends sessions: all live ones of Scope and ID.
type EndRequest struct {
	Scope     EpochScope
	ID        string
	Reason    EndReason
	By        oauth.Party // zero: the clock
	Note      string
	RequestID string
	// KeepReturn leaves the return tokens usable.
	KeepReturn bool
}

// End ends sessions and answers those that it ended, none being no error. When it answers nil, no introspection that begins
// afterwards calls one of them active.
func (s *Service) End(ctx context.Context, r EndRequest) ([]Ended, error) {
	w := EndWrite{
		Write: Write{RequestID: r.RequestID, Now: s.clock()},
		Scope: r.Scope, ID: r.ID, Reason: r.Reason, By: r.By, Issuer: s.issuer, Note: r.Note, KeepReturn: r.KeepReturn,
	}
	ended, err := s.store.End(ctx, w)
	if err != nil {
		return nil, err
	}
	for _, e := range ended {
		s.log.InfoContext(ctx, "impersonation ended: "+string(r.Reason), "actor", e.Session.Actor, "subject", e.Session.Subject,
			"session", e.Session.ID, "app", e.Session.Client, "mode", e.Session.Mode, "ticket_number", e.Session.TicketNumber, "request_id", r.RequestID)
	}
	return ended, nil
}

// touchEvery is how old LastActive may grow before an introspection moves it: idle ends are minutes long, and a write for
// every introspection would cost more than everything else about it.
const touchEvery = 30 * time.Second

// Alive tells whether a session may go on, by asking again all that was asked at its start, with the people as they are now.
// nil and no error means that it may not: it is unknown, over, or was ended just now because the policy would refuse it.
// An error means that nobody knows; then the caller must not vouch for it.
func (s *Service) Alive(ctx context.Context, sid string) (*Live, error) {
	now := s.clock()
	live, err := s.store.LoadSession(ctx, sid)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if alive, err := s.mayGoOn(ctx, &live, now); err != nil || !alive {
		return nil, err
	}
	return &live, nil
}

// Recheck ends a session that may not go on, as Alive does, for an app that is told of ends and does not ask. It is nobody's activity.
func (s *Service) Recheck(ctx context.Context, sid string) error {
	live, err := s.store.LoadSession(ctx, sid)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.endsHere(ctx, &live, s.clock())
	return err
}

// endsHere ends a session that was just read and may not go on, and reports whether that is so. It fills in its people's issuer.
func (s *Service) endsHere(ctx context.Context, live *Live, now time.Time) (bool, error) {
	s.withIssuer(live.Actor)
	s.withIssuer(live.Subject)
	s.nameMachine(&live.Actor, live.Client, live.Session.Actor)
	if reason := s.deadBecause(ctx, *live, now); reason != "" {
		return true, s.endDead(ctx, live.Session, reason)
	}
	return false, nil
}

// mayGoOn is Alive for a session that was just read.
func (s *Service) mayGoOn(ctx context.Context, live *Live, now time.Time) (bool, error) {
	if ends, err := s.endsHere(ctx, live, now); ends || err != nil {
		return false, err
	}
	if now.Sub(live.Session.LastActive) >= touchEvery {
		if err := s.store.Touch(ctx, live.Session.ID, now); err != nil {
			return false, err
		}
	}
	return true, nil
}

// deadBecause gives the reason why a session may not go on, "" if it may.
func (s *Service) deadBecause(ctx context.Context, l Live, now time.Time) EndReason {
	session := l.Session
	switch {
	case !session.Ended.IsZero():
		return session.EndReason
	case len(l.Kills) > 0:
		return EndKilled
	case !now.Before(session.Expires):
		return EndExpired
	case !now.Before(session.LastActive.Add(s.life.Idle)):
		return EndIdle
	case l.Client == nil:
		return EndClient
	case l.Actor == nil || l.Subject == nil || !l.Actor.Enabled || !l.Subject.Enabled:
		return EndDisabled
	case !session.ActorKind.Machine() && !s.loginLives(l.Login, now):
		return EndSignedOut
	case session.silent(now), session.Via == policy.ViaIssuer && !s.trusts(session.TokenActor.Issuer, session.Client):
		return EndIssuer
	case session.Consent != "" && !l.Consent.Lives(now):
		return EndConsent
	case !s.stillNamed(l):
		return EndChanged
	case !s.stillAllowed(ctx, l, now):
		return EndPolicy
	}
	return ""
}

// stillAllowed repeats the question of the start. Its Now is the start's, so that the age of the sign-in counts as it did then.
func (s *Service) stillAllowed(ctx context.Context, l Live, now time.Time) bool {
	session := l.Session
	asked := session.Scope
	if session.Mode == oauth.ModeWrite {
		asked = without(asked, oauth.ScopeImpersonationWrite)
	}
	d := s.decide(ctx, Facts{Client: l.Client, Actor: l.Actor, Subject: l.Subject, Login: l.Login}, policy.Request{
		Resource: session.Resource, Mode: session.Mode, Scopes: asked, Duration: session.Expires.Sub(session.Started),
		Reason: session.Reason, TicketNumber: session.TicketNumber, ActorKind: session.ActorKind, Via: session.Via, Now: session.Started,
		Consent: s.consent(l.Consent, now),
	})
	return d.Allow && d.Mode == session.Mode && len(d.Scopes) == len(asked) &&
		d.MaxDuration >= session.Expires.Sub(session.Started) && (d.ValidUntil.IsZero() || now.Before(d.ValidUntil))
}

func without(scope []string, token string) []string {
	var out []string
	for _, t := range scope {
		if t != token {
			out = append(out, t)
		}
	}
	return out
}

// endDead writes down the end of a session that was found dead but is not ended yet.
func (s *Service) endDead(ctx context.Context, session Session, reason EndReason) error {
	if !session.Ended.IsZero() {
		return nil
	}
	_, err := s.End(ctx, EndRequest{Scope: ScopeSession, ID: session.ID, Reason: reason, KeepReturn: reason == EndExpired || reason == EndIdle})
	return err
}

// sweepBatch is how many sessions a Sweep looks up at once, sweepers how many of them it ends at once: a store may write together
// what comes together. A Sweep that ends sweepMost leaves the rest to the next.
const (
	sweepBatch = 100
	sweepers   = 8
	sweepMost  = 10_000
)

// Sweep ends the sessions whose time is up, in which nothing happened for too long, or for whose actor an issuer did not speak for too
// long, and answers how many. Call it every
// second or so; they are inactive before it comes round.
func (s *Service) Sweep(ctx context.Context) (int, error) {
	for total := 0; ; {
		n, err := s.sweepSome(ctx)
		if total += n; err != nil || n < sweepBatch || total >= sweepMost {
			return total, err
		}
	}
}

func (s *Service) sweepSome(ctx context.Context) (int, error) {
	now := s.clock()
	due, err := s.store.Expired(ctx, now, now.Add(-s.life.Idle), now.Add(-MaxSilence), sweepBatch)
	if err != nil {
		return 0, err
	}
	errs := make([]error, len(due))
	var all sync.WaitGroup
	for first := range min(sweepers, len(due)) {
		all.Go(func() {
			for i := first; i < len(due); i += sweepers {
				errs[i] = s.endDue(ctx, due[i], now)
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	return len(due), nil
}

// endDue ends a session that Sweep found.
func (s *Service) endDue(ctx context.Context, session Session, now time.Time) error {
	reason := EndIdle
	switch {
	case !now.Before(session.Expires):
		reason = EndExpired
	case session.silent(now):
		reason = EndIssuer
	}
	return s.endDead(ctx, session, reason)
}
