// Package meddler is a proxy that changes what a server answers, in one way: of one kind of answer it drops one member, header or status, makes it something else, or
// repeats it. [New] makes one; [Seen] learns which kinds of answers there are and gives the [Operation] values that would be wrong, by clauses alone.
//
// It knows the protocols and neither the cases of package conformance nor what they look at: what the suite finds of its operations tells how blind it is.
package meddler

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
)

// Meddle changes an answer. Its kind is in words, such as "POST /token 400 invalid_request".
type Meddle func(kind string, a *Answer)

// Answer is what a server answers.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// maxBody is how many bytes of a request are looked at, more than anybody sends in earnest.
const maxBody = 4 << 20

type asked struct{}

// New is a proxy in front of a server.
func New(origin *url.URL, meddle Meddle) http.Handler {
	return &httputil.ReverseProxy{
		Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
		Rewrite: func(r *httputil.ProxyRequest) {
			body, err := io.ReadAll(io.LimitReader(r.In.Body, maxBody))
			if err == nil {
				r.Out.Body = io.NopCloser(bytes.NewReader(body))
			}
			form, _ := url.ParseQuery(string(body)) // where it is none nothing is known of the request
			r.Out = r.Out.WithContext(context.WithValue(r.Out.Context(), asked{}, form))
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.RawQuery = origin.Scheme, origin.Host, r.In.URL.RawQuery
		},
		ModifyResponse: func(resp *http.Response) error {
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			form, _ := resp.Request.Context().Value(asked{}).(url.Values)
			a := &Answer{resp.StatusCode, resp.Header, body}
			meddle(kind(resp.Request.Method, resp.Request.URL.Path, form, a), a)
			resp.StatusCode, resp.Body, resp.ContentLength = a.Status, io.NopCloser(bytes.NewReader(a.Body)), int64(len(a.Body))
			resp.Header.Set("Content-Length", strconv.Itoa(len(a.Body)))
			return nil
		},
	}
}
