package impersonation

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/policy"
)

// refusalsPerMinute is how many refusals of one source are written one by one; the rest of that minute becomes one entry
// with a count, so that one gone wild cannot fill the disk that every start needs.
const refusalsPerMinute = 60

// source is whose refusals are counted together: a client's, an actor's, or those of a source of SCIM. One of them is set.
type source struct{ client, actor, scim string }

// refusals counts the refusals of the running minute by source.
type refusals struct {
	mu sync.Mutex
	by map[source]*minute
}

type minute struct {
	begins time.Time
	seen   int
}

// admit counts one refusal and reports whether it gets an entry of its own. If the minute before had some that did
// not, folded says how many.
func (r *refusals) admit(from source, now time.Time) (alone bool, folded int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by = make(map[source]*minute)
	}
	m := r.by[from]
	if m == nil {
		m = &minute{begins: now}
		r.by[from] = m
	}
	if now.Sub(m.begins) >= time.Minute {
		folded = max(0, m.seen-refusalsPerMinute)
		*m = minute{begins: now}
	}
	m.seen++
	return m.seen <= refusalsPerMinute, folded
}

// drain gives the folded counts of the minutes that are over (of all, with all) and forgets them.
func (r *refusals) drain(now time.Time, all bool) map[source]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[source]int)
	for from, m := range r.by {
		if !all && now.Sub(m.begins) < time.Minute {
			continue
		}
		if n := m.seen - refusalsPerMinute; n > 0 {
			out[from] = n
		}
		delete(r.by, from)
	}
	return out
}

// refused is a refusal as it goes on record. The persons are nil where nobody was found.
type refused struct {
	kind                 audit.Kind
	refusal              *Refusal
	client, session      string
	byActor              bool // counted with the actor's refusals, not the client's
	actor, subject       *policy.Person
	actorID, subjectID   string      // as asked, where the person was not found
	foreign              oauth.Party // who the actor is in a token of another issuer
	named                oauth.Party // the same, at a client that knows people by the sub of another issuer
	via                  policy.Via
	mode                 oauth.Mode
	reason, ticketNumber string
	requestID            string
	now                  time.Time
}

// refuse puts a refusal on record. It happened whether or not it can be written, so a store that fails is only logged.
func (s *Service) refuse(ctx context.Context, r refused) {
	s.fold(ctx, r.key(), r.now, func() audit.Entry {
		s.logRefusal(ctx, r)
		return s.refusalEntry(r)
	})
}

// fold records what entry makes of a refusal, or counts it.
func (s *Service) fold(ctx context.Context, from source, now time.Time, entry func() audit.Entry) {
	alone, folded := s.refusals.admit(from, now)
	if folded > 0 {
		s.recordFolded(ctx, from, folded, now)
	}
	if alone {
		s.record(ctx, entry())
	}
}

// key is whose refusals r is counted with: at the page the actor's, else the client's, so that neither drowns the other.
func (r refused) key() source {
	if r.byActor {
		return source{actor: r.actorID}
	}
	return source{client: r.client}
}

func (s *Service) logRefusal(ctx context.Context, r refused) {
	rules := strings.Join(r.refusal.Decision.Rules, " ")
	if r.kind == audit.KindStopRefused || r.kind == audit.KindReuse && r.subject == nil {
		s.log.InfoContext(ctx, label(r.actor)+" was refused a stop: "+rules, "actor", r.actorID, "session", r.session, "app", r.client, "request_id", r.requestID)
		return
	}
	s.log.InfoContext(ctx, label(r.actor)+" was refused impersonating "+label(r.subject)+": "+rules, "actor", r.actorID, "app", r.client, "mode", r.mode,
		"ticket_number", r.ticketNumber, "request_id", r.requestID, elsewhere(r.foreign))
}

func (s *Service) refusalEntry(r refused) audit.Entry {
	e := audit.New(r.kind, r.now)
	e.Actor, e.Subject = s.party(r.actorID), s.party(r.subjectID)
	people(&e, r.actor, r.subject)
	e.Set("actor_iss", r.foreign.Issuer)
	e.SetPersonal("actor_sub", r.foreign.Subject)
	e.Set("subject_iss", r.named.Issuer)
	e.SetPersonal("subject_sub", r.named.Subject)
	e.Client, e.Session, e.Request, e.Policy = r.client, r.session, r.requestID, r.refusal.Decision.Version
	e.Set("rule", strings.Join(r.refusal.Decision.Rules, " "))
	e.Set("via", string(r.via))
	e.Set("mode", clip(string(r.mode), policy.MaxTicketNumber))
	e.Set("ticket_number", clip(r.ticketNumber, policy.MaxTicketNumber))
	e.SetPersonal("reason", clip(r.reason, policy.MaxReason))
	return e
}

// clip keeps what was refused within what an accepted one may have: too long may be why it was refused.
func clip(text string, most int) string {
	n := 0
	for i := range text {
		if n++; n > most {
			return text[:i]
		}
	}
	return text
}

func (s *Service) recordFolded(ctx context.Context, from source, count int, now time.Time) {
	e := audit.New(audit.KindRefusedFolded, now)
	e.Client, e.Actor = from.client, s.party(from.actor)
	if from.scim != "" {
		e.Kind, e.Actor = audit.KindSourceFolded, oauth.Party{Issuer: "scim", Subject: from.scim}
	}
	e.Set("count", strconv.Itoa(count))
	s.log.WarnContext(ctx, "further refusals were folded", "app", from.client, "actor", from.actor, "source", from.scim, "count", count)
	s.record(ctx, e)
}

func (s *Service) record(ctx context.Context, e audit.Entry) {
	if err := s.store.Record(context.WithoutCancel(ctx), e); err != nil {
		s.log.ErrorContext(ctx, "a refusal could not be put on record", "kind", e.Kind, "request_id", e.Request, "error", err)
	}
}

// Flush writes the summarising entries of the minutes that are over, and with all those of the running one too: call it every
// few seconds, and with all before the process ends.
func (s *Service) Flush(ctx context.Context, all bool) {
	now := s.clock()
	for from, n := range s.refusals.drain(now, all) {
		s.recordFolded(ctx, from, n, now)
	}
}

// Refused puts on record an exchange that was refused before its ticket or return token was looked at: for its form, or for
// what the tokens in it are. The client is authenticated; actor is the sub of a verified actor token, "" where none was. rule says why,
// in words of ours and without any value that was sent.
func (s *Service) Refused(ctx context.Context, client, actor, rule, requestID string) {
	s.refuse(ctx, refused{kind: audit.KindRefused, refusal: deny(rule), client: client, actorID: actor, requestID: requestID, now: s.clock()})
}

// SourceRefusal is a write of a source of SCIM that was refused, or in part left out. It holds no value that was sent.
type SourceRefusal struct {
	Source, Token    string // the source's name and the ID of its token
	Method, Resource string // the method of HTTP, and User or Group
	Subject          string // ID of the user whom it is about; "" where there is none
	Rule             string // in words of ours
	RequestID        string
}

// RefusedSource puts a refusal on record: so many a minute of each source, and of the rest their number. It happened whether or not it
// can be written, so a store that fails is only logged. Safe for concurrent use.
func (s *Service) RefusedSource(ctx context.Context, r SourceRefusal) {
	now := s.clock()
	s.fold(ctx, source{scim: r.Source}, now, func() audit.Entry {
		e := audit.New(audit.KindSourceRefused, now)
		e.Actor, e.Subject, e.Request = oauth.Party{Issuer: "scim", Subject: r.Source}, s.party(r.Subject), r.RequestID
		e.Set("token", r.Token)
		e.Set("method", r.Method)
		e.Set("resource", r.Resource)
		e.Set("rule", r.Rule)
		return e
	})
}
