package rp

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// Access is what an access token says beside who it is about. Read only: requests with the same token share one.
type Access struct {
	ClientID string   // the app that the token was given to
	Scope    []string // sorted; nil for none
	ID       string   // jti
	// Audit is the txn of an impersonation: the entry of its start in the issuer's trail. "" for an ordinary token.
	Audit   string
	Expires time.Time // UTC, whole seconds
	// AuthTime, ACR and AMR say how the subject signed in. They are zero under impersonation: it was not the subject who signed in.
	AuthTime time.Time
	ACR      string
	AMR      []string
}

// access is a token that was verified. Nothing in it changes.
type access struct {
	Access
	session *Session // nil for an ordinary token
	person  *Person  // nil under impersonation
	key     string   // the thumbprint that the token is bound to, "" for none
}

// newAccess takes what a token says. The names of people are not in it.
func newAccess(c tokens.Claims, token oauth.Secret) *access {
	a := &access{key: c.Key, Access: Access{
		ClientID: c.ClientID, Scope: c.Scope, ID: c.ID, Audit: c.Audit, Expires: c.Expires, AuthTime: c.AuthTime, ACR: c.ACR, AMR: c.AMR,
	}}
	if c.Act == nil {
		a.person = &Person{Subject: c.Subject}
		return a
	}
	s := &Session{
		ID: c.Session, Subject: Person{Subject: c.Subject}, Actor: Person{Subject: c.Act.Subject}, Mode: oauth.ModeRead, Started: c.IssuedAt, Expires: c.Expires,
		Token: token,
	}
	if c.Act.Issuer != c.Issuer {
		s.Actor.Issuer = c.Act.Issuer
	}
	if id := c.SubjectID; id != nil {
		s.Subject.Elsewhere = &SubjectID{issSub, id.Issuer, id.Subject}
	}
	if slices.Contains(c.Scope, oauth.ScopeImpersonationWrite) {
		s.Mode = oauth.ModeWrite
	}
	a.session = s
	return a
}

func callFrom(ctx context.Context) *call {
	c, _ := ctx.Value(ctxKey{}).(*call)
	return c
}

// AccessFromContext gives what the token of a request says, of one that Bearer let pass; nil and false of any other.
func AccessFromContext(ctx context.Context) (*Access, bool) {
	c := callFrom(ctx)
	if c == nil {
		return nil, false
	}
	return &c.access.Access, true
}

func (a *access) has(scope []string) bool {
	return !slices.ContainsFunc(scope, func(s string) bool { return !slices.Contains(a.Scope, s) })
}

// RequireScope serves h to who has a token with all of scope, and answers others 403 insufficient_scope (RFC 6750 §3.1). It needs
// Bearer.Handler in front: without it nobody has a token, and gets 401.
func RequireScope(h http.Handler, scope ...string) http.Handler {
	return requiring(h, func(c *call, _ *http.Request) *BearerError {
		if c.has(scope) {
			return nil
		}
		return &BearerError{
			Status: http.StatusForbidden, Code: "insufficient_scope", Description: "The access token lacks a scope that this needs.",
			scheme: c.scheme, params: `, scope="` + oauth.JoinScope(scope) + `"`,
		}
	})
}

// RequireAuthentication serves h to who signed in no more than maxAge ago (0 does not look) and by one of acr (none does not look), and answers others 401
// insufficient_user_authentication, with what is wanted (RFC 9470 §3). An actor's sign-in is never the subject's: under impersonation this is
// Forbid, since no sign-in could help. It needs Bearer.Handler in front.
func RequireAuthentication(h http.Handler, maxAge time.Duration, acr ...string) http.Handler {
	return requiring(h, func(c *call, r *http.Request) *BearerError {
		switch {
		case c.session != nil:
			return c.bearer.refuse(r, c, reasonForbidden)
		case maxAge > 0 && c.bearer.now().Sub(c.AuthTime) > maxAge, len(acr) > 0 && !slices.Contains(acr, c.ACR):
			return errAuthentication(c.scheme, maxAge, acr)
		}
		return nil
	})
}

func errAuthentication(scheme string, maxAge time.Duration, acr []string) *BearerError {
	e := &BearerError{
		Status: http.StatusUnauthorized, Code: "insufficient_user_authentication", scheme: scheme,
		Description: "This needs a sign-in that is more recent, or of another kind.",
	}
	if len(acr) > 0 {
		e.params += `, acr_values="` + strings.Join(acr, " ") + `"`
	}
	if maxAge > 0 {
		e.params += `, max_age="` + strconv.Itoa(int(maxAge/time.Second)) + `"`
	}
	return e
}

// requiring serves h where check finds nothing. Without Bearer.Handler in front there is nobody to check.
func requiring(h http.Handler, check func(*call, *http.Request) *BearerError) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callFrom(r.Context())
		if c == nil {
			w.Header().Set("WWW-Authenticate", schemeBearer)
			http.Error(w, errNoToken.Description, http.StatusUnauthorized)
			return
		}
		if refusal := check(c, r); refusal != nil {
			c.bearer.answer(w, refusal)
			return
		}
		h.ServeHTTP(w, r)
	})
}
