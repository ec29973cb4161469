package server

import (
	"context"
	"errors"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// nameActor puts may_act (RFC 8693 §4.4) into a token that a user gets for themselves, where they let somebody act for them at that
// client. It tells who may ask; whether they may is decided by the consent as it is then.
func (s *Server) nameActor(ctx context.Context, fc fosite.Client, session *TokenSession) error {
	c, ok := fc.(*client)
	if !ok || c.Public || !c.Exchange {
		return nil
	}
	consent, err := s.store.LivingConsent(ctx, session.user, c.ID, s.clock())
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if !c.Honours(consent) { // it is no longer the service or the agent that it was then
		return nil
	}
	name, err := s.nameOf(ctx, c, consent.Actor)
	if err == nil && name != "" {
		session.Claims.MayAct = &tokens.MayAct{Party: oauth.Party{Issuer: s.issuer, Subject: name}, ClientID: c.ID}
	}
	return err
}
