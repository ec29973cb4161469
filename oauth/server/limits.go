package server

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/pace"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
)

// Limits bound how fast and how many. A zero field takes its default; a negative one is no limit. Each server counts for itself.
// Nothing here holds up an end: stopping, revoking, introspection and the actions of a session are never told to wait. Nor does whoever
// has the right credentials wait for those who guess beside them.
type Limits struct {
	ClientFailures  int // failed client authentications from one address in a minute, a third under one client_id; a further one is 429: 30
	ClientRequests  int // requests of one client in a minute that make something: 6,000
	ActorSearches   int // looks of one actor at the page that finds users, in a minute: 30. The page is also a directory of customers
	ActorStarts     int // impersonations that one actor starts in a minute, and tries to start at one client: 30
	ActorSessions   int // impersonations of one person at once: 10
	ServiceSessions int // impersonations of one client that acts for itself at once: 100
}

// DefaultLimits gives the limits that a zero Limits stands for.
func DefaultLimits() Limits {
	return Limits{
		ClientFailures: 30, ClientRequests: 6000, ActorStarts: 30, ActorSearches: 30,
		ActorSessions: impersonation.DefaultMaxSessions, ServiceSessions: impersonation.DefaultMaxServiceSessions,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	return Limits{
		ClientFailures: cmp.Or(l.ClientFailures, d.ClientFailures), ClientRequests: cmp.Or(l.ClientRequests, d.ClientRequests),
		ActorSearches: cmp.Or(l.ActorSearches, d.ActorSearches), ActorStarts: cmp.Or(l.ActorStarts, d.ActorStarts), ActorSessions: cmp.Or(l.ActorSessions, d.ActorSessions),
		ServiceSessions: cmp.Or(l.ServiceSessions, d.ServiceSessions),
	}
}

// tooMany tells when to come again (RFC 6585 §4).
func tooMany(wait time.Duration) error {
	return &wireError{
		Status: http.StatusTooManyRequests, Code: "invalid_request", Description: "Too many requests; try again later.",
		RetryAfter: time.Duration(math.Ceil(max(wait, time.Second).Seconds())) * time.Second,
	}
}

// mayMake holds a client to how much it may make in a minute, before anything is looked up or used up. A stop makes nothing that was
// not there; but what only looks like one, from a client that has nothing to stop, is no stop. Of a public client anybody can give the
// id, so a stranger elsewhere does not use up what its users have.
func (s *Server) mayMake(r *http.Request, c *client, f url.Values) error {
	if c.exchanges() && isStop(f) {
		return nil
	}
	key := c.ID
	if c.Public {
		key += " " + network(s.proxies.address(r))
	}
	return s.requests.spend(key, s.clock())
}

// paced is exchange, with a limit on how fast an actor starts. Who that is, only a verified token says, so it is asked here.
type paced struct{ exchange }

// Commit implements tokenexchange.Exchange.
func (x paced) Commit(ctx context.Context, p tokenexchange.Plan) (tokenexchange.Result, error) {
	if p.Subject.Type == oauth.TokenTypeReturnToken {
		return x.exchange.Commit(ctx, p)
	}
	client, actor := p.Client.GetID(), x.s.starter(p)
	if err := x.s.starts.mayTry(client, actor, x.s.clock()); err != nil {
		markRecorded(ctx)
		x.s.service.Refused(ctx, client, actor, "limit.starts", requestID(ctx))
		return tokenexchange.Result{}, err
	}
	result, err := x.exchange.Commit(ctx, p)
	if err == nil {
		x.s.starts.began(actor, x.s.clock())
	}
	return result, err
}

// starts are an actor's, wherever they began, and what was tried at one client. A try may come with a token that is dead or good for
// nothing, so it counts where it was made alone: no client uses up what the actor has at another. Starts at several clients at the very
// same moment may pass together, by as many as each client may try.
type starts struct{ byActor, tries *limits }

func newStarts(perMinute int) starts { return starts{newLimits(perMinute), newLimits(perMinute)} }

func (s starts) mayTry(client, actor string, now time.Time) error {
	if wait := s.byActor.Wait(actor, now); wait > 0 {
		return tooMany(wait)
	}
	return s.tries.spend(ofClient(client, actor), now)
}

func (s starts) began(actor string, now time.Time) { s.byActor.allow(actor, now) }

// ofClient is the key of what is one client's alone of a thing that others may name too. No client_id has a line break (RFC 6749
// App. A.1), and nothing of ours is as long as what is cut.
func ofClient(client, of string) string { return client + "\n" + of[:min(len(of), 256)] }

// starter is the actor of a start: a client that acts for itself may come without a token. Who has another issuer's counts by the name that
// they have there, which is no ID of ours: it has a space.
func (s *Server) starter(p tokenexchange.Plan) string {
	switch {
	case p.Actor == nil:
		return oauth.ClientSubject(p.Client.GetID())
	case s.foreign(p.Actor):
		return p.Actor.Subject.Issuer + " " + p.Actor.Subject.Subject
	}
	return localActor(p.Actor)
}

// guesses are failed client authentications. They are counted where one has failed, and hold up no right credentials: a secret of 256
// bits is not found by guessing, and a stranger behind the same proxy could else shut out every client there.
type guesses struct{ byAddress, byClient *limits }

func newGuesses(perMinute int) guesses {
	if perMinute < 0 {
		return guesses{newLimits(-1), newLimits(-1)}
	}
	return guesses{newLimits(perMinute), newLimits(max(perMinute/3, 1))}
}

// failed counts one, and tells whoever has guessed too often to wait, whether the client exists or not. One client that has a wrong
// secret uses up a third of its address, so that the others there still hear what is wrong with theirs.
func (g guesses) failed(address, id string, now time.Time) error {
	if err := g.byClient.spend(guessKey(address, id), now); err != nil {
		return err
	}
	return g.byAddress.spend(address, now)
}

// wait is for how long whoever fails as id must wait; it counts nothing.
func (g guesses) wait(address, id string, now time.Time) time.Duration {
	return max(g.byClient.Wait(guessKey(address, id), now), g.byAddress.Wait(address, now))
}

// guessKey cuts the id, which anybody chose: no registered one is as long.
func guessKey(address, id string) string { return address + " " + id[:min(len(id), 128)] }

// isStop reports whether a request to the token endpoint redeems a return token.
func isStop(f url.Values) bool {
	return f.Get("grant_type") == oauth.GrantTypeTokenExchange && f.Get("subject_token_type") == string(oauth.TokenTypeReturnToken)
}

// network is what one host has of addresses: of IPv6 a /64.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is4() {
		return address
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}

// limits is a rate limiter per key: a user, a session, a client.
type limits struct{ *pace.Limits }

func newLimits(perMinute int) *limits { return &limits{pace.New(perMinute)} }

func (l *limits) allow(key string, now time.Time) bool { return l.Spend(key, now) == 0 }

// spend counts one; it fails with tooMany where none is left.
func (l *limits) spend(key string, now time.Time) error {
	if wait := l.Spend(key, now); wait > 0 {
		return tooMany(wait)
	}
	return nil
}
