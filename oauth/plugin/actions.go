package plugin

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/actions"
	"github.com/understudy-id/understudy/oauth/internal/form"
)

// The paths of what Handler and Actions serve, below the issuer.
const (
	impersonatePath = "/impersonate"
	actionsPath     = "/impersonation/actions"
)

// Metadata is what goes into the provider's discovery document (RFC 8414 §2, OpenID Connect Discovery §3) beside its own members, so that a relying app
// on package rp finds the page and the trail. The provider's grant_types_supported has oauth.GrantTypeTokenExchange too.
func (p *Plugin) Metadata() map[string]any {
	return map[string]any{
		"understudy_impersonation_endpoint":        p.cfg.Issuer + impersonatePath,
		"understudy_actions_endpoint":              p.cfg.Issuer + actionsPath,
		"understudy_subject_token_types_supported": []oauth.TokenType{oauth.TokenTypeTicket, oauth.TokenTypeReturnToken},
		"understudy_exchange_back":                 "return_token",
	}
}

// Actions serves POST /impersonation/actions: an app puts on record what an actor does there, and learns whether the sessions are alive. It must be mounted
// at exactly that path. The client authenticates as at the token endpoint of provider, which Compose gave, by HTTP Basic. The app is fail closed: with any
// answer but 200 it must not run what it told as phase before.
func (p *Plugin) Actions(provider *fosite.Fosite) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		active, err := p.act(w, r, provider)
		if err != nil {
			p.writeActionError(w, r, err)
			return
		}
		writeJSON(w, http.StatusOK, actions.Answer(active))
	})
}

// errPaced is an app that tells too much of one session.
var errPaced = errors.New("plugin: too many actions")

func (p *Plugin) act(w http.ResponseWriter, r *http.Request, provider *fosite.Fosite) (map[string]bool, error) {
	told, cred, err := actions.Read(w, r)
	if err != nil {
		return nil, err
	}
	c, err := provider.AuthenticateClient(r.Context(), r, cred)
	if err != nil {
		return nil, err
	}
	if c.IsPublic() { // nobody's bare word counts here
		return nil, fosite.ErrInvalidClient
	}
	for _, a := range told {
		if p.acts.Spend(c.GetID()+"\n"+a.Session[:min(len(a.Session), 64)], p.cfg.Now()) > 0 {
			return nil, errPaced
		}
	}
	active, err := p.service.Act(r.Context(), impersonation.ActRequest{Client: c.GetID(), Actions: told, RequestID: p.cfg.RequestID(r.Context())})
	if err != nil {
		return nil, err
	}
	return active, p.voucher.Vouch(r.Context())
}

func (p *Plugin) writeActionError(w http.ResponseWriter, r *http.Request, err error) {
	var (
		syntax *form.Error
		action *impersonation.ActionError
		rfc    *fosite.RFC6749Error
	)
	status, code, text := http.StatusServiceUnavailable, "temporarily_unavailable", "Nothing is on record for certain; try again."
	switch {
	case errors.As(err, &syntax):
		status, code, text = syntax.Status, "invalid_request", syntax.Error()
	case errors.As(err, &action):
		status, code, text = http.StatusBadRequest, "invalid_request", action.Error()
	case errors.Is(err, errPaced):
		status, code, text = http.StatusTooManyRequests, "invalid_request", "Too many actions of one session; try again later."
	case errors.As(err, &rfc) && rfc.CodeField < 500:
		w.Header().Set("WWW-Authenticate", "Basic") // RFC 6749 §5.2
		status, code, text = http.StatusUnauthorized, "invalid_client", "Client authentication failed."
	default:
		p.log.WarnContext(r.Context(), "actions could not be put on record", "error", err)
	}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "5")
	}
	writeJSON(w, status, map[string]string{"error": code, "error_description": text})
}

// writeJSON writes an answer that nobody may keep.
func writeJSON(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(answer)
}
