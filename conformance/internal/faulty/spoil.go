package faulty

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// spoilToken makes of what a token says what it must not say.
func (s *Server) spoilToken(t *token, header, claims object) {
	switch {
	case s.fault == "":
	case t.asked.Has("act") && s.wrong("claims-of-the-request"):
		claims["act"] = object{"sub": t.asked.Get("act")}
	case t.refreshed != nil && s.wrong("refresh-keeps-id"):
		claims["jti"] = t.refreshed.claims["jti"]
	case t.refreshed != nil && s.wrong("refresh-signs-in-anew"):
		claims["auth_time"] = t.login.at.Add(time.Minute).Unix()
	case t.actor == nil && s.wrong("acr-dropped"):
		delete(claims, "acr")
	case t.actor != nil:
		s.spoilImpersonation(t, header, claims)
	case t.stopped != nil:
		s.spoilStopped(t, claims)
	}
}

func (s *Server) spoilImpersonation(t *token, header, claims object) {
	act := claims["act"].(object)
	switch {
	case t.key() == "" && s.wrong("unproven-key-told"):
		claims["cnf"] = object{"jkt": random()}
	case s.wrong("act-missing"):
		delete(claims, "act")
	case s.wrong("act-is-text"):
		claims["act"] = t.actor.Subject
	case s.wrong("act-names-client"):
		act["sub"] = t.client.ID
	case s.wrong("sub-is-actor"):
		claims["sub"] = t.actor.Subject
	case s.wrong("act-has-no-issuer"):
		delete(act, "iss")
	case s.wrong("act-has-roles"):
		act["roles"] = []string{"admin"}
	case s.wrong("act-in-act"):
		act["act"] = object{"sub": t.client.ID}
	case s.wrong("may-act-in-token"):
		claims["may_act"] = object{"sub": t.actor.Subject}
	case s.wrong("type-jwt"):
		header["typ"] = "JWT"
	case s.wrong("audience-missing"):
		delete(claims, "aud")
	case s.wrong("audience-too-wide"):
		claims["aud"] = []string{t.audience, s.issuer}
	case s.wrong("client-id-missing"):
		delete(claims, "client_id")
	case s.wrong("issuer-with-slash"):
		claims["iss"] = s.issuer + "/"
	case s.wrong("times-are-text"):
		claims["exp"] = t.expires.Format(time.RFC3339)
	case s.wrong("scope-is-list"):
		claims["scope"] = t.scope
	case s.wrong("scope-widened"):
		claims["scope"] = strings.Join(append(t.scope, impersonateScope), " ")
	case s.wrong("token-lasts-a-day"):
		t.expires = t.issued.Add(24 * time.Hour)
		claims["exp"] = t.expires.Unix()
	case t.login != nil && s.wrong("auth-time-of-subject"):
		claims["auth_time"] = t.login.at.Add(-time.Hour).Unix()
	case s.wrong("token-has-login"):
		claims["email"] = t.subject.Login
	case s.wrong("token-has-unknown-claim"):
		claims["impersonator"] = true
	case s.wrong("ids-alike"):
		claims["jti"] = "one"
	}
}

func (s *Server) spoilStopped(t *token, claims object) {
	switch {
	case s.wrong("stop-keeps-act"):
		claims["act"] = object{"sub": t.subject.Subject}
	case s.wrong("stop-gives-the-subject"):
		claims["sub"] = t.stopped.subject.Subject
	case s.wrong("stop-widens-scope"):
		claims["scope"] = strings.Join(append(t.scope, "admin"), " ")
	case s.wrong("stop-drops-scope"):
		t.scope = []string{"openid"}
		claims["scope"] = "openid"
	case s.wrong("stop-lasts-a-day"):
		t.expires = t.issued.Add(24 * time.Hour)
		claims["exp"] = t.expires.Unix()
	case s.wrong("stop-signs-in-anew"):
		claims["auth_time"] = t.login.at.Add(time.Minute).Unix()
	case s.wrong("stop-keeps-id"):
		claims["jti"] = t.stopped.claims["jti"]
	}
}

// spoilAnswer makes of an answer to an exchange what it must not be.
func (s *Server) spoilAnswer(f url.Values, answer object) {
	stops := f.Get("subject_token_type") == TypeReturn
	switch {
	case answer["token_type"] == "DPoP" && s.wrong("bound-token-called-bearer"):
		answer["token_type"] = "Bearer"
	case f.Get("grant_type") == "authorization_code" && s.wrong("sign-in-token-type-n-a"):
		answer["token_type"] = "N_A"
	case f.Get("grant_type") != grantExchange:
	case stops && s.wrong("stop-issued-type-missing"), !stops && s.wrong("issued-type-missing"):
		delete(answer, "issued_token_type")
	case stops && s.wrong("stop-token-type-n-a"), !stops && s.wrong("token-type-n-a"):
		answer["token_type"] = "N_A"
	case stops && s.wrong("stop-gives-refresh-token"), !stops && s.wrong("start-gives-refresh-token"), s.wrong("refresh-token-when-asked") && f.Get("requested_token_type") == typeRefresh:
		answer["refresh_token"] = random()
	case s.wrong("id-token-called-bearer") && f.Get("requested_token_type") == typeID:
		answer["issued_token_type"] = typeID
	case stops && s.wrong("stop-gives-return-token"):
		answer[MemberReturn] = random()
	case stops && s.wrong("stop-tells-another-lifetime"), !stops && s.wrong("start-tells-another-lifetime"):
		answer["expires_in"] = 5 * time.Hour.Seconds()
	case !stops && s.wrong("expires-in-is-text"):
		answer["expires_in"] = "1800"
	}
}

// spoilError makes of an error what it must not say.
func (s *Server) spoilError(f url.Values, o object) {
	switch {
	case s.wrong("error-has-token"):
		o["error_description"] = "this does not hold: " + f.Get("subject_token")
	case s.wrong("error-has-quotes"):
		o["error_description"] = `this "does not hold"`
	}
}

// write sends an answer, with a member twice if it is to be.
func (s *Server) write(w http.ResponseWriter, answer object, twice bool) {
	b, err := json.Marshal(answer)
	if err != nil { // it holds what has a JSON form
		panic(err)
	}
	kind := "application/json"
	if s.wrong("answer-is-text") || answer["email"] != nil && s.wrong("userinfo-is-text") {
		kind = "text/html"
	}
	if twice {
		b = append([]byte(`{"scope":"everything","sub":"nobody",`), b[1:]...)
	}
	w.Header().Set("Content-Type", kind)
	w.Write(b)
}

// leadAstray gives the client with the redirect URI to which the answer goes.
func (s *Server) leadAstray(c *Client, q url.Values) *Client {
	switch {
	case s.wrong("redirect-uri-by-prefix"), s.wrong("ticket-redirect-by-prefix"):
		return &Client{ID: c.ID, Secret: c.Secret, RedirectURI: q.Get("redirect_uri")}
	case q.Has("request") && s.wrong("request-object-believed"):
		return &Client{ID: c.ID, Secret: c.Secret, RedirectURI: "https://evil.example/"}
	case s.wrong("query-beside-request-uri-wins") && q.Get("redirect_uri") != "":
		return &Client{ID: c.ID, Secret: c.Secret, RedirectURI: q.Get("redirect_uri")}
	}
	return c
}

// believe gives the client that a request is taken for though it does not authenticate.
func (s *Server) believe(r *http.Request, f url.Values) *Client {
	query := r.URL.Query()
	inQuery := client(query.Get("client_id"))
	if inQuery != nil && inQuery.Secret != query.Get("client_secret") {
		inQuery = nil
	}
	switch at := r.URL.Path; {
	case at == "/token":
		if o := s.once[f.Get("subject_token")]; o != nil && s.wrong("client-of-the-ticket") && r.Header.Get("Authorization") == "" && !f.Has("client_id") {
			return o.client
		}
		if inQuery != nil && s.wrong("secret-in-query-taken") {
			return inQuery
		}
		if name := r.Header.Get("X-Client-Cert"); name != "" && s.wrong("certificate-header-believed") {
			return client(strings.TrimPrefix(name, "CN="))
		}
	case at == "/introspect":
		if t := s.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]; t != nil && s.wrong("introspection-by-bearer") {
			return t.client
		}
		if inQuery != nil && s.wrong("introspection-by-secret-in-query") {
			return inQuery
		}
	case at == "/revoke":
		if inQuery != nil && s.wrong("revocation-by-secret-in-query") {
			return inQuery
		}
	}
	return nil
}

// rightEnough reports whether a secret passes though it is wrong.
func (s *Server) rightEnough(at string, c *Client, secret string) bool {
	if c == nil || c.public() {
		return false
	}
	if c == Keyed {
		return secret == "" && s.wrong("key-not-asked-for")
	}
	anothers := slices.ContainsFunc([]*Client{App, Other, NoExchange}, func(other *Client) bool { return other.Secret == secret })
	switch at {
	case "/token":
		return secret == "" && s.wrong("client-id-is-enough") || secret != "" && s.wrong("any-secret-taken") ||
			strings.EqualFold(secret, c.Secret) && s.wrong("secret-in-any-case") || anothers && s.wrong("any-clients-secret-taken")
	case "/par":
		return secret == "" && s.wrong("pushed-by-client-id")
	case "/introspect":
		return secret == "" && s.wrong("introspection-by-client-id") || secret != "" && s.wrong("introspection-by-any-secret")
	case "/revoke":
		return secret == "" && s.wrong("revocation-by-client-id") || secret != "" && s.wrong("revocation-by-any-secret")
	}
	return false
}

// grantByMistake answers a grant that there must not be.
func (s *Server) grantByMistake(grantType string, c *Client, f url.Values) object {
	about := func(a *Account) object {
		return s.mint(&token{client: c, subject: a, audience: Resource, login: &login{account: a, at: s.now()}, grant: &grant{}, expires: s.now().Add(AccessLifetime)}).answer()
	}
	switch {
	case grantType == "password" && s.wrong("password-is-grant"):
		if a := account(func(a *Account) bool { return a.Login == f.Get("username") && a.Password == f.Get("password") }); a != nil {
			return about(a)
		}
	case grantType == "urn:ietf:params:oauth:grant-type:jwt-bearer" && (c == Keyed && s.wrong("client-assertion-is-grant") || c == App && s.wrong("any-assertion-is-grant")):
		return about(Subject)
	}
	return nil
}

// signedElse finds the token that differs from a value in its signature alone.
func (s *Server) signedElse(value string) *token {
	for _, t := range s.tokens {
		if i := strings.LastIndexByte(t.value, '.'); strings.HasPrefix(value, t.value[:i+1]) {
			return t
		}
	}
	return nil
}

// mistaken is what introspection takes for an access token.
func (s *Server) mistaken(value string) *token {
	if o := s.once[value]; o != nil && (o.kind == "code" && s.wrong("code-is-active") || o.kind == "ticket" && s.wrong("ticket-is-active") || o.kind == "return" && s.wrong("return-token-is-active")) {
		return &token{client: o.client, grant: &grant{}, expires: o.expires, claims: object{"sub": o.login.account.Subject}}
	} else if o != nil && s.wrong("introspection-spends-ticket") {
		o.spent, o.grant = true, &grant{}
	}
	if s.wrong("introspection-of-changed-token") {
		return s.signedElse(value)
	}
	if t := s.idTokens[value]; t != nil && s.wrong("id-token-is-active") {
		return t
	}
	return nil
}

// opens is what userinfo takes for an access token.
func (s *Server) opens(value string) *token {
	if o := s.once[value]; o != nil && o.kind == "code" && s.wrong("userinfo-by-code") {
		return &token{subject: o.login.account, scope: o.scope, grant: &grant{}, expires: o.expires}
	}
	if s.wrong("userinfo-of-changed-token") {
		return s.signedElse(value)
	}
	return nil
}

// spoilUserinfo makes of what userinfo says of an impersonation what it must not say.
func (s *Server) spoilUserinfo(t *token, answer object) {
	switch {
	case s.wrong("userinfo-without-act"):
		delete(answer, "act")
	case s.wrong("userinfo-of-the-actor"):
		answer["sub"] = t.actor.Subject
	case s.wrong("userinfo-roles-of-the-actor"):
		answer["roles"] = t.actor.roles()
	}
}

// answersNothing answers a question about no token.
func (s *Server) answersNothing(w http.ResponseWriter, r *http.Request, f url.Values) bool {
	switch at := r.URL.Path; {
	case at == "/introspect" && len(f) == 0 && s.wrong("introspection-of-nothing"):
		writeJSON(w, http.StatusOK, object{"active": true})
	case at == "/introspect" && s.wrong("endpoint-not-found"):
		writeJSON(w, http.StatusNotFound, object{"error": "not_found"})
	case at == "/revoke" && s.wrong("revocation-of-nothing"):
		w.WriteHeader(http.StatusOK)
	default:
		return false
	}
	return true
}

// spoilIntrospection makes of an answer about a living token what it must not say.
func (s *Server) spoilIntrospection(answer object) {
	switch {
	case s.wrong("introspection-without-key"):
		delete(answer, "cnf")
	case s.wrong("introspection-without-act"):
		delete(answer, "act")
	case s.wrong("introspection-of-another-sign-in") && answer["auth_time"] != nil:
		answer["auth_time"] = s.now().Unix() + 60
	case s.wrong("introspection-of-wider-scope"):
		answer["scope"] = strings.Join(scopes, " ")
	}
}

// spoilMetadata makes of metadata what it must not say.
func (s *Server) spoilMetadata(r *http.Request, m object) {
	switch {
	case s.wrong("metadata-issuer-with-slash"):
		m["issuer"] = s.issuer + "/"
	case s.wrong("metadata-differs") && strings.HasSuffix(r.URL.Path, "openid-configuration"):
		m["scopes_supported"] = scopes[:1]
	case s.wrong("metadata-has-empty-list"):
		m["ui_locales_supported"] = []string{}
	case s.wrong("exchange-not-told"):
		m["grant_types_supported"] = []string{"authorization_code", "refresh_token"}
	case s.wrong("algorithm-none-told"):
		m["id_token_signing_alg_values_supported"] = []string{"RS256", "none"}
	case s.wrong("algorithm-of-secrets-told"):
		m["token_endpoint_auth_signing_alg_values_supported"] = []string{"HS256"}
	case s.wrong("implicit-told"):
		m["response_types_supported"] = []string{"code", "token"}
	case s.wrong("plain-told"):
		m["code_challenge_methods_supported"] = []string{"S256", "plain"}
	case s.wrong("endpoint-in-the-clear"):
		m["registration_endpoint"] = "http://faulty.example/register"
	case s.wrong("method-not-told"):
		m["token_endpoint_auth_methods_supported"] = []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}
	case s.wrong("forwarded-host-believed"):
		if host := r.Header.Get("X-Forwarded-Host"); host != "" {
			m["token_endpoint"] = "http://" + host + "/token"
		}
	case s.wrong("host-believed"):
		m["token_endpoint"] = "http://" + r.Host + "/token"
	case s.wrong("acr-not-told"):
		delete(m, "acr_values_supported")
	case s.wrong("issuer-in-answer-not-told"):
		delete(m, "authorization_response_iss_parameter_supported")
	}
}

// spoilKeys makes of the published keys what they must not be.
func (s *Server) spoilKeys(keys []object) []object {
	switch {
	case s.wrong("key-without-id"):
		return append(keys, object{"kty": "OKP", "crv": "X25519", "use": "enc", "x": random()})
	case s.wrong("private-key-published"):
		if private, err := s.key.Bytes(); err == nil {
			keys[0]["d"] = b64.EncodeToString(private)
		}
	case s.wrong("short-key-published"):
		return append(keys, object{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "short", "n": b64.EncodeToString(bytes.Repeat([]byte{0xc5}, 128)), "e": "AQAB"})
	case s.wrong("rs256-missing"):
		return slices.DeleteFunc(keys, func(k object) bool { return k["kty"] == "RSA" })
	}
	return keys
}

// aboutTheActor gives the actor a token that they have not asked for.
func (s *Server) aboutTheActor(c *Client, f url.Values) (object, *refusal) {
	actor := s.actor(c, f, "actor_token")
	if actor == nil {
		return nil, unproven()
	}
	return s.mint(&token{client: c, subject: actor.subject, audience: Resource, login: actor.login, grant: &grant{}, expires: actor.expires}).answer(), nil
}

// ofJSON reads a form that is JSON.
func ofJSON(body []byte) (url.Values, error) {
	var members map[string]string
	f := url.Values{}
	err := json.Unmarshal(body, &members)
	for name, value := range members {
		f.Set(name, value)
	}
	return f, err
}

// ofParts reads a form that has parts.
func ofParts(body []byte, boundary string) (url.Values, error) {
	form, err := multipart.NewReader(bytes.NewReader(body), boundary).ReadForm(1 << 20)
	if err != nil {
		return nil, err
	}
	return form.Value, nil
}
