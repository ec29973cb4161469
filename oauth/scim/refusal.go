package scim

import (
	"net/http"
	"strings"

	"github.com/understudy-id/understudy/oauth/impersonation"
)

// Rules by which a write of a source is refused, or a part of it left out, where more than one place says so.
const (
	rulePowerful = "source.powerful_user" // who is protected or has rights, and the source may not grant
	ruleDisabled = "source.disabled_user" // whom somebody here has disabled
)

// refusalsPerMinute is how many writes of a source may be refused: a first synchronisation meets some who are there already, and one that
// is refused five times a second for a minute will not get further by asking more.
const refusalsPerMinute = 300

// recordFault puts a refusal on record, and counts it, unless it is one for the count itself.
func (h *Handler) recordFault(c *call, f *fault) {
	if f.Rule == "" {
		return
	}
	if f.Status != http.StatusTooManyRequests {
		h.refusals.Spend(c.source.Name, h.now())
	}
	h.record(c, f.Rule)
}

// record holds no value that was sent: the user is named if there is one.
func (h *Handler) record(c *call, rule string) {
	ctx, resource := c.r.Context(), users.name
	if strings.HasPrefix(c.r.URL.Path, strings.TrimSuffix(Path, "/")+groups.endpoint) {
		resource = groups.name
	}
	h.refused(ctx, impersonation.SourceRefusal{Source: c.source.Name, Token: c.token, Method: c.r.Method, Resource: resource, Subject: c.user,
		Rule: rule, RequestID: h.requestID(ctx)})
}

// limited keeps whoever is refused too often from asking the store. What puts a user out does not come here.
func (h *Handler) limited(run func(*call) (*answer, error)) func(*call) (*answer, error) {
	return func(c *call) (*answer, error) {
		if err := h.mayWrite(c); err != nil {
			return nil, err
		}
		return run(c)
	}
}

func (h *Handler) mayWrite(c *call) error {
	wait := h.refusals.Wait(c.source.Name, h.now())
	if wait == 0 {
		return nil
	}
	f := tooMany(wait)
	f.Rule = "limit.source"
	return f
}

// tellLeft writes the line of an omission.
func (h *Handler) tellLeft(c *call, left omission) {
	if h.warnings.Spend(c.source.Name, h.now()) > 0 {
		return
	}
	ctx := c.r.Context()
	h.log.WarnContext(ctx, "left out a part of a SCIM request", "request_id", h.requestID(ctx), "source", c.source.Name, "user", c.user,
		"left_out", left.what, "rule", left.by)
}
