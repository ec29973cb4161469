package tokenexchange

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ory/fosite"
	fositeoauth "github.com/ory/fosite/handler/oauth2"

	"github.com/understudy-id/understudy/oauth"
)

// RefusedText is the one error_description of every refused token and every denial by policy (RFC 8693 §2.2.2): which of
// them it was is in the audit trail, under the request id.
const RefusedText = "The request was refused: the subject token, the actor token or the policy does not allow it."

// ErrInvalidTarget is the error of RFC 8693 §2.2.2 and RFC 8707 §2 that fosite v0.49.0 lacks.
var ErrInvalidTarget = &fosite.RFC6749Error{
	ErrorField: "invalid_target", CodeField: http.StatusBadRequest,
	DescriptionField: "The resource cannot be had.",
}

// ErrStepUp is the error of RFC 9470 §3, for a StepUpError.
var ErrStepUp = &fosite.RFC6749Error{
	ErrorField: "insufficient_user_authentication", CodeField: http.StatusBadRequest,
	DescriptionField: "The actor must sign in again, as max_age and acr_values say.",
}

// Factory makes the handler: it is a compose.Factory. storage must implement Exchange and strategy fosite's
// oauth2.AccessTokenStrategy; it panics otherwise, as fosite's own factories do. Register it last: a later handler's error
// would come after the one write.
func Factory(_ fosite.Configurator, storage, strategy any) any {
	actors, _ := storage.(ActorResolver)
	return &Handler{exchange: storage.(Exchange), actors: actors, strategy: strategy.(fositeoauth.AccessTokenStrategy)}
}

// Handler is the grant type urn:ietf:params:oauth:grant-type:token-exchange. Make it with Factory.
type Handler struct {
	exchange Exchange
	actors   ActorResolver // nil: none
	strategy fositeoauth.AccessTokenStrategy
}

var _ fosite.TokenEndpointHandler = (*Handler)(nil)

// CanSkipClientAuth is always false: a token alone is never enough (RFC 8693 §2.1 leaves it open, RFC 9700 §2.6 does not).
func (*Handler) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// CanHandleTokenEndpointRequest wants exactly our grant type: fosite splits grant_type on spaces.
func (*Handler) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(oauth.GrantTypeTokenExchange)
}

// planned carries the plan from the request to the response through fosite, which keeps nothing else between them.
type planned struct {
	fosite.Session
	plan Plan
}

// HandleTokenEndpointRequest checks everything that can be checked without consuming anything.
func (h *Handler) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	if !h.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	c := r.GetClient()
	if c.IsPublic() || !c.GetGrantTypes().Has(oauth.GrantTypeTokenExchange) {
		return wire(ErrClient)
	}
	p, err := parse(r.GetRequestForm(), h.actors != nil)
	if err != nil {
		return err
	}
	plan := Plan{Client: c, RequestedType: p.requestedType, Resource: p.resource, Scope: p.scope, Form: r.GetRequestForm(), Key: keyOf(ctx)}
	if p.actorToken != "" {
		actor, err := h.resolveActor(ctx, p, c)
		if err != nil {
			return wire(err)
		}
		plan.Actor = &actor
	}
	if plan.Subject, err = h.resolve(ctx, p.subjectType, p.subjectToken, c); err != nil {
		return wire(err)
	}
	if ownToken(p.subjectType) {
		if plan.Actor, err = h.mayAct(plan); err != nil {
			return wire(err)
		}
	}
	if err := plan.checkKey(); err != nil {
		return wire(err)
	}
	r.SetSession(&planned{Session: r.GetSession(), plan: plan})
	return nil
}

// resolve asks what a token is, and refuses what no deployment may accept: a token with act, which is terminal, and a token
// that was issued to another client.
func (h *Handler) resolve(ctx context.Context, t oauth.TokenType, token string, c fosite.Client) (Input, error) {
	in, err := h.exchange.Resolve(ctx, t, token, c)
	return acceptable(in, err, c)
}

// resolveActor is resolve for the actor token, which may be another issuer's where it says that it is any JWT.
func (h *Handler) resolveActor(ctx context.Context, p parameters, c fosite.Client) (Input, error) {
	if p.actorType != oauth.TokenTypeJWT {
		return h.resolve(ctx, p.actorType, p.actorToken, c)
	}
	in, err := h.actors.ResolveActor(ctx, p.actorToken, c)
	return acceptable(in, err, c)
}

func acceptable(in Input, err error, c fosite.Client) (Input, error) {
	switch {
	case err != nil:
		return Input{}, err
	case in.Act != nil:
		return Input{}, fmt.Errorf("%w: the token has act", ErrRefused)
	case in.Client != "" && in.Client != c.GetID():
		return Input{}, fmt.Errorf("%w: the token is another client's", ErrRefused)
	}
	return in, nil
}

// mayAct gives the actor of a subject's own token, which must name them: the one who sent a token, or the client itself
// (RFC 8693 §4.4). A token that names nobody is for nobody to exchange.
func (h *Handler) mayAct(p Plan) (*Input, error) {
	actor := p.Actor
	if actor == nil {
		actor = &Input{Subject: h.exchange.Principal(p.Client), Client: p.Client.GetID()}
	}
	may := p.Subject.MayAct
	switch {
	case may == nil || may.Issuer == "" || may.Party.Subject == "":
		return nil, fmt.Errorf("%w: the subject token names nobody who may act", ErrRefused)
	case may.Party != actor.Subject:
		return nil, fmt.Errorf("%w: the subject token names another actor", ErrRefused)
	case may.Client != "" && may.Client != p.Client.GetID():
		return nil, fmt.Errorf("%w: the subject token names another client", ErrRefused)
	}
	return actor, nil
}

// PopulateTokenEndpointResponse does the one write, then signs. fosite calls it for every grant.
func (h *Handler) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, resp fosite.AccessResponder) error {
	p, ok := r.GetSession().(*planned)
	if !ok || !h.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	result, err := h.exchange.Commit(ctx, p.plan)
	if err != nil {
		return wire(err)
	}
	r.SetSession(result.Session)
	r.SetID(result.ID)
	for _, s := range result.Scope {
		r.GrantScope(s)
	}
	if result.Audience != "" {
		r.GrantAudience(result.Audience)
	}
	token, _, err := h.strategy.GenerateAccessToken(ctx, r)
	if err != nil {
		return fosite.ErrServerError.WithWrap(err).WithDebug(err.Error())
	}
	resp.SetAccessToken(token)
	resp.SetTokenType(tokenType(result.Key))
	resp.SetExpiresIn(result.ExpiresIn.Truncate(time.Second))
	resp.SetScopes(result.Scope)
	resp.SetExtra("issued_token_type", string(p.plan.RequestedType))
	for name, value := range result.Extra {
		resp.SetExtra(name, value)
	}
	return nil
}

// wire is the one table from what an Exchange answers to the errors of RFC 8693 §2.2.2.
func wire(err error) error {
	var stepUp *StepUpError
	switch {
	case errors.As(err, &stepUp):
		return ErrStepUp.WithWrap(err).WithDebug(err.Error())
	case errors.Is(err, ErrRefused):
		return say(fosite.ErrInvalidRequest, RefusedText).WithWrap(err).WithDebug(err.Error())
	case errors.Is(err, ErrTarget):
		return ErrInvalidTarget.WithWrap(err).WithDebug(err.Error())
	case errors.Is(err, ErrScope):
		return say(fosite.ErrInvalidScope, "No scope that was asked for can be had.").WithWrap(err).WithDebug(err.Error())
	case errors.Is(err, ErrClient):
		return say(fosite.ErrUnauthorizedClient, "This client may not use token exchange.").WithWrap(err).WithDebug(err.Error())
	case errors.Is(err, ErrProof):
		return ErrInvalidProof.WithWrap(err).WithDebug(err.Error())
	case errors.Is(err, ErrUnavailable):
		return say(fosite.ErrTemporarilyUnavailable, "The service cannot answer now; nothing was issued.").WithWrap(err).WithDebug(err.Error())
	}
	return fosite.ErrServerError.WithWrap(err).WithDebug(err.Error())
}

// say gives e our words alone: fosite's hint, which it would append, guesses at causes that have nothing to do with an exchange.
func say(e *fosite.RFC6749Error, text string) *fosite.RFC6749Error {
	return e.WithDescription(text).WithHint("")
}
