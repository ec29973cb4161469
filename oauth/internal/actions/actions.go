// Package actions is the wire of POST /impersonation/actions, by which a relying app puts on record what an actor does there. Start with [Read]
// and [Answer]; between them stand the authentication of the client and impersonation.Service.Act. It authenticates nobody and records nothing.
package actions

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
)

const (
	// maxBody is room for impersonation.MaxActions of the usual length; of long ones an app tells fewer at once.
	maxBody = 64 << 10
	// maxDetails bounds what is kept of an action before anybody looks at it.
	maxDetails = 8
)

// Read reads a request strictly. cred has what stands beside the actions for a client that authenticates in the body (RFC 7521 §4.2). Every error is a
// *form.Error.
func Read(w http.ResponseWriter, r *http.Request) (told []impersonation.Action, cred url.Values, err error) {
	if err := postOnly(w, r); err != nil {
		return nil, nil, err
	}
	raw, err := jsonBody(w, r)
	if err != nil {
		return nil, nil, err
	}
	return readActions(raw)
}

// Answer is the body that tells, by sid, which sessions the app may go on with.
func Answer(active map[string]bool) map[string]any {
	type liveness struct {
		Active bool `json:"active"`
	}
	sessions := make(map[string]liveness, len(active))
	for sid, alive := range active {
		sessions[sid] = liveness{alive}
	}
	return map[string]any{"sessions": sessions}
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

// jsonBody reads a body of application/json of at most maxBody bytes, and refuses whatever two readers might decode in two ways.
func jsonBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
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
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &form.Error{Status: http.StatusRequestEntityTooLarge, Rule: fmt.Sprintf("too long: the body may have %d bytes", maxBody)}
	case err != nil:
		return nil, &form.Error{Status: http.StatusBadRequest, Rule: "the body ended early"}
	}
	return raw, nil
}
