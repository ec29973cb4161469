package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// personTries is more often than sign-ins of one person can collide without a defect behind it.
const personTries = 5

// personOf finds who id is here: by (iss, sub) alone, and else, where the upstream may, links or adds them. An address by itself makes
// nobody anybody. What the upstream says of a user that it keeps is taken over. A fault says why it is nobody; nothing was written then.
func (s *Server) personOf(ctx context.Context, g *gate, id *upstream.Identity) (u directory.User, fault page.UpstreamFault, err error) {
	for range personTries {
		u, fault, err = s.personOnce(ctx, g, id)
		// Somebody else changed or added them in between, perhaps the same person in another tab.
		if !errors.Is(err, impersonation.ErrChanged) && !errors.Is(err, store.ErrExists) {
			break
		}
	}
	return u, fault, err
}

func (s *Server) personOnce(ctx context.Context, g *gate, id *upstream.Identity) (directory.User, page.UpstreamFault, error) {
	u, err := s.store.ByIdentity(ctx, oauth.Party{Issuer: id.Issuer, Subject: id.Subject})
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return s.newcomer(ctx, g, id)
	case err != nil:
		return u, "", err
	case !u.Enabled: // no sign-in brings anybody back whom somebody here has disabled
		return u, page.UpstreamDisabled, nil
	case !g.keeps(u, id):
		return u, "", nil
	}
	return s.takeOver(ctx, g, u, id)
}

// newcomer is for who has no identity of that issuer here.
func (s *Server) newcomer(ctx context.Context, g *gate, id *upstream.Identity) (directory.User, page.UpstreamFault, error) {
	email := g.email(id)
	if !g.CreateUsers && (!g.LinkByEmail || email == "") {
		return directory.User{}, page.UpstreamUnknown, nil
	}
	if email == "" {
		return directory.User{}, page.UpstreamNoEmail, nil
	}
	u, err := s.store.ByEmail(ctx, email)
	switch {
	case errors.Is(err, directory.ErrNotFound) && g.CreateUsers:
		return s.create(ctx, g, id, email)
	case errors.Is(err, directory.ErrNotFound):
		return u, page.UpstreamUnknown, nil
	case err != nil:
		return u, "", err
	case slices.Contains(u.Identities, oauth.Party{Issuer: id.Issuer, Subject: id.Subject}): // since this very sign-in looked for it
		return u, "", impersonation.ErrChanged
	case !g.LinkByEmail:
		return directory.User{}, page.UpstreamTaken, nil
	}
	linkable, err := s.linkable(ctx, g, u, id)
	if err != nil || !linkable {
		return directory.User{}, page.UpstreamTaken, err
	}
	return s.link(ctx, g, u, id)
}

// linkable reports whether an address is enough to become u. It is not where more than u's own data could be had by it; nor where a
// password, an identity or somebody who keeps them shows that they come in another way already, since who administers the upstream would then
// be them without ever knowing it.
func (s *Server) linkable(ctx context.Context, g *gate, u directory.User, id *upstream.Identity) (bool, error) {
	if !u.Enabled || u.Protected || u.Source != "" || len(u.Identities) > 0 || !g.places(u, id) || s.hasRights(u) {
		return false, nil
	}
	cred, err := s.store.Credentials(ctx, u.ID)
	return err == nil && cred.Password == "" && cred.TOTP == nil, err
}

// hasRights reports whether u has a role by which more can be had than by being a user.
func (s *Server) hasRights(u directory.User) bool {
	p := impersonation.PersonOf(s.issuer, u)
	registered := func(name string) bool {
		return slices.ContainsFunc(s.registry.Roles, func(r policy.Role) bool { return r.Name == name })
	}
	return s.registry.MayImpersonate(p) || s.registry.MayAudit(p) ||
		slices.ContainsFunc(s.registry.RolesOf(p), func(r policy.Role) bool { return r.Privileged }) ||
		slices.ContainsFunc(u.Roles, func(name string) bool { return !registered(name) })
}

func (s *Server) link(ctx context.Context, g *gate, was directory.User, id *upstream.Identity) (directory.User, page.UpstreamFault, error) {
	u := was
	u.Identities = append(slices.Clone(was.Identities), oauth.Party{Issuer: id.Issuer, Subject: id.Subject})
	if u.Validate() != nil {
		return u, page.UpstreamLied, nil
	}
	w := s.userWrite(ctx, g, audit.KindUserLink, was, &u, func(e *audit.Entry) { recordIdentity(e, id) })
	if err := s.store.UpdateUser(ctx, w); err != nil {
		return u, "", err
	}
	s.log.InfoContext(ctx, "linked a user by their address", "upstream", g.name(), "user", u.ID, "request_id", requestID(ctx))
	return u, "", nil
}

func (s *Server) create(ctx context.Context, g *gate, id *upstream.Identity, email string) (directory.User, page.UpstreamFault, error) {
	now := s.clock().Truncate(time.Second)
	u := directory.User{
		ID: directory.NewID(), Email: email, Name: email, Enabled: true, Created: now, Updated: now, Source: g.source(), ExternalID: id.Subject,
		Identities: []oauth.Party{{Issuer: id.Issuer, Subject: id.Subject}},
	}
	if fault := g.apply(&u, id); fault != "" {
		return u, fault, nil
	}
	w := s.userWrite(ctx, g, audit.KindUserAdd, directory.User{}, &u, func(e *audit.Entry) {
		recordIdentity(e, id)
		impersonation.RecordRights(e, "", u)
	})
	if err := s.store.CreateUser(ctx, w); err != nil {
		return u, "", err
	}
	s.log.InfoContext(ctx, "added a user who signed in", "upstream", g.name(), "user", u.ID, "roles", u.Roles, "request_id", requestID(ctx))
	return u, "", nil
}

// takeOver changes u as the upstream says. Where that changes rights, what they were used for ends in the same write.
func (s *Server) takeOver(ctx context.Context, g *gate, was directory.User, id *upstream.Identity) (directory.User, page.UpstreamFault, error) {
	u := was
	if fault := g.apply(&u, id); fault != "" {
		return u, fault, nil
	}
	if email := g.email(id); email != "" && email != was.Email {
		switch _, err := s.store.ByEmail(ctx, email); {
		case errors.Is(err, directory.ErrNotFound):
			u.Email = email
		case err != nil:
			return u, "", err
		default: // theirs stays: an address that somebody else has joins nobody
			s.log.WarnContext(ctx, "an address that an upstream gives is another user's", "upstream", g.name(), "user", u.ID, "request_id", requestID(ctx))
		}
	}
	rights := !sameRights(was, u)
	if !rights && was.Name == u.Name && was.Email == u.Email {
		return was, "", nil
	}
	kind, record := audit.KindUserChange, func(*audit.Entry) {}
	if rights {
		kind, record = audit.KindUserRole, func(e *audit.Entry) { impersonation.RecordRights(e, "was_", was); impersonation.RecordRights(e, "", u) }
	}
	w := s.userWrite(ctx, g, kind, was, &u, record)
	if rights {
		for _, scope := range []impersonation.EpochScope{impersonation.ScopeActor, impersonation.ScopeSubject} {
			w.Ends = append(w.Ends, impersonation.EndWrite{Scope: scope, ID: u.ID, Reason: impersonation.EndChanged, By: w.Entries[0].Actor, Issuer: s.issuer})
		}
	}
	return u, "", s.store.UpdateUser(ctx, w)
}

// userWrite is a change of a user that a sign-in brings: who signs in does it, through g.
func (s *Server) userWrite(ctx context.Context, g *gate, kind audit.Kind, was directory.User, u *directory.User, record func(*audit.Entry)) store.UserWrite {
	now := s.clock()
	if !was.Updated.IsZero() {
		if u.Updated = now; !now.After(was.Updated) {
			u.Updated = was.Updated.Add(time.Millisecond) // the store's resolution: Was must tell any two writes apart
		}
	}
	e := audit.New(kind, now)
	e.Actor, e.Subject, e.Request = oauth.Party{Issuer: s.issuer, Subject: u.ID}, oauth.Party{Issuer: s.issuer, Subject: u.ID}, requestID(ctx)
	e.Set("upstream", g.Provider.Issuer.URL)
	for _, role := range []string{"actor", "subject"} {
		e.SetPersonal(role+"_name", u.Name)
		e.SetPersonal(role+"_email", u.Email)
	}
	record(&e)
	return store.UserWrite{Write: impersonation.Write{Entries: []audit.Entry{e}, RequestID: requestID(ctx), Now: now}, User: *u, Was: was.Updated}
}

// recordIdentity records who somebody is elsewhere. A sub may be an address, so it can be erased.
func recordIdentity(e *audit.Entry, id *upstream.Identity) {
	e.Set("identity_issuer", id.Issuer)
	e.SetPersonal("identity_subject", id.Subject)
}

func sameRights(a, b directory.User) bool {
	return slices.Equal(a.Roles, b.Roles) && slices.Equal(a.Groups, b.Groups) && a.Organisation == b.Organisation && a.Protected == b.Protected
}
