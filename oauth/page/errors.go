package page

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/understudy-id/understudy/oauth/internal/form"
)

// retryAfter is what a failure asks a browser to wait: a restart of the store takes a few seconds.
const retryAfter = 5 * time.Second

// Link is a way on.
type Link struct{ URL, Text string }

// ErrorView is what an error page says. It must hold nothing technical and no secret.
type ErrorView struct {
	// Status is the HTTP status, 400 to 599.
	Status int
	// Title and Text are for people; "" takes the words for the status.
	Title, Text string
	// RequestID is the number to quote; "" takes that of Config.RequestID.
	RequestID string
	// RetryAfter is sent as Retry-After, in whole seconds rounded up; zero sends none.
	RetryAfter time.Duration
	// Back is where to go from here. The zero value shows no link.
	Back Link
}

// Error writes an error page.
func (p *Pages) Error(w http.ResponseWriter, r *http.Request, v ErrorView) {
	code := strconv.Itoa(v.Status)
	if _, known := messages["status."+code]; !known {
		code = "500"
	}
	if v.Title == "" {
		v.Title = text("status." + code)
	}
	if v.Text == "" {
		v.Text = text("text." + code)
	}
	if v.RequestID == "" {
		v.RequestID = p.cfg.RequestID(r.Context())
	}
	if v.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((v.RetryAfter+time.Second-1)/time.Second)))
	}
	p.render(w, r, "error", frame{status: v.Status, Title: v.Title, Failed: true, Narrow: true, Page: v})
}

// methodNotAllowed names the methods that would have been (RFC 9110 §15.5.6).
func (p *Pages) methodNotAllowed(w http.ResponseWriter, r *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	p.Error(w, r, ErrorView{Status: http.StatusMethodNotAllowed})
}

// fail is the one place where an error becomes a page. doing says what was tried, for the log.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, doing string, err error) {
	var parameter *badParameter
	var broken *form.Error
	switch {
	case errors.As(err, &parameter):
		p.badRequest(w, r, http.StatusBadRequest, parameter.name, parameter.rule)
	case errors.As(err, &broken):
		p.badRequest(w, r, broken.Status, broken.Parameter, broken.Rule)
	case errors.Is(err, ErrCursor):
		p.badRequest(w, r, http.StatusBadRequest, "after", text("rule.cursor"))
	case errors.Is(err, ErrTooMany):
		p.Error(w, r, ErrorView{
			Status: http.StatusTooManyRequests, Title: text("busy.title"), Text: text("busy.text") + " " + text("busy.wait"), RetryAfter: time.Minute,
		})
	default:
		p.log(r, doing, err)
		p.Error(w, r, ErrorView{Status: http.StatusServiceUnavailable, RetryAfter: retryAfter, Back: retry(r)})
	}
}

func (p *Pages) log(r *http.Request, doing string, err error) {
	p.cfg.Logger.ErrorContext(r.Context(), "page: "+doing, "error", err, "request", p.cfg.RequestID(r.Context()))
}

// retry is the same page again, where asking again does nothing but ask.
func retry(r *http.Request) Link {
	if r.Method != http.MethodGet {
		return Link{}
	}
	to := route
	if r.URL.Path == auditRoute {
		to = auditRoute
	}
	return Link{URL: to + "?" + r.URL.RawQuery, Text: text("retry")}
}

// badRequest is the page that the app's developer reads.
func (p *Pages) badRequest(w http.ResponseWriter, r *http.Request, status int, parameter, rule string) {
	p.render(w, r, "parameter", frame{
		status: status, Title: text("parameter.title"), Failed: true, Narrow: true,
		Page: struct{ Parameter, Rule, RequestID string }{parameter, rule, p.cfg.RequestID(r.Context())},
	})
}
