package rp

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// startJSON is what a page asks for by POST /.understudy/start. All may be "".
type startJSON struct {
	Subject      string `json:"subject"`
	Reason       string `json:"reason"`
	TicketNumber string `json:"ticket_number"`
	ReturnTo     string `json:"return_to"`
}

// maxStart is how long the body may be: four fields of maxField, were each character escaped.
const maxStart = 6 * 4 * maxField

// maxField is how long what only fills in the issuer's form may be.
const maxField = 2048

// startByScript is POST /.understudy/start, for pages that are made in the browser: what can fail at once does so as problem details, and
// otherwise it tells where to go. What fails later comes back. It begins nothing itself, so it needs no cookie.
//
// The type of the body is one that no form of another site can send without asking first (Fetch §3.3), beside the check of the origin.
func (a *App) startByScript(w http.ResponseWriter, r *http.Request) {
	v := visitFrom(r.Context())
	s, err := readStart(r)
	if err != nil {
		a.notice(w, r, v.site, a.failedNotice("failed.query", err.Error()))
		return
	}
	if s.ReturnTo != "" && !localPath(s.ReturnTo) {
		a.notice(w, r, v.site, a.failedNotice("return", "")) // without it: it is a stranger's text
		return
	}
	if a.acting == a.base && (v.over || v.session != nil) {
		a.notice(w, r, v.site, a.stopFirstNotice(v.ended()))
		return
	}
	if _, key, err := a.mayStart(r); key != "" {
		a.failed(w, r, v, key, "", err)
		return
	}
	q := url.Values{"on_failure": {"return"}}
	for name, value := range s.fields() {
		if value != "" {
			q.Set(name, value)
		}
	}
	writeJSON(w, http.StatusOK, map[string]string{"redirect": a.acting.origin + root + "start?" + q.Encode()})
}

func (s startJSON) fields() map[string]string {
	return map[string]string{"subject": s.Subject, "reason": s.Reason, "ticket_number": s.TicketNumber, "return_to": s.ReturnTo}
}

// readStart reads the body of r. Its errors say what is wrong with it, and nothing that it holds.
func readStart(r *http.Request) (s startJSON, err error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return s, errors.New("the body must be of the type application/json")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxStart+1))
	if err != nil || len(body) > maxStart {
		return s, errors.New("the body cannot be read, or is too long")
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if d.Decode(&s) != nil {
		return s, errors.New("the body must be an object of strings: subject, reason, ticket_number, return_to")
	}
	if _, err := d.Token(); err != io.EOF { // More would take a bracket that closes nothing for the end
		return s, errors.New("the body has something behind its object")
	}
	for name, value := range s.fields() {
		if len(value) > maxField {
			return s, errors.New(name + " is longer than 2,048 bytes")
		}
	}
	return s, nil
}
