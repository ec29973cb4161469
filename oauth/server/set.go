package server

import (
	"sync"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/ssf"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// ending is what the receivers of a SET may know of why a session ended: nothing that anybody typed, and nobody's name.
type ending struct {
	by  ssf.Initiator
	why string
}

var endings = map[impersonation.EndReason]ending{
	impersonation.EndStopped:    {ssf.ByUser, "impersonation stopped by its actor"},
	impersonation.EndRevoked:    {ssf.BySystem, "impersonation token revoked"},
	impersonation.EndExpired:    {ssf.ByPolicy, "impersonation expired"},
	impersonation.EndIdle:       {ssf.ByPolicy, "impersonation idle for too long"},
	impersonation.EndSuperseded: {ssf.ByUser, "the actor started another impersonation"},
	impersonation.EndReuse:      {ssf.BySystem, "the ticket of the impersonation was used twice"},
	impersonation.EndSignedOut:  {ssf.ByUser, "the actor signed out"},
	impersonation.EndOperator:   {ssf.ByAdmin, "impersonation ended by an operator"},
	impersonation.EndKilled:     {ssf.ByAdmin, "impersonation ended by a kill switch"},
	impersonation.EndDisabled:   {ssf.ByAdmin, "the actor or the subject was disabled"},
	impersonation.EndChanged:    {ssf.ByAdmin, "the actor or the subject changed"},
	impersonation.EndPolicy:     {ssf.ByPolicy, "the policy no longer allows the impersonation"},
	impersonation.EndClient:     {ssf.ByAdmin, "the client changed"},
	impersonation.EndIssuer:     {ssf.BySystem, "the issuer of the actor's token no longer vouches for it"},
	impersonation.EndConsent:    {ssf.ByUser, "the subject's consent ended"},
}

// endingOf gives the ending for a reason, also for one that another version of this program wrote.
func endingOf(reason string) ending {
	if e, ok := endings[impersonation.EndReason(reason)]; ok {
		return e
	}
	return ending{ssf.BySystem, "impersonation ended"}
}

// sets are the SETs that were signed last: one event is told to each process of a client, and often more than once.
type sets struct {
	mu     sync.Mutex
	keys   *tokens.KeySet // that signed them
	signed map[string]string
}

// maxSets is two of the longest queues, some 3 MB.
const maxSets = 2 * ssf.MaxPending

// find gives the SET with id as keys signed it.
func (c *sets) find(keys *tokens.KeySet, id string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys != keys || len(c.signed) >= maxSets {
		c.keys, c.signed = keys, make(map[string]string)
	}
	set, ok := c.signed[id]
	return set, ok
}

func (c *sets) add(keys *tokens.KeySet, id, set string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == keys {
		c.signed[id] = set
	}
}

// setIDs names SETs.
func (s *Server) setIDs() ssf.IDs { return ssf.IDs{Tag: s.box.Tag} }

// set gives the SET that tells client of e. Nothing in it is of now: each server says the same whenever it is asked, but for the key.
func (s *Server) set(client string, e store.Telling) (id, set string, err error) {
	keys, id := s.keys(), s.setIDs().ID(client, e.Position)
	if set, ok := s.sets.find(keys, id); ok {
		return id, set, nil
	}
	one := ssf.SET{Issuer: s.issuer, Audience: client, IssuedAt: e.Time, ID: id}
	if e.Kind == store.EventVerify {
		one.Verified = &ssf.Verified{Stream: e.Session, State: e.Reason}
	} else {
		why := endingOf(e.Reason)
		one.Transaction = e.Audit
		one.Revoked = &ssf.Revoked{Session: e.Session, Subject: oauth.Party{Issuer: s.issuer, Subject: e.Subject}, By: why.by, Reason: why.why, At: e.Time}
	}
	claims, err := one.Claims()
	if err != nil {
		return "", "", err
	}
	if set, err = keys.SignEvent(s.eventAlgorithm(), claims); err != nil {
		return "", "", err
	}
	s.sets.add(keys, id, set)
	return id, set, nil
}
