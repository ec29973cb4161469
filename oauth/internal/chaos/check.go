package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// Options is what a test knows beside the store. Issuer must be set; of the rest, what is zero is not checked.
type Options struct {
	// Issuer is the iss of the server's own users: its public URL.
	Issuer string
	// Tokens are impersonation tokens that clients got.
	Tokens []Token
	// Uses are the one-time values whose use was answered with success, each use once: tickets, codes, return tokens.
	Uses []string
	// Seen remembers the trail between two calls of Check.
	Seen *Seen
	// Ends watched introspection.
	Ends *Ends
	// Canaries are secrets that the test sent or got: passwords, tokens, tickets, codes, cookies, client secrets.
	Canaries []string
	// Public is where none of them may stand beside the trail: by name, logs, URLs that were requested, texts of errors.
	Public map[string]string
}

// Token is the claims of an impersonation token, under their names.
type Token struct {
	Issuer, Subject           string
	ActorIssuer, ActorSubject string
	Audience                  []string
	ClientID, ID              string
	Session, Audit            string // sid, txn
	Scope                     []string
	Expires                   time.Time
}

// Check holds the store to the invariants and answers what breaks them, nothing if all hold:
//
//	I1  every session has exactly one start entry, with the same sid, actor, subject, client and reason; and no other has one
//	I2  a one-time value has at most one successful use
//	I3  what an end answered for is inactive for every introspection that begins later
//	I4  nobody acts as themselves; at the start the login lived, and the subject was enabled and not protected
//	I5  a session ends with its login and 60 minutes after its start at the latest, its token no later
//	I6  the scope is within the client's, but for the write marker, and the one audience is the client's
//	I7  entries are unique, are what was signed for, and only get more
//	I8  token, session and entry name the same parties
//	I9  no secret stands in the trail, a log or a URL
//
// Nothing may write meanwhile: what is read one after another would not fit together.
func Check(ctx context.Context, st store.Store, o Options) []Violation {
	w := &world{options: o, byID: map[string]*impersonation.Session{}, starts: map[string][]audit.Entry{}, users: map[string]*directory.User{}, clients: map[string]*store.Client{}, logins: map[string]*impersonation.Login{}}
	if err := w.load(ctx, st); err != nil {
		return []Violation{{"store", "reading", err.Error()}}
	}
	for i := range w.sessions {
		s := &w.sessions[i]
		w.byID[s.ID] = s
		w.oneStart(s)
		w.whoAndWhen(s)
		w.bounds(s)
		w.reach(s)
	}
	w.noOrphans()
	w.usedOnce()
	w.tokens()
	w.trail()
	w.canaries()
	if o.Ends != nil {
		w.found = append(w.found, o.Ends.Violations()...)
	}
	return w.found
}

// world is all that was read, and what was found wrong in it.
type world struct {
	options  Options
	sessions []impersonation.Session
	byID     map[string]*impersonation.Session
	entries  []store.StoredEntry
	starts   map[string][]audit.Entry // by sid
	users    map[string]*directory.User
	clients  map[string]*store.Client
	logins   map[string]*impersonation.Login
	found    []Violation
}

func (w *world) report(invariant, where, format string, args ...any) {
	w.found = append(w.found, Violation{invariant, where, fmt.Sprintf(format, args...)})
}

func (w *world) load(ctx context.Context, st store.Store) error {
	var err error
	if w.sessions, err = pages(func(after string) ([]impersonation.Session, string, error) {
		return st.Sessions(ctx, store.SessionQuery{After: after, Limit: 1000})
	}); err != nil {
		return err
	}
	if w.entries, err = pages(func(after string) ([]store.StoredEntry, string, error) {
		return st.Entries(ctx, store.EntryQuery{After: after, Limit: 1000})
	}); err != nil {
		return err
	}
	for _, e := range w.entries {
		if e.Entry.Kind == audit.KindStart {
			w.starts[e.Entry.Session] = append(w.starts[e.Entry.Session], e.Entry)
		}
	}
	for _, s := range w.sessions {
		err = errors.Join(
			look(w.users, s.Actor, func(id string) (directory.User, error) { return st.Get(ctx, id) }),
			look(w.users, s.Subject, func(id string) (directory.User, error) { return st.Get(ctx, id) }),
			look(w.clients, s.Client, func(id string) (store.Client, error) { return st.Client(ctx, id) }),
			look(w.logins, s.Login, func(id string) (impersonation.Login, error) { return st.Login(ctx, id) }))
		if err != nil {
			return err
		}
	}
	return nil
}

// pages reads all pages of a list.
func pages[T any](page func(after string) ([]T, string, error)) ([]T, error) {
	var all []T
	for after := ""; ; {
		some, next, err := page(after)
		all = append(all, some...)
		if err != nil || next == "" {
			return all, err
		}
		after = next
	}
}

// look keeps what get finds under id, and nil for what does not exist.
func look[T any](in map[string]*T, id string, get func(string) (T, error)) error {
	if _, ok := in[id]; ok {
		return nil
	}
	v, err := get(id)
	switch {
	case err == nil:
		in[id] = &v
	case errors.Is(err, store.ErrNotFound) || errors.Is(err, directory.ErrNotFound):
		in[id] = nil
	default:
		return fmt.Errorf("%q: %w", id, err)
	}
	return nil
}

// party is a user of the server's own.
func (w *world) party(user string) oauth.Party {
	return oauth.Party{Issuer: w.options.Issuer, Subject: user}
}

// Violation is one invariant that does not hold.
type Violation struct {
	// Invariant is "I1" to "I9", or "store" where the store could not be read.
	Invariant string
	// Where names what breaks it: a session, an entry, a token. What says how, with got and want.
	Where, What string
}

// String is the violation on one line.
func (v Violation) String() string { return fmt.Sprintf("%s: %s: %s", v.Invariant, v.Where, v.What) }
