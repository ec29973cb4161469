package scim

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// fault is an answer that is no success (RFC 7644 §3.12). Its text never holds a value that was sent.
type fault struct {
	Status     int
	Type       string // scimType, "" for none
	Detail     string
	Rule       string        // by which it was refused, in the trail; "" is not put there
	Challenge  string        // WWW-Authenticate, "" for none
	RetryAfter time.Duration // whole seconds, 0 for none
}

func (f *fault) Error() string {
	return strings.TrimSpace(strconv.Itoa(f.Status)+" "+f.Type) + ": " + f.Detail
}

func syntaxFault(detail string) error {
	return &fault{Status: http.StatusBadRequest, Type: "invalidSyntax", Detail: detail}
}

// valueFault says which attribute breaks which rule.
func valueFault(at, rule string) error {
	return &fault{Status: http.StatusBadRequest, Type: "invalidValue", Detail: at + ": " + rule + "."}
}

func forbidden(rule, detail string) error {
	return &fault{Status: http.StatusForbidden, Rule: rule, Detail: detail}
}

// rule is by what f refuses, in words of ours.
func (f *fault) rule() string { return cmp.Or(f.Rule, f.Type, strconv.Itoa(f.Status)) }

var (
	errNotFound    = &fault{Status: http.StatusNotFound, Detail: "There is no such resource."}
	errTaken       = &fault{Status: http.StatusConflict, Type: "uniqueness", Rule: "source.taken", Detail: "A unique value of it is taken: userName or externalId, an e-mail address, or the name of a group."}
	errVersion     = &fault{Status: http.StatusPreconditionFailed, Detail: "The resource is not the version that If-Match names."}
	errBusy        = &fault{Status: http.StatusConflict, Rule: "source.busy", Detail: "Others change the resource at the same time; try again."}
	errMember      = &fault{Status: http.StatusBadRequest, Type: "invalidValue", Detail: "members: each value must be the id of a user that this source keeps."}
	errClosed      = &fault{Status: http.StatusForbidden, Rule: "source.closed_group", Detail: "This group confers a role, and the source may not touch such groups."}
	errTooLong     = &fault{Status: http.StatusBadRequest, Type: "invalidValue", Detail: "A value is too long."}
	errUnavailable = &fault{Status: http.StatusServiceUnavailable, Detail: "The service cannot answer now. Nobody knows whether it was done.", RetryAfter: time.Second}
	errInternal    = &fault{Status: http.StatusInternalServerError, Detail: "Something went wrong here. The request id tells us what."}
)

// toFault is the one table from an error to its answer. What is not in it is an internal error, without detail.
func toFault(err error) *fault {
	var f *fault
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errUnavailable
	case errors.Is(err, directory.ErrNotFound), errors.Is(err, store.ErrNotFound):
		return errNotFound
	case errors.Is(err, store.ErrExists):
		return errTaken
	case errors.Is(err, impersonation.ErrChanged):
		return errBusy
	case errors.Is(err, store.ErrMember):
		return errMember
	case errors.Is(err, store.ErrClosed):
		return errClosed
	case errors.Is(err, store.ErrTooLong):
		return errTooLong
	}
	return errInternal
}

// invalidUser tells the rule of directory.User.Validate that was broken, in the words of SCIM.
func invalidUser(err error) error {
	field, rule, _ := strings.Cut(err.Error(), ": ")
	names := map[string]string{"user_name": "userName", "external_id": "externalId", "identities": "externalId", "email": "emails"}
	if scim, ok := names[field]; ok {
		field = scim
	}
	return valueFault(field, rule)
}

// warningsPerMinute is how many lines a source has for what was refused to it: enough to see what is wrong, few enough for a directory of
// which every user is.
const warningsPerMinute = 20

// tellFault writes the line of a fault: what is ours to mend, or what the source's operator must, who sees no more than that it failed.
// source is "" for whoever is not known.
func (h *Handler) tellFault(r *http.Request, source string, f *fault, err error) {
	ctx := r.Context()
	ours := f.Status >= 500 && f.Status != http.StatusNotImplemented
	switch {
	case ours && !errors.Is(ctx.Err(), context.Canceled):
		h.log.ErrorContext(ctx, "answering a SCIM error", "request_id", h.requestID(ctx), "source", source, "path", r.URL.Path, "status", f.Status, "error", err)
	case !ours && h.warnings.Spend(source, h.now()) == 0:
		h.log.WarnContext(ctx, "refused a SCIM request", "request_id", h.requestID(ctx), "source", source, "method", r.Method, "path", r.URL.Path,
			"status", f.Status, "scimType", f.Type, "detail", f.Detail)
	}
}

// writeFault answers with err; source is whose request it is, "" if that is not known.
func (h *Handler) writeFault(w http.ResponseWriter, r *http.Request, source string, err error) {
	f := toFault(err)
	h.tellFault(r, source, f, err)
	if f.Challenge != "" {
		w.Header().Set("WWW-Authenticate", f.Challenge)
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter/time.Second)))
	}
	body := map[string]any{"schemas": []string{errorSchema}, "status": strconv.Itoa(f.Status), "detail": f.Detail}
	if f.Type != "" {
		body["scimType"] = f.Type
	}
	writeJSON(w, f.Status, body)
}
