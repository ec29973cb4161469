package server

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
)

// maxActionsBody is room for impersonation.MaxActions, each with a route of 512 characters.
const maxActionsBody = 64 << 10

// actionsPerMinute bounds what script in one session's pages can make its app write into the trail. It is ten a second: more than
// anybody does, and an app is told to wait (429), so that it refuses what it may not record.
const actionsPerMinute = 600

// liveness says of one session whether the app may go on with it.
type liveness struct {
	Active bool `json:"active"`
}

// actions is POST /impersonation/actions: an app puts on record what an actor does there, and learns whether the sessions are alive.
// The app is fail closed: with any answer but 200 it must not run what it told as phase before.
func (s *Server) actions(w http.ResponseWriter, r *http.Request) {
	active, err := s.recordActions(w, r)
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	sessions := make(map[string]liveness, len(active))
	for sid, alive := range active {
		sessions[sid] = liveness{alive}
	}
	noStore(w.Header())
	writeJSON(w, http.StatusOK, map[string]any{"sessions": sessions})
}

func (s *Server) recordActions(w http.ResponseWriter, r *http.Request) (map[string]bool, error) {
	if err := postOnly(w, r); err != nil {
		return nil, err
	}
	raw, err := jsonBody(w, r, maxActionsBody)
	if err != nil {
		return nil, err
	}
	actions, cred, err := readActions(raw)
	if err != nil {
		return nil, err
	}
	// A public client has no way to authenticate in JSON, so nobody's bare word counts here.
	c, err := s.authenticateClient(r, cred)
	if err != nil {
		return nil, err
	}
	now := s.clock()
	for _, a := range actions { // each resource server sees the sid: whose it is only a look at the store tells
		if !s.acts.allow(ofClient(c.ID, a.Session), now) {
			return nil, errBusy
		}
	}
	return s.service.Act(r.Context(), impersonation.ActRequest{Client: c.ID, Actions: actions, RequestID: requestID(r.Context())})
}

func postOnly(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return &form.Error{Status: http.StatusMethodNotAllowed, Rule: "this endpoint takes POST only"}
	}
	if r.URL.RawQuery != "" {
		return &form.Error{Status: http.StatusBadRequest, Rule: "nothing goes into the query of the URL"}
	}
	return nil
}

// jsonBody reads a body of application/json of at most most bytes, and refuses whatever two readers might decode in two ways.
func jsonBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
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
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &form.Error{Status: http.StatusRequestEntityTooLarge, Rule: fmt.Sprintf("too long: the body may have %d bytes", most)}
	case err != nil:
		return nil, &form.Error{Status: http.StatusBadRequest, Rule: "the body ended early"}
	}
	return raw, nil
}
