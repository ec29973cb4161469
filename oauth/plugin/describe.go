package plugin

import (
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

// person is how the answer to a start names one of the two (never a token).
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

// describe is what the answer to a start has beside the token.
func (p *Plugin) describe(st *impersonation.Started) map[string]any {
	u, a := st.Subject, st.Actor
	info := sessionInfo{
		ID: st.Session.ID, Mode: st.Session.Mode, ExpiresAt: st.Session.Expires.UTC().Format(time.RFC3339),
		Subject: person{Subject: u.Subject, Name: u.Name, Email: u.Email, Organisation: u.Organisation},
		Actor:   person{Subject: a.Subject, Name: a.Name, Email: a.Email},
	}
	for _, r := range p.registry.RolesOf(u) {
		info.Subject.Roles = append(info.Subject.Roles, r.Name)
	}
	extra := map[string]any{"understudy_session": info}
	if st.Return != "" {
		extra["understudy_return_token"] = string(st.Return)
		extra["understudy_return_token_expires_in"] = int64(st.ReturnExpires.Sub(st.Started).Seconds())
	}
	return extra
}
