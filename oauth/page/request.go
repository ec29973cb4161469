package page

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/internal/form"
	"github.com/understudy-id/understudy/oauth/policy"
)

// route is where Impersonate must be mounted.
const route = "/impersonate"

// Sizes of parameters. Together they stay far below form.MaxQuery even when percent-encoded, so that a page never
// makes a link that the next step refuses.
const (
	maxID       = 255 // as a sub (OpenID Connect Core §2)
	maxState    = 512
	maxResource = 512
	maxScope    = 1024
	maxSearch   = 100
	minSearch   = 2
	maxCursor   = 2048 // one that is sealed, of the longest name in any script and the longest ID
	challenge   = 43   // SHA-256 in base64url (RFC 7636 §4.2)
)

// request is what the app and the page before asked for, checked. Every step makes it anew from the query.
type request struct {
	client       Client
	redirectURI  string
	origin       string // of redirectURI
	state        string
	challenge    string
	resource     string
	scope        []string // nil: all that can be had
	subject      string   // the sub by which the client knows the user; "" asks for the search
	user         string   // the ID that the form was about, on a POST
	reason       string
	ticketNumber string
	search       string // trimmed
	after        string

	carry url.Values // what rides on to the next step: all of the above that came, but subject, search and after
}

// appName is what to call the app.
func (q *request) appName() string { return displayName(q.client.Name, q.client.Policy.ID) }

// badParameter is a fault of the app that sent the browser here: its developer reads the page.
type badParameter struct{ name, rule string }

func (e *badParameter) Error() string { return e.name + ": " + e.rule }

// readRequest reads and checks the query of r. The error is a *form.Error or a *badParameter, or else a failure.
// Client and redirect_uri come first: nothing is ever sent to an address before it was found in a registration.
func (p *Pages) readRequest(r *http.Request) (*request, error) {
	v, err := form.Query(r, form.Rules{Multiline: []string{"reason"}})
	if err != nil {
		return nil, err
	}
	q := &request{carry: make(url.Values)}
	if err := p.readClient(r.Context(), q, v); err != nil {
		return nil, err
	}
	for _, check := range []func(*request, url.Values) error{readProof, readTarget, readPrefill} {
		if err := check(q, v); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method", "resource", "scope", "reason", "ticket_number"} {
		if s := v.Get(name); s != "" {
			q.carry.Set(name, s)
		}
	}
	return q, nil
}

func (p *Pages) readClient(ctx context.Context, q *request, v url.Values) error {
	id := v.Get("client_id")
	if err := isText("client_id", id, maxID); err != nil {
		return err
	}
	c, err := p.cfg.Clients(ctx, id)
	if errors.Is(err, ErrNoClient) {
		return &badParameter{"client_id", "no such client is registered"}
	}
	if err != nil {
		return err
	}
	q.client, q.redirectURI = c, v.Get("redirect_uri")
	q.origin = origin(q.redirectURI)
	switch {
	case q.redirectURI == "":
		return &badParameter{"redirect_uri", "must be given"}
	case !slices.Contains(c.RedirectURIs, q.redirectURI):
		return &badParameter{"redirect_uri", "is not registered for this client; it is compared character by character (RFC 9700 §2.1)"}
	case q.origin == "" || strings.Contains(q.redirectURI, "#"):
		return &badParameter{"redirect_uri", "must be an http or https URL without fragment"}
	case c.Policy.Public || !c.Policy.Exchange:
		return &badParameter{"client_id", "this client may not impersonate: it must be confidential and registered for the token exchange"}
	}
	return nil
}

// readProof reads what binds the answer to the browser and to the app that asked.
func readProof(q *request, v url.Values) error {
	q.state, q.challenge = v.Get("state"), v.Get("code_challenge")
	if err := isText("state", q.state, maxState); err != nil {
		return err
	}
	switch method := v.Get("code_challenge_method"); {
	case q.challenge == "":
		return &badParameter{"code_challenge", "must be given (RFC 7636 §4.3)"}
	case len(q.challenge) != challenge || strings.ContainsFunc(q.challenge, notBase64URL):
		return &badParameter{"code_challenge", "must be 43 characters of base64url without padding (RFC 7636 §4.2)"}
	case method != "S256":
		return &badParameter{"code_challenge_method", "must be S256 (RFC 7636 §4.3)"}
	}
	return nil
}

// readTarget reads what the token shall be for.
func readTarget(q *request, v url.Values) error {
	q.resource = v.Get("resource")
	if q.resource != "" {
		u, err := url.Parse(q.resource)
		switch {
		case err != nil || !u.IsAbs() || strings.Contains(q.resource, "#") || len(q.resource) > maxResource:
			return &badParameter{"resource", "must be one absolute URI without fragment, of at most 512 characters (RFC 8707 §2)"}
		case !slices.Contains(q.client.Policy.Resources, q.resource):
			return &badParameter{"resource", "is not registered for this client"}
		}
	}
	scope := v.Get("scope")
	if len(scope) > maxScope {
		return &badParameter{"scope", "may have 1024 characters"}
	}
	var err error
	if q.scope, err = oauth.ParseScope(scope); err != nil {
		return &badParameter{"scope", "must be tokens of printable ASCII without quote or backslash, with one space between (RFC 6749 §3.3)"}
	}
	return nil
}

// readPrefill reads what a deep link may fill in and what the search sends. A search that is too short or too long is
// the person's doing, so it is left to the page.
func readPrefill(q *request, v url.Values) error {
	q.subject, q.reason, q.ticketNumber = v.Get("subject"), strings.TrimSpace(v.Get("reason")), strings.TrimSpace(v.Get("ticket_number"))
	q.search, q.after = strings.TrimSpace(v.Get("q")), v.Get("after")
	if q.subject != "" {
		if err := isText("subject", q.subject, maxID); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name, value string
		most        int
		rule        string
	}{
		{"reason", q.reason, policy.MaxReason, "may have 500 characters"},
		{"ticket_number", q.ticketNumber, policy.MaxTicketNumber, "may have 64 characters"},
		{"after", q.after, maxCursor, "is not a cursor of this page"},
	} {
		if utf8.RuneCountInString(f.value) > f.most {
			return &badParameter{f.name, f.rule}
		}
	}
	return nil
}

// isText checks a parameter that must be given: printable ASCII (RFC 6749 appendix A), of limited length.
func isText(name, value string, most int) error {
	switch {
	case value == "":
		return &badParameter{name, "must be given"}
	case len(value) > most || strings.ContainsFunc(value, func(c rune) bool { return c < 0x20 || c > 0x7e }):
		return &badParameter{name, text("rule.text", most)}
	}
	return nil
}

func notBase64URL(c rune) bool {
	return (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
}

// link is a link to this page that carries what the app asked for, changed by name-value pairs; an empty value takes out.
func (q *request) link(extra ...string) string {
	v := make(url.Values, len(q.carry)+len(extra)/2)
	for name, s := range q.carry {
		v[name] = s
	}
	for i := 0; i < len(extra); i += 2 {
		if v.Set(extra[i], extra[i+1]); extra[i+1] == "" {
			v.Del(extra[i])
		}
	}
	return route + "?" + v.Encode()
}

// answer is the redirect_uri with what it is told, and with state and iss (RFC 9207 §2).
func (q *request) answer(issuer, name, value string) string {
	return withQuery(q.redirectURI, url.Values{name: {value}, "state": {q.state}, "iss": {issuer}})
}
