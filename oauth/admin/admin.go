// Package admin is what an operator may do: users, clients, signing keys, ends and the kill switch. Start with [New]; then
// [Admin.AddUser], [Admin.AddClient] and [Admin.Kill]. Each act is one write of the store together with its audit entry
// and with the ends that it causes, so nothing is done unrecorded. The package authenticates nobody: whoever holds an
// [Admin] is the operator. It parses no flags, writes no pages and knows no backend.
package admin

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/password"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// Config is what New needs.
type Config struct {
	// Store must be set.
	Store store.Store
	// Registry is what is registered: roles, scopes and resources are checked against it.
	Registry policy.Registry
	// Issuer is the public URL, the issuer of our own users; it must be set.
	Issuer string
	// By is the operator, in every entry: Issuer "cli" for the command line. It must be set.
	By oauth.Party
	// Passwords hashes passwords; nil makes a pool of its own.
	Passwords *password.Pool
	// SealingKey gives the server's own, 32 bytes, once there is something to seal: signing keys and the secrets of second factors.
	// Nil refuses EnrolTOTP and RotateKey.
	SealingKey func(context.Context) ([]byte, error)
	// SigningAlgorithm is the server's: ES256, EdDSA or RS256. Empty is ES256.
	SigningAlgorithm string
	// LongestToken is how long a token of the server's lasts at most; zero is policy.MaxDuration.
	LongestToken time.Duration
	// Now defaults to time.Now.
	Now func() time.Time
	// Logger gets one INFO line an act; it defaults to none.
	Logger *slog.Logger
}

// Admin does what an operator asks. It is safe for concurrent use.
type Admin struct {
	Config
}

// New checks c. It returns an *InvalidError for a field that must be set.
func New(c Config) (*Admin, error) {
	switch {
	case c.Store == nil:
		return nil, invalid("Store", "must be set")
	case c.Issuer == "":
		return nil, invalid("Issuer", "must be set")
	case c.By.IsZero():
		return nil, invalid("By", "must be set: an act without an actor cannot be audited")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Passwords == nil {
		c.Passwords = password.New(0, 0)
	}
	c.SigningAlgorithm = cmp.Or(c.SigningAlgorithm, tokens.ES256)
	c.LongestToken = cmp.Or(c.LongestToken, policy.MaxDuration)
	return &Admin{Config: c}, nil
}

// InvalidError says which field breaks which rule. Nothing was written.
type InvalidError struct {
	Field string // as the command line and the pages call it: "email", "redirect_uri"
	Rule  string // a phrase that follows the field
}

// Error is the field and the rule.
func (e *InvalidError) Error() string { return e.Field + ": " + e.Rule }

func invalid(field, format string, args ...any) error {
	return &InvalidError{field, fmt.Sprintf(format, args...)}
}

// User is FindUser in the Store.
func (a *Admin) User(ctx context.Context, who string) (directory.User, error) {
	return FindUser(ctx, a.Store, who)
}

// FindUser finds whom an operator means by who: an e-mail address if it has an "@", which no ID that AddUser takes has,
// and an ID otherwise. directory.ErrNotFound.
func FindUser(ctx context.Context, d directory.Directory, who string) (directory.User, error) {
	find := d.Get
	if strings.Contains(who, "@") {
		find = d.ByEmail
	}
	u, err := find(ctx, who)
	if err != nil {
		return directory.User{}, fmt.Errorf("user %q: %w", who, err)
	}
	return u, nil
}

// write starts a write of kind about u (the zero User for nobody); fill adds what the entry tells beside.
func (a *Admin) write(kind audit.Kind, u directory.User, fill func(*audit.Entry)) impersonation.Write {
	w := a.bare()
	e := audit.New(kind, w.Now)
	e.Actor, e.Request = a.By, w.RequestID
	if u.ID != "" {
		e.Subject = oauth.Party{Issuer: a.Issuer, Subject: u.ID}
		e.SetPersonal("subject_email", u.Email)
		e.SetPersonal("subject_name", u.Name)
	}
	if fill != nil {
		fill(&e)
	}
	w.Entries = []audit.Entry{e}
	return w
}

// bare is a write without an entry of its own.
func (a *Admin) bare() impersonation.Write {
	return impersonation.Write{RequestID: oauth.NewID("req"), Now: a.Now().UTC().Truncate(time.Millisecond)}
}

// end is the end of what scope and id name, for the operator.
func (a *Admin) end(scope impersonation.EpochScope, id string, why impersonation.EndReason) impersonation.EndWrite {
	return impersonation.EndWrite{Scope: scope, ID: id, Reason: why, By: a.By, Issuer: a.Issuer}
}

// ends ends the sessions in which the user is the actor or the subject.
func (a *Admin) ends(userID string, why impersonation.EndReason) []impersonation.EndWrite {
	return []impersonation.EndWrite{
		a.end(impersonation.ScopeActor, userID, why),
		a.end(impersonation.ScopeSubject, userID, why),
	}
}

// log writes the one line of an act.
func (a *Admin) log(ctx context.Context, did string, attrs ...slog.Attr) {
	attrs = append([]slog.Attr{slog.String("by", a.By.Subject)}, attrs...)
	a.Logger.LogAttrs(ctx, slog.LevelInfo, a.By.Subject+" "+did, attrs...)
}

// tidy sorts, drops duplicates and empty strings, and changes no argument.
func tidy(list []string) []string {
	out := slices.DeleteFunc(slices.Clone(list), func(s string) bool { return strings.TrimSpace(s) == "" })
	slices.SortFunc(out, cmp.Compare[string])
	return slices.Compact(out)
}
