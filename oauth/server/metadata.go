package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// exchangeable are the subject token types of the exchange.
var exchangeable = []oauth.TokenType{
	oauth.TokenTypeTicket, oauth.TokenTypeReturnToken, oauth.TokenTypeUserID, oauth.TokenTypeAccessToken, oauth.TokenTypeJWT,
}

// actorTypes are the actor token types of the exchange: beside a ticket any JWT of an issuer that we trust, ourselves among them.
var actorTypes = []oauth.TokenType{oauth.TokenTypeAccessToken, oauth.TokenTypeJWT}

// subjectTypes are those of OpenID Connect Core §8. A client's names of people are ours, or those of one other issuer, and the same for all clients
// with that setting (store.Settings.SubjectIssuer): none keeps two clients from finding that they mean one person, which pairwise would promise.
var subjectTypes = []string{"public"}

// claimsSupported are those about the person, in an ID token or at userinfo.
func (s *Server) claimsSupported() []string {
	names := []string{"sub", "name", "email", "roles", "organisation", "act", "auth_time", "acr", "amr", "sid"}
	if len(s.trusted) > 0 {
		names = append(names, "sub_id")
	}
	return names
}

// discovery is the document of OpenID Connect Discovery §3 and RFC 8414 §2: only what is true.
func (s *Server) discovery() ([]byte, error) {
	var scopes []string
	for _, scope := range s.registry.Scopes {
		if scope.Class != policy.ScopeNever || scope.Name == oauth.ScopeImpersonate {
			scopes = append(scopes, scope.Name)
		}
	}
	document := map[string]any{
		"issuer":                                         s.issuer,
		"authorization_endpoint":                         s.issuer + "/oauth2/auth",
		"token_endpoint":                                 s.issuer + "/oauth2/token",
		"pushed_authorization_request_endpoint":          s.issuer + "/oauth2/par",
		"require_pushed_authorization_requests":          false, // of some clients
		"acr_values_supported":                           acrValues,
		"introspection_endpoint":                         s.issuer + "/oauth2/introspect",
		"revocation_endpoint":                            s.issuer + "/oauth2/revoke",
		"userinfo_endpoint":                              s.issuer + "/userinfo",
		"end_session_endpoint":                           s.issuer + "/oauth2/logout",
		"jwks_uri":                                       s.issuer + "/oauth2/jwks",
		"scopes_supported":                               scopes,
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code", grantRefresh, grantClient, oauth.GrantTypeTokenExchange},
		"subject_types_supported":                        subjectTypes,
		"id_token_signing_alg_values_supported":          s.keys().Algorithms(),
		"code_challenge_methods_supported":               []string{"S256"},
		"dpop_signing_alg_values_supported":              tokens.Algorithms(),
		"prompt_values_supported":                        []string{"none", "login"},
		"claims_supported":                               s.claimsSupported(),
		"authorization_response_iss_parameter_supported": true,
		"backchannel_logout_supported":                   true,
		"backchannel_logout_session_supported":           true,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"understudy_impersonation_endpoint":              s.issuer + "/impersonate",
		"understudy_actions_endpoint":                    s.issuer + "/impersonation/actions",
		"understudy_subject_token_types_supported":       exchangeable,
		"understudy_actor_token_types_supported":         actorTypes,
		"understudy_exchange_back":                       "return_token",
		"understudy_exchange_refresh_token":              false, // none for an impersonation, none with what a stop gives back (RFC 8693 §2.2.1)
		"understudy_max_impersonation_lifetime":          int(policy.MaxDuration / time.Second),
	}
	announceClientAuth(document)
	return json.Marshal(document)
}

func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request) {
	document, err := s.discovery()
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	public(w, r, document)
}

func (s *Server) serveJWKS(w http.ResponseWriter, r *http.Request) { public(w, r, s.keys().JWKS()) }

// public answers with a document that is the same for everybody, or that it is the one which the client has (RFC 9110 §13.1.2). Five
// minutes: a new key is published well before it signs.
func public(w http.ResponseWriter, r *http.Request, document []byte) {
	sum := sha256.Sum256(document)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:16])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(document))
}
