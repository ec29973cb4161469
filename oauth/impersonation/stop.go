package impersonation

import (
	"context"
	"errors"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/policy"
)

// ErrNothingLeft is what Stop answers when it ended the session but there is no token to give back: the actor's login
// is over, or their token had run out before the start or was revoked since. The wire answers invalid_request; the app signs in again.
var ErrNothingLeft = errors.New("impersonation: stopped, with nothing to give back")

// StopRequest redeems a return token. The client is authenticated.
type StopRequest struct {
	// Return is the exact string that Start returned.
	Return oauth.Secret
	Client string
	// Key is the thumbprint of the key that the client proved to hold, "" for none. A session with a Key wants that very one.
	Key       string
	RequestID string
}

// Stopped is a session that its actor stopped. Sign an ordinary access token for Actor as Next says.
type Stopped struct {
	Session Session
	Next    ActorToken
	Login   Login
	Actor   policy.Person
}

// Stop spends the return token, ends the session and records the actor's next token, in one write with its audit entry. The
// next token has the client, scope and audience that the actor's token had at the start, and lives as long as that had
// left then, at most until the login ends: the clock was only paused.
//
// Stop answers a *Refusal for a token that is unknown, spent, void, expired, another client's or another key's, ErrNothingLeft as said
// there, and anything else if the store failed; then the session may still be alive and the caller must try again.
func (s *Service) Stop(ctx context.Context, r StopRequest) (*Stopped, error) {
	for range attempts {
		stopped, err := s.stop(ctx, r)
		if !errors.Is(err, ErrSpent) && !errors.Is(err, ErrChanged) {
			return stopped, err
		}
	}
	return nil, ErrChanged
}

func (s *Service) stop(ctx context.Context, r StopRequest) (*Stopped, error) {
	now := s.clock()
	facts, err := s.store.LoadStop(ctx, r.Return.Hash())
	if errors.Is(err, ErrNotFound) {
		return nil, s.refuseStop(ctx, facts, r, deny("return_token.unknown"), now)
	}
	if err != nil {
		return nil, err
	}
	s.withIssuer(facts.Actor)
	s.withIssuer(facts.Subject)
	if ref := s.mayStop(facts, r, now); ref != nil {
		return nil, s.refuseStop(ctx, facts, r, ref, now)
	}
	next := s.nextToken(facts, now)
	w := StopWrite{
		Write: Write{
			Entries: []audit.Entry{s.stopEntry(facts, next, r, now)}, RequestID: r.RequestID, Now: now,
			Events: []Event{{Kind: "session.ended", Session: facts.Session.ID, Actor: facts.Session.Actor, Subject: facts.Session.Subject,
				Client: facts.Session.Client, Reason: string(EndStopped), Time: now}},
		},
		Return: r.Return.Hash(), Session: facts.Session.ID, Next: next,
	}
	if err := s.store.Stop(ctx, w); err != nil {
		return nil, err
	}
	s.log.InfoContext(ctx, label(facts.Actor)+" stopped impersonating "+label(facts.Subject), "actor", facts.Session.Actor, "subject", facts.Session.Subject,
		"session", facts.Session.ID, "app", facts.Session.Client, "mode", facts.Session.Mode, "ticket_number", facts.Session.TicketNumber, "request_id", r.RequestID)
	if next == nil {
		return nil, ErrNothingLeft
	}
	return &Stopped{Session: facts.Session, Next: *next, Login: *facts.Login, Actor: *facts.Actor}, nil
}

func (s *Service) mayStop(f StopFacts, r StopRequest, now time.Time) *Refusal {
	switch {
	case f.Session.Client != r.Client:
		return deny("return_token.client")
	case f.Session.Key != "" && f.Session.Key != r.Key:
		return deny("return_token.key")
	case f.Void:
		return deny("return_token.void")
	case !f.Used.IsZero():
		return deny(ruleReturnUsed)
	case !now.Before(f.Expires):
		return deny("return_token.expired")
	}
	return nil
}

const ruleReturnUsed = "return_token.used"

// nextToken is what the stop gives back, nil if nothing.
func (s *Service) nextToken(f StopFacts, now time.Time) *ActorToken {
	if f.Revoked || f.Actor == nil || !f.Actor.Enabled || !s.loginLives(f.Login, now) {
		return nil
	}
	before := f.Session.Before
	expires := earliest(now.Add(before.Left), f.Login.Expires).Truncate(time.Second)
	if !expires.After(now) {
		return nil
	}
	return &ActorToken{JTI: oauth.NewID("tok"), Grant: oauth.NewID("grt"), Scope: before.Scope, Audience: before.Audience, Issued: now, Expires: expires}
}

func (s *Service) stopEntry(f StopFacts, next *ActorToken, r StopRequest, now time.Time) audit.Entry {
	e := audit.New(audit.KindStop, now)
	people(&e, f.Actor, f.Subject)
	e.Actor, e.Subject = s.party(f.Session.Actor), s.party(f.Session.Subject)
	e.Client, e.Session, e.Request, e.Policy = f.Session.Client, f.Session.ID, r.RequestID, f.Session.Policy
	e.Set("ended_before", string(f.Session.EndReason))
	if next != nil {
		e.Set("jti", next.JTI)
		e.Set("expires", next.Expires.Format(time.RFC3339))
	}
	return e
}

// refuseStop records a refusal. A return token that its own client redeems again, later than a double click, is the sign of
// a stolen copy: what the first use gave is revoked.
func (s *Service) refuseStop(ctx context.Context, f StopFacts, r StopRequest, ref *Refusal, now time.Time) error {
	no := refused{
		kind: audit.KindStopRefused, refusal: ref, client: r.Client, actor: f.Actor, actorID: f.Session.Actor, session: f.Session.ID,
		requestID: r.RequestID, now: now,
	}
	if ref.Decision.Rules[0] == ruleReturnUsed && now.Sub(f.Used) > s.life.DoubleClick && f.Given != "" {
		// The entry belongs to the revocation, in its transaction: among refusals it could be folded away.
		no.kind = audit.KindReuse
		revoked, err := s.store.RevokeGrant(ctx, f.Given, Write{Entries: []audit.Entry{s.refusalEntry(no)}, RequestID: r.RequestID, Now: now})
		if err != nil {
			return err
		}
		if revoked {
			s.logRefusal(ctx, no)
			return ref
		}
	}
	s.refuse(ctx, no)
	return ref
}
