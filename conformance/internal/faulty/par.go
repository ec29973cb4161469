package faulty

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	requestURI = "urn:ietf:params:oauth:request_uri:"

	pushedLifetime = time.Minute
)

// push is RFC 9126 §2.
func (s *Server) push(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	f, refused := s.form(w, r)
	var c *Client
	if refused == nil {
		c, refused = s.authenticate(r, f)
	}
	if refused == nil {
		refused = s.pushable(c, f)
	}
	if refused != nil {
		s.refuse(w, refused, f)
		return
	}
	f.Set("client_id", c.ID)
	status := http.StatusCreated
	if s.wrong("pushed-with-200") {
		status = http.StatusOK
	}
	writeJSON(w, status, object{
		"request_uri": requestURI + s.issue(&once{kind: "request", client: c, query: f, expires: s.now().Add(pushedLifetime)}), "expires_in": pushedLifetime.Seconds(),
	})
}

// pushable refuses what the authorization endpoint would.
func (s *Server) pushable(c *Client, f url.Values) *refusal {
	switch {
	case f.Has("request_uri") && s.wrong("request-uri-within-pushed"):
		f.Del("request_uri")
	case f.Has("request_uri"), f.Has("client_id") && f.Get("client_id") != c.ID:
		return refuse("invalid_request", "a request that is pushed has no request_uri, and the client's own id")
	case !s.registered(c, f.Get("redirect_uri")) && !s.wrong("pushed-redirect-uri-not-looked-at"):
		return refuse("invalid_request", "the redirect_uri is not registered")
	}
	if code := s.unacceptable(c, f); code != "" {
		if code == "invalid_scope" && s.wrong("pushed-error-unheard-of") {
			code = "no_such_scope"
		}
		return refuse(code, "the request does not hold")
	}
	return nil
}

// pushed gives the request for which the query has a request_uri, and what stands for it; the query itself where it has none.
func (s *Server) pushed(q url.Values) (url.Values, *once) {
	value, is := strings.CutPrefix(q.Get("request_uri"), requestURI)
	if !is {
		return q, nil
	}
	o := s.once[value]
	for known, other := range s.once {
		if other.kind == "request" && s.wrong("request-uri-compared-by-half") && len(value) >= 20 && known[:20] == value[:20] {
			o = other
		}
	}
	if o != nil && o.kind == "ticket" && s.wrong("ticket-taken-for-request-uri") {
		return url.Values{
			"client_id": {o.client.ID}, "redirect_uri": {o.client.RedirectURI}, "response_type": {"code"}, "code_challenge": {o.challenge}, "code_challenge_method": {"S256"},
		}, o
	}
	switch {
	case o == nil || o.kind != "request" || !s.now().Before(o.expires) && !s.wrong("request-uri-never-over") || o.spent && !s.wrong("request-uri-taken-again"):
		return q, nil
	case o.client.ID != q.Get("client_id") && !s.wrong("request-uri-of-any-client"):
		return q, nil
	}
	asked := url.Values{}
	for name, v := range o.query {
		asked[name] = v
	}
	if s.wrong("query-beside-request-uri-wins") {
		for name, v := range q {
			asked[name] = v
		}
		asked.Del("request_uri")
	}
	if s.wrong("pushed-state-dropped") {
		asked.Del("state")
	}
	return asked, o
}
