package faulty

import (
	"cmp"
	"io"
	"mime"
	"net/http"
	"net/url"
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
	exchanged       bool   // it has been an actor_token
	stopped         *token // the impersonation token after which it came
	issued, expires time.Time
}

func (s *Server) active(t *token) bool { return t != nil && !t.grant.over && s.now().Before(t.expires) }

// mint makes t a token (RFC 9068).
func (s *Server) mint(t *token) *token {
	t.issued = s.now()
	header := object{"typ": "at+jwt"}
	claims := object{
		"iss": s.issuer, "sub": t.subject.Subject, "aud": t.audience, "client_id": t.client.ID, "jti": random(),
		"scope": strings.Join(t.scope, " "), "iat": t.issued.Unix(), "exp": t.expires.Unix(),
	}
	if t.actor != nil {
		claims["act"] = object{"iss": s.issuer, "sub": t.actor.Subject}
	} else {
		claims["auth_time"] = t.login.at.Unix()
	}
	s.spoilToken(t, header, claims)
	t.value, t.claims = s.sign(keyES256, header, claims), claims
	s.tokens[t.value] = t
	return t
}

// answer is RFC 6749 §5.1.
func (t *token) answer() object {
	return object{"access_token": t.value, "token_type": "Bearer", "expires_in": t.expires.Unix() - t.issued.Unix(), "scope": strings.Join(t.scope, " ")}
}

// token is the token endpoint (RFC 6749 §3.2).
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	if !s.wrong("answers-stored") {
		w.Header().Set("Cache-Control", "no-store")
	}
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
	if refused.status == http.StatusUnauthorized {
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
	if at == "/token" && s.wrong("query-taken") || at == "/introspect" && s.wrong("introspection-of-query") || at == "/revoke" && s.wrong("revocation-of-query") {
		for name, values := range r.URL.Query() {
			if !f.Has(name) {
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

// authenticate is RFC 6749 §2.3.1.
func (s *Server) authenticate(r *http.Request, f url.Values) (*Client, *refusal) {
	id, secret, basic := r.BasicAuth()
	if basic {
		var errID, errSecret error
		id, errID = url.QueryUnescape(id)
		secret, errSecret = url.QueryUnescape(secret)
		if errID != nil || errSecret != nil || f.Has("client_secret") || f.Has("client_id") && f.Get("client_id") != id {
			return nil, refuse("invalid_request", "the client authenticates in two ways, or in none that can be read")
		}
	} else {
		id, secret = f.Get("client_id"), f.Get("client_secret")
	}
	c := client(id)
	if believed := s.believe(r, c, secret, f); believed != nil {
		return believed, nil
	}
	if c == nil || c.Secret != secret {
		if o := s.once[f.Get("subject_token")]; o != nil && s.wrong("wrong-secret-spends-return-token") && o.kind == "return" {
			o.spent = true
		}
		return nil, &refusal{http.StatusUnauthorized, "invalid_client", "the client is not authenticated"}
	}
	return c, nil
}

const grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

// grantTo finds out who asks, and for what.
func (s *Server) grantTo(r *http.Request, f url.Values) (object, *refusal) {
	c, refused := s.authenticate(r, f)
	if refused != nil {
		return nil, refused
	}
	grant := f.Get("grant_type")
	if s.wrong("grant-type-by-prefix") && strings.HasPrefix(grant, grantExchange) || s.wrong("grant-type-in-any-case") && strings.EqualFold(grant, grantExchange) {
		grant = grantExchange
	}
	switch grant {
	case grantExchange:
		return s.exchange(c, f)
	case "authorization_code":
		return s.redeem(c, f)
	case "":
		return nil, refuse("invalid_request", "grant_type is missing")
	}
	return nil, refuse("unsupported_grant_type", "there is no such grant")
}

// redeem is RFC 6749 §4.1.3 with RFC 7636 §4.5.
func (s *Server) redeem(c *Client, f url.Values) (object, *refusal) {
	o := s.once[f.Get("code")]
	ours := o != nil && (o.kind == "code" && o.redirectURI == f.Get("redirect_uri") || o.kind == "ticket" && s.wrong("ticket-taken-for-code"))
	if !ours || o.client != c || !s.now().Before(o.expires) || challenge(f.Get("code_verifier")) != o.challenge {
		return nil, refuse("invalid_grant", "the code does not hold")
	}
	if o.spent {
		o.grant.over = true
		return nil, refuse("invalid_grant", "the code does not hold")
	}
	audience, refused := s.targets(f)
	if refused != nil {
		return nil, refused
	}
	o.spent, o.grant = true, &grant{}
	t := s.mint(&token{client: c, subject: o.login.account, audience: audience, scope: o.scope, login: o.login, grant: o.grant, expires: s.now().Add(AccessLifetime)})
	answer := t.answer()
	if slices.Contains(o.scope, "openid") {
		answer["id_token"] = s.idToken(t, o.nonce)
	}
	return answer, nil
}

// idToken is OpenID Connect Core §2.
func (s *Server) idToken(t *token, nonce string) string {
	claims := object{
		"iss": s.issuer, "sub": t.subject.Subject, "aud": t.client.ID, "iat": t.issued.Unix(), "exp": t.expires.Unix(), "auth_time": t.login.at.Unix(),
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	value := s.sign(keyRS256, object{"typ": "JWT"}, claims)
	s.idTokens[value] = t
	return value
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
