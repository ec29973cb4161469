package server

import (
	"context"
	"errors"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// exchange joins the rules of package impersonation to the handler of package tokenexchange.
type exchange struct{ s *Server }

var _ tokenexchange.Exchange = exchange{}

// Resolve reads an access token of ours; one-time values are opened by Commit, in the one read.
func (x exchange) Resolve(_ context.Context, t oauth.TokenType, token string, _ fosite.Client) (tokenexchange.Input, error) {
	switch t {
	case oauth.TokenTypeTicket, oauth.TokenTypeReturnToken:
		return tokenexchange.Input{Type: t, Token: oauth.Secret(token)}, nil
	case oauth.TokenTypeAccessToken:
		c, err := x.s.verify(token)
		if err != nil {
			return tokenexchange.Input{}, tokenexchange.ErrRefused
		}
		return tokenexchange.Input{
			Type: t, Subject: oauth.Party{Issuer: c.Issuer, Subject: c.Subject}, Client: c.ClientID, Login: c.Session, ID: c.ID, Act: c.Act,
			Scope: c.Scope, Audience: c.Audience, Expires: c.Expires, Key: c.Key,
		}, nil
	}
	return tokenexchange.Input{}, tokenexchange.ErrRefused
}

// Commit starts or stops.
func (x exchange) Commit(ctx context.Context, p tokenexchange.Plan) (tokenexchange.Result, error) {
	switch {
	case p.Subject.Type == oauth.TokenTypeTicket && p.Actor != nil:
		return x.start(ctx, p)
	case p.Subject.Type == oauth.TokenTypeReturnToken:
		return x.stop(ctx, p)
	}
	return tokenexchange.Result{}, tokenexchange.ErrRefused
}

func (x exchange) start(ctx context.Context, p tokenexchange.Plan) (tokenexchange.Result, error) {
	a := p.Actor
	started, err := x.s.service.Start(ctx, impersonation.StartRequest{
		Ticket: p.Subject.Token, CodeVerifier: p.Form.Get("code_verifier"), Client: p.Client.GetID(), Resource: p.Resource, Scope: p.Scope, Key: p.Key, RequestID: requestID(ctx),
		Actor: impersonation.ActorProof{User: a.Subject.Subject, Login: a.Login, JTI: a.ID, Scope: a.Scope, Audience: a.Audience, Expires: a.Expires},
	})
	if err != nil {
		return tokenexchange.Result{}, exchangeError(ctx, err)
	}
	d, now := started.Delegation, started.Started
	return tokenexchange.Result{
		ID: d.Session, Scope: d.Scope, Audience: d.Audience, ExpiresIn: d.Expires.Sub(now), Key: started.Session.Key,
		Session: &TokenSession{Claims: tokens.Claims{
			Issuer: d.Subject.Issuer, Subject: d.Subject.Subject, Audience: d.Audience, ClientID: d.Client, Scope: d.Scope, IssuedAt: now, Expires: d.Expires,
			ID: started.JTI, Session: d.Session, Audit: d.Audit, Act: &d.Actor.Party, Key: started.Session.Key,
		}},
		Extra: map[string]any{
			"understudy_return_token":            string(started.Return),
			"understudy_return_token_expires_in": int64(started.ReturnExpires.Sub(now).Seconds()),
			"understudy_session":                 x.s.describeSession(started),
		},
	}, nil
}

func (x exchange) stop(ctx context.Context, p tokenexchange.Plan) (tokenexchange.Result, error) {
	stopped, err := x.s.service.Stop(ctx, impersonation.StopRequest{Return: p.Subject.Token, Client: p.Client.GetID(), Key: p.Key, RequestID: requestID(ctx)})
	if err != nil {
		return tokenexchange.Result{}, exchangeError(ctx, err)
	}
	next, login := stopped.Next, stopped.Login
	return tokenexchange.Result{
		ID: next.Grant, Scope: next.Scope, Audience: next.Audience, ExpiresIn: next.Expires.Sub(next.Issued), Key: p.Key,
		Session: &TokenSession{Claims: tokens.Claims{
			Issuer: x.s.issuer, Subject: stopped.Actor.Subject, Audience: next.Audience, ClientID: stopped.Session.Client, Scope: next.Scope,
			IssuedAt: next.Issued, Expires: next.Expires, ID: next.JTI, Session: login.ID, AuthTime: login.AuthTime, ACR: login.ACR, AMR: login.AMR, Key: p.Key,
		}},
	}, nil
}

// exchangeError turns what the rules say into what the handler understands.
func exchangeError(ctx context.Context, err error) error {
	var refusal *impersonation.Refusal
	switch {
	case errors.As(err, &refusal):
		markRecorded(ctx)
		switch refusal.Decision.Refusal {
		case policy.RefusalTarget:
			return tokenexchange.ErrTarget
		case policy.RefusalScope:
			return tokenexchange.ErrScope
		case policy.RefusalClient:
			return tokenexchange.ErrClient
		}
		return tokenexchange.ErrRefused
	case errors.Is(err, impersonation.ErrNothingLeft):
		markRecorded(ctx)
		return tokenexchange.ErrRefused
	case errors.Is(err, impersonation.ErrChanged): // three times in a row: busy, not broken
		return errors.Join(tokenexchange.ErrUnavailable, err)
	}
	return err
}

// person is how an answer names one of the two (never a token).
type person struct {
	Subject      string   `json:"sub"`
	Name         string   `json:"name,omitempty"`
	Email        string   `json:"email,omitempty"`
	Roles        []string `json:"roles,omitempty"`
	Organisation string   `json:"organisation,omitempty"`
}

// sessionInfo is the member understudy_session: how a relying app knows names and roles.
type sessionInfo struct {
	ID        string     `json:"id"`
	Mode      oauth.Mode `json:"mode"`
	ExpiresAt string     `json:"expires_at"` // RFC 3339, UTC
	Subject   person     `json:"subject"`
	Actor     person     `json:"actor"`
}

func (s *Server) describeSession(st *impersonation.Started) sessionInfo {
	u, a := st.Subject, st.Actor
	return sessionInfo{
		ID: st.Session.ID, Mode: st.Session.Mode, ExpiresAt: st.Session.Expires.UTC().Format(time.RFC3339),
		Subject: person{Subject: u.Subject, Name: u.Name, Email: u.Email, Roles: s.roleNames(u), Organisation: u.Organisation},
		Actor:   person{Subject: a.Subject, Name: a.Name, Email: a.Email},
	}
}

// roleNames gives the names of all roles that a person has.
func (s *Server) roleNames(p policy.Person) []string {
	var names []string
	for _, r := range s.registry.RolesOf(p) {
		names = append(names, r.Name)
	}
	return names
}
