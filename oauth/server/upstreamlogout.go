package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// upstreamLogout is POST /sign-in/backchannel/{name}: an upstream says what is over (OpenID Connect Back-Channel Logout §2.5). What it
// names ends here in one write; 200 says that it has ended, and nothing else does (§2.8).
func (s *Server) upstreamLogout(w http.ResponseWriter, r *http.Request) {
	g := s.gate(r.PathValue("name"))
	if g == nil {
		s.writeError(w, r, &wireError{Status: http.StatusNotFound, Code: "invalid_request", Description: "No such provider."})
		return
	}
	f, err := form.Body(w, r, form.Rules{})
	if err == nil {
		err = s.endThrough(r.Context(), g, f.Get("logout_token"))
	}
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	noStore(w.Header())
	w.WriteHeader(http.StatusOK)
}

// errLogoutToken is one for all tokens that do not verify, and for one that came before: a difference would tell who tries.
var errLogoutToken = invalidRequest("logout_token", "is not one that this provider issued for us and that counts now")

func (s *Server) endThrough(ctx context.Context, g *gate, token string) error {
	if token == "" {
		return invalidRequest("logout_token", "is required")
	}
	asked, cancel := atUpstream(ctx)
	defer cancel()
	over, err := g.provider.Logout(asked, token)
	if err != nil {
		return s.logoutRefused(ctx, g, err)
	}
	now := s.clock()
	ended, err := s.store.EndUpstream(ctx, store.UpstreamEnd{
		Write: impersonation.Write{RequestID: requestID(ctx), Now: now}, Upstream: over.Issuer, Session: over.Session, Subject: over.Subject,
		Once: over.ID, OnceUntil: over.Expires, Until: now.Add(crossingLifetime + s.life.Login), Issuer: s.issuer,
	})
	if errors.Is(err, store.ErrSpent) {
		return errLogoutToken
	}
	if err == nil {
		s.log.InfoContext(ctx, g.label()+" ended sign-ins", "upstream", g.name(), "impersonations", len(ended), "request_id", requestID(ctx))
	}
	return err
}

// logoutRefused is the answer to a token that ends nothing. Where that may be for want of its keys the sender is to come again, or a sign-in
// that is over would live on.
func (s *Server) logoutRefused(ctx context.Context, g *gate, why error) error {
	if s.strangers.Allow() {
		s.log.WarnContext(ctx, "a logout token of "+g.label()+" came to nothing", "upstream", g.name(), "error", why, "request_id", requestID(ctx))
	}
	if errors.Is(why, upstream.ErrUnavailable) || errors.Is(why, upstream.ErrDocument) {
		return &wireError{Status: http.StatusServiceUnavailable, Code: "temporarily_unavailable", Description: "The provider's keys cannot be read now.", RetryAfter: upstreamWithin, cause: why}
	}
	return errLogoutToken
}
