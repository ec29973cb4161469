package faulty

import (
	"cmp"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// refusal is an error of RFC 6749 §5.2.
type refusal struct {
	status     int
	code, text string
}

func refuse(code, text string) *refusal { return &refusal{http.StatusBadRequest, code, text} }

// grant is what began by a sign-in or a start, and ends by a revocation or a stop: all its tokens with it.
type grant struct {
	over bool
}

// token is an access token.
type token struct {
	value           string
	claims          object
	client          *Client
	subject         *Account
	actor           *Account // nil for nobody's but the subject's own
	audience        string
	scope           []string
	login           *login
	grant           *grant
	exchanged       bool       // it has been an actor_token
	stopped         *token     // the impersonation token after which it came
	asked           url.Values // the request to the token endpoint
	refreshed       *token     // the access token that it follows
	issued, expires time.Time
}

func (s *Server) active(t *token) bool { return t != nil && !t.grant.over && s.now().Before(t.expires) }

// key is the thumbprint of the key to which t is bound, "" if to none.
func (t *token) key() string { return t.asked.Get(keyParam) }

// kind is its token_type.
func (t *token) kind() string {
	if t.key() != "" {
		return "DPoP"
	}
	return "Bearer"
}

// mint makes t a token (RFC 9068).
func (s *Server) mint(t *token) *token {
	t.issued = s.now()
	header := object{"typ": "at+jwt"}
	claims := object{
		"iss": s.issuer, "sub": t.subject.Subject, "aud": t.audience, "client_id": t.client.ID, "jti": random(),
		"scope": strings.Join(t.scope, " "), "iat": t.issued.Unix(), "exp": t.expires.Unix(),
	}
	if t.actor != nil {
		act := object{"iss": s.issuer, "sub": t.actor.Subject}
		if t.actor.kind != "" {
			act["sub_profile"] = t.actor.kind
		}
		claims["act"] = act
	} else if t.login != nil {
		claims["auth_time"], claims["acr"] = t.login.at.Unix(), acr
	}
	if t.key() != "" {
		claims["cnf"] = object{"jkt": t.key()}
	}
	if t.actor == nil && t.login != nil && t.subject.lets(t.client) {
		claims["may_act"] = s.mayAct(t.client)
	}
	s.spoilAgent(t, claims)
	s.spoilToken(t, header, claims)
	t.value, t.claims = s.sign(keyES256, header, claims), claims
	s.tokens[t.value] = t
	return t
}

// answer is RFC 6749 §5.1.
func (t *token) answer() object {
	return object{"access_token": t.value, "token_type": t.kind(), "expires_in": t.expires.Unix() - t.issued.Unix(), "scope": strings.Join(t.scope, " ")}
}

// token is the token endpoint (RFC 6749 §3.2).
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if !s.wrong("answers-stored") {
		w.Header().Set("Cache-Control", "no-store")
	}
	w.Header().Set("DPoP-Nonce", s.nonce)
	var answer object
	f, refused := s.form(w, r)
	if refused == nil {
		answer, refused = s.grantTo(r, f)
	}
	if refused != nil {
		s.refuse(w, refused, f)
		return
	}
	s.spoilAnswer(f, answer)
	s.write(w, answer, f.Get("grant_type") == grantExchange && s.wrong("member-twice"))
}

func (s *Server) refuse(w http.ResponseWriter, refused *refusal, f url.Values) {
	if refused.status == http.StatusUnauthorized && !s.wrong("no-challenge") && !(f.Has("redirect_uri") && !f.Has("grant_type") && s.wrong("pushed-without-challenge")) {
		w.Header().Set("WWW-Authenticate", `Basic realm="clients"`)
	}
	o := object{"error": refused.code, "error_description": refused.text}
	s.spoilError(f, o)
	writeJSON(w, refused.status, o)
}

const formType = "application/x-www-form-urlencoded"

// form reads the form of a request of a client's: each parameter comes once, and one that is empty is not there (RFC 6749 §3.2).
func (s *Server) form(w http.ResponseWriter, r *http.Request) (url.Values, *refusal) {
	at := r.URL.Path
	if r.Method == http.MethodGet && (at == "/token" && s.wrong("get-taken") || at == "/introspect" && s.wrong("introspection-by-get") || at == "/revoke" && s.wrong("revocation-by-get")) {
		return r.URL.Query(), nil
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, &refusal{http.StatusMethodNotAllowed, "invalid_request", "POST is the method"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		return nil, refuse("invalid_request", "the body cannot be read")
	}
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	f, err := url.ParseQuery(string(body))
	switch {
	case kind == "application/json" && s.wrong("json-taken"):
		f, err = ofJSON(body)
	case kind == "multipart/form-data" && s.wrong("multipart-taken"):
		f, err = ofParts(body, params["boundary"])
	case kind != formType && !s.wrong("content-type-not-looked-at"):
		return nil, refuse("invalid_request", "the body has to be "+formType)
	}
	if err != nil {
		return nil, refuse("invalid_request", "the body cannot be read")
	}
	if at == "/token" && s.wrong("query-taken") || at == "/introspect" && s.wrong("introspection-of-query") || at == "/revoke" && s.wrong("revocation-of-query") || at == "/par" && s.wrong("pushed-in-query") {
		for name, values := range r.URL.Query() {
			if !f.Has(name) && !(at == "/token" && strings.HasPrefix(name, "client_")) {
				f[name] = values
			}
		}
	}
	for name, values := range f {
		if len(values) > 1 && name != "resource" && name != "audience" && !s.wrong("first-of-two-taken") {
			return nil, refuse("invalid_request", "a parameter comes twice")
		}
		if values[0] == "" {
			delete(f, name)
		}
	}
	return f, nil
}

// authenticate is RFC 6749 §2.3.1 and RFC 7523 §2.2.
func (s *Server) authenticate(r *http.Request, f url.Values) (*Client, *refusal) {
	id, secret, basic := r.BasicAuth()
	header := r.Header.Get("Authorization") != ""
	if believed := s.believe(r, f); believed != nil {
		return believed, nil
	}
	switch {
	case f.Has("client_assertion") && (!header && !f.Has("client_secret") || s.wrong("assertion-beside-secret")):
		if c := s.asserted(f); c != nil {
			return c, nil
		}
		return nil, unknownClient()
	case f.Has("client_assertion"):
		return nil, refuse("invalid_request", "the client authenticates in two ways")
	case basic:
		if f.Has("client_secret") && !s.wrong("two-ways-taken") || f.Has("client_id") && f.Get("client_id") != id && !s.wrong("any-id-beside-basic") {
			return nil, refuse("invalid_request", "the client authenticates in two ways")
		}
		if !s.wrong("basic-not-decoded") {
			var errID, errSecret error
			id, errID = url.QueryUnescape(id)
			secret, errSecret = url.QueryUnescape(secret)
			if errID != nil || errSecret != nil {
				return nil, unknownClient()
			}
		}
	case header && s.wrong("unreadable-header-breaks-it"):
		return nil, &refusal{http.StatusInternalServerError, "server_error", "this should not have happened"}
	case header:
		return nil, unknownClient()
	default:
		id, secret = f.Get("client_id"), f.Get("client_secret")
	}
	return s.bySecret(r.URL.Path, client(id), secret, f)
}

func unknownClient() *refusal {
	return &refusal{http.StatusUnauthorized, "invalid_client", "the client is not authenticated"}
}

// manyFailures is how many wrong secrets in turn are answered as such.
const manyFailures = 30

// bySecret authenticates a client that may be nil. Who tries many secrets has to wait; who knows it has not.
func (s *Server) bySecret(at string, c *Client, secret string, f url.Values) (*Client, *refusal) {
	if c != nil && c != Keyed && c.Secret == secret || s.rightEnough(at, c, secret) {
		s.failures[c] = 0
		return c, nil
	}
	if o := s.once[f.Get("subject_token")]; o != nil && s.wrong("wrong-secret-spends-return-token") && o.kind == "return" {
		o.spent = true
	}
	if c == nil && s.wrong("unknown-client-told") {
		return nil, &refusal{http.StatusUnauthorized, "invalid_client", "there is no such client"}
	}
	if s.failures[c]++; s.failures[c] > manyFailures && !s.wrong("secrets-tried-for-ever") {
		return nil, &refusal{http.StatusTooManyRequests, "invalid_client", "too many tries"}
	}
	return nil, unknownClient()
}

const grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

// grantTo finds out who asks, and for what.
func (s *Server) grantTo(r *http.Request, f url.Values) (object, *refusal) {
	c, refused := s.authenticate(r, f)
	if refused == nil {
		refused = s.prove(r, c, f)
	}
	if refused != nil {
		return nil, refused
	}
	grant := f.Get("grant_type")
	if s.wrong("grant-type-by-prefix") && strings.HasPrefix(grant, grantExchange) || s.wrong("grant-type-in-any-case") && strings.EqualFold(grant, grantExchange) {
		grant = grantExchange
	}
	if answer := s.grantByMistake(grant, c, f); answer != nil {
		return answer, nil
	}
	switch grant {
	case grantExchange:
		return s.exchange(c, f)
	case "authorization_code":
		return s.redeem(c, f)
	case "refresh_token":
		return s.refresh(c, f)
	case "client_credentials":
		return s.ownToken(c, f)
	case "":
		if s.wrong("missing-grant-breaks-it") {
			return nil, &refusal{http.StatusInternalServerError, "server_error", "this should not have happened"}
		}
		return nil, refuse("invalid_request", "grant_type is missing")
	}
	return nil, refuse("unsupported_grant_type", "there is no such grant")
}

// redeem is RFC 6749 §4.1.3 with RFC 7636 §4.5.
func (s *Server) redeem(c *Client, f url.Values) (object, *refusal) {
	dead := refuse("invalid_grant", "the code does not hold")
	o := s.code(f.Get("code"))
	switch {
	case !f.Has("code"):
		return nil, refuse("invalid_request", "code is missing")
	case o == nil, o.client != c && !s.wrong("code-of-any-client"), !s.now().Before(o.expires) && !s.wrong("code-never-over"):
		return nil, dead
	case o.kind == "code" && o.redirectURI != f.Get("redirect_uri") && !s.wrong("redirect-uri-not-compared"):
		return nil, dead
	case !s.redeems(o, f.Get("code_verifier")):
		return nil, dead
	case o.spent && !s.wrong("code-taken-again"):
		if !s.wrong("second-redemption-ends-nothing") {
			o.grant.over = true
		}
		return nil, dead
	}
	audience, refused := s.within(f, o.audience, "code-for-any-resource")
	if refused != nil {
		return nil, refused
	}
	if s.wrong("code-marked-late") {
		s.gap()
	}
	o.spent, o.grant = true, &grant{}
	t := s.mint(&token{
		client: c, subject: o.login.account, audience: audience, scope: o.scope, login: o.login, grant: o.grant, expires: s.now().Add(AccessLifetime), asked: f,
	})
	answer := t.answer()
	answer["refresh_token"] = s.refreshToken(t)
	if slices.Contains(o.scope, "openid") {
		answer["id_token"] = s.idToken(t, o.nonce)
	}
	return answer, nil
}

// code finds one.
func (s *Server) code(value string) *once {
	for known, o := range s.once {
		if o.kind == "code" && s.wrong("code-compared-by-half") && len(value) >= 20 && known[:20] == value[:20] {
			return o
		}
	}
	if o := s.once[value]; o != nil && (o.kind == "code" || o.kind == "ticket" && s.wrong("ticket-taken-for-code")) {
		return o
	}
	return nil
}

var verifierForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// redeems is RFC 7636 §4.6.
func (s *Server) redeems(o *once, verifier string) bool {
	switch {
	case o.challenge == "":
		return verifier == "" || s.wrong("challenge-stripped")
	case verifier == "" && s.wrong("redeemed-without-verifier"), verifier != "" && s.wrong("redeemed-by-any-verifier"):
		return true
	case o.plain && verifier == o.challenge:
		return true
	case !verifierForm.MatchString(verifier) && !s.wrong("short-verifier-taken"):
		return false
	case challenge(verifier) == o.challenge:
		return true
	}
	if s.wrong("wrong-verifier-frees-code") {
		o.challenge = ""
	}
	return false
}

// idToken is OpenID Connect Core §2.
func (s *Server) idToken(t *token, nonce string) string {
	claims := object{
		"iss": s.issuer, "sub": t.subject.Subject, "aud": t.client.ID, "iat": t.issued.Unix(), "exp": t.expires.Unix(), "auth_time": t.login.at.Unix(), "acr": acr,
	}
	if s.wrong("auth-time-moves") {
		claims["auth_time"] = t.login.at.Add(-time.Duration(len(s.idTokens)) * time.Hour).Unix()
	}
	if nonce != "" && !s.wrong("nonce-dropped") {
		claims["nonce"] = nonce
	}
	value := s.sign(keyRS256, object{"typ": "JWT"}, claims)
	s.idTokens[value] = t
	return value
}

// within is targets where a code or the like is for one already.
func (s *Server) within(f url.Values, bound string, anyway Fault) (string, *refusal) {
	audience, refused := s.targets(f)
	switch {
	case refused != nil:
		return "", refused
	case !f.Has("resource") && !f.Has("audience"):
		return cmp.Or(bound, Resource), nil
	case bound != "" && audience != bound && !s.wrong(anyway) && !(audience != OtherResource && s.wrong("unknown-target-copied")):
		return "", refuse("invalid_target", "what was allowed was for another API")
	}
	return audience, nil
}

// targets gives the one API that is asked for (RFC 8707 §2, RFC 8693 §2.1), Resource where none is.
func (s *Server) targets(f url.Values) (string, *refusal) {
	asked := slices.Concat(f["resource"], f["audience"])
	if s.wrong("audience-passed-over") {
		asked = f["resource"]
	}
	if s.wrong("first-target-only") {
		asked = asked[:min(1, len(asked))]
	}
	target := ""
	for _, value := range asked {
		if s.wrong("target-fragment-cut-off") {
			value, _, _ = strings.Cut(value, "#")
		}
		if s.wrong("target-slash-cut-off") {
			value = strings.TrimSuffix(value, "/")
		}
		u, err := url.Parse(value)
		absolute := err == nil && u.IsAbs() && !strings.Contains(value, "#")
		switch {
		case (value == Resource || value == OtherResource) && (target == "" || target == value):
			target = value
		case !absolute && f.Get("resource") == value && s.wrong("malformed-target-passed-over"):
		case absolute && s.wrong("unknown-target-passed-over"):
		case absolute && s.wrong("unknown-target-copied"):
			target = value
		default:
			return "", refuse("invalid_target", "there is no such API")
		}
	}
	return cmp.Or(target, Resource), nil
}

// scopesOf reads a scope (RFC 6749 §3.3), and reports whether all of it is known.
func (s *Server) scopesOf(scope string) (list []string, known bool) {
	known = true
	for name := range strings.SplitSeq(scope, " ") {
		switch {
		case name == "":
		case slices.Contains(scopes, name) || s.wrong("unknown-scope-granted"):
			list = append(list, name)
		default:
			known = false
		}
	}
	return list, known
}
