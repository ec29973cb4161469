package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
	"github.com/understudy-id/understudy/oauth/tokens"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// TrustedIssuer is another issuer whose access tokens may say who acts (RFC 8693 §2.1), beside a ticket of our page and nowhere else.
// What they may do is said by their roles here, never by the token.
type TrustedIssuer struct {
	// TrustConfig is how its tokens are read. Where the installation requires a second factor and ACR lists any, a token must have one of
	// those too; where it lists none, the sign-in behind the ticket tells alone. Impersonate must be set.
	upstream.TrustConfig
	// Live is how we would hear that an actor is no longer welcome there; "" for not at all. Where we would not, sessions last 15 minutes at
	// most, and no longer than the token. impersonation.LiveSCIM holds for whom a source of that issuer keeps, with a token that lives;
	// impersonation.LiveLogout for who signed in here through that issuer, which must be one of Config.Upstreams.
	// impersonation.LiveIntrospection wants Introspection, asks about each token before it starts anything, and again every 30 seconds while
	// Server.Run runs: the session lasts no longer than the token, ends with a no, and after 90 seconds without an answer.
	Live impersonation.Liveness
}

// trustWithin bounds all that is asked of an issuer about one token: somebody waits for the answer in a browser.
const trustWithin = 2500 * time.Millisecond

// trustedIssuer is one in use.
type trustedIssuer struct {
	*upstream.Trust
	TrustedIssuer
}

// trusted are the issuers by their iss.
type trusted map[string]*trustedIssuer

func newTrusted(c Config) (trusted, error) {
	all := make(trusted)
	for i, t := range c.TrustedIssuers {
		t.TrustConfig.Issuer.Now, t.TrustConfig.Issuer.Logger = c.Now, c.Logger
		err := t.Check(c.PublicURL)
		if err == nil && all[t.TrustConfig.Issuer.URL] != nil {
			err = errors.New("issuer is there twice")
		}
		if err == nil && t.Live == impersonation.LiveLogout && !slices.ContainsFunc(c.Upstreams, t.isOf) {
			err = errors.New("live: backchannel goes with an upstream of the same issuer: nowhere else would its logout tokens arrive")
		}
		if err != nil {
			return nil, fmt.Errorf("server: TrustedIssuers[%d]: %w", i, err)
		}
		trust, err := upstream.NewTrust(t.TrustConfig)
		if err != nil {
			return nil, err
		}
		all[trust.Issuer()] = &trustedIssuer{trust, t}
	}
	return all, nil
}

// isOf reports whether people sign in here through that same issuer.
func (t TrustedIssuer) isOf(u Upstream) bool {
	return u.Provider.Issuer.URL == t.TrustConfig.Issuer.URL
}

// Check reports what of the rule a server at publicURL could not go by: an error for each, joined, which begins with the name of its field
// as the configuration has it. It fetches nothing.
func (t TrustedIssuer) Check(publicURL string) error {
	_, err := upstream.NewTrust(t.TrustConfig)
	f := faults{err}
	lives := []impersonation.Liveness{impersonation.LiveNot, impersonation.LiveSCIM, impersonation.LiveLogout, impersonation.LiveIntrospection}
	f.add(t.TrustConfig.Issuer.URL == publicURL, "issuer must be another one: our own tokens count as they are")
	f.add(t.Impersonate == upstream.Mark{}, "impersonate must be set: without it no token starts anything")
	f.add(!slices.Contains(lives, t.Live), "live must be scim, backchannel, introspection or empty")
	f.add((t.Live == impersonation.LiveIntrospection) != (t.Introspection != upstream.Introspection{}), "introspection goes with live: introspection, and neither alone")
	return errors.Join(f...)
}

// counts reports whether a token of issuer may say who acts at client.
func (t trusted) counts(issuer, client string) bool {
	return t[issuer] != nil && t[issuer].Counts(client)
}

var _ tokenexchange.ActorResolver = exchange{}

// ResolveActor reads an actor's token of a trusted issuer, or of ours. Nobody is asked anything on the word of a token whose issuer is
// not in the list.
func (x exchange) ResolveActor(ctx context.Context, token string, c fosite.Client) (tokenexchange.Input, error) {
	issuer, _, err := tokens.ForeignIssuer(token)
	trust := x.s.trusted[issuer]
	if err != nil || trust == nil {
		return x.Resolve(ctx, oauth.TokenTypeJWT, token, c)
	}
	ctx, cancel := context.WithTimeout(ctx, trustWithin)
	defer cancel()
	actor, err := trust.Actor(ctx, c.GetID(), token)
	if err == nil {
		err = x.s.stillGood(ctx, trust, actor, token)
	}
	if err != nil {
		return tokenexchange.Input{}, x.s.distrust(ctx, issuer, err)
	}
	if x.s.rules.Options().RequireSecondFactor && len(trust.ACR) > 0 && !actor.SecondFactor {
		return tokenexchange.Input{}, &tokenexchange.StepUpError{ACRValues: trust.ACR}
	}
	in := tokenexchange.Input{
		Type: oauth.TokenTypeJWT, Token: oauth.Secret(token), Subject: actor.Party, Client: c.GetID(), Login: actor.Session, ID: actor.ID,
		Expires: actor.Expires, Key: actor.Key,
	}
	if actor.Impersonates {
		in.Scope = []string{oauth.ScopeImpersonate}
	}
	return in, nil
}

var errNotActive = errors.New("the issuer says that the token is not active")

// stillGood asks the issuer, where its rule says so.
func (s *Server) stillGood(ctx context.Context, t *trustedIssuer, a upstream.Actor, token string) error {
	if t.Live != impersonation.LiveIntrospection {
		return nil
	}
	active, err := t.Active(ctx, oauth.Secret(token), a.Party)
	if err == nil && !active {
		err = errNotActive
	}
	return err
}

// distrust is the refusal of a token of issuer. That the issuer does not answer is for the operator to know, and looks like any other
// refusal to the client.
func (s *Server) distrust(ctx context.Context, issuer string, err error) error {
	if (errors.Is(err, upstream.ErrUnavailable) || errors.Is(err, upstream.ErrDocument)) && s.strangers.Allow() {
		s.log.WarnContext(ctx, "a trusted issuer does not answer as it should: its tokens start nothing", "issuer", issuer, "error", err, "request_id", requestID(ctx))
	}
	return fmt.Errorf("%w: the actor token of a trusted issuer: %w", tokenexchange.ErrRefused, err)
}

// foreign reports whether an actor token is another issuer's.
func (s *Server) foreign(a *tokenexchange.Input) bool { return a.Subject.Issuer != s.issuer }

// foreignActor is who acts by a token of another issuer.
func (s *Server) foreignActor(a *tokenexchange.Input) impersonation.ActorProof {
	proof := impersonation.ForeignProof{Party: a.Subject, ID: a.ID, Session: a.Login, Live: s.trusted[a.Subject.Issuer].Live,
		Seal: func(session string) []byte { return s.box.Seal(purposeAsked(session), []byte(a.Token)) }}
	if a.Key != "" { // the client proved to hold the key, each time
		proof.ID = ""
	}
	return impersonation.ActorProof{Scope: a.Scope, Expires: a.Expires, Foreign: proof}
}

// subjectID is who the subject of a session is at the issuer of its actor's token; nil where that is ours, or knows them not.
func subjectID(session impersonation.Session, subject policy.Person) *oauth.Party {
	if session.Via != policy.ViaIssuer {
		return nil
	}
	for _, id := range subject.Identities {
		if id.Issuer == session.TokenActor.Issuer {
			return &id
		}
	}
	return nil
}
