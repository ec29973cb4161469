package rp

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/understudy-id/understudy/oauth/tokens"
)

// The schemes of a token (RFC 6750 §2.1, RFC 9449 §7.1).
const (
	schemeBearer = "Bearer"
	schemeDPoP   = "DPoP"
)

// BearerError is why a request with a token, or without one, is not served. No text quotes what was sent. Do not change one: several requests share it.
type BearerError struct {
	// Status is that of HTTP: 400, 401, 403, 414 or 503. At gRPC they are INVALID_ARGUMENT, UNAUTHENTICATED, PERMISSION_DENIED, INVALID_ARGUMENT and UNAVAILABLE.
	Status int
	// Code is the error code: invalid_request, invalid_token or insufficient_scope (RFC 6750 §3.1), invalid_dpop_proof or use_dpop_nonce (RFC 9449 §7.1, §9),
	// insufficient_user_authentication (RFC 9470 §3); impersonation_blocked with a Reason; unavailable. "" where there was no token.
	Code string
	// Reason tells more of an impersonation: read_only, forbidden, too_long or ended; "" of anything else.
	Reason string
	// Description is for developers: plain ASCII, without quotes.
	Description string

	scheme string // that the token came with; "" for none
	params string // of the challenge, such as scope, from a comma on
	cause  error
}

var (
	errNoToken     = &BearerError{Status: http.StatusUnauthorized, Description: "An access token is required in the Authorization header."}
	errTwoTokens   = &BearerError{Status: http.StatusBadRequest, Code: "invalid_request", Description: "Authorization is given more than once."}
	errTokenBeside = &BearerError{Status: http.StatusBadRequest, Code: "invalid_request", Description: "A token is taken from the Authorization header alone (RFC 6750 section 2)."}
	errNoCall      = &BearerError{Status: http.StatusBadRequest, Code: "invalid_request", Description: "The call has no method, or no URL that can be read."}
	errTarget      = &BearerError{Status: http.StatusBadRequest, Code: "invalid_request", Description: "The target of the request is no path."}
	errToken       = &BearerError{Status: http.StatusUnauthorized, Code: "invalid_token", Description: "The access token is malformed, or not for here."}
	errExpired     = &BearerError{Status: http.StatusUnauthorized, Code: "invalid_token", Description: "The access token has expired."}
	errEnded       = &BearerError{Status: http.StatusUnauthorized, Code: "invalid_token", Reason: reasonEnded, Description: "The impersonation has ended. Nothing was done."}
	errReadOnly    = &BearerError{Status: http.StatusForbidden, Code: "impersonation_blocked", Reason: reasonReadOnly, Description: "The impersonation is look only. Nothing was done."}
	errUnavailable = &BearerError{Status: http.StatusServiceUnavailable, Code: "unavailable", Description: "Whether the request may be served cannot be told now. Nothing was done."}
	errTooLong     = &BearerError{Status: http.StatusRequestURITooLong, Code: "impersonation_blocked", Reason: reasonTooLong, Description: "The path does not fit on record, where what is done in an impersonation has to be. Nothing was done."}
	errForbidden   = &BearerError{Status: http.StatusForbidden, Code: "impersonation_blocked", Reason: reasonForbidden, Description: "Nobody may do this in the name of somebody else. Nothing was done."}
)

// Error tells the status, the code and the reason where there are any, and the description.
func (e *BearerError) Error() string {
	text := "rp: " + strconv.Itoa(e.Status)
	for _, word := range [...]string{e.Code, e.Reason} {
		if word != "" {
			text += " " + word
		}
	}
	text += ": " + e.Description
	if e.cause != nil {
		text += " " + e.cause.Error()
	}
	return text
}

// Unwrap gives what kept us from knowing, of an error with status 503; nil of others.
func (e *BearerError) Unwrap() error { return e.cause }

// with is e as an answer to a token that came with scheme.
func (e *BearerError) with(scheme string) *BearerError {
	own := *e
	own.scheme = scheme
	return &own
}

// unavailable is for what nobody knows. Only the log tells why.
func (b *Bearer) unavailable(ctx context.Context, what string, err error) *BearerError {
	b.log.WarnContext(ctx, what, "error", err)
	e := *errUnavailable
	e.cause = err
	return &e
}

// answer writes e as problem details (RFC 9457), with the challenge that belongs to it.
func (b *Bearer) answer(w http.ResponseWriter, e *BearerError) {
	h := w.Header()
	if challenge := b.Challenge(e); challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
	if e.Status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "5")
	}
	if e.Code == codeNonce {
		h.Set("DPoP-Nonce", b.proofs.nonce(0))
	}
	unkept(h)
	varyBy(h, byAuthorization)
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	body := e.problem()
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.Status)
	_, _ = w.Write(body) // who asked has gone
}

// Challenge is the WWW-Authenticate of e, "" for none: Handler sends it by itself, another transport in metadata of its own. It offers both
// schemes, and says what was wrong in the one that was used (RFC 6750 §3, RFC 9449 §7.1).
func (b *Bearer) Challenge(e *BearerError) string {
	if e.Status != http.StatusUnauthorized && e.params == "" {
		return ""
	}
	bearer := schemeBearer + ` realm="` + b.cfg.Audience + `"`
	dpop := schemeDPoP + ` realm="` + b.cfg.Audience + `", algs="` + strings.Join(tokens.Algorithms(), " ") + `"`
	why := ""
	if e.Code != "" {
		why = `, error="` + e.Code + `", error_description="` + e.Description + `"` + e.params
	}
	switch {
	case b.proofs == nil:
		return bearer + why
	case e.scheme == schemeDPoP:
		return dpop + why + ", " + bearer
	}
	return bearer + why + ", " + dpop
}

func (e *BearerError) problem() []byte {
	body, err := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Code   string `json:"code,omitempty"`
		Reason string `json:"reason,omitempty"`
	}{"about:blank", http.StatusText(e.Status), e.Status, e.Description, e.Code, e.Reason})
	if err != nil {
		panic(err) // strings and a number
	}
	return body
}
