package admin_test

import (
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

// people of an organisation with one live session.
func (b *bundle) staged() (ids map[impersonation.EpochScope]string, sid string) {
	b.t.Helper()
	ann, john := b.user("ann@acme.test", "admin"), b.user("john@acme.test")
	organisation := "acme"
	if _, err := b.SetRights(b.t.Context(), john.ID, admin.Rights{Organisation: &organisation}); err != nil {
		b.t.Fatal(err)
	}
	b.client("app")
	sid = b.session(ann, john, "app")
	return map[impersonation.EpochScope]string{
		impersonation.ScopeInstance: "", impersonation.ScopeClient: "app", impersonation.ScopeActor: ann.ID,
		impersonation.ScopeSubject: john.ID, impersonation.ScopeOrganisation: organisation, impersonation.ScopeSession: sid,
	}, sid
}

func TestEndSessions(t *testing.T) {
	t.Parallel()
	for _, scope := range []impersonation.EpochScope{
		impersonation.ScopeInstance, impersonation.ScopeClient, impersonation.ScopeActor, impersonation.ScopeSubject,
		impersonation.ScopeOrganisation, impersonation.ScopeSession,
	} {
		t.Run(string(scope), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			ids, sid := b.staged()
			ended, err := b.EndSessions(t.Context(), scope, ids[scope], "case closed")
			if err != nil || len(ended) != 1 || ended[0].Session.ID != sid {
				t.Fatalf("got %+v, %v, want the session %s", ended, err, sid)
			}
			if got := b.endReason(sid); got != impersonation.EndOperator {
				t.Errorf("got end %q, want %q", got, impersonation.EndOperator)
			}
			if e := b.last(audit.KindEnd); e.Session != sid || e.Fields["note"] != "case closed" {
				t.Errorf("got entry %+v, want one about %s with the reason", e, sid)
			}
			if ended, err := b.EndSessions(t.Context(), scope, ids[scope], "again"); err != nil || len(ended) != 0 {
				t.Errorf("again: got %+v, %v, want nothing", ended, err)
			}
		})
	}
}

func TestKillAndLift(t *testing.T) {
	t.Parallel()
	for _, scope := range []impersonation.EpochScope{
		impersonation.ScopeInstance, impersonation.ScopeClient, impersonation.ScopeActor, impersonation.ScopeSubject, impersonation.ScopeOrganisation,
	} {
		t.Run(string(scope), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			ids, sid := b.staged()
			ended, err := b.Kill(t.Context(), scope, ids[scope], "break-in")
			if err != nil || len(ended) != 1 {
				t.Fatalf("got %+v, %v, want one session", ended, err)
			}
			if got := b.endReason(sid); got != impersonation.EndKilled {
				t.Errorf("got end %q, want %q", got, impersonation.EndKilled)
			}
			kills, err := b.st.Kills(t.Context())
			if err != nil || len(kills) != 1 || kills[0].Scope != scope || kills[0].Reason != "break-in" || kills[0].By == "" {
				t.Fatalf("got kills %+v, %v, want one with reason and author", kills, err)
			}
			b.lift(scope, ids[scope])
		})
	}
}

func (b *bundle) lift(scope impersonation.EpochScope, id string) {
	b.t.Helper()
	for _, want := range []bool{true, false} {
		if was, err := b.Lift(b.t.Context(), scope, id, "all clear"); err != nil || was != want {
			b.t.Errorf("lift: got %t, %v, want %t", was, err, want)
		}
	}
	if kills, err := b.st.Kills(b.t.Context()); err != nil || len(kills) != 0 {
		b.t.Errorf("got kills %+v, %v, want none", kills, err)
	}
	if e := b.last(audit.KindLift); e.Fields["note"] != "all clear" || e.Fields["scope"] != string(scope) {
		b.t.Errorf("got entry %+v, want the reason and the scope", e)
	}
	events, err := b.st.Outbox(b.t.Context(), 0, 100)
	if err != nil {
		b.t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, e := range events {
		kinds[e.Kind]++
	}
	if kinds["kill.on"] != 1 || kinds["kill.off"] != 1 || kinds["session.ended"] != 1 {
		b.t.Errorf("got events %v, want one each of kill.on, kill.off, session.ended", kinds)
	}
}

func TestKillRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids, sid := b.staged()
	before := len(b.entries())
	tests := []struct {
		name, field string
		scope       impersonation.EpochScope
		id, why     string
	}{
		{"client that nobody registered", "client", impersonation.ScopeClient, "ap", "x"},
		{"actor that is nobody", "actor", impersonation.ScopeActor, "usr_x", "x"},
		{"organisation without people", "organisation", impersonation.ScopeOrganisation, "acne", "x"},
		{"the staff is no organisation", "organisation", impersonation.ScopeOrganisation, "", "x"},
		{"instance with an id", "instance", impersonation.ScopeInstance, "x", "x"},
		{"a session cannot be killed", "scope", impersonation.ScopeSession, ids[impersonation.ScopeSession], "x"},
		{"unknown scope", "scope", "planet", "earth", "x"},
		{"no reason", "reason", impersonation.ScopeInstance, "", " "},
		{"a novel", "reason", impersonation.ScopeInstance, "", strings.Repeat("x", 501)},
	}
	for _, tt := range tests {
		_, err := b.Kill(t.Context(), tt.scope, tt.id, tt.why)
		t.Log(tt.name, err)
		b.wantInvalid(err, tt.field, before)
	}
	if got := b.endReason(sid); got != "" {
		t.Errorf("got end %q, want the session alive", got)
	}
}
