package chaos

import (
	"slices"

	"github.com/understudy-id/understudy/oauth/impersonation"
)

// tokens is what I5, I6 and I8 say about tokens that clients hold.
func (w *world) tokens() {
	for _, t := range w.options.Tokens {
		if s := w.byID[t.Session]; s != nil {
			w.token(t, s)
		} else {
			w.report("I1", "token "+t.ID, "names session %q, which does not exist", t.Session)
		}
	}
}

func (w *world) token(t Token, s *impersonation.Session) {
	actor, subject := s.ActorName(w.options.Issuer), w.party(s.SubjectName())
	for _, m := range []struct{ invariant, name, got, want string }{
		{"I8", "iss", t.Issuer, subject.Issuer},
		{"I8", "sub", t.Subject, subject.Subject},
		{"I8", "act.iss", t.ActorIssuer, actor.Issuer},
		{"I8", "act.sub", t.ActorSubject, actor.Subject},
		{"I8", "client_id", t.ClientID, s.Client},
		{"I8", "jti", t.ID, s.JTI},
		{"I8", "txn", t.Audit, s.Audit},
	} {
		if m.got != m.want {
			w.report(m.invariant, "token "+t.ID, "%s is %q; want %q", m.name, m.got, m.want)
		}
	}
	if t.Expires.After(s.Expires) {
		w.report("I5", "token "+t.ID, "outlasts its session by %s", t.Expires.Sub(s.Expires))
	}
	if !slices.Equal(t.Audience, []string{s.Resource}) {
		w.report("I6", "token "+t.ID, "aud is %q; want %q alone", t.Audience, s.Resource)
	}
	if got := slices.Sorted(slices.Values(t.Scope)); !slices.Equal(got, s.Scope) {
		w.report("I6", "token "+t.ID, "scope is %q; want %q", got, s.Scope)
	}
}
