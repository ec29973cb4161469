package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/internal/password"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/ssf"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
)

// wireError is an answer that is not 200. Its text never holds a value that was sent.
type wireError struct {
	Status      int
	Code        string // RFC 6749 §5.2 and its registry
	Description string
	Challenge   string         // WWW-Authenticate, "" for none
	RetryAfter  time.Duration  // whole seconds, 0 for none
	Members     map[string]any // of the answer, beside these
	Lacks       string         // the scope that the token has not, "" where it is about something else (RFC 6750 §3.1)
	cause       error
}

func (e *wireError) Error() string { return e.Code + ": " + e.Description }
func (e *wireError) Unwrap() error { return e.cause }

const clientChallenge = `Basic realm="understudy", charset="UTF-8"`

var (
	internalError    = &wireError{Status: http.StatusInternalServerError, Code: "server_error", Description: "Something went wrong here. The request id tells us what."}
	errClient        = &wireError{Status: http.StatusUnauthorized, Code: "invalid_client", Description: "Client authentication failed.", Challenge: clientChallenge}
	errAlgorithm     = &wireError{Status: http.StatusBadRequest, Code: "temporarily_unavailable", Description: "No key signs ID tokens as this client is registered for (id_token_signed_response_alg)."}
	errUnavailable   = &wireError{Status: http.StatusServiceUnavailable, Code: "temporarily_unavailable", Description: "The service cannot answer now. Nobody knows whether it was done.", RetryAfter: time.Second}
	errBusy          = &wireError{Status: http.StatusTooManyRequests, Code: "invalid_request", Description: "Too many at once; try again in a moment.", RetryAfter: time.Second}
	errGrant         = &wireError{Status: http.StatusBadRequest, Code: "invalid_grant", Description: "The authorization code or refresh token, the redirect_uri, the code_verifier or the key is not valid."}
	errNoExchange    = &wireError{Status: http.StatusBadRequest, Code: "unauthorized_client", Description: "This client may not use token exchange."}
	errToken         = &wireError{Status: http.StatusUnauthorized, Code: "invalid_token", Description: "The access token is not valid."}
	errNoToken       = &wireError{Status: http.StatusUnauthorized, Code: "invalid_token", Description: "An access token is required."}
	errTokenScope    = &wireError{Status: http.StatusForbidden, Code: "insufficient_scope", Lacks: oauth.ScopeOpenID, Description: "The access token lacks the scope openid."}
	errScopeSyntax   = &wireError{Status: http.StatusBadRequest, Code: "invalid_scope", Description: "scope: tokens are printable ASCII with one space between (RFC 6749 section 3.3)."}
	errNoScope       = &wireError{Status: http.StatusBadRequest, Code: "invalid_scope", Description: "scope: nothing of it can be had (RFC 6749 section 3.3)."}
	errScopeMixed    = &wireError{Status: http.StatusBadRequest, Code: "invalid_scope", Description: "scope: is of different resources, and a token is for one (RFC 9068 section 3)."}
	errTokenInQuery  = invalidRequest("access_token", "goes into the Authorization header only (RFC 9700 section 4.3.2)")
	errTwoClientAuth = invalidRequest("client_secret", "use one way of client authentication, not two (RFC 6749 section 2.3)")
)

func invalidRequest(parameter, rule string) *wireError {
	return &wireError{Status: http.StatusBadRequest, Code: "invalid_request", Description: parameter + ": " + rule + "."}
}

// toWire is the one table from an error to its answer (semantics of RFC 6749 §5.2, RFC 8693 §2.2.2). What is not in it is an
// internal error, without detail.
func toWire(err error) *wireError {
	var (
		wire   *wireError
		syntax *form.Error
		action *impersonation.ActionError
		stream *ssf.Fault
		rfc    *fosite.RFC6749Error
	)
	switch {
	case errors.As(err, &syntax) && syntax.Parameter == "scope" && syntax.Rule == form.RuleText:
		return errScopeSyntax
	case errors.As(err, &syntax):
		return &wireError{Status: syntax.Status, Code: "invalid_request", Description: syntax.Error() + ".", cause: err}
	case errors.As(err, &wire):
		return wire
	case errors.As(err, &stream):
		return &wireError{Status: http.StatusBadRequest, Code: "invalid_request", Description: stream.Error() + ".", cause: err}
	case errors.As(err, &action):
		return &wireError{Status: http.StatusBadRequest, Code: "invalid_request", Description: action.Error(), cause: err}
	case errors.Is(err, store.ErrSpent):
		return errGrant
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errUnavailable
	case errors.Is(err, password.ErrBusy):
		return errBusy
	case errors.As(err, &rfc):
		return fromFosite(rfc)
	}
	return internalError
}

// fromFosite keeps fosite's code and, of its words, only those that are ours or a hint of the standard errors.
func fromFosite(e *fosite.RFC6749Error) *wireError {
	switch {
	case e.ErrorField == "temporarily_unavailable":
		return errUnavailable
	case e.CodeField >= 500 || e.ErrorField == "error":
		return internalError
	case e.ErrorField == "invalid_client":
		return errClient
	case e.ErrorField == "invalid_grant":
		return errGrant
	case e.ErrorField == "invalid_state": // in no registry
		return invalidRequest("state", "must have 8 characters, so that nobody guesses it")
	}
	var stepUp *tokenexchange.StepUpError
	if errors.As(e, &stepUp) {
		return &wireError{Status: http.StatusBadRequest, Code: e.ErrorField, Description: e.DescriptionField, Members: stepUpMembers(stepUp), cause: e}
	}
	text := e.DescriptionField
	if e.HintField != "" {
		text = e.HintField
	}
	return &wireError{Status: http.StatusBadRequest, Code: e.ErrorField, Description: text, cause: e}
}

// stepUpMembers are those of RFC 9470 §3.
func stepUpMembers(e *tokenexchange.StepUpError) map[string]any {
	out := make(map[string]any)
	if e.MaxAge > 0 {
		out["max_age"] = int(e.MaxAge.Seconds())
	}
	if len(e.ACRValues) > 0 {
		out["acr_values"] = strings.Join(e.ACRValues, " ")
	}
	return out
}

// writeError writes the answer to any failure at an endpoint that programs call.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	e := toWire(err)
	s.logFailure(r, e.Status, err)
	h := w.Header()
	noStore(h)
	if e.Challenge != "" {
		h.Set("WWW-Authenticate", e.Challenge)
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(e.RetryAfter/time.Second)))
	}
	answer := map[string]any{"error": e.Code, "error_description": describe(e.Description)}
	maps.Copy(answer, e.Members)
	writeJSON(w, e.Status, answer)
}

// logFailure logs what is our fault. That somebody hung up is not, and any stranger could fill the log with it.
func (s *Server) logFailure(r *http.Request, status int, err error) {
	ctx, level := r.Context(), slog.LevelError
	switch {
	case status < 500:
		return
	case status == http.StatusServiceUnavailable && errors.Is(ctx.Err(), context.Canceled):
		level = slog.LevelDebug
	}
	s.log.Log(ctx, level, "answering an error", "request_id", requestID(ctx), "path", loggedPath(r), "status", status, "error", err)
}

// describe keeps to the characters that RFC 6749 §5.2 allows in error_description.
func describe(text string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '"' || c == '\\':
			return '\''
		case c < 0x20 || c > 0x7e:
			return -1
		}
		return c
	}, strings.ReplaceAll(text, "§", "section "))
}

// errorPage writes the answer to a failure at an endpoint that people see.
func (s *Server) errorPage(w http.ResponseWriter, r *http.Request, err error) {
	e := toWire(err)
	s.logFailure(r, e.Status, err)
	title := "This did not work"
	switch {
	case e.Status == http.StatusTooManyRequests:
		title = "Too many at once"
	case e.Status >= 500:
		title = "Something went wrong here"
	case e.Status == http.StatusNotFound:
		title = "There is nothing here"
	}
	s.pages.Error(w, r, page.ErrorView{Status: e.Status, Title: title, Text: e.Description, RequestID: requestID(r.Context()), RetryAfter: e.RetryAfter})
}

func (s *Server) crossOrigin(w http.ResponseWriter, r *http.Request) {
	s.errorPage(w, r, &wireError{Status: http.StatusForbidden, Code: "invalid_request", Description: "This form was sent from another site. Nothing was done."})
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	s.errorPage(w, r, &wireError{Status: http.StatusNotFound, Code: "invalid_request", Description: "This address leads nowhere."})
}

func noStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache") // RFC 6749 §5.1
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("encoding an answer of our own: %w", err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body) // the client is gone, and nobody is left to tell
}
