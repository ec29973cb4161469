package rp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/ssf"
)

// maxPoll bounds an answer to a poll, in bytes: the largest snapshot of the issuer has some 3 MB.
const maxPoll = 8 << 20

// door is how to get at one's stream.
type door struct {
	meta  ssf.Metadata
	token oauth.Secret
	renew time.Time // when another token is due: this one counts for as long again
	id    string    // of the stream
	poll  string    // where to poll it
}

// pollRequest is what is posted (RFC 8936 §2.2).
type pollRequest struct {
	Ack         []string                `json:"ack,omitempty"`
	Errors      map[string]ssf.SETError `json:"setErrs,omitempty"`
	MaxEvents   *int                    `json:"maxEvents,omitempty"`
	Immediately bool                    `json:"returnImmediately,omitempty"`
	Snapshot    bool                    `json:"understudy_snapshot,omitempty"`
	Wait        int                     `json:"understudy_wait,omitempty"` // seconds
}

// open gets whatever is missing of a stream.
func (s *stream) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, issuerTimeout)
	defer cancel()
	if s.door.id != "" && s.door.token != "" && s.now().Before(s.door.renew) {
		return nil
	}
	if s.door.id == "" {
		if err := s.metadata(ctx); err != nil {
			return err
		}
	}
	if s.door.token == "" || !s.now().Before(s.door.renew) {
		t, err := s.issuer.token(ctx, url.Values{"grant_type": {"client_credentials"}, "scope": {ssf.Scope}})
		if err != nil {
			return fmt.Errorf("getting a token for the issuer's events: %w", err)
		}
		s.door.token, s.door.renew = oauth.Secret(t.AccessToken), s.now().Add(max(time.Duration(t.ExpiresIn)*time.Second/2, time.Second))
	}
	if s.door.id != "" {
		return nil
	}
	ask := map[string]any{"delivery": map[string]string{"method": ssf.DeliveryPoll}, "events_requested": ssf.Events()}
	var opened ssf.Stream
	if err := s.call(ctx, http.MethodPost, s.door.meta.ConfigurationEndpoint, ask, http.StatusCreated, &opened); err != nil {
		return fmt.Errorf("opening a stream: %w", err)
	}
	return s.enter(opened)
}

// metadata reads /.well-known/ssf-configuration (SSF §7.2).
func (s *stream) metadata(ctx context.Context) error {
	e, err := s.issuer.discover(ctx)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.issuer.url+"/.well-known/ssf-configuration", nil)
	if err != nil {
		return err
	}
	var m ssf.Metadata
	if err := s.issuer.do(req, &m); err != nil {
		return fmt.Errorf("reading the metadata of the issuer's events: %w", err)
	}
	switch {
	case m.Issuer != s.issuer.url:
		return fmt.Errorf("the metadata is of the transmitter %q, not of %q", m.Issuer, s.issuer.url)
	case m.JWKSURI != e.Keys: // one set of keys speaks for an issuer
		return errors.New("the transmitter's jwks_uri is not the issuer's")
	case !s.atHome(m.ConfigurationEndpoint):
		return errors.New("the transmitter's configuration_endpoint is not at the issuer")
	}
	s.door.meta = m
	return nil
}

// enter takes a stream that was opened, if it is the one that was asked for.
func (s *stream) enter(o ssf.Stream) error {
	switch {
	case o.ID == "" || o.Issuer != s.issuer.url || o.Audience != s.issuer.id:
		return errors.New("the stream is another issuer's or another client's")
	case o.Delivery.Method != ssf.DeliveryPoll || !s.atHome(o.Delivery.URL):
		return errors.New("the stream is not polled at the issuer")
	case !slices.Contains(o.Delivered, ssf.EventSessionRevoked):
		return errors.New("the stream does not tell which sessions end")
	}
	s.door.id, s.door.poll = o.ID, o.Delivery.URL
	return nil
}

// atHome reports whether raw is on the issuer's own origin: nobody else is shown our token.
func (s *stream) atHome(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.User == nil && strings.HasPrefix(u.Path, "/") && u.Scheme+"://"+u.Host == s.issuer.url
}

// call is a request with the token, of in as JSON or, for nil, without a body. Once the issuer does not know the token or the stream any longer, open gets another.
func (s *stream) call(ctx context.Context, method, to string, in any, status int, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+string(s.door.token))
	err = s.issuer.ask(req, status, maxPoll, out)
	if u := new(url.Error); errors.As(err, &u) {
		err = u.Err // where a stream is polled is a secret, and errors go into the log
	}
	if e := new(issuerError); errors.As(err, &e) {
		switch e.Status {
		case http.StatusUnauthorized, http.StatusForbidden:
			s.door.token = ""
		case http.StatusNotFound, http.StatusBadRequest:
			s.door.id = ""
		}
	}
	return err
}

// close is DELETE of the stream (SSF §8.1.1.5).
func (s *stream) close(ctx context.Context) {
	to := s.door.meta.ConfigurationEndpoint + "?" + url.Values{"stream_id": {s.door.id}}.Encode()
	err := s.call(ctx, http.MethodDelete, to, nil, http.StatusNoContent, nil)
	if err != nil {
		s.log.Debug("a stream was not closed: its lease ends it", "error", brief(err))
	}
}

// refuse tells the issuer which SETs were not taken, and why, so that its operator hears of it too. It gives one of the reasons.
func (s *stream) refuse(ctx context.Context, ack []string, faults map[string]*fault) error {
	r := pollRequest{Ack: ack, Errors: make(map[string]ssf.SETError), MaxEvents: new(int)}
	var first error
	for id, f := range faults {
		r.Errors[id] = ssf.SETError{Err: f.code, Description: brief(f)}
		first = f
	}
	if err := s.call(ctx, http.MethodPost, s.door.poll, r, http.StatusOK, nil); err != nil {
		return errors.Join(first, err)
	}
	return first
}

// sessionID reports whether s could be the sid of an impersonation.
func sessionID(s string) bool {
	return strings.HasPrefix(s, "imp_") && printable(s) && len(s) <= 64
}

// read verifies SETs. What ended by them is added to n, and those that are right to next's acknowledgements; faults has the others, by the name
// that they came under. Its error says that nobody could tell which are right.
func (s *stream) read(ctx context.Context, sets map[string]string, n *news, next *pollRequest) (faults map[string]*fault, err error) {
	came := s.now()
	until := came.Add(longest)
	faults = make(map[string]*fault)
	for id, set := range sets {
		name, sid, err := s.set(ctx, came, set)
		if err == nil && name != id {
			err = faultOf("invalid_request", "its jti is not the name that it came under")
		}
		if f := new(fault); errors.As(err, &f) {
			faults[id] = f
			continue
		} else if err != nil {
			return nil, err
		}
		next.Ack = append(next.Ack, id)
		if sid != "" {
			n.ended[sid] = until
		}
	}
	return faults, nil
}
