package faulty

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// The agents: clients that act as themselves for Subject, who let them (RFC 8693 §4.4), and what they are called as actors.
var (
	Bot   = &Client{ID: "bot", Secret: "The-secret-of-bot", RedirectURI: "https://bot.example/callback", exchanges: true, itself: &Account{Subject: "client:bot", kind: "ai_agent"}}
	Robot = &Client{ID: "robot", Secret: "The-secret-of-robot", RedirectURI: "https://robot.example/callback", exchanges: true, itself: &Account{Subject: "client:robot", kind: "service"}}
)

// Itself is what an agent is called as an actor, and of what kind it is.
func (c *Client) Itself() (subject, kind string) { return c.itself.Subject, c.itself.kind }

// lets reports whether a person lets an agent act.
func (a *Account) lets(c *Client) bool { return c.itself != nil && a == Subject }

// mayAct is RFC 8693 §4.4.
func (s *Server) mayAct(c *Client) any {
	if s.wrong("may-act-is-list") {
		return []string{c.itself.Subject}
	}
	return object{"iss": s.issuer, "sub": c.itself.Subject, "client_id": c.ID}
}

// ownToken is RFC 6749 §4.4.
func (s *Server) ownToken(c *Client, f url.Values) (object, *refusal) {
	if c.itself == nil {
		return nil, refuse("unauthorized_client", "the client has nothing of its own")
	}
	audience, refused := s.targets(f)
	if refused != nil {
		return nil, refused
	}
	scope, known := s.scopesOf(f.Get("scope"))
	if !known {
		return nil, refuse("invalid_scope", "there is no such scope")
	}
	t := s.mint(&token{client: c, subject: c.itself, audience: audience, scope: scope, grant: &grant{}, expires: s.now().Add(AccessLifetime)})
	answer := t.answer()
	if s.wrong("agents-own-token-lasts") {
		answer["refresh_token"] = random()
	}
	return answer, nil
}

// byConsent is a start with the user's own token, by an agent that it names, or by the client that is one.
func (s *Server) byConsent(c *Client, f url.Values) (starting, *refusal) {
	user := s.accessToken(f.Get("subject_token"))
	told := strings.Contains(f.Get("may_act"), c.itself.Subject) && s.wrong("may-act-of-the-request")
	switch {
	case !s.active(user) || user.actor != nil || user.login == nil,
		user.client != c && !s.wrong("consent-at-any-client"),
		!user.subject.lets(user.client) && !told && !s.wrong("consent-not-looked-at"):
		return starting{}, unproven()
	}
	if f.Has("actor_token") && !s.wrong("consent-for-any-actor") {
		if own := s.accessToken(f.Get("actor_token")); !s.active(own) || own.client != c || own.subject != c.itself {
			return starting{}, unproven()
		}
	}
	return starting{actor: &token{subject: c.itself, scope: user.scope, expires: user.expires}, subject: user.subject, mode: "read"}, nil
}

// acts ends a start by consent: with what the user's token holds at most, and for no longer.
func (s *Server) acts(c *Client, f url.Values, x starting, audience string, scope []string) object {
	if asked := len(scope) > 0; !s.wrong("agent-has-any-scope") || !asked {
		scope = slices.DeleteFunc(s.narrow(scope, x.mode), func(name string) bool { return !slices.Contains(x.actor.scope, name) })
	}
	if s.wrong("agent-outlives-users-token") {
		x.actor.expires = x.actor.expires.Add(time.Minute)
	}
	t := s.mint(&token{client: c, subject: x.subject, actor: x.actor.subject, audience: audience, scope: scope, grant: &grant{}, expires: x.actor.expires, asked: f})
	answer := t.answer()
	answer["issued_token_type"] = typeAccess
	return answer
}

// spoilAgent makes of what an agent's tokens say what they must not say.
func (s *Server) spoilAgent(t *token, claims object) {
	switch {
	case t.actor == nil && t.subject.kind != "" && s.wrong("agent-signs-in"):
		claims["auth_time"] = t.issued.Unix()
	case t.actor == nil || t.actor.kind == "":
	case s.wrong("agent-called-the-user"):
		claims["act"].(object)["sub"] = t.subject.Subject
	case s.wrong("kind-dropped"):
		delete(claims["act"].(object), "sub_profile")
	case s.wrong("may-act-carried-over"):
		claims["may_act"] = s.mayAct(t.client)
	}
}
