package server

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// act is the act claim and member (RFC 8693 §4.1). Name and Email are set at userinfo only.
type act struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	// Profile says what acts that is no person.
	Profile oauth.ActorKind `json:"sub_profile,omitempty"`
	Name    string          `json:"name,omitempty"`
	Email   string          `json:"email,omitempty"`
}

// subjectIdentifier is the sub_id claim and member, of the format iss_sub (RFC 9493 §3.2.1).
type subjectIdentifier struct {
	Format  string `json:"format"`
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
}

// identify gives the identifier of p; nil for nobody.
func identify(p *oauth.Party) *subjectIdentifier {
	if p == nil {
		return nil
	}
	return &subjectIdentifier{Format: "iss_sub", Issuer: p.Issuer, Subject: p.Subject}
}

// introspection is the answer of RFC 7662 §2.2. Inactive is exactly {"active":false}.
type introspection struct {
	Active    bool     `json:"active"`
	Issuer    string   `json:"iss,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  string   `json:"aud,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	Scope     string   `json:"scope,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	IssuedAt  int64    `json:"iat,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	ID        string   `json:"jti,omitempty"`
	Session   string   `json:"sid,omitempty"`
	Audit     string   `json:"txn,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	Act       *act     `json:"act,omitempty"`
	Key       *confirm `json:"cnf,omitempty"`

	SubjectID *subjectIdentifier `json:"sub_id,omitempty"`
}

// confirm is the key that a token is bound to (RFC 9449 §6.2).
type confirm struct {
	Thumbprint string `json:"jkt"`
}

// introspect is POST /oauth2/introspect. Only the client that a token was issued to and the server of its resource get an active
// answer; fosite's own endpoint answers anybody.
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) {
	c, f, err := s.clientForm(w, r, form.Rules{})
	switch {
	case err != nil:
		s.writeError(w, r, err)
		return
	case c.Public: // anybody could say so
		s.writeError(w, r, errClient)
		return
	case !f.Has("token"):
		s.writeError(w, r, invalidRequest("token", "is required (RFC 7662 section 2.1)"))
		return
	}
	answer, err := s.introspection(r.Context(), c, f.Get("token"))
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	noStore(w.Header())
	writeJSON(w, http.StatusOK, answer)
}

func (s *Server) introspection(ctx context.Context, c *client, token string) (introspection, error) {
	claims, err := s.verify(token)
	if err != nil || claims.ClientID != c.ID && !c.serves(claims.Audience) {
		return introspection{}, nil
	}
	holder, err := s.alive(ctx, claims)
	if err != nil || holder == nil {
		return introspection{}, err
	}
	answer := introspection{
		Active: true, Issuer: claims.Issuer, Subject: claims.Subject, Audience: claims.Audience, ClientID: claims.ClientID,
		Scope: oauth.JoinScope(claims.Scope), TokenType: tokenType(claims.Key), IssuedAt: claims.IssuedAt.Unix(), Expires: claims.Expires.Unix(),
		ID: claims.ID, Session: claims.Session, Audit: claims.Audit, ACR: claims.ACR, AMR: claims.AMR,
		SubjectID: identify(claims.SubjectID),
	}
	if !claims.AuthTime.IsZero() {
		answer.AuthTime = claims.AuthTime.Unix()
	}
	if claims.Act != nil {
		answer.Act = &act{Issuer: claims.Act.Issuer, Subject: claims.Act.Subject, Profile: claims.ActKind}
	}
	if claims.Key != "" {
		answer.Key = &confirm{claims.Key}
	}
	return answer, nil
}

// holder is whom a living token is about, nobody for a client's own, and for an impersonation who acts.
type holder struct {
	name    string       // the sub of the token
	id      *oauth.Party // its sub_id, nil for none
	subject directory.User
	live    *impersonation.Live
}

// alive tells whether a token that verified still counts, by its jti and sid and never by its string, which has several
// spellings. nil and no error: it does not.
func (s *Server) alive(ctx context.Context, c tokens.Claims) (*holder, error) {
	if c.Act != nil {
		return s.aliveSession(ctx, c)
	}
	g, err := s.store.GrantByJTI(ctx, c.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !g.Revoked.IsZero() || g.Client != c.ClientID {
		return nil, nil
	}
	if g.User == "" && c.Subject == oauth.ClientSubject(g.Client) {
		return new(holder), nil // a client's own, which goes with the client
	}
	if g.Name() != c.Subject {
		return nil, nil
	}
	if alive, err := s.loginAlive(ctx, g.Login); err != nil || !alive {
		return nil, err
	}
	user, err := s.store.Get(ctx, g.User)
	if errors.Is(err, directory.ErrNotFound) || err == nil && !user.Enabled {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if named, err := s.stillNamed(ctx, g, user); err != nil || !named {
		return nil, err
	}
	return &holder{name: g.Name(), subject: user}, nil
}

// loginAlive reports whether a login counts now.
func (s *Server) loginAlive(ctx context.Context, id string) (bool, error) {
	login, err := s.store.Login(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && login.Alive(s.clock(), s.life.LoginIdle) && s.admits(login), err
}

func (s *Server) aliveSession(ctx context.Context, c tokens.Claims) (*holder, error) {
	live, err := s.service.Alive(ctx, c.Session)
	if err != nil || live == nil {
		return nil, err
	}
	session := live.Session
	if session.JTI != c.ID || session.Client != c.ClientID || session.SubjectName() != c.Subject || session.ActorName(s.issuer) != *c.Act {
		return nil, nil
	}
	if c.SubjectID != nil && !slices.Contains(live.Subject.Identities, *c.SubjectID) { // it may be somebody else's by now
		return nil, nil
	}
	if err := s.vouching.Vouch(ctx); err != nil {
		return nil, err
	}
	u := live.Subject
	return &holder{name: session.SubjectName(), id: c.SubjectID, live: live, subject: directory.User{
		ID: u.Subject, Name: u.Name, Email: u.Email, Organisation: u.Organisation, Groups: u.Groups, Roles: u.Roles, Enabled: u.Enabled,
	}}, nil
}

// userinfo is GET and POST /userinfo (OpenID Connect Core §5.3). An impersonation token opens the subject's claims, with act: the
// only place beside the token endpoint where the actor's name is told.
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) {
	shown, err := present(w, r)
	if err != nil {
		s.refuseToken(w, r, shown, err)
		return
	}
	h, claims, err := s.holderOf(r, shown)
	if err != nil {
		s.refuseToken(w, r, shown, err)
		return
	}
	granted := make(map[string]bool)
	for _, scope := range claims.Scope {
		granted[scope] = true
	}
	if !granted[oauth.ScopeOpenID] {
		s.refuseToken(w, r, shown, errTokenScope)
		return
	}
	noStore(w.Header())
	writeJSON(w, http.StatusOK, s.describeUser(h, granted))
}

func (s *Server) describeUser(h *holder, granted map[string]bool) map[string]any {
	out := map[string]any{"sub": h.name}
	if granted["profile"] {
		out["name"] = h.subject.Name
	}
	if granted["email"] {
		out["email"] = h.subject.Email
	}
	if granted["roles"] {
		out["roles"] = s.roleNames(impersonation.PersonOf(s.issuer, h.subject))
		if h.subject.Organisation != "" {
			out["organisation"] = h.subject.Organisation
		}
	}
	if h.id != nil {
		out["sub_id"] = identify(h.id)
	}
	if h.live != nil {
		a, name := h.live.Actor, h.live.Session.ActorName(s.issuer)
		out["act"] = act{Issuer: name.Issuer, Subject: name.Subject, Profile: profile(h.live.Session.ActorKind), Name: a.Name, Email: a.Email}
	}
	return out
}
