package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/understudy-id/understudy/oauth"
)

// postsTo reports whether uri is one that a client may be told at: https, or on loopback http where the issuer is too.
func (s *Server) postsTo(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http" && s.local() && oauth.Loopback(u.Hostname()))
}

// post tells a client something within tellWithin, and gives the status of the answer. The URI is in no error: it may hold a secret of the client's.
func post(ctx context.Context, c *http.Client, uri string, header http.Header, body string) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, uri, strings.NewReader(body))
	if err != nil {
		return 0, withoutURL(err)
	}
	req.Header = header
	resp, err := c.Do(req)
	if err != nil {
		return 0, withoutURL(err)
	}
	defer resp.Body.Close()
	io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection serves again; how it ends is nothing to us
	return resp.StatusCode, nil
}

func withoutURL(err error) error {
	if u := new(url.Error); errors.As(err, &u) {
		return u.Err
	}
	return err
}
