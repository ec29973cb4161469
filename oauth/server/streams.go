package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/ssf"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

const (
	longestSession = policy.MaxDuration
	streamLease    = ssf.Lease
	verifyEvery    = ssf.MinVerification * time.Second
	// pollPath and the pollName of a stream are where it is polled.
	pollPath = "/ssf/poll/"
)

var (
	errStream = &wireError{Status: http.StatusNotFound, Code: "invalid_request", Description: "stream_id: is no stream of this client; one that nobody polls is gone."}
	// SSF §8.1.1.1 has 409 for a transmitter that opens no other stream.
	errStreams = &wireError{Status: http.StatusConflict, Code: "invalid_request", Description: fmt.Sprintf("A client may have %d streams, one for each of its processes.", ssf.MaxStreams)}
	errVerify  = &wireError{Status: http.StatusTooManyRequests, Code: "invalid_request", RetryAfter: verifyEvery,
		Description: fmt.Sprintf("Between two verifications of a stream must lie %d seconds (SSF section 8.1.4.2).", ssf.MinVerification)}
	errSubject = &wireError{Status: http.StatusForbidden, Code: "invalid_request",
		Description: "subject: a stream tells of every subject. One that it left out would go on in the app after its end."}
	errOperators = &wireError{Status: http.StatusForbidden, Code: "invalid_request", Description: "stream_id: is pushed to an endpoint that an operator registered, and is theirs to change."}
)

// ssfMetadata is GET /.well-known/ssf-configuration (SSF §7.2).
func (s *Server) ssfMetadata(w http.ResponseWriter, r *http.Request) {
	document, err := json.Marshal(ssf.MetadataOf(s.issuer, s.eventAlgorithm()))
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	public(w, r, document)
}

// eventAlgorithm is that of SETs: RS256, since the CAEP Interoperability Profile §2.6 has receivers that read no other. A server always
// has a key for it, but where the program brings its own keys and none for RS256: then it is that of access tokens.
func (s *Server) eventAlgorithm() string {
	keys := s.keys()
	if keys.Signs(tokens.RS256) {
		return tokens.RS256
	}
	return keys.First()
}

// streams are the methods of /ssf/streams (SSF §8.1.1).
func (s *Server) streams() map[string]streamHandler {
	return map[string]streamHandler{
		http.MethodGet: s.getStreams, http.MethodPost: s.openStream, http.MethodPatch: s.changeStream(false), http.MethodPut: s.changeStream(true), http.MethodDelete: s.closeStream,
	}
}

// describeStream is what the wire says of a stream. uri is where it is pushed, if it is. Where it is polled lacks the secret: see pollName.
func (s *Server) describeStream(n store.Stream, uri string) ssf.Stream {
	out := ssf.Stream{
		ID: n.ID, Issuer: s.issuer, Audience: n.Client, Supported: ssf.Events(), Requested: n.Events, Delivered: ssf.Delivered(n.Events),
		Delivery:        ssf.Delivery{Method: ssf.DeliveryPoll, URL: s.issuer + pollPath + n.ID},
		MinVerification: ssf.MinVerification, Inactivity: int(streamLease / time.Second), Description: n.Description,
	}
	if n.Push {
		out.Delivery, out.Inactivity = ssf.Delivery{Method: ssf.DeliveryPush, URL: uri}, 0
	}
	return out
}

// pollName is what a stream is polled by: its ID and a secret, which is told to who opens it and to nobody else. Who polls the stream of
// another process of the client would hear in its place what ended.
func (s *Server) pollName(id string) string {
	tag := s.box.Tag([]byte("poll of stream " + id))
	return id + "." + base64.RawURLEncoding.EncodeToString(tag[:16])
}

// loggedPath is the path of r without the secret of a pollName.
func loggedPath(r *http.Request) string {
	if !strings.HasPrefix(r.URL.Path, pollPath) {
		return r.URL.Path
	}
	path, _, _ := strings.Cut(r.URL.Path, ".")
	return path
}

// tellsEnds reports whether the client asked to be told of ends.
func tellsEnds(n store.Stream) bool {
	return slices.Contains(ssf.Delivered(n.Events), ssf.EventSessionRevoked)
}

// streamOf finds a stream of client that is still leased.
func (s *Server) streamOf(ctx context.Context, client, id string) (store.Stream, error) {
	n, err := s.store.Stream(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && (n.Client != client || !s.leased(n)) {
		return store.Stream{}, errStream
	}
	return n, err
}

// polledStreamOf is streamOf for what is done only to a stream that the client opened.
func (s *Server) polledStreamOf(ctx context.Context, client, id string) (store.Stream, error) {
	n, err := s.streamOf(ctx, client, id)
	if err == nil && n.Push {
		err = errOperators
	}
	return n, err
}

func (s *Server) leased(n store.Stream) bool {
	return n.Push || s.clock().Before(n.Polled.Add(streamLease))
}

func (s *Server) getStreams(ctx context.Context, c streamCall) (int, any, error) {
	client, err := s.store.Client(ctx, c.client)
	if err != nil {
		return 0, nil, gone(err)
	}
	if c.query.Has("stream_id") {
		n, err := s.streamOf(ctx, c.client, c.query.Get("stream_id"))
		return http.StatusOK, s.describeStream(n, client.Settings.PushURI), err
	}
	all, err := s.store.Streams(ctx, c.client)
	out := []ssf.Stream{}
	for _, n := range all {
		if s.leased(n) {
			out = append(out, s.describeStream(n, client.Settings.PushURI))
		}
	}
	return http.StatusOK, out, err
}

func (s *Server) openStream(ctx context.Context, c streamCall) (int, any, error) {
	r, err := ssf.ParseStreamRequest(c.body, false)
	if err != nil {
		return 0, nil, err
	}
	now := s.clock()
	if err := s.requests.spend(c.client, now); err != nil {
		return 0, nil, err
	}
	n := store.Stream{ID: oauth.NewID("str"), Client: c.client, Status: string(ssf.Enabled), Events: ssf.Events(), Cursor: store.Cursor{Fresh: true}, Created: now, Polled: now}
	ask(&n, r)
	n, err = s.store.OpenStream(ctx, n, now.Add(-streamLease), ssf.MaxStreams)
	switch {
	case errors.Is(err, store.ErrTooMany):
		return 0, nil, errStreams
	case errors.Is(err, store.ErrNotFound): // the client was removed just now
		return 0, nil, errClient
	}
	opened := s.describeStream(n, "")
	opened.Delivery.URL = s.issuer + pollPath + s.pollName(n.ID)
	return http.StatusCreated, opened, err
}

// ask writes into n what r asks for.
func ask(n *store.Stream, r ssf.StreamRequest) {
	if r.Requested != nil {
		n.Events = *r.Requested
	}
	if r.Description != nil {
		n.Description = *r.Description
	}
}

// changeStream changes what the request names; with replace it takes back what it does not.
func (s *Server) changeStream(replace bool) streamHandler {
	return func(ctx context.Context, c streamCall) (int, any, error) {
		r, err := ssf.ParseStreamRequest(c.body, true)
		if err != nil {
			return 0, nil, err
		}
		n, err := s.polledStreamOf(ctx, c.client, r.ID)
		if err != nil {
			return 0, nil, err
		}
		told := tellsEnds(n)
		if replace {
			n.Events, n.Description = ssf.Events(), ""
		}
		ask(&n, r)
		// Ends that were not asked for were not heard, so the next answer tells them all.
		err = s.store.ChangeStream(ctx, n, !told && tellsEnds(n))
		if err == nil && told && !tellsEnds(n) {
			s.log.InfoContext(ctx, "a stream tells no ends any longer", "client", n.Client, "stream", n.ID)
		}
		return http.StatusOK, s.describeStream(n, ""), gone(err)
	}
}

// gone names a stream that went away meanwhile.
func gone(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errStream
	}
	return err
}

func (s *Server) closeStream(ctx context.Context, c streamCall) (int, any, error) {
	n, err := s.polledStreamOf(ctx, c.client, c.query.Get("stream_id"))
	if err == nil {
		err = gone(s.store.CloseStream(ctx, n.ID, impersonation.Write{Now: s.clock()}))
	}
	return http.StatusNoContent, nil, err
}

// streamStatus are the methods of /ssf/status (SSF §8.1.2).
func (s *Server) streamStatus() map[string]streamHandler {
	return map[string]streamHandler{http.MethodGet: s.getStatus, http.MethodPost: s.setStatus}
}

func (s *Server) getStatus(ctx context.Context, c streamCall) (int, any, error) {
	n, err := s.streamOf(ctx, c.client, c.query.Get("stream_id"))
	return http.StatusOK, ssf.StreamStatus{ID: n.ID, Status: ssf.Status(n.Status), Reason: n.Reason}, err
}

func (s *Server) setStatus(ctx context.Context, c streamCall) (int, any, error) {
	want, err := ssf.ParseStatus(c.body)
	if err != nil {
		return 0, nil, err
	}
	n, err := s.polledStreamOf(ctx, c.client, want.ID)
	if err != nil {
		return 0, nil, err
	}
	n.Status, n.Reason = string(want.Status), want.Reason
	if err := s.store.ChangeStream(ctx, n, want.Status == ssf.Disabled); err != nil {
		return 0, nil, gone(err)
	}
	s.log.InfoContext(ctx, "a stream was switched", "client", n.Client, "stream", n.ID, "status", n.Status)
	return http.StatusOK, want, nil
}

// addSubject is POST /ssf/subjects/add (SSF §8.1.3.2): every subject is in every stream.
func (s *Server) addSubject(ctx context.Context, c streamCall) (int, any, error) {
	return http.StatusOK, nil, s.subjectOf(ctx, c)
}

// removeSubject is POST /ssf/subjects/remove (SSF §8.1.3.3).
func (s *Server) removeSubject(ctx context.Context, c streamCall) (int, any, error) {
	if err := s.subjectOf(ctx, c); err != nil {
		return 0, nil, err
	}
	return 0, nil, errSubject
}

func (s *Server) subjectOf(ctx context.Context, c streamCall) error {
	id, err := ssf.ParseSubjectRequest(c.body)
	if err == nil {
		_, err = s.streamOf(ctx, c.client, id)
	}
	return err
}

// verifyStream is POST /ssf/verify (SSF §8.1.4.2).
func (s *Server) verifyStream(ctx context.Context, c streamCall) (int, any, error) {
	v, err := ssf.ParseVerifyRequest(c.body)
	if err != nil {
		return 0, nil, err
	}
	n, err := s.streamOf(ctx, c.client, v.ID)
	if err != nil {
		return 0, nil, err
	}
	now := s.clock()
	err = s.store.VerifyStream(ctx, n.ID, v.State, now, now.Add(-verifyEvery))
	if errors.Is(err, store.ErrTooMany) {
		err = errVerify
	}
	return http.StatusNoContent, nil, gone(err)
}
