package rp

import (
	"context"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// Person is somebody as the issuer describes them. Only Subject is always set.
type Person struct {
	// Subject is the sub that this app knows them by: key your own data with it, never with Email.
	Subject      string   `json:"sub"`
	Name         string   `json:"name,omitempty"`
	Email        string   `json:"email,omitempty"`
	Organisation string   `json:"organisation,omitempty"`
	Roles        []string `json:"roles,omitempty"`
	// Issuer is whose sub Subject is, of an actor who came with a token of another issuer (Config.ForeignActor); "" is understudy's.
	Issuer string `json:"iss,omitempty"`
	// Elsewhere is who a subject is at the issuer of such an actor, by which an app that has that one's subs finds them; nil where that is
	// not known, and with any other actor.
	Elsewhere *SubjectID `json:"sub_id,omitempty"`
}

// SubjectID is somebody at another issuer (RFC 9493 §3.2.1, the format iss_sub).
type SubjectID struct {
	Format  string `json:"format"` // "iss_sub"
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
}

const issSub = "iss_sub"

// at is who p is to the issuer of actor: the same person has the same there.
func (p Person) at(actor Person) string {
	switch {
	case p.Issuer == actor.Issuer:
		return p.Subject
	case p.Elsewhere != nil && p.Elsewhere.Issuer == actor.Issuer:
		return p.Elsewhere.Subject
	}
	return ""
}

// label is how a log line or a page names somebody in one word.
func (p Person) label() string {
	switch {
	case p.Email != "":
		return p.Email
	case p.Name != "":
		return p.Name
	}
	return p.Subject
}

// Session is one stretch of impersonation as a handler sees it. Read only.
type Session struct {
	ID      string // the sid at the issuer: "imp_" and 26 characters
	Subject Person // who the request looks like
	Actor   Person // who is really typing; its Roles are empty
	Mode    oauth.Mode
	Started time.Time // UTC, whole seconds
	Expires time.Time // UTC, whole seconds; never moves

	// Token is the impersonation token, for calls to the app's own API. It is opaque here, and redacts itself.
	Token oauth.Secret
}

// behind gives who is behind a request, as App.Handler or Bearer.Handler found out: an impersonation, or a person, or neither.
func behind(ctx context.Context) (*Session, *Person) {
	switch v := ctx.Value(ctxKey{}).(type) {
	case *visit:
		return v.session, v.person
	case *call:
		return v.session, v.person
	}
	return nil, nil
}

// FromContext gives the impersonation that a request belongs to; nil and false if there is none.
func FromContext(ctx context.Context) (*Session, bool) {
	s, _ := behind(ctx)
	return s, s != nil
}

// Impersonating reports whether a request is somebody acting as somebody else. Ask it before what should not happen
// then, also where one only looks: moving "last seen" or "last sign-in", counting for analytics or a quota, marking as read, ending a trial,
// sending "new sign-in" mail. The guard knows nothing of such writes, since the requests are safe.
func Impersonating(ctx context.Context) bool {
	_, ok := FromContext(ctx)
	return ok
}

// impersonated is Impersonating, and also of what is over: whoever came as themselves in ctx would hide it.
func impersonated(ctx context.Context) bool {
	v, ok := ctx.Value(ctxKey{}).(*visit)
	return Impersonating(ctx) || ok && v.over
}

// Subject gives who a request looks like: under impersonation the user, otherwise who signed in. False if nobody did,
// which outside of an impersonation is always so where Config.ActorToken is set: the app then knows for itself.
func Subject(ctx context.Context) (Person, bool) {
	switch s, p := behind(ctx); {
	case s != nil:
		return s.Subject, true
	case p != nil:
		return *p, true
	}
	return Person{}, false
}

// Actor gives who is really typing: under impersonation the administrator, otherwise who signed in. False as in Subject.
func Actor(ctx context.Context) (Person, bool) {
	if s, ok := FromContext(ctx); ok {
		return s.Actor, true
	}
	return Subject(ctx)
}

type ctxKey struct{}
