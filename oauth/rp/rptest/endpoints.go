package rptest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
)

// mux is every route, at the paths of the real issuer.
func (i *Issuer) mux() http.Handler {
	mux := http.NewServeMux()
	for _, name := range []string{"openid-configuration", "oauth-authorization-server"} {
		mux.HandleFunc("GET /.well-known/"+name, i.discovery)
	}
	mux.HandleFunc("GET /oauth2/jwks", i.jwks)
	mux.HandleFunc("GET /oauth2/auth", i.authorize)
	mux.HandleFunc("GET /impersonate", i.impersonate)
	mux.HandleFunc("GET /userinfo", i.userinfo)
	mux.HandleFunc("POST /oauth2/token", i.asClient(i.token))
	mux.HandleFunc("POST /oauth2/introspect", i.asClient(i.introspect))
	mux.HandleFunc("POST /oauth2/revoke", i.asClient(i.revoke))
	mux.HandleFunc("POST /impersonation/actions", i.asClient(i.record))
	return mux
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"issuer": i.URL, "authorization_endpoint": i.URL + "/oauth2/auth", "token_endpoint": i.URL + "/oauth2/token", "jwks_uri": i.URL + "/oauth2/jwks",
		"introspection_endpoint": i.URL + "/oauth2/introspect", "revocation_endpoint": i.URL + "/oauth2/revoke", "userinfo_endpoint": i.URL + "/userinfo",
		"understudy_impersonation_endpoint": i.URL + "/impersonate", "understudy_actions_endpoint": i.URL + "/impersonation/actions",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
		"code_challenge_methods_supported": []string{"S256"}, "grant_types_supported": []string{"authorization_code", oauth.GrantTypeTokenExchange},
		"authorization_response_iss_parameter_supported": true,
	})
}

// asClient lets only the client through (RFC 6749 §2.3.1).
func (i *Issuer) asClient(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if plain, err := url.QueryUnescape(secret); err != nil || id != ClientID || plain != clientSecret {
			w.Header().Set("WWW-Authenticate", "Basic")
			refuse(w, http.StatusUnauthorized, "invalid_client", "Client authentication failed.")
			return
		}
		next(w, r)
	}
}

// token is POST /oauth2/token.
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	subject := r.PostFormValue("subject_token")
	switch kind := r.PostFormValue("grant_type") + " " + r.PostFormValue("subject_token_type"); kind {
	case "authorization_code ":
		i.code(w, r)
	case oauth.GrantTypeTokenExchange + " " + string(oauth.TokenTypeTicket):
		i.start(w, r, subject)
	case oauth.GrantTypeTokenExchange + " " + string(oauth.TokenTypeReturnToken):
		i.stop(w, subject)
	default:
		refuse(w, http.StatusBadRequest, "unsupported_grant_type", "This is no grant that rptest knows.")
	}
}

func (i *Issuer) code(w http.ResponseWriter, r *http.Request) {
	o := i.redeem("code", r.PostFormValue("code"))
	if o == nil || o.redirect != r.PostFormValue("redirect_uri") || !o.proves(r.PostFormValue("code_verifier")) {
		refuse(w, http.StatusBadRequest, "invalid_grant", "The code is not one of this request.")
		return
	}
	given := i.give(&grant{person: o.person, scope: o.scope})
	given["id_token"] = i.idToken(o)
	answer(w, http.StatusOK, given)
}

// start spends a ticket (RFC 8693 §2.1).
func (i *Issuer) start(w http.ResponseWriter, r *http.Request, ticket string) {
	actor := i.tokens[r.PostFormValue("actor_token")]
	o := i.redeem("ticket", ticket)
	if o == nil || !o.proves(r.PostFormValue("code_verifier")) || actor == nil || actor.session != nil || !i.Now().Before(actor.expires) ||
		actor.person.Subject != o.person.Subject || !strings.Contains(actor.scope, oauth.ScopeImpersonate) {
		refuse(w, http.StatusBadRequest, "invalid_request", "The ticket or the actor's token is not one of this request.")
		return
	}
	s := i.open(o.person, o.subject, o.mode)
	scope := "openid profile email roles app:read"
	if o.mode == oauth.ModeWrite {
		scope += " app:write " + oauth.ScopeImpersonationWrite
	}
	given := i.give(&grant{person: o.subject, scope: scope, session: s})
	given["issued_token_type"] = oauth.TokenTypeAccessToken
	given["understudy_return_token"] = i.issue(&once{kind: "return", person: o.person, scope: actor.scope, session: s, expires: s.Started.Add(returnLifetime).Unix()})
	given["understudy_return_token_expires_in"] = int64(returnLifetime / time.Second)
	given["understudy_session"] = map[string]any{
		"id": s.ID, "mode": s.Mode, "expires_at": s.Expires.Format(time.RFC3339), "subject": s.Subject, "actor": s.Actor,
	}
	answer(w, http.StatusOK, given)
}

// open begins a session.
func (i *Issuer) open(actor, subject rp.Person, mode oauth.Mode) *session {
	now := i.Now().UTC()
	actor.Roles, actor.Organisation = nil, ""
	s := &session{start: oauth.NewID("aud"), Session: rp.Session{
		ID: oauth.NewID("imp"), Subject: subject, Actor: actor, Mode: mode, Started: now, Expires: now.Add(sessionLifetime).Truncate(time.Second),
	}}
	i.sessions[s.ID] = s
	return s
}

// stop spends a return token: the actor's own again, and never what acts.
func (i *Issuer) stop(w http.ResponseWriter, value string) {
	o := i.redeem("return", value)
	if o == nil || !i.lives(o.session) {
		refuse(w, http.StatusBadRequest, "invalid_request", "The return token is spent or out of time.")
		return
	}
	o.session.ended = true
	given := i.give(&grant{person: o.person, scope: o.scope})
	given["issued_token_type"] = oauth.TokenTypeAccessToken
	answer(w, http.StatusOK, given)
}

// introspect is RFC 7662.
func (i *Issuer) introspect(w http.ResponseWriter, r *http.Request) {
	g := i.tokens[r.PostFormValue("token")]
	if g == nil || !i.counts(g) {
		answer(w, http.StatusOK, map[string]any{"active": false})
		return
	}
	answer(w, http.StatusOK, g.claims(i, map[string]any{"active": true, "token_type": "Bearer"}))
}

// counts reports whether a token is good now.
func (i *Issuer) counts(g *grant) bool {
	return i.Now().Before(g.expires) && (g.session == nil || i.lives(g.session))
}

// revoke is RFC 7009: it ends the session of whatever belongs to one, and says the same of what it does not know.
func (i *Issuer) revoke(_ http.ResponseWriter, r *http.Request) {
	value := r.PostFormValue("token")
	if g := i.tokens[value]; g != nil {
		if g.session != nil {
			g.session.ended = true
		}
		delete(i.tokens, value)
	}
	if o := i.once[value]; o != nil && o.session != nil {
		o.session.ended = true
	}
}

// userinfo is OpenID Connect Core §5.3.
func (i *Issuer) userinfo(w http.ResponseWriter, r *http.Request) {
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	g := i.tokens[bearer]
	if g == nil || !i.counts(g) {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		refuse(w, http.StatusUnauthorized, "invalid_token", "The access token is not good.")
		return
	}
	claims := struct {
		rp.Person
		Act any `json:"act,omitempty"`
	}{Person: g.person}
	if g.session != nil {
		claims.Act = map[string]string{"iss": i.URL, "sub": g.session.Actor.Subject, "name": g.session.Actor.Name, "email": g.session.Actor.Email}
	}
	answer(w, http.StatusOK, claims)
}

// record is POST /impersonation/actions: a batch of which any is wrong is refused whole.
func (i *Issuer) record(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Actions []rp.Action `json:"actions"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil || len(body.Actions) == 0 || len(body.Actions) > 100 {
		refuse(w, http.StatusBadRequest, "invalid_request", "actions: must be 1 to 100.")
		return
	}
	type life struct {
		Active bool `json:"active"`
	}
	lives := make(map[string]life)
	for n, a := range body.Actions {
		s := i.sessions[a.Session]
		if s == nil {
			refuse(w, http.StatusBadRequest, "invalid_request", fmt.Sprintf("actions[%d].sid: no session of this client.", n))
			return
		}
		lives[a.Session] = life{i.lives(s)}
	}
	for _, a := range body.Actions {
		i.keep(a)
	}
	answer(w, http.StatusOK, map[string]any{"sessions": lives})
}

// keep records a once, however often it is told.
func (i *Issuer) keep(a rp.Action) {
	for _, had := range i.actions {
		if had.Session == a.Session && had.Writer == a.Writer && had.Seq == a.Seq {
			return
		}
	}
	i.actions = append(i.actions, a)
}

func refuse(w http.ResponseWriter, status int, code, text string) {
	answer(w, status, map[string]string{"error": code, "error_description": text})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}
