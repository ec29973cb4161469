package server

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/ssf"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	// maxEnded is how many sessions a snapshot may have, some 3 MB. With more the receiver goes on asking about each.
	maxEnded = 50_000
	// touchStreamEvery is how old the lease of a stream may grow before a poll moves it.
	touchStreamEvery = 10 * time.Second
	// pollsPerMinute of one client: ten a second for each of its streams, with which a thousand ends are heard in one.
	pollsPerMinute = 600 * ssf.MaxStreams
	// snapshotsPerMinute of one stream: one begins it.
	snapshotsPerMinute = 60
	// moveTries is how often a poll begins again beside another one of the same stream.
	moveTries = 3
)

var (
	errUnknownSET   = invalidRequest("ack", "names a SET that this client was not sent (RFC 8936 section 2.4)")
	errUnknownError = invalidRequest("setErrs", "names a SET that this client was not sent (RFC 8936 section 2.4)")
	errEnded        = &wireError{Status: http.StatusServiceUnavailable, Code: "temporarily_unavailable", Description: "More has ended than a snapshot holds.", RetryAfter: time.Minute}
)

// poll is POST /ssf/poll/{stream} (RFC 8936 §2), where stream is its pollName.
func (s *Server) poll(ctx context.Context, c streamCall) (int, any, error) {
	r, err := ssf.ParsePollRequest(c.body)
	if err != nil {
		return 0, nil, err
	}
	if err := s.polls.spend(c.client, s.clock()); err != nil {
		return 0, nil, err
	}
	id, _, _ := strings.Cut(c.path("stream"), ".")
	if subtle.ConstantTimeCompare([]byte(c.path("stream")), []byte(s.pollName(id))) == 0 {
		return 0, nil, errStream
	}
	if r.Snapshot {
		if err := s.snapshots.spend(id, s.clock()); err != nil {
			return 0, nil, err
		}
	}
	acked, err := s.acknowledged(ctx, c.client, r)
	if err != nil {
		return 0, nil, err
	}
	c.mayWait()
	timer := time.NewTimer(r.Wait)
	defer timer.Stop()
	waited := r.ReturnImmediately || r.MaxEvents == 0
	var before *ssf.State
	for {
		something, stopped := s.outbox.next(c.client) // before the look that may find nothing
		h, err := s.hear(ctx, c.client, id, acked, r.Snapshot)
		if err != nil {
			return 0, nil, err
		}
		answer, err := s.pollAnswer(ctx, h, r.MaxEvents)
		if err != nil || waited || stopped || len(h.events) > 0 || h.ended != nil || before != nil && !sameState(*before, answer.State) {
			return http.StatusOK, answer, err
		}
		before = &answer.State
		select {
		case <-something:
		case <-timer.C:
			waited = true
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		}
	}
}

func sameState(a, b ssf.State) bool {
	return a.Vouches == b.Vouches && slices.Equal(a.Epochs, b.Epochs)
}

// acknowledged gives the positions that r names. What names nothing that this client was told of is refused whole: a receiver that
// acknowledges what it did not get is not to be believed about the rest either.
func (s *Server) acknowledged(ctx context.Context, client string, r ssf.PollRequest) (out []int64, err error) {
	for _, id := range r.Ack {
		position, ok := s.setIDs().Position(client, id)
		if !ok {
			return nil, errUnknownSET
		}
		out = append(out, position)
	}
	for id, why := range r.Errors {
		position, ok := s.setIDs().Position(client, id)
		if !ok {
			return nil, errUnknownError
		}
		s.setTrouble.Do(func() {
			s.log.WarnContext(ctx, "a receiver does not take a SET", "client", client, "jti", id, "err", why.Err, "description", why.Description)
		})
		out = append(out, position)
	}
	return out, nil
}

// heard is what a poll finds.
type heard struct {
	stream store.Stream
	events []store.Telling
	ended  []ssf.Ended // nil where there is no snapshot
	vouch  bool
}

// hear takes what is acknowledged, and finds what is not. Where this server does not vouch it changes nothing, so what was acknowledged
// comes again.
func (s *Server) hear(ctx context.Context, client, id string, acked []int64, snapshot bool) (h heard, err error) {
	for range moveTries {
		h = heard{}
		if h.stream, err = s.polledStreamOf(ctx, client, id); err != nil {
			return h, err
		}
		h.vouch = s.vouching.Vouch(ctx) == nil
		if err = s.hearOnce(ctx, &h, acked, snapshot); !errors.Is(err, impersonation.ErrChanged) {
			return h, gone(err)
		}
	}
	return h, errBusy
}

func (s *Server) hearOnce(ctx context.Context, h *heard, acked []int64, snapshot bool) error {
	n := &h.stream
	was := n.Cursor
	if h.vouch {
		n.Cursor = acknowledge(was, acked)
	}
	enabled := n.Status == string(ssf.Enabled)
	snapshot = snapshot || n.Cursor.Fresh
	switch {
	case !enabled:
		n.Cursor.Fresh = snapshot // for when it is
	case !snapshot:
		var err error
		if h.events, err = s.store.ToTell(ctx, *n, tellsEnds(*n), ssf.MaxPending+1); err != nil {
			return err
		}
		n.Cursor = forward(n.Cursor, h.events)
		snapshot = len(h.events) > ssf.MaxPending || len(n.Cursor.Acked) > ssf.MaxPending
	}
	if !h.vouch {
		return nil
	}
	if enabled && snapshot {
		if err := s.snapshot(ctx, h); err != nil {
			return err
		}
	}
	now := s.clock()
	if sameCursor(was, n.Cursor) && now.Sub(n.Polled) < touchStreamEvery {
		return nil
	}
	return s.store.MoveStream(ctx, n.ID, was, n.Cursor, now)
}

// snapshot moves the cursor to the end of the outbox, and then finds what has ended: what ends between the two is in both.
func (s *Server) snapshot(ctx context.Context, h *heard) error {
	end, err := s.store.OutboxEnd(ctx)
	if err != nil {
		return err
	}
	now := s.clock()
	ended, err := s.store.EndedSessions(ctx, h.stream.Client, now.Add(-longestSession-time.Minute), now, maxEnded)
	if errors.Is(err, store.ErrTooMany) {
		return errEnded
	}
	if err != nil {
		return err
	}
	h.stream.Cursor, h.events, h.ended = store.Cursor{Position: end}, nil, []ssf.Ended{}
	for _, e := range ended {
		h.ended = append(h.ended, ssf.Ended{Session: e.ID, Expires: e.Expires.Unix()})
	}
	return nil
}

// acknowledge adds positions to what c has behind it.
func acknowledge(c store.Cursor, positions []int64) store.Cursor {
	all := slices.Clone(c.Acked)
	for _, p := range positions {
		if p > c.Position {
			all = append(all, p)
		}
	}
	slices.Sort(all)
	c.Acked = slices.Compact(all)
	return c
}

// forward moves c up to the first of the events behind it that are not acknowledged.
func forward(c store.Cursor, pending []store.Telling) store.Cursor {
	switch {
	case len(pending) > 0:
		c.Position = max(c.Position, pending[0].Position-1)
	case len(c.Acked) > 0:
		c.Position = c.Acked[len(c.Acked)-1]
	}
	i, found := slices.BinarySearch(c.Acked, c.Position)
	if found {
		i++
	}
	c.Acked = c.Acked[i:]
	return c
}

func sameCursor(a, b store.Cursor) bool {
	return a.Position == b.Position && a.Fresh == b.Fresh && slices.Equal(a.Acked, b.Acked)
}

// pollAnswer writes what was heard, and what holds now.
func (s *Server) pollAnswer(ctx context.Context, h heard, most int) (ssf.PollAnswer, error) {
	a := ssf.PollAnswer{Sets: map[string]string{}, MoreAvailable: len(h.events) > most, Ended: h.ended}
	for _, e := range h.events[:min(most, len(h.events))] {
		id, set, err := s.set(h.stream.Client, e)
		if err != nil {
			return a, err
		}
		a.Sets[id] = set
	}
	kills, err := s.store.ClientKills(ctx, h.stream.Client, s.clock())
	if err != nil {
		return a, err
	}
	a.State = ssf.State{Epochs: []ssf.Epoch{}, Vouches: h.vouch && h.stream.Status == string(ssf.Enabled) && tellsEnds(h.stream) && s.outbox.looksAgain(h.stream.Client)}
	for _, k := range kills {
		a.State.Epochs = append(a.State.Epochs, ssf.Epoch{Scope: string(k.Scope), ID: k.ID})
	}
	return a, nil
}
