// Package faulty is an OAuth 2.0 authorization server with impersonation by token exchange (RFC 8693), written for one purpose: to be wrong. Without a [Fault] it does all
// that package conformance asks for; with one it is wrong in exactly that way. [Faults] lists each with the cases that must find it.
//
// Nobody should run it for anything else: it keeps all in memory, its passwords in the clear, and its clients and people are constants.
package faulty

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Server is one authorization server. It is safe for concurrent use.
type Server struct {
	issuer string
	fault  Fault
	key    *ecdsa.PrivateKey
	routes http.Handler
	ahead  time.Duration // of the clock; see Elapse

	nonce    string             // what a proof has to have
	seen     map[string]bool    // ids of assertions and proofs
	failures map[*Client]int    // wrong secrets since the last that was right
	steps    map[*Account]int64 // of the last code that was taken

	mu       sync.Mutex        // held while a request is answered: each sees the others done or not begun
	logins   map[string]*login // by cookie
	once     map[string]*once  // codes, tickets and the like, by what they are
	tokens   map[string]*token // access tokens, by what they are
	idTokens map[string]*token // the access tokens with which ID tokens came, by these
}

// New gives a server that answers for an issuer, a URL without a path, and is wrong in one way; "" is in none.
func New(issuer string, fault Fault) (*Server, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	s := &Server{
		issuer: issuer, fault: fault, key: key, nonce: random(),
		logins: make(map[string]*login), once: make(map[string]*once), tokens: make(map[string]*token), idTokens: make(map[string]*token), seen: make(map[string]bool), failures: make(map[*Client]int), steps: make(map[*Account]int64),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", s.metadata)
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", s.metadata)
	mux.HandleFunc("GET /keys", s.keys)
	mux.HandleFunc("GET /authorize", s.authorize)
	mux.HandleFunc("POST /sign-in", s.signIn)
	mux.HandleFunc("POST /code", s.takeCode)
	mux.HandleFunc("GET /impersonate", s.impersonate)
	mux.HandleFunc("POST /impersonate", s.giveTicket)
	mux.HandleFunc("GET /sign-out", s.askToSignOut)
	mux.HandleFunc("POST /sign-out", s.signOut)
	mux.HandleFunc("/token", s.token)
	mux.HandleFunc("/par", s.push)
	mux.HandleFunc("/introspect", s.introspect)
	mux.HandleFunc("/revoke", s.revoke)
	mux.HandleFunc("/userinfo", s.userinfo)
	mux.HandleFunc("GET /.well-known/ssf-configuration", s.transmitter)
	mux.HandleFunc("GET /streams", s.streams)
	guarded := http.NewCrossOriginProtection().Handler(mux)
	s.routes = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.spoilRoute(w, r, mux) {
			guarded.ServeHTTP(w, r)
		}
	})
	return s, nil
}

// ServeHTTP answers one request after the other.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routes.ServeHTTP(w, r)
}

// metadata is RFC 8414 §2 and OpenID Connect Discovery §3.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) {
	m := object{
		"issuer": s.issuer, "authorization_endpoint": s.issuer + "/authorize", "token_endpoint": s.tokenEndpoint(), "jwks_uri": s.issuer + "/keys",
		"introspection_endpoint": s.issuer + "/introspect", "revocation_endpoint": s.issuer + "/revoke", "userinfo_endpoint": s.issuer + "/userinfo",
		"response_types_supported": []string{"code"}, "pushed_authorization_request_endpoint": s.issuer + "/par", "grant_types_supported": []string{"authorization_code", "refresh_token", "client_credentials", grantExchange},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"}, "token_endpoint_auth_signing_alg_values_supported": []string{"ES256"},
		"code_challenge_methods_supported": []string{"S256"}, "authorization_response_iss_parameter_supported": true,
		"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"}, "scopes_supported": scopes,
		"acr_values_supported": []string{acr}, "dpop_signing_alg_values_supported": []string{"ES256"}, "end_session_endpoint": s.issuer + "/sign-out",
	}
	s.spoilMetadata(r, m)
	writeJSON(w, http.StatusOK, m)
}

// tokenEndpoint is where tokens are asked for.
func (s *Server) tokenEndpoint() string {
	if u, err := url.Parse(s.issuer); err == nil && s.wrong("token-endpoint-in-the-clear") {
		u.Host = "0.0.0.0:" + u.Port() // the machine itself, and not by a name that says so
		return u.String() + "/token"
	}
	return s.issuer + "/token"
}

// acr is how strongly people sign in: by a password.
const acr = "urn:faulty:password"

// object is JSON.
type object map[string]any

func writeJSON(w http.ResponseWriter, status int, o object) {
	b, err := json.Marshal(o)
	if err != nil { // it holds what has a JSON form
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(b)
}

// random is 256 bits in base64url.
func random() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// The lifetimes, the third of the access token of a sign-in.
const (
	CodeLifetime   = time.Minute
	TicketLifetime = time.Minute
	AccessLifetime = 10 * time.Minute

	impersonationLifetime = 30 * time.Minute
)

func (s *Server) now() time.Time { return time.Now().Add(s.ahead) }

// Elapse sets the server's clock on.
func (s *Server) Elapse(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += d
}
