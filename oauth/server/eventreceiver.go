package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/ssf"
)

var errStreamScope = &wireError{Status: http.StatusForbidden, Code: "insufficient_scope", Lacks: ssf.Scope, Description: "The access token must be the client's own and have the scope " + ssf.Scope + "."}

// streamCall is a request of a receiver who has proved which client it is.
type streamCall struct {
	client string
	path   func(name string) string
	query  url.Values
	body   []byte
	// mayWait lets the answer take longer than a request may take to arrive: when that time is up, net/http takes who waits for gone.
	mayWait func()
}

// streamHandler answers a streamCall. A nil answer is an empty body.
type streamHandler func(ctx context.Context, c streamCall) (status int, answer any, err error)

// ofReceiver is the way in to every endpoint for receivers: none of them can forget who asks.
func (s *Server) ofReceiver(methods map[string]streamHandler) http.HandlerFunc {
	var names []string
	for name := range methods {
		names = append(names, name)
	}
	slices.Sort(names)
	allow := strings.Join(names, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		handle, ok := methods[r.Method]
		if !ok {
			w.Header().Set("Allow", allow)
			s.writeError(w, r, &wireError{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Description: "This endpoint takes " + allow + " only."})
			return
		}
		c, shown, err := s.readReceiver(w, r)
		if err != nil {
			s.refuseToken(w, r, shown, err)
			return
		}
		status, answer, err := handle(r.Context(), c)
		if err != nil {
			s.writeError(w, r, err)
			return
		}
		noStore(w.Header())
		if answer == nil {
			w.WriteHeader(status)
			return
		}
		writeJSON(w, status, answer)
	}
}

// readReceiver finds out whose the token is, before it looks at the body.
func (s *Server) readReceiver(w http.ResponseWriter, r *http.Request) (c streamCall, shown presented, err error) {
	if c.query, err = form.Query(r, form.Rules{}); err != nil {
		return c, shown, err
	}
	if c.query.Has("access_token") {
		return c, shown, errTokenInQuery
	}
	if shown, err = presentHeader(r); err != nil {
		return c, shown, err
	}
	if c.client, err = s.receiver(r, shown); err != nil {
		return c, shown, err
	}
	c.path = r.PathValue
	c.mayWait = func() { http.NewResponseController(w).SetReadDeadline(time.Time{}) } // where it cannot be set, there is none
	if r.Method == http.MethodPost || r.Method == http.MethodPatch || r.Method == http.MethodPut {
		c.body, err = readJSON(w, r)
	}
	return c, shown, err
}

// receiver is the client whose token was presented: its own, for us, with the scope.
func (s *Server) receiver(r *http.Request, p presented) (string, error) {
	_, claims, err := s.holderOf(r, p)
	switch {
	case err != nil:
		return "", err
	case claims.Act != nil || claims.Subject != oauth.ClientSubject(claims.ClientID) || !slices.Contains(claims.Scope, ssf.Scope):
		return "", errStreamScope
	case claims.Audience != s.issuer: // RFC 9068 §4
		return "", errToken
	}
	return claims.ClientID, nil
}

// readJSON reads a body of application/json of at most ssf.MaxBody bytes.
func readJSON(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset, given := params["charset"]
	switch {
	case len(r.Header.Values("Content-Type")) > 1:
		return nil, &form.Error{Status: http.StatusBadRequest, Rule: "Content-Type is given more than once"}
	case err != nil || media != "application/json" || given && !strings.EqualFold(charset, "utf-8"):
		return nil, &form.Error{Status: http.StatusUnsupportedMediaType, Rule: "the body must be application/json in UTF-8 (RFC 8259 §8.1)"}
	case r.Header.Get("Content-Encoding") != "":
		return nil, &form.Error{Status: http.StatusUnsupportedMediaType, Rule: "an encoded body is not accepted"}
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, ssf.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &form.Error{Status: http.StatusRequestEntityTooLarge, Rule: fmt.Sprintf("too long: the body may have %d bytes", ssf.MaxBody)}
	case err != nil:
		return nil, &form.Error{Status: http.StatusBadRequest, Rule: "the body ended early"}
	}
	return raw, nil
}
