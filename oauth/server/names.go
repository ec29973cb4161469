package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// A client may know people by their sub at another issuer (store.Settings.SubjectIssuer). The name is written down once, with the grant or
// the session; whoever reads a token goes from there to the user, and never maps a sub again.

var errUnnamed = &wireError{Status: http.StatusForbidden, Code: "access_denied",
	Description: "This app knows people by their names at another provider, and you have none there."}

// nameFor is the sub by which c knows u, "" for whom it cannot know.
func (s *Server) nameFor(c *client, u directory.User) string {
	return impersonation.NameAt(c.Settings.SubjectIssuer, impersonation.PersonOf(s.issuer, u))
}

// nameOf is nameFor for a sub of ours, of a user or a client, read only where c needs it.
func (s *Server) nameOf(ctx context.Context, c *client, id string) (string, error) {
	if c.Settings.SubjectIssuer == "" || strings.HasPrefix(id, oauth.ClientPrefix) {
		return id, nil
	}
	u, err := s.store.Get(ctx, id)
	if errors.Is(err, directory.ErrNotFound) {
		return "", nil
	}
	return s.nameFor(c, u), err
}

// keptName is what a grant of c keeps of the sub of its tokens: "" where that is the user's ID by itself.
func keptName(fc fosite.Client, sub string) string {
	if c, ok := fc.(*client); !ok || c.Settings.SubjectIssuer == "" {
		return ""
	}
	return sub
}

// stillNamed reports whether u, who was just read, has at the issuer by which the client of g knows people the sub that g keeps: a link that
// is gone takes its tokens with it.
func (s *Server) stillNamed(ctx context.Context, g store.Grant, u directory.User) (bool, error) {
	if g.Subject == "" {
		return true, nil
	}
	c, err := s.client(ctx, g.Client)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && s.nameFor(c, u) == g.Subject, err
}

// userNamed finds whom c means by sub: the ID is "" for nobody, and named is zero where c knows people by their IDs.
func (s *Server) userNamed(ctx context.Context, fc fosite.Client, sub string) (id string, named oauth.Party, err error) {
	c, ok := fc.(*client)
	if !ok || c.Settings.SubjectIssuer == "" {
		return sub, oauth.Party{}, nil
	}
	named = oauth.Party{Issuer: c.Settings.SubjectIssuer, Subject: sub}
	u, err := s.store.ByIdentity(ctx, named)
	if errors.Is(err, directory.ErrNotFound) {
		return "", named, nil
	}
	return u.ID, named, err
}

// localOf is the user whom a token of ours is about, as its grant has it. Where another client's token, or one with act, came, nobody is
// looked up: the handler refuses it.
func (s *Server) localOf(ctx context.Context, fc fosite.Client, t tokens.Claims) (string, error) {
	c, ok := fc.(*client)
	if !ok || c.Settings.SubjectIssuer == "" || t.ClientID != c.ID || t.Act != nil || t.Subject == oauth.ClientSubject(c.ID) {
		return t.Subject, nil
	}
	g, err := s.store.GrantByJTI(ctx, t.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", tokenexchange.ErrRefused
	case err != nil:
		return "", err
	case g.Client != c.ID || g.Name() != t.Subject:
		return "", tokenexchange.ErrRefused
	}
	return g.User, nil
}

// localActor is the ID of who acts.
func localActor(a *tokenexchange.Input) string { return cmp.Or(a.Local, a.Subject.Subject) }
