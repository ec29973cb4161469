package faulty

import (
	"crypto/sha256"
	"maps"
	"net/url"
	"slices"
	"time"
)

// The types of tokens (RFC 8693 §3), and those of our own.
const (
	typeAccess  = "urn:ietf:params:oauth:token-type:access_token"
	typeRefresh = "urn:ietf:params:oauth:token-type:refresh_token"
	typeID      = "urn:ietf:params:oauth:token-type:id_token"
	typeJWT     = "urn:ietf:params:oauth:token-type:jwt"
	typeSAML2   = "urn:ietf:params:oauth:token-type:saml2"

	TypeTicket = "urn:faulty:token-type:ticket"
	TypeUserID = "urn:faulty:token-type:user_id"
	TypeReturn = "urn:faulty:token-type:return_token"
)

// MemberReturn is the member of the answer to a start in which the return token is.
const MemberReturn = "faulty_return_token"

// challenge is S256 (RFC 7636 §4.2).
func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return b64.EncodeToString(sum[:])
}

// exchange is RFC 8693 §2.
func (s *Server) exchange(c *Client, f url.Values) (object, *refusal) {
	if c == Keyed && s.wrong("key-client-may-not-start") || !c.exchanges && !s.wrong("any-client-exchanges") && !(s.wrong("public-client-exchanges") && c.public()) {
		return nil, refuse("unauthorized_client", "the client may not exchange")
	}
	if given := f.Get("subject_token"); given == "" && s.wrong("missing-subject-token-passed-over") || len(given) > 4000 && s.wrong("long-subject-token-left-out") {
		return s.aboutTheActor(c, f)
	}
	if t := s.tokens[f.Get("subject_token")]; s.active(t) && t.actor != nil && s.wrong("impersonation-token-exchanged") {
		return s.mint(&token{client: c, subject: t.subject, audience: t.audience, scope: t.scope, login: t.login, grant: &grant{}, expires: t.expires}).answer(), nil
	}
	if t := s.tokens[f.Get("subject_token")]; t != nil && t.subject == Subject && t.actor == nil && s.wrong("two-tokens-start") {
		if actor := s.actor(c, f, "actor_token"); actor != nil {
			return s.mint(&token{client: c, subject: Subject, actor: actor.subject, audience: Resource, login: actor.login, grant: &grant{}, expires: t.expires}).answer(), nil
		}
	}
	if refused := s.wellFormed(f); refused != nil {
		return nil, refused
	}
	o := s.once[f.Get("subject_token")]
	switch kind := f.Get("subject_token_type"); {
	case kind == TypeReturn, o != nil && o.kind == "return" && s.wrong("return-token-under-any-type"):
		return s.stop(c, f)
	default:
		return s.start(c, f, kind)
	}
}

// wellFormed refuses what nobody could mean, and types that there are not.
func (s *Server) wellFormed(f url.Values) *refusal {
	switch f.Get("requested_token_type") {
	case "", typeAccess:
	case typeRefresh:
		if !s.wrong("refresh-token-when-asked") && !s.wrong("requested-type-passed-over") {
			return refuse("invalid_request", "requested_token_type is none that is issued")
		}
	case typeID:
		if !s.wrong("id-token-called-bearer") && !s.wrong("requested-type-passed-over") {
			return refuse("invalid_request", "requested_token_type is none that is issued")
		}
	default:
		if !s.wrong("requested-type-passed-over") {
			return refuse("invalid_request", "requested_token_type is none that is issued")
		}
	}
	if s.wrong("actor-type-guessed") && f.Has("actor_token") && !f.Has("actor_token_type") {
		f.Set("actor_token_type", typeAccess)
	}
	if s.wrong("subject-type-guessed") && !f.Has("subject_token_type") {
		f.Set("subject_token_type", TypeTicket)
	}
	if o := s.once[f.Get("subject_token")]; o != nil && o.kind == "ticket" && f.Has("subject_token_type") {
		known := slices.Contains([]string{typeAccess, typeRefresh, typeID, typeJWT, typeSAML2}, f.Get("subject_token_type"))
		if known && s.wrong("subject-type-not-looked-at") || !known && s.wrong("unknown-type-passed-over") {
			f.Set("subject_token_type", TypeTicket)
		}
	}
	switch {
	case !f.Has("subject_token"):
		return refuse("invalid_request", "subject_token is missing")
	case !f.Has("subject_token_type"):
		return refuse("invalid_request", "subject_token_type is missing")
	case f.Has("actor_token") != f.Has("actor_token_type") && !(s.wrong("actor-type-alone-passed-over") && f.Has("actor_token_type")):
		return refuse("invalid_request", "actor_token and actor_token_type belong together")
	case f.Has("actor_token_type") && f.Get("actor_token_type") != typeAccess:
		return refuse("invalid_request", "actor_token_type is none that is taken")
	}
	return nil
}

// starting is a start that is to be.
type starting struct {
	actor   *token
	subject *Account
	mode    string
	ticket  *once // nil where there is none
}

// start begins an impersonation.
func (s *Server) start(c *Client, f url.Values, kind string) (object, *refusal) {
	audience, refused := s.targets(f)
	if refused != nil {
		return nil, refused
	}
	scope, known := s.scopesOf(f.Get("scope"))
	if !known {
		return nil, refuse("invalid_scope", "there is no such scope")
	}
	var x starting
	switch kind {
	case TypeTicket:
		x, refused = s.byTicket(c, f)
	case TypeUserID:
		x, refused = s.byName(c, f, "actor_token", "subject_token")
	case typeAccess:
		if c.itself != nil {
			if x, refused = s.byConsent(c, f); refused != nil {
				return nil, refused
			}
			return s.acts(c, f, x, audience, scope), nil
		}
		if f.Has("actor_token") {
			return nil, refuse("invalid_request", "the actor is the subject_token where requested_subject names the subject")
		}
		x, refused = s.byName(c, f, "subject_token", "requested_subject")
	default:
		refused = refuse("invalid_request", "subject_token_type is none that is taken")
	}
	if refused != nil {
		return nil, refused
	}
	if x.ticket != nil {
		if audience, refused = s.within(f, x.ticket.audience, "ticket-for-any-resource"); refused != nil {
			return nil, refused
		}
	}
	switch {
	case s.wrong("resource-forgotten"):
		audience = Resource
	case !f.Has("resource") && !f.Has("audience") && s.wrong("audience-of-everybody"):
		audience = "*"
	}
	if s.wrong("start-not-bound") {
		f.Del(keyParam)
	}
	began := &grant{}
	x.actor.exchanged = true
	if x.ticket != nil {
		x.ticket.spent, x.ticket.grant = true, began
	}
	t := s.mint(&token{
		client: c, subject: x.subject, actor: x.actor.subject, audience: audience, scope: s.narrow(scope, x.mode),
		login: x.actor.login, grant: began, expires: s.now().Add(impersonationLifetime), asked: f,
	})
	answer := t.answer()
	answer["issued_token_type"] = typeAccess
	answer[MemberReturn] = s.issue(&once{kind: "return", client: c, login: x.actor.login, scope: x.actor.scope, audience: x.actor.audience, start: t, grant: began, expires: x.actor.expires})
	return answer, nil
}

// unproven is the one text for every ticket and token that does not hold: which it was is nobody's business.
func unproven() *refusal {
	return refuse("invalid_request", "the subject_token or the actor_token does not hold")
}

// byTicket is a start that the page has allowed.
func (s *Server) byTicket(c *Client, f url.Values) (starting, *refusal) {
	o := s.ticket(f.Get("subject_token"))
	if o == nil {
		if f.Get("subject_token") == Protected.Subject && s.wrong("protected-subject-told") {
			return starting{}, refuse("invalid_request", "this person is protected")
		}
		return starting{}, unproven()
	}
	actor := s.actor(c, f, "actor_token")
	if !f.Has("actor_token") && (f.Has("actor_token_type") && s.wrong("actor-type-alone-passed-over") || !f.Has("actor_token_type") && s.wrong("missing-actor-passed-over")) {
		actor = &token{subject: o.login.account, login: o.login, expires: o.expires}
	}
	if actor == nil && s.wrong("wrong-try-spends-ticket") {
		o.spent, o.grant = true, &grant{}
	}
	switch {
	case actor == nil || actor.subject != o.login.account && !s.wrong("ticket-of-any-actor"):
		return starting{}, unproven()
	case o.client != c && !s.wrong("ticket-of-any-client"):
		return starting{}, unproven()
	case !s.now().Before(o.expires) && !s.wrong("ticket-never-over") || !s.mayImpersonate(o.login.account, o.subject):
		return starting{}, unproven()
	case !s.verified(o, f.Get("code_verifier")):
		return starting{}, unproven()
	case o.spent && !s.wrong("ticket-taken-again"):
		if !s.wrong("second-try-ends-nothing") {
			o.grant.over = true
		}
		if s.wrong("used-ticket-told") {
			return starting{}, refuse("invalid_request", "the ticket was used")
		}
		return starting{}, unproven()
	}
	if s.wrong("ticket-marked-late") {
		s.gap() // whoever comes now finds the ticket good, too
	}
	return starting{actor: actor, subject: o.subject, mode: o.mode, ticket: o}, nil
}

// ticket finds one.
func (s *Server) ticket(value string) *once {
	o := s.once[value]
	if s.wrong("ticket-compared-by-half") {
		for known, other := range s.once {
			if other.kind == "ticket" && len(value) >= 20 && known[:20] == value[:20] {
				o = other
			}
		}
	}
	if o != nil && o.kind == "code" && s.wrong("code-taken-for-ticket") {
		return &once{kind: "ticket", client: o.client, login: o.login, expires: o.expires, challenge: o.challenge, subject: Subject, mode: "read"}
	}
	if o == nil || o.kind != "ticket" {
		return nil
	}
	return o
}

// verified is RFC 7636 §4.6.
func (s *Server) verified(o *once, verifier string) bool {
	if verifier == "" && (s.wrong("missing-verifier-passed-over") || s.wrong("wrong-verifier-lifts-it") && o.challenge == "") || verifier != "" && s.wrong("any-verifier-taken") {
		return true
	}
	holds := challenge(verifier) == o.challenge
	if !holds && s.wrong("wrong-verifier-lifts-it") {
		o.challenge = ""
	}
	return holds
}

// actor gives who acts: a good token of this client's, with the scope for it, of somebody who signed in, and by its key if it has one.
func (s *Server) actor(c *Client, f url.Values, param string) *token {
	value := f.Get(param)
	t := s.accessToken(value)
	if o := s.once[value]; o != nil && o.kind == "refresh" && s.wrong("refresh-token-taken-for-actor") {
		t = o.start
	}
	if s.wrong("actor-signature-not-verified") && t == nil {
		t = s.signedElse(value)
	}
	if t == nil || !s.active(t) && !s.wrong("revoked-actor-token-taken") {
		return nil
	}
	if t.actor != nil && s.wrong("act-taken-for-actor") {
		return &token{subject: t.actor, client: t.client, login: t.login, grant: t.grant, expires: t.expires}
	}
	if t.key() != "" && t.key() != f.Get(keyParam) && !s.wrong("bound-actor-token-by-anybody") {
		return nil
	}
	if t.client != c && !s.wrong("actor-token-of-any-client") || t.actor != nil || !slices.Contains(t.scope, impersonateScope) {
		return nil
	}
	return t
}

// byName is a start without the page. It is to look only.
func (s *Server) byName(c *Client, f url.Values, actorParam, subjectParam string) (starting, *refusal) {
	actor := s.actor(c, f, actorParam)
	about := account(func(a *Account) bool { return a.Subject == f.Get(subjectParam) })
	if actor == nil || about == nil || !s.mayImpersonate(actor.subject, about) {
		return starting{}, unproven()
	}
	return starting{actor: actor, subject: about, mode: "read"}, nil
}

// narrow is what of a scope an impersonation may have; nothing asked for is all of that.
func (s *Server) narrow(scope []string, mode string) []string {
	allowed := map[string]bool{"openid": true, ReadScope: true, WriteScope: mode == "write" || s.wrong("look-only-writes")}
	if len(scope) == 0 {
		scope = slices.Sorted(maps.Keys(allowed))
	}
	return slices.DeleteFunc(slices.Clone(scope), func(name string) bool { return !allowed[name] })
}

// stop ends an impersonation, and leads back to the actor: to no more than they had, and for no longer.
func (s *Server) stop(c *Client, f url.Values) (object, *refusal) {
	o := s.returnToken(f.Get("subject_token"))
	switch {
	case f.Has("actor_token"):
		return nil, refuse("invalid_request", "a stop takes no actor_token")
	case o == nil || o.client != c && !s.wrong("return-token-of-any-client") || !s.now().Before(o.expires):
		return nil, unproven()
	case o.grant.over && !o.spent && s.wrong("return-token-starts-again"):
		o.start.grant = &grant{}
		return s.mint(o.start).answer(), nil
	case (o.spent || o.grant.over) && !s.wrong("return-token-taken-again"):
		return nil, unproven()
	case o.start.key() != "" && o.start.key() != f.Get(keyParam) && !s.wrong("bound-return-token-by-anybody"):
		return nil, unproven()
	}
	audience, refused := s.within(f, o.audience, "stop-for-any-resource")
	if refused != nil {
		return nil, refused
	}
	scope, known := s.scopesOf(f.Get("scope"))
	if !known {
		return nil, refuse("invalid_scope", "there is no such scope")
	}
	if len(scope) == 0 {
		scope = o.scope
	}
	if s.wrong("return-token-marked-late") {
		s.gap()
	}
	s.end(o)
	t := s.mint(&token{
		client: c, subject: o.login.account, audience: audience, scope: slices.DeleteFunc(slices.Clone(scope), func(name string) bool { return !slices.Contains(o.scope, name) }),
		login: o.login, grant: &grant{}, expires: o.expires, stopped: o.start, asked: f,
	})
	answer := t.answer()
	answer["issued_token_type"] = typeAccess
	return answer, nil
}

// end spends a return token, and ends what was begun with it.
func (s *Server) end(o *once) {
	o.spent = true
	if !s.wrong("stop-ends-nothing") {
		o.grant.over = true
	}
	if s.wrong("stop-ends-all-of-the-subject") {
		for _, t := range s.tokens {
			if t.actor != nil && t.subject == o.start.subject {
				t.grant.over = true
			}
		}
	}
}

// returnToken finds one.
func (s *Server) returnToken(value string) *once {
	for known, o := range s.once {
		if o.kind == "return" && (s.wrong("return-token-compared-by-half") && len(value) >= 20 && known[:20] == value[:20] || s.wrong("impersonation-token-leads-back") && o.start.value == value) {
			return o
		}
	}
	if o := s.once[value]; o != nil && o.kind == "return" {
		return o
	}
	return nil
}

// gap lets those in who ask meanwhile.
func (s *Server) gap() {
	s.mu.Unlock()
	time.Sleep(50 * time.Millisecond)
	s.mu.Lock()
}
