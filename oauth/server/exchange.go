package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// exchange joins the rules of package impersonation to the handler of package tokenexchange.
type exchange struct{ s *Server }

var _ tokenexchange.Exchange = exchange{}

// Resolve reads an access token of ours; one-time values are opened by Commit, in the one read.
func (x exchange) Resolve(ctx context.Context, t oauth.TokenType, token string, c fosite.Client) (tokenexchange.Input, error) {
	switch t {
	case oauth.TokenTypeTicket, oauth.TokenTypeReturnToken:
		return tokenexchange.Input{Type: t, Token: oauth.Secret(token)}, nil
	case oauth.TokenTypeUserID:
		token = token[:min(len(token), directory.MaxID+1)] // so long is nobody's, and no entry of the trail should hold more
		return tokenexchange.Input{Type: t, Subject: oauth.Party{Issuer: x.s.issuer, Subject: token}}, nil
	case oauth.TokenTypeAccessToken, oauth.TokenTypeJWT: // our access tokens are JWTs
		return x.accessToken(ctx, t, token, c)
	}
	return tokenexchange.Input{}, tokenexchange.ErrRefused
}

func (x exchange) accessToken(ctx context.Context, t oauth.TokenType, token string, fc fosite.Client) (tokenexchange.Input, error) {
	c, err := x.s.verify(token)
	if err != nil {
		return tokenexchange.Input{}, tokenexchange.ErrRefused
	}
	in := tokenexchange.Input{
		Type: t, Subject: oauth.Party{Issuer: c.Issuer, Subject: c.Subject}, Client: c.ClientID, Login: c.Session, ID: c.ID, Act: c.Act,
		Scope: c.Scope, Audience: c.Audience, Expires: c.Expires, Key: c.Key,
	}
	if c.MayAct != nil {
		in.MayAct = &tokenexchange.MayAct{Party: c.MayAct.Party, Client: c.MayAct.ClientID}
	}
	in.Local, err = x.s.localOf(ctx, fc, c)
	return in, err
}

// Principal is the sub of a client that has tokens of its own.
func (x exchange) Principal(c fosite.Client) oauth.Party {
	if own, ok := c.(*client); !ok || own.Settings.Service == "" {
		return oauth.Party{}
	}
	return oauth.Party{Issuer: x.s.issuer, Subject: oauth.ClientSubject(c.GetID())}
}

// Commit starts or stops.
func (x exchange) Commit(ctx context.Context, p tokenexchange.Plan) (tokenexchange.Result, error) {
	r := x.request(ctx, p)
	switch p.Subject.Type {
	case oauth.TokenTypeTicket:
		r.Ticket, r.CodeVerifier = p.Subject.Token, p.Form.Get("code_verifier")
	case oauth.TokenTypeUserID:
		r.Reason, r.TicketNumber = p.Form.Get(oauth.ParamReason), p.Form.Get(oauth.ParamTicketNumber)
		var err error
		if r.UserID, r.Named, err = x.s.userNamed(ctx, p.Client, p.Subject.Subject.Subject); err != nil {
			return tokenexchange.Result{}, err
		}
	case oauth.TokenTypeAccessToken, oauth.TokenTypeJWT:
		in := p.Subject
		h, err := x.s.alive(ctx, tokens.Claims{ID: in.ID, ClientID: in.Client, Subject: in.Subject.Subject})
		if err != nil {
			return tokenexchange.Result{}, err
		}
		if h == nil {
			return tokenexchange.Result{}, fmt.Errorf("%w: the subject token is not active", tokenexchange.ErrRefused)
		}
		r.Subject = impersonation.SubjectProof{User: h.subject.ID, Login: in.Login, JTI: in.ID, Scope: in.Scope, Expires: in.Expires}
	case oauth.TokenTypeReturnToken:
		return x.stop(ctx, p)
	default:
		return tokenexchange.Result{}, tokenexchange.ErrRefused
	}
	if c, ok := p.Client.(*client); p.Resource == "" && (!ok || !x.s.oneResource(c, p.Scope)) {
		return tokenexchange.Result{}, tokenexchange.ErrScope
	}
	return x.start(ctx, r)
}

// request is what every start says.
func (x exchange) request(ctx context.Context, p tokenexchange.Plan) impersonation.StartRequest {
	r := impersonation.StartRequest{Client: p.Client.GetID(), Resource: p.Resource, Scope: p.Scope, Key: p.Key, RequestID: requestID(ctx)}
	if a := p.Actor; a != nil && x.s.foreign(a) {
		r.Actor = x.s.foreignActor(a)
	} else if a != nil {
		r.Actor = impersonation.ActorProof{User: localActor(a), Login: a.Login, JTI: a.ID, Scope: a.Scope, Audience: a.Audience, Expires: a.Expires}
	}
	return r
}

// exchangeForm checks what goes with the token types of our own, of which package tokenexchange does not know.
func exchangeForm(f url.Values) error {
	switch oauth.TokenType(f.Get("subject_token_type")) {
	case oauth.TokenTypeTicket:
		if !f.Has("code_verifier") {
			return invalidRequest("code_verifier", "is required with a ticket (RFC 7636 section 4.5)")
		}
	case oauth.TokenTypeUserID:
		if !policy.ValidReason(f.Get(oauth.ParamReason)) {
			return invalidRequest(oauth.ParamReason, "is required with a user id, 10 to 500 characters")
		}
		if !policy.ValidTicketNumber(f.Get(oauth.ParamTicketNumber)) {
			return invalidRequest(oauth.ParamTicketNumber, "may have 64 characters, on one line")
		}
	}
	return nil
}

func (x exchange) start(ctx context.Context, r impersonation.StartRequest) (tokenexchange.Result, error) {
	started, err := x.s.service.Start(ctx, r)
	if err != nil {
		return tokenexchange.Result{}, exchangeError(ctx, err)
	}
	d, now := started.Delegation, started.Started
	redemptionOf(ctx).started = d.Session
	return tokenexchange.Result{
		ID: d.Session, Scope: d.Scope, Audience: d.Audience, ExpiresIn: d.Expires.Sub(now), Key: started.Session.Key,
		Session: &TokenSession{Claims: tokens.Claims{
			Issuer: d.Subject.Issuer, Subject: d.Subject.Subject, Audience: d.Audience, ClientID: d.Client, Scope: d.Scope, IssuedAt: now, Expires: d.Expires,
			ID: started.JTI, Session: d.Session, Audit: d.Audit, Act: &d.Actor.Party, ActKind: profile(d.Actor.Kind), Key: started.Session.Key,
			SubjectID: subjectID(started.Session, started.Subject),
		}},
		Extra: x.s.startExtra(started),
	}, nil
}

// startExtra is what the answer to a start has beside the token.
func (s *Server) startExtra(started *impersonation.Started) map[string]any {
	extra := map[string]any{"understudy_session": s.describeSession(started)}
	if started.Return != "" {
		extra["understudy_return_token"] = string(started.Return)
		extra["understudy_return_token_expires_in"] = int64(started.ReturnExpires.Sub(started.Started).Seconds())
	}
	return extra
}

// profile is the sub_profile of an actor: only of one that is no person.
func profile(kind oauth.ActorKind) oauth.ActorKind {
	if kind.Machine() {
		return kind
	}
	return ""
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
			Issuer: x.s.issuer, Subject: stopped.Session.ActorName(x.s.issuer).Subject, Audience: next.Audience, ClientID: stopped.Session.Client, Scope: next.Scope,
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
		case policy.RefusalStepUp:
			return stepUp(refusal.Decision)
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

// stepUp says how the actor must sign in.
func stepUp(d policy.Decision) *tokenexchange.StepUpError {
	e := &tokenexchange.StepUpError{MaxAge: d.MaxAuthAge}
	if d.SecondFactor {
		e.ACRValues = []string{oauth.ACRMFA}
	}
	return e
}

// person is how an answer names one of the two (never a token).
type person struct {
	Issuer       string             `json:"iss,omitempty"` // whose sub Subject is, where that is not we
	Subject      string             `json:"sub"`
	SubjectID    *subjectIdentifier `json:"sub_id,omitempty"`
	Name         string             `json:"name,omitempty"`
	Email        string             `json:"email,omitempty"`
	Roles        []string           `json:"roles,omitempty"`
	Organisation string             `json:"organisation,omitempty"`
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
	u, a, act := st.Subject, st.Actor, st.Delegation.Actor
	actor := person{Subject: act.Subject, Name: a.Name, Email: a.Email}
	if act.Issuer != s.issuer {
		actor.Issuer = act.Issuer
	}
	return sessionInfo{
		ID: st.Session.ID, Mode: st.Session.Mode, ExpiresAt: st.Session.Expires.UTC().Format(time.RFC3339),
		Subject: person{Subject: st.Delegation.Subject.Subject, SubjectID: identify(subjectID(st.Session, u)), Name: u.Name, Email: u.Email,
			Roles: s.roleNames(u), Organisation: u.Organisation},
		Actor: actor,
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
