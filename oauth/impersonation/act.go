package impersonation

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/understudy-id/understudy/oauth/audit"
)

// Phase tells on which side of a request an Action stands. The values never change once written.
type Phase string

// The phases. What must not happen unrecorded is told before it runs; how it went is told after.
const (
	PhaseBefore Phase = "before"
	PhaseAfter  Phase = "after"
)

// Action is one request to a relying app in a session, as that app tells it. Act checks every member and names the one at fault.
type Action struct {
	// ID is the app's own: 1 to 64 characters of A-Z a-z 0-9 - _. What is told before and after of one request has one ID.
	ID string
	// Session is the sid of a session of the app that tells it, or of one whose token is for the API that does.
	Session string
	// Seq counts in the app, so that a gap shows: 0 to 2^53.
	Seq int64
	// Time is by the app's clock, at most a day from ours.
	Time  time.Time
	Phase Phase
	// Route is the path without query: 1 to 512 printable characters from "/" on.
	Route string
	// Method is an HTTP method of 1 to 16 characters (RFC 9110 §9.1).
	Method string
	// Status is that of the answer, 100 to 599; zero where there is none, as always before. 403 reads as refused.
	Status int
	// Note is the app's word on it, such as why it refused: at most 200 printable characters.
	Note string
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
// chooses IDs cannot choose what is not recorded. Of a session that is over for staleAction nothing is written any more. An *ActionError names what is wrong in the batch; with it
// and with any other error nobody vouches for a session and no action of the batch is on record for certain: the app must not go on.
func (s *Service) Act(ctx context.Context, r ActRequest) (map[string]bool, error) {
	now := s.clock()
	if err := checkActions(r.Actions, now); err != nil {
		return nil, err
	}
	lives, err := s.told(ctx, r)
	if err != nil {
		return nil, err
	}
	active := make(map[string]bool, len(lives))
	for sid, live := range lives {
		if active[sid], err = s.mayGoOn(ctx, live, now); err != nil {
			return nil, err
		}
	}
	entries := make([]audit.Entry, 0, len(r.Actions))
	for _, a := range r.Actions {
		if longOver(lives[a.Session].Session, now) {
			continue
		}
		entries = append(entries, s.actionEntry(r, a, lives[a.Session], active[a.Session], now))
	}
	if err := s.store.RecordOnce(ctx, entries...); err != nil {
		return nil, err
	}
	return active, nil
}

// staleAction is how long after a session its actions are still written: long enough for an app that was cut off, too short to
// fill the trail with the sessions of the past.
const staleAction = time.Hour

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
	e.Set("seq", strconv.FormatInt(a.Seq, 10))
	e.Set("time", a.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	e.Set("phase", string(a.Phase))
	e.Set("method", a.Method)
	e.SetPersonal("route", a.Route) // a path can hold a name
	e.Set("note", a.Note)
	if r.Client != session.Client {
		e.Set("server", r.Client)
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
	var b []byte
	for _, part := range []string{client, a.Session, a.ID, string(a.Phase), a.Method, a.Route, strconv.Itoa(a.Status), a.Note} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	sum := s.tag(b)
	return "aud_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:26])
}
