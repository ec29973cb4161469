package store

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
)

// ErrTooMany: the client has as many streams as it may, or asks for the next verification too soon. Nothing was written.
var ErrTooMany = errors.New("store: too many")

// EventVerify is the kind of the event that VerifyStream writes.
const EventVerify = "stream.verify"

// Streams keeps what the processes of clients have heard of the outbox (OpenID Shared Signals Framework 1.0). A stream is a cursor, and
// holds no events: those are read from the outbox, where they are in the order of their commits, so that what lies behind a cursor has
// been seen and no event ever appears there.
type Streams interface {
	// OpenStream writes a stream, whose cursor is the end of the outbox. ErrTooMany, but for one that is pushed, if the client has most of the
	// others that were polled after since, ErrExists, ErrNotFound if there is no such client. A removed client loses its streams.
	OpenStream(ctx context.Context, s Stream, since time.Time, most int) (Stream, error)
	// Stream finds by ID. ErrNotFound.
	Stream(ctx context.Context, id string) (Stream, error)
	// Streams lists those of a client, or all for "", in the order in which they were opened.
	Streams(ctx context.Context, client string) ([]Stream, error)
	// MoveStream sets the cursor of a stream, and Polled where that is later. Of two that move it from the same place one
	// succeeds: impersonation.ErrChanged if it is not at was, and ErrNotFound.
	MoveStream(ctx context.Context, id string, was, to Cursor, polled time.Time) error
	// LeaseStream sets Polled, where it is was: of many servers one is at work with a stream that is pushed. impersonation.ErrChanged,
	// ErrNotFound.
	LeaseStream(ctx context.Context, id string, was, until time.Time) error
	// ChangeStream replaces Status, Reason, Description and Events of a stream; with fresh its next answer is a snapshot. ErrNotFound.
	ChangeStream(ctx context.Context, s Stream, fresh bool) error
	// CloseStream removes a stream, with w's entries in the same transaction. ErrNotFound.
	CloseStream(ctx context.Context, id string, w impersonation.Write) error
	// VerifyStream writes an event of kind EventVerify with Session the stream and Reason state, and s.Verified. ErrTooMany if that was
	// after since, ErrNotFound.
	VerifyStream(ctx context.Context, id, state string, now, since time.Time) error

	// OutboxEnd is the position of the last event, 0 where there is none.
	OutboxEnd(ctx context.Context) (int64, error)
	// ToTell gives up to limit events that a stream has not heard, oldest first: the ends of sessions of its client, where ends is set,
	// and its own verifications.
	ToTell(ctx context.Context, s Stream, ends bool, limit int) ([]Telling, error)
	// EndedSessions gives the sessions of a client that started after since, have ended and expire after now, the newest first. There may
	// be most of them, ErrTooMany.
	EndedSessions(ctx context.Context, client string, since, now time.Time, most int) ([]impersonation.Session, error)
	// ClientKills gives the kill switches that are on and concern a client, each once, by scope and ID: those of the instance and of the client, and
	// those of an actor, a subject or an organisation of the newest thousand sessions of the client, where one expires after now. Actor
	// and subject are named as in the tokens of those sessions, and an organisation that is the actor's alone is told as that actor. Only
	// Scope and ID are set.
	ClientKills(ctx context.Context, client string, now time.Time) ([]impersonation.Kill, error)

	// SweepStreams removes the streams that were last polled before before, and are not pushed.
	SweepStreams(ctx context.Context, before time.Time) error
	// SweepOutbox deletes events from before before, at most limit, and none that is behind a later one. It answers how many.
	SweepOutbox(ctx context.Context, before time.Time, limit int) (int, error)
}

// Stream is what one process of a client hears.
type Stream struct {
	ID          string // "str_" and 26 characters
	Client      string
	Status      string
	Reason      string   // why it has that Status, in the client's words
	Description string   // in the client's words
	Events      []string // that the client asked for
	Cursor      Cursor
	Verified    time.Time // when a verification was last asked for; zero for never
	Created     time.Time
	Polled      time.Time // or until when a server is at work with it, if Push
	// Push is one that a server reads, for the client: it is there until it is closed.
	Push bool
}

// Cursor is how far a stream has heard.
type Cursor struct {
	Position int64   // in the outbox: all until there was acknowledged
	Acked    []int64 // positions behind it that were too, ascending
	Fresh    bool    // the next answer is to be a snapshot
}

// Telling is an event as a stream tells it.
type Telling struct {
	Position int64
	Kind     string // of impersonation.Event, or EventVerify
	Session  string // or the stream
	Subject  string // the sub of the session's token
	Audit    string // of the session's start
	Reason   string // of the end, or the state of a verification
	Time     time.Time
}

// EndedOf is EndedSessions over read, which gives up to limit sessions of the client before a place in the order of their starts, the newest
// first, and the place of the last. Backends call it.
func EndedOf(since, now time.Time, most int, read func(before int64, limit int) (page []impersonation.Session, last int64, err error)) (out []impersonation.Session, err error) {
	const limit = 1000
	for before := int64(math.MaxInt64); ; {
		page, last, err := read(before, limit)
		if err != nil {
			return nil, err
		}
		for _, s := range page {
			if !s.Ended.IsZero() && s.Expires.After(now) && s.Started.After(since) {
				out = append(out, s)
			}
		}
		switch {
		case len(out) > most:
			return nil, ErrTooMany
		case len(page) < limit || !page[limit-1].Started.After(since):
			return out, nil
		}
		before = last
	}
}

// KillsOf gives those of all that are of the instance or of the client, and reports whether others are of people, of whom only the sessions of
// the client tell whether they concern it. Backends call it.
func KillsOf(client string, all []impersonation.Kill) (out []impersonation.Kill, people bool) {
	for _, k := range all {
		switch {
		case k.Scope == impersonation.ScopeInstance, k.Scope == impersonation.ScopeClient && k.ID == client:
			out = append(out, impersonation.Kill{Scope: k.Scope, ID: k.ID})
		case k.Scope != impersonation.ScopeClient:
			people = true
		}
	}
	return out, people
}
