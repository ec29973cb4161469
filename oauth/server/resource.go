package server

import (
	"errors"
	"net/http"
	"strings"

	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// presented is an access token as its holder shows it.
type presented struct {
	token  string
	scheme string // "Bearer" or "DPoP"
}

// present reads the token from the Authorization header and from nowhere else: fosite's own reader falls back to the query, where
// every log would keep it.
func present(w http.ResponseWriter, r *http.Request) (presented, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD, POST")
		return presented{}, &wireError{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "This endpoint takes GET and POST only."}
	}
	if err := noTokenBeside(w, r); err != nil {
		return presented{}, err
	}
	return presentHeader(r)
}

// presentHeader is present for who has looked at the rest of r.
func presentHeader(r *http.Request) (presented, error) {
	headers := r.Header.Values("Authorization")
	switch len(headers) {
	case 0:
		return presented{}, errNoToken
	case 1:
	default:
		return presented{}, invalidRequest("Authorization", "is given more than once")
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	for _, known := range []string{"Bearer", "DPoP"} {
		if strings.EqualFold(scheme, known) && token != "" {
			return presented{token, known}, nil
		}
	}
	return presented{}, errNoToken
}

// noTokenBeside refuses a token in the query or the body.
func noTokenBeside(w http.ResponseWriter, r *http.Request) error {
	q, err := form.Query(r, form.Rules{})
	if err != nil {
		return err
	}
	if q.Has("access_token") {
		return errTokenInQuery
	}
	if r.Method != http.MethodPost || r.ContentLength == 0 {
		return nil
	}
	b, err := form.PageBody(w, r, form.Rules{})
	if err == nil && b.Has("access_token") {
		err = errTokenInQuery
	}
	return err
}

// holderOf gives whom a token that counts is about, and what it says. One that is bound to a key counts by the scheme DPoP and with a
// proof of that key alone, any other by the scheme Bearer alone (RFC 9449 §7.1, §7.2).
func (s *Server) holderOf(r *http.Request, p presented) (*holder, tokens.Claims, error) {
	claims, err := s.verify(p.token)
	if err != nil || p.scheme != tokenType(claims.Key) {
		return nil, tokens.Claims{}, errToken
	}
	var proof possession
	if claims.Key != "" {
		if proof, err = s.readProof(r, p.token); err != nil {
			return nil, tokens.Claims{}, err
		}
		if proof.Thumbprint != claims.Key {
			return nil, tokens.Claims{}, errToken
		}
	}
	h, err := s.alive(r.Context(), claims)
	switch {
	case err != nil:
		return nil, tokens.Claims{}, err
	case h == nil:
		return nil, tokens.Claims{}, errToken
	case claims.Key != "":
		return h, claims, s.spendProof(r.Context(), proof)
	}
	return h, claims, nil
}

// refuseToken answers err to who presented p, zero for nothing. A resource answers 401 to a bad proof, where the token endpoint
// answers 400 (RFC 9449 §7.1).
func (s *Server) refuseToken(w http.ResponseWriter, r *http.Request, p presented, err error) {
	var wire *wireError
	if errors.As(err, &wire) {
		e := *wire
		if e.Code == "invalid_dpop_proof" || e.Code == "use_dpop_nonce" {
			e.Status = http.StatusUnauthorized
		}
		e.Challenge = challenge(p.scheme, e)
		err = &e
	}
	s.writeError(w, r, err)
}

// challenge is the WWW-Authenticate for both schemes (RFC 6750 §3, RFC 9449 §7.1). What was wrong stands in the one that was used.
func challenge(scheme string, e wireError) string {
	bearer, dpop := `Bearer realm="understudy"`, `DPoP realm="understudy", algs="`+strings.Join(tokens.Algorithms(), " ")+`"`
	why := `, error="` + e.Code + `"`
	switch {
	case e.Status == http.StatusForbidden && scheme == "DPoP":
		return dpop + why + `, scope="` + e.Lacks + `"`
	case e.Status == http.StatusForbidden:
		return bearer + why + `, scope="` + e.Lacks + `"`
	case e.Status != http.StatusUnauthorized && e.Code != "invalid_request":
		return ""
	case scheme == "DPoP":
		return dpop + why + ", " + bearer
	case scheme == "Bearer" || e.Code == "invalid_request": // a token in a wrong place has no scheme
		return bearer + why + ", " + dpop
	}
	return bearer + ", " + dpop
}
