package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth/tokenexchange"
)

// sessionPrefix begins the request ID of every token of a start: it is the session's own ID.
const sessionPrefix = "imp_"

func isSession(requestID string) bool { return strings.HasPrefix(requestID, sessionPrefix) }

// sessionID gives the session of which a token of the provider is, and whether somebody acts in it at all. A token that the storage keeps is known by its
// request ID, whatever became of its claims; a JWT that nobody keeps by its act and sid.
func sessionID(r fosite.Requester) (sid string, acts bool) {
	if isSession(r.GetID()) {
		return r.GetID(), true
	}
	if _, acts = Actor(r.GetSession()); acts {
		sid = text(r.GetSession(), "sid")
	}
	return sid, acts
}

// read tells what an access token of the provider is, by its own introspection handlers: so it may be opaque or a JWT. It is active.
func (x *exchange) read(ctx context.Context, token string) (fosite.AccessRequester, error) {
	empty, err := x.cfg.Session(ctx, Token{})
	if err != nil {
		return nil, fmt.Errorf("making an empty session: %w", err)
	}
	r, known := fosite.NewAccessRequest(empty), false
	for _, h := range x.config.GetTokenIntrospectionHandlers(ctx) {
		if h == fosite.TokenIntrospector(x.own) {
			continue
		}
		use, err := h.IntrospectToken(ctx, token, fosite.AccessToken, r, nil)
		switch {
		case errors.Is(err, fosite.ErrUnknownRequest):
		case err != nil:
			return nil, fmt.Errorf("%w: the access token is not active: %w", tokenexchange.ErrRefused, err)
		case use != fosite.AccessToken: // fosite's own takes a refresh token too
			return nil, fmt.Errorf("%w: it is no access token", tokenexchange.ErrRefused)
		default:
			known = true
		}
	}
	if !known || r.GetSession() == nil || r.GetClient() == nil {
		return nil, fmt.Errorf("%w: nobody knows the access token", tokenexchange.ErrRefused)
	}
	return r, nil
}

// expires is when an access token ends. A session that does not say goes by its age, as fosite's own check does.
func (x *exchange) expires(ctx context.Context, r fosite.Requester) time.Time {
	if at := r.GetSession().GetExpiresAt(fosite.AccessToken); !at.IsZero() {
		return at.UTC()
	}
	return r.GetRequestedAt().Add(x.config.GetAccessTokenLifespan(ctx)).UTC()
}
