package server

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// pageConfig wires the hosted pages to the rest.
func (s *Server) pageConfig(rules policy.Decider, support string) page.Config {
	return page.Config{
		Issuer: s.issuer, Directory: page.SealCursors(s.store, s.box.For("understudy search cursor")), Decider: rules, Tickets: s.service, SignInURL: s.stepUpURL, SignedOutURL: s.signedOutURL, SecondFactorURL: s.secondFactorURL, SupportURL: support, RequireSecondFactor: s.rules.Options().RequireSecondFactor,
		RequestID: requestID, Logger: s.log, Now: s.now, Clients: s.pageClient, Searched: s.searched,
		MayImpersonate:  s.registry.MayImpersonate,
		MayAudit:        s.registry.MayAudit,
		Trail:           s.trail,
		Session:         s.pageSession,
		AnyOrganisation: s.anyOrganisation,
		SignedIn: func(r *http.Request) (page.Who, bool, error) {
			login, user, err := s.signedIn(r)
			if err != nil || login == nil {
				return page.Who{}, false, err
			}
			return page.Who{User: user, Login: *login}, true, nil
		},
	}
}

func (s *Server) pageClient(ctx context.Context, id string) (page.Client, error) {
	c, err := s.store.Client(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return page.Client{}, page.ErrNoClient
	}
	return page.Client{Policy: *c.Deciding(), Name: c.Name, RedirectURIs: c.RedirectURIs}, err
}

// trail reads entries for the page. Nothing is cached: what an auditor reads is what is on record now.
func (s *Server) trail(ctx context.Context, q page.AuditQuery) (page.AuditPage, error) {
	stored, next, err := s.store.Entries(ctx, store.EntryQuery{Own: q.Own, Person: q.Person, Session: q.Session, After: q.After, Limit: q.Limit})
	if errors.Is(err, store.ErrCursor) {
		return page.AuditPage{}, page.ErrCursor
	}
	out := page.AuditPage{Next: next}
	for _, e := range stored {
		if e := e.Entry; q.Own == "" || e.Actor.Subject != q.Own || e.Actor.Issuer == s.issuer { // the command line's actor may have the name of a user's ID
			out.Entries = append(out.Entries, e)
		}
	}
	return out, err
}

func (s *Server) pageSession(ctx context.Context, id string) (impersonation.Session, error) {
	session, err := s.store.Session(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return session, page.ErrNoSession
	}
	return session, err
}

// anyOrganisation reports whether some role of p reaches beyond p's own organisation.
func (s *Server) anyOrganisation(p policy.Person) bool {
	for _, r := range s.registry.RolesOf(p) {
		if r.Impersonate != nil && r.Impersonate.Organisations == "any" {
			return true
		}
	}
	return false
}

// searched puts a search on record before it runs: the page is also a directory of customers.
func (s *Server) searched(ctx context.Context, who page.Who, query string) error {
	now := s.clock()
	if !s.searches.allow(who.User.ID, now) {
		return page.ErrTooMany
	}
	e := audit.New(audit.KindSearch, now)
	e.Actor, e.Request = oauth.Party{Issuer: s.issuer, Subject: who.User.ID}, requestID(ctx)
	e.SetPersonal("query", query)
	return s.store.Record(ctx, e)
}

func encodeCookie(b []byte) string          { return base64.RawURLEncoding.EncodeToString(b) }
func decodeCookie(s string) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(s) }
