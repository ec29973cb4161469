package impersonation

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/understudy-id/understudy/oauth/audit"
)

// Phase tells on which side of a request an Action stands. The values never change once written.
type Phase string

// The phases. What must not happen unrecorded is told before it runs; how it went is told after. A note is what the app says of its own
// accord while a request runs.
const (
	PhaseBefore Phase = "before"
	PhaseAfter  Phase = "after"
	PhaseNote   Phase = "note"
)

// Action is one request to a relying app in a session, as that app tells it. Act checks every member and names the one at fault.
type Action struct {
	// ID is the app's own: 1 to 64 characters of A-Z a-z 0-9 - _. What is told before, after and in between of one request has one ID.
	ID string
	// Session is the sid of a session of the app that tells it, or of one whose token is for the API that does.
	Session string
	// Seq counts what Writer tells of Session, from 1 on and up to 2^53, so that what never came shows as a gap. Writer is a name that one
	// process of the app makes up for itself, of at most 64 characters as in ID: so an app counts in many processes, and none has to ask
	// another. Both may be zero: what is not counted has no gaps.
	Writer string
	Seq    int64
	// Time is by the app's clock, at most a day from ours.
	Time  time.Time
	Phase Phase
	// Route is the path without query: 1 to 512 printable characters from "/" on.
	Route string
	// Method is an HTTP method of 1 to 16 characters (RFC 9110 §9.1).
	Method string
	// Status is that of the answer, 100 to 599; zero where there is none, as always before. 403 reads as refused, and so does 414 with the note too_long.
	Status int
	// Note is the app's word on it, such as why it refused: at most 200 printable characters. With PhaseNote it is what happened, and must be
	// there; Details then say to what: up to 8 of them, whose names have 1 to 32 characters of a-z 0-9 _, and whose values have at most 200
	// printable ones. They may say something about a person, so they can be erased like one's name.
	Note    string
	Details map[string]string
}

// ActRequest is a batch of actions of one app.
type ActRequest struct {
	Client string // who tells: authenticated
	// Serves are the resources that Client is the server of: an API tells what is done with the tokens that are for it, whichever app they were given to.
	Serves    []string
	Actions   []Action
	RequestID string
}

// Act puts actions on record and answers, for each session among them, whether it may go on: what Alive answers. One that may not
// is recorded all the same, and marked.
//
// A batch is written whole or not at all. An action that is on record already is left as it is: telling it again is how a client
// resolves an answer that got lost. One that says something else under the same ID is another, and is written too, so that whoever
// chooses IDs cannot choose what is not recorded; in one batch it is a fault. So is a session that is over for staleAction. An *ActionError
// names what is wrong in the batch: then nothing of it is on record. With any other error nobody vouches for a session and no action of the
// batch is on record for certain: the app must not go on.
func (s *Service) Act(ctx context.Context, r ActRequest) (map[string]bool, error) {
	now := s.clock()
	if err := checkActions(r.Actions, now); err != nil {
		return nil, err
	}
	lives, err := s.told(ctx, r)
	if err != nil {
		return nil, err
	}
	for i, a := range r.Actions {
		if longOver(lives[a.Session].Session, now) {
			return nil, &ActionError{i, "sid", "is of a session that is over for more than a day"}
		}
	}
	active := make(map[string]bool, len(lives))
	for sid, live := range lives {
		if active[sid], err = s.mayGoOn(ctx, live, now); err != nil {
			return nil, err
		}
	}
	entries := make([]audit.Entry, 0, len(r.Actions))
	for _, a := range r.Actions {
		entries = append(entries, s.actionEntry(r, a, lives[a.Session], active[a.Session], now))
	}
	if err := s.store.RecordOnce(ctx, entries...); err != nil {
		return nil, err
	}
	return active, nil
}

// staleAction is how long after a session its actions are still written: for an app that was cut off, or crashed and kept them, as long as
// it may be late with an action. No longer, so that nobody fills the trail with the sessions of the past.
const staleAction = clockSkew

func longOver(s Session, now time.Time) bool {
	return now.After(s.Expires.Add(staleAction)) || !s.Ended.IsZero() && now.After(s.Ended.Add(staleAction))
}

// mayTell reports whether what is done in session is for r.Client to tell.
func (r ActRequest) mayTell(session Session) bool {
	return session.Client == r.Client || slices.Contains(r.Serves, session.Resource)
}

// told reads the sessions of a batch, all of them before anything is written, and all at once: a store may read together what is
// asked for at the same time. A session that is not for the client to tell of looks like none.
func (s *Service) told(ctx context.Context, r ActRequest) (map[string]*Live, error) {
	lives := make(map[string]*Live)
	errs := make([]error, len(r.Actions)) // of the first action in each session
	var reading sync.WaitGroup
	for i, a := range r.Actions {
		if lives[a.Session] != nil {
			continue
		}
		live := new(Live)
		lives[a.Session] = live
		reading.Go(func() { *live, errs[i] = s.store.LoadSession(ctx, a.Session) })
	}
	reading.Wait()
	for i, a := range r.Actions {
		switch {
		case errors.Is(errs[i], ErrNotFound), errs[i] == nil && !r.mayTell(lives[a.Session].Session):
			return nil, &ActionError{i, "sid", "no session of this client"}
		case errs[i] != nil:
			return nil, errs[i]
		}
	}
	return lives, nil
}

func (s *Service) actionEntry(r ActRequest, a Action, live *Live, active bool, now time.Time) audit.Entry {
	session := live.Session
	e := audit.New(audit.KindAction, now)
	e.ID = s.actionID(r.Client, a)
	people(&e, live.Actor, live.Subject)
	e.Actor, e.Subject = s.party(session.Actor), s.party(session.Subject)
	e.Client, e.Session, e.Request, e.Policy = session.Client, session.ID, r.RequestID, session.Policy
	e.Set("action", a.ID)
	e.Set("writer", a.Writer)
	e.Set("seq", strconv.FormatInt(a.Seq, 10))
	e.Set("time", a.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	e.Set("phase", string(a.Phase))
	e.Set("method", a.Method)
	e.SetPersonal("route", a.Route) // a path can hold a name
	e.Set("note", a.Note)
	if r.Client != session.Client {
		e.Set("server", r.Client)
	}
	for name, value := range a.Details {
		e.SetPersonal("detail_"+name, value)
	}
	if a.Status != 0 {
		e.Set("status", strconv.Itoa(a.Status))
	}
	if !active {
		e.Set("session_state", "over")
	}
	return e
}

// actionID is the ID of an action's entry, the same whenever the same is told. It is keyed, since it covers the route. Lengths stand before the parts, so that no two
// actions run together into one.
func (s *Service) actionID(client string, a Action) string {
	parts := []string{client, a.Session, a.ID, a.Writer, strconv.FormatInt(a.Seq, 10), string(a.Phase), a.Method, a.Route, strconv.Itoa(a.Status), a.Note}
	for _, name := range slices.Sorted(maps.Keys(a.Details)) {
		parts = append(parts, name, a.Details[name])
	}
	var b []byte
	for _, part := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	sum := s.tag(b)
	return "aud_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:26])
}
