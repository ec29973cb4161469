package sqlite

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/storetest"
)

// whole matches a step of a plan that reads a whole table that grows without bound, and not one of its indexes.
var whole = regexp.MustCompile(`SCAN (s|impersonation_session|audit_entry|oauth_grant|ticket|return_token|login|jti_seen|app_user|sign_in_attempt)( *$| *\|)`)

// Every query has its index: what takes a millisecond on the first day still does after a million impersonations.
func TestPlans(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "a.db"), Migrate: true, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	queries := []string{
		countChanged, countChangedOrOthers, selectRequest, selectSession, selectLive, selectExpired, consumeTicket, selectTicket, useReturn, stopSession, selectReturn, selectRevoked, selectProof,
		insertNext, selectUser, selectUserByEmail, walkUsers, walkOwn, countUsers, countOwn, matchUsers, selectPage, selectTerms, selectOrganisations, endUserLogins, revokeUserGrant, selectClient,
		deleteClientGrants, deleteTickets, selectLogin, selectLoginByCookie, endLogin, revokeLogin, touchLogin, selectGrantByCode, selectGrantByJTI,
		selectHolder, selectPeople, selectEpochs, spendCode, revokeGrant, selectAttempt, sweepAttempts, sweepGrants, sweepTickets, sweepReturns, sweepLogins, sweepSeen,
		selectEntry, selectOutbox, touchSession, touchItsLogin,
	}
	for _, q := range endings {
		queries = append(queries, q.live, q.end, q.void)
	}
	for _, q := range []store.EntryQuery{{Kind: "k"}, {Person: "p"}, {Own: "o"}, {Session: "s"}, {Client: "c"}, {Since: time.Unix(1, 0)}} {
		f, err := entryFilter(q, 50)
		if err != nil {
			t.Fatal(err)
		}
		queries = append(queries, f.query)
	}
	for _, q := range []store.SessionQuery{{Live: true}, {Actor: "a"}, {Subject: "s"}, {Client: "c"}} {
		f, err := sessionFilter(q, 50)
		if err != nil {
			t.Fatal(err)
		}
		queries = append(queries, f.query)
	}
	for _, q := range queries {
		if p := s.plan(t, q); whole.MatchString(p) {
			t.Errorf("%s\n\t%s", strings.Join(strings.Fields(q), " "), p)
		}
	}
}

// plan is what SQLite would do, its steps separated by bars.
func (s *Store) plan(t *testing.T, query string) string {
	t.Helper()
	args := make([]any, 3*len(slots)+8) // more than any query takes
	rows, err := s.reads.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if len(steps) == 0 && !strings.HasPrefix(query, "INSERT") {
		t.Fatalf("no plan for %s", query)
	}
	return strings.Join(steps, " | ")
}

// However much a search does by the way, it finds all there is, once and in order.
func TestSearchIsComplete(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "a.db"), Migrate: true, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	efforts, i := []effort{{1, 1}, {1, 5}, {5, 40}, usual}, 0
	storetest.CheckSearch(t, s, func(ctx context.Context, q directory.Query) ([]directory.User, string, error) {
		i++
		return s.search(ctx, q, efforts[i%len(efforts)])
	})
}
