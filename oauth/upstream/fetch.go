package upstream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// fetchWithin is how long an issuer may take for one document, from the first byte of the connection to the last of the answer.
	// Somebody waits for it in a browser.
	fetchWithin = 2 * time.Second
	// maxDocument is the most bytes of a discovery document or of userinfo: the longest documents have about 8 KiB, and groups may be many.
	maxDocument = 256 << 10
	// maxKeySet is the most bytes of a JWK Set.
	maxKeySet = 512 << 10
)

// fetch gets what stands at url, which the error calls what: at most limit bytes of a 200. age is the answer's max-age, negative
// where it has none. token is sent as a bearer token where it is not "".
func (i *Issuer) fetch(ctx context.Context, what, url, token string, limit int64) (body []byte, age time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %s must be a URL", ErrDocument, what)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	body, header, err := i.send(r, what, limit)
	return body, maxAge(header), err
}

// send makes a request and gives the answer: at most limit bytes of a 200.
func (i *Issuer) send(r *http.Request, what string, limit int64) (body []byte, header http.Header, err error) {
	r.Header.Set("Accept", "application/json")
	answer, err := i.http.Do(r)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %s", ErrUnavailable, what, reason(err))
	}
	defer answer.Body.Close()
	if err := checkStatus(what, answer.StatusCode); err != nil {
		return nil, nil, err
	}
	body, err = io.ReadAll(io.LimitReader(answer.Body, limit+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("%w: %s: %s", ErrUnavailable, what, reason(err))
	case int64(len(body)) > limit:
		return nil, nil, fmt.Errorf("%w: %s has more than %d bytes", ErrDocument, what, limit)
	}
	return body, answer.Header, nil
}

// checkStatus takes 200 alone. A redirect is no answer: it could point to where only we can reach.
func checkStatus(what string, status int) error {
	switch {
	case status == http.StatusOK:
		return nil
	case status >= 300 && status < 400:
		return fmt.Errorf("%w: %s is a redirect, which is not followed", ErrDocument, what)
	case status >= 500 || status == http.StatusTooManyRequests:
		return fmt.Errorf("%w: %s: status %d", ErrUnavailable, what, status)
	}
	return fmt.Errorf("%w: %s: status %d, must be 200", ErrDocument, what, status)
}

// maxAge reads Cache-Control (RFC 9111 §5.2.2): no-store and no-cache are an age of nothing.
func maxAge(h http.Header) time.Duration {
	age := time.Duration(-1)
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				age = time.Duration(seconds) * time.Second
			}
		}
	}
	return age
}
