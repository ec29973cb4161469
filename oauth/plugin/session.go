package plugin

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/ory/fosite"
	fositeoauth "github.com/ory/fosite/handler/oauth2"

	"github.com/understudy-id/understudy/oauth"
)

// Token is what a session of the provider must say. The zero Token asks for an empty session, into which the storage reads one.
type Token struct {
	// Subject is the user whom the token represents: what GetSubject answers, and the sub of a JWT.
	Subject string
	// Login is the sign-in behind a token that a stop gives back to its actor: what Config.LoginOf finds. "" for an impersonation.
	Login string
	// ID is the jti. fosite's JWT session makes up another unless it is set.
	ID string
	// Claims must be among the claims of a JWT and in what GetExtraClaims answers: for an impersonation act (RFC 8693 §4.1), iss, jti, sid, txn,
	// client_id, and cnf if the token is bound to a key; otherwise sid and client_id. The map is the session's to keep.
	Claims map[string]any
	// Delegation is the impersonation, nil for a token that is none. It names both people, for the provider's own log.
	Delegation *oauth.Delegation
}

// Actor tells who acts in a token of the provider, from the session behind it; false where nobody does. Whatever the provider itself guards,
// such as its account pages and its admin API, must refuse a token with an actor.
func Actor(s fosite.Session) (oauth.Party, bool) {
	for _, claims := range claimsOf(s) {
		if act, ok := claims["act"]; ok && act != nil {
			return partyOf(act), true
		}
	}
	return oauth.Party{}, false
}

// claimsOf gives what a session says, each way in which fosite reads it: one for introspection, one for a JWT.
func claimsOf(s fosite.Session) (all []map[string]any) {
	if extra, ok := s.(fosite.ExtraClaimsSession); ok {
		all = append(all, extra.GetExtraClaims())
	}
	if container, ok := s.(fositeoauth.JWTSessionContainer); ok && container.GetJWTClaims() != nil {
		all = append(all, container.GetJWTClaims().ToMapClaims())
	}
	return all
}

// partyOf reads an act; nobody where it is none of ours.
func partyOf(act any) oauth.Party {
	switch m := act.(type) {
	case map[string]any:
		iss, _ := m["iss"].(string)
		sub, _ := m["sub"].(string)
		return oauth.Party{Issuer: iss, Subject: sub}
	case map[string]string:
		return oauth.Party{Issuer: m["iss"], Subject: m["sub"]}
	}
	return oauth.Party{}
}

// text is a claim that is a string, wherever the session has it.
func text(s fosite.Session, name string) string {
	for _, claims := range claimsOf(s) {
		if value, _ := claims[name].(string); value != "" {
			return value
		}
	}
	return ""
}

// keyOf is the thumbprint of the key that a token is bound to (RFC 9449 §6.1).
func keyOf(s fosite.Session) string {
	for _, claims := range claimsOf(s) {
		cnf, _ := claims["cnf"].(map[string]any)
		if key, _ := cnf["jkt"].(string); key != "" {
			return key
		}
	}
	return ""
}

// session asks for one that says t, and does not believe that it does.
func (c *Config) session(ctx context.Context, t Token) (fosite.Session, error) {
	given := t
	given.Claims = copied(t.Claims) // what is done to them must not change what they should have been
	s, err := c.Session(ctx, given)
	if err != nil {
		return nil, fmt.Errorf("making a session: %w", err)
	}
	if s == nil {
		return nil, errors.New("Config.Session: gave none")
	}
	// A refresh, and many a storage, goes on with a clone, and one inherited from an embedded session is of another type.
	for _, each := range []fosite.Session{s, s.Clone()} {
		if err := c.says(each, t); err != nil {
			return nil, fmt.Errorf("Config.Session: %w", err)
		}
	}
	return s, nil
}

// copied copies claims, and those that are objects.
func copied(claims map[string]any) map[string]any {
	own := maps.Clone(claims)
	for name, value := range own {
		if object, ok := value.(map[string]any); ok {
			own[name] = maps.Clone(object)
		}
	}
	return own
}

// says holds a session to what it was made for: one that lost act would be the subject's own token.
func (c *Config) says(s fosite.Session, t Token) error {
	if _, ok := s.(fosite.ExtraClaimsSession); !ok {
		return fmt.Errorf("%T must implement fosite.ExtraClaimsSession, or introspection cannot tell who acts", s)
	}
	if s.GetSubject() != t.Subject {
		return errors.New("GetSubject must be Token.Subject, of a clone too")
	}
	if t.Login != "" && c.LoginOf(s) != t.Login {
		return errors.New("Config.LoginOf must find Token.Login in it, of a clone too")
	}
	for _, claims := range claimsOf(s) {
		if err := carries(claims, t); err != nil {
			return err
		}
	}
	return nil
}

func carries(claims map[string]any, t Token) error {
	if partyOf(claims["act"]) != partyOf(t.Claims["act"]) {
		return errors.New("the claims must have the act of Token.Claims, and none without, of a clone too")
	}
	if sub, ok := claims["sub"]; ok && sub != t.Subject {
		return errors.New("the claim sub must be Token.Subject")
	}
	for _, name := range []string{"sid", "txn", "client_id"} {
		if want := t.Claims[name]; want != nil && claims[name] != want {
			return fmt.Errorf("the claims must have the %s of Token.Claims, of a clone too", name)
		}
	}
	return nil
}

// try makes one session of each kind, so that what is wrong with Config.Session shows before anybody relies on it.
func (c *Config) try(ctx context.Context) error {
	if s, err := c.Session(ctx, Token{}); err != nil || s == nil {
		return fmt.Errorf("plugin: Config.Session: gave no empty session for the zero Token: %v", err)
	}
	for _, t := range []Token{
		c.actorToken("usr_actor", "app", "lgn_actor", "tok_1", ""),
		c.impersonation(oauth.Delegation{
			Subject: oauth.Party{Issuer: c.Issuer, Subject: "usr_subject"}, Client: "app", Session: "imp_1", Audit: "aud_1",
			Actor: oauth.Actor{Party: oauth.Party{Issuer: c.Issuer, Subject: "usr_actor"}, Kind: oauth.ActorUser},
		}, "tok_1", ""),
	} {
		if _, err := c.session(ctx, t); err != nil {
			return fmt.Errorf("plugin: %w", err)
		}
	}
	return nil
}

// impersonation is what the token of a start says.
func (c *Config) impersonation(d oauth.Delegation, id, key string) Token {
	claims := bound(key)
	claims["act"] = map[string]any{"iss": d.Actor.Issuer, "sub": d.Actor.Subject}
	claims["iss"], claims["jti"], claims["sid"], claims["txn"], claims["client_id"] = c.Issuer, id, d.Session, d.Audit, d.Client
	return Token{Subject: d.Subject.Subject, ID: id, Claims: claims, Delegation: &d}
}

// actorToken is what the token says that a stop gives back.
func (c *Config) actorToken(actor, client, login, id, key string) Token {
	claims := bound(key)
	claims["sid"], claims["client_id"] = login, client
	return Token{Subject: actor, Login: login, ID: id, Claims: claims}
}

// bound begins the claims of a token that is bound to a key, "" for none.
func bound(key string) map[string]any {
	claims := make(map[string]any)
	if key != "" {
		claims["cnf"] = map[string]any{"jkt": key}
	}
	return claims
}
