package admin

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// NewConsent lets somebody act for a user at a client.
type NewConsent struct {
	// Subject is whom it is about: a user ID.
	Subject string
	// Actor is who may act: a user ID, or oauth.ClientSubject of Client, for a service or an agent.
	Actor  string
	Client string
	// Scopes are the ceiling, at least one of those that the client may ask for and that are not of the class never.
	Scopes []string
	// Mode is the most that may be done; "" is oauth.ModeRead.
	Mode oauth.Mode
	// Until is when it ends: in the future, and within MaxConsent.
	Until time.Time
	// Reason is that of every session that stands on it: policy.MinReason to policy.MaxReason characters.
	Reason string
}

// MaxConsent is how long a consent lasts at most: who let somebody act for them is asked again each year, on whatever day.
const MaxConsent = 366 * 24 * time.Hour

// AddConsent writes down that somebody may act for a user, and returns it. From then on the user's own tokens at the client name the
// actor in may_act (RFC 8693 §4.4). It returns an *InvalidError, also for one that nobody could use as users, clients and registry
// are now; directory.ErrNotFound if there is no such subject or actor; store.ErrNotFound if there is no such client; or store.ErrExists
// if the user has one at that client that has not ended. Whether the actor may act is asked again at each exchange: a consent lifts no rule of the policy.
func (a *Admin) AddConsent(ctx context.Context, n NewConsent) (impersonation.Consent, error) {
	now := a.Now().UTC().Truncate(time.Millisecond)
	subject, err := a.Store.Get(ctx, n.Subject)
	if err != nil {
		return impersonation.Consent{}, fmt.Errorf("user %q: %w", n.Subject, err)
	}
	c, err := a.Store.Client(ctx, n.Client)
	if err != nil {
		return impersonation.Consent{}, fmt.Errorf("client %q: %w", n.Client, err)
	}
	kind, err := a.actorKind(ctx, n.Actor, subject, c)
	if err != nil {
		return impersonation.Consent{}, err
	}
	if n.Mode == "" {
		n.Mode = oauth.ModeRead
	}
	if err := firstErr(checkConsent(n, subject, c, now), a.checkConsentScopes(n.Scopes, c)); err != nil {
		return impersonation.Consent{}, err
	}
	out := impersonation.Consent{
		ID: oauth.NewID("cns"), Subject: subject.ID, Actor: n.Actor, ActorKind: kind, Client: c.ID, Scopes: tidy(n.Scopes), Mode: n.Mode, Reason: n.Reason,
		Until: n.Until.UTC().Truncate(time.Second), Created: now, CreatedBy: a.By.Subject,
	}
	w := a.write(audit.KindConsentAdd, subject, func(e *audit.Entry) { setConsent(e, out) })
	if err := a.Store.AddConsent(ctx, store.ConsentWrite{Write: w, Consent: out}); err != nil {
		return impersonation.Consent{}, fmt.Errorf("adding a consent: %w", err)
	}
	a.log(ctx, "let "+out.Actor+" act for "+out.Subject, slog.String("consent", out.ID), slog.String("client", out.Client))
	return out, nil
}

// RemoveConsent takes a consent back and answers the sessions that ended with it; why is as in EndSessions. store.ErrNotFound if there
// is none, or it was taken back before.
func (a *Admin) RemoveConsent(ctx context.Context, id, why string) ([]impersonation.Ended, error) {
	if err := checkReason(why); err != nil {
		return nil, err
	}
	end := a.end(impersonation.ScopeConsent, id, impersonation.EndConsent)
	end.Note = why
	end.Write = a.write(audit.KindConsentRemove, directory.User{}, func(e *audit.Entry) {
		e.Set("consent", id)
		e.SetPersonal("note", why)
	})
	ended, err := a.Store.RevokeConsent(ctx, id, end)
	if err != nil {
		return nil, fmt.Errorf("removing consent %s: %w", id, err)
	}
	a.log(ctx, fmt.Sprintf("took back consent %s, and ended %d sessions", id, len(ended)), slog.String("consent", id))
	return ended, nil
}

// actorKind says what may act, that it is somebody, and that the subject is within its reach.
func (a *Admin) actorKind(ctx context.Context, actor string, subject directory.User, c store.Client) (oauth.ActorKind, error) {
	whom := impersonation.PersonOf(a.Issuer, subject)
	if !strings.HasPrefix(actor, oauth.ClientPrefix) {
		u, err := a.Store.Get(ctx, actor)
		if err != nil {
			return "", fmt.Errorf("user %q: %w", actor, err)
		}
		if who := impersonation.PersonOf(a.Issuer, u); !a.Registry.Reaches(&who, whom) {
			return "", invalid("subject", "has a privileged role that is out of the actor's reach")
		}
		return oauth.ActorUser, nil
	}
	switch {
	case !a.Registry.Reaches(nil, whom):
		return "", invalid("subject", "has a privileged role: no service or agent may act for them")
	case actor != oauth.ClientSubject(c.ID):
		return "", invalid("actor", "a client acts at itself alone: must be %s", oauth.ClientSubject(c.ID))
	case !c.Settings.Service.Machine():
		return "", invalid("actor", "client %s is neither a service nor an agent", c.ID)
	}
	return c.Settings.Service, nil
}

func checkConsent(n NewConsent, subject directory.User, c store.Client, now time.Time) error {
	switch {
	case n.Actor == subject.ID:
		return invalid("actor", "must be somebody else than the subject")
	case subject.Protected:
		return invalid("subject", "is protected: nobody may act for them")
	case !c.Exchange:
		return invalid("client", "%s may not exchange tokens", c.ID)
	case !n.Mode.Valid():
		return invalid("mode", "must be read or write")
	case !n.Until.After(now):
		return invalid("until", "must be in the future")
	case n.Until.After(now.Add(MaxConsent)):
		return invalid("until", "must be at most %d days from now", MaxConsent/(24*time.Hour))
	case !policy.ValidReason(n.Reason):
		return invalid("reason", "must have %d to %d characters", policy.MinReason, policy.MaxReason)
	}
	return nil
}

func (a *Admin) checkConsentScopes(scopes []string, c store.Client) error {
	if len(tidy(scopes)) == 0 {
		return invalid("scope", "must be given: a grant of everything is none")
	}
	for _, s := range scopes {
		switch {
		case !slices.Contains(c.Scopes, s):
			return invalid("scope", "client %s may not ask for %q", c.ID, s)
		case a.Registry.ClassOf(s) == policy.ScopeNever:
			return invalid("scope", "%q is never given to an actor", s)
		}
	}
	return nil
}

func setConsent(e *audit.Entry, c impersonation.Consent) {
	e.Client = c.Client
	e.Set("consent", c.ID)
	e.Set("impersonator", c.Actor)
	e.Set("actor_kind", string(c.ActorKind))
	e.Set("scope", oauth.JoinScope(c.Scopes))
	e.Set("mode", string(c.Mode))
	e.Set("until", c.Until.Format(time.RFC3339))
	e.SetPersonal("reason", c.Reason)
}
