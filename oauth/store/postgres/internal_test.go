package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
	"github.com/understudy-id/understudy/oauth/store/storetest"
)

// grow are the tables that grow without bound, filled as after some months: n people, four times as many of the rest.
const grow = `
	INSERT INTO app_user (id, email, email_key, name, search_key, organisation, roles, attributes, enabled, protected)
		SELECT 'usr_' || i, '', 'mail' || i, 'name' || i, 'name' || i, 'org' || i % 50, '[]', '{}', true, false FROM generate_series(1, :n) i;
	INSERT INTO authz_version SELECT 'org' || i, 1 FROM generate_series(0, 49) i;
	INSERT INTO epoch (scope, id, n, killed_by, reason) SELECT 'subject', 'usr_' || i, 0, '', '' FROM generate_series(1, :n) i;
	INSERT INTO login (id, cookie, user_id, acr, amr, expires_at) SELECT 'lgn_' || i, int4send(i), 'usr_' || i % :n, '', '[]', i FROM generate_series(1, :m) i;
	INSERT INTO oauth_grant (id, client, user_id, login, redirect_uri, scope, audience, nonce, code_hash, code_challenge, acr, amr, jti, expires_at)
		SELECT 'grt_' || i, 'app' || i % 100, 'usr_' || i % :n, 'lgn_' || i, '', '[]', '', '', int4send(i), '', '', '[]', 'tok_' || i, i FROM generate_series(1, :m) i;
	INSERT INTO ticket (hash, client, redirect_uri, actor, subject, login, mode, scope, resource, duration, reason, ticket_number, code_challenge, expires_at)
		SELECT int4send(i), 'app' || i % 100, '', '', '', '', '', '[]', '', 1, '', '', '', i FROM generate_series(1, :m) i;
	INSERT INTO impersonation_session (id, request, audit, client, actor, subject, login, mode, scope, resource, reason, ticket_number, via, jti, policy,
			expires_at, last_active_at, ended_at, end_reason, before_jti, before_scope, before_audience, before_left)
		SELECT 'imp_' || i, '', '', 'app' || i % 100, 'usr_' || i % 1000, 'usr_' || i % :n, 'lgn_' || i, '', '[]', '', '', '', '', '', '',
			i, i, CASE WHEN i % 100 > 0 THEN i END, CASE WHEN i % 100 > 0 THEN 'stopped' ELSE '' END, '', '[]', '', 0 FROM generate_series(1, :m) i;
	INSERT INTO return_token (hash, session, expires_at, used_at) SELECT int4send(i), 'imp_' || i, i, CASE WHEN i % 100 > 0 THEN i END FROM generate_series(1, :m) i;
	INSERT INTO jti_seen SELECT 'totp', i::text, i FROM generate_series(1, :m) i;
	INSERT INTO sign_in_attempt SELECT int4send(i), '{}', NULL, i FROM generate_series(1, :m) i;
	INSERT INTO audit_entry (id, time_at, kind, actor, subject, client, session, canonical)
		SELECT 'aud_' || i, i, CASE i % 500 WHEN 0 THEN 'rare' ELSE 'kind' || i % 12 END, 'usr_' || i % 1000, 'usr_' || i % :n, 'app' || i % 100, 'imp_' || i % :n, '' FROM generate_series(1, :m) i;
	INSERT INTO outbox (kind, session, actor, subject, client, reason) SELECT '', '', '', '', '', '' FROM generate_series(1, :m) i;`

// Every query has its index, on tables that were analysed and on tables that were not: what takes a millisecond on the first day
// still does after a million impersonations.
func TestPlans(t *testing.T) {
	t.Parallel()
	n := 1000
	if os.Getenv("UNDERSTUDY_LONG") != "" {
		n = 50_000
	}
	for name, analyse := range map[string]bool{"analysed": true, "grown since": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := postgrestest.Fresh(t)
			s, err := Open(t.Context(), Config{URL: d.Owner, MaxConns: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			c, err := pgx.Connect(t.Context(), d.Owner)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close(t.Context())
			rows := strings.NewReplacer(":n", fmt.Sprint(n), ":m", fmt.Sprint(4*n)).Replace(grow)
			if analyse {
				rows += `ANALYZE`
			}
			if _, err := c.PgConn().Exec(t.Context(), rows).ReadAll(); err != nil {
				t.Fatal(err)
			}
			for _, q := range fixedQueries() {
				s.checkPlan(t, q)
			}
			for _, f := range filters(t) {
				s.checkPlan(t, f.query, f.args...)
			}
		})
	}
}

func fixedQueries() []string {
	queries := []string{
		lockGuards, isChanged, insertStarts, lockStops, insertStops, selectStart, selectStop, selectLive, selectSession, selectExpired, touchSession,
		touchItsLogin, endSessions, selectUser, selectUserByEmail, lockUser, updateUser, selectOrganisations, selectCredentials, updateFirstTOTP, endUserLogins,
		revokeUserGrant, walkUsers, walkOwn, countUsers, countOwn, matchUsers, selectPage, selectClient, deleteClientGrants, deleteTickets, selectLogin, selectLoginByCookie, selectProof, touchLogin,
		endLogin, revokeLogin, selectGrantByCode, selectGrantByJTI, spendCode, lockHolderUser, lockHolderLogin, setToken, revokeGrant, selectAttempt,
		sweepAttempts, sweepGrants, sweepTickets, sweepReturns, sweepLogins, sweepSeen, selectEntry, selectOutbox,
	}
	for scope, q := range endings {
		if scope != impersonation.ScopeInstance && scope != impersonation.ScopeOrganisation { // they go through all that live
			queries = append(queries, q.live, q.void)
		}
	}
	return queries
}

func filters(t *testing.T) (out []filter) {
	for _, q := range []store.EntryQuery{{Kind: "rare"}, {Person: "usr_1"}, {Own: "usr_1"}, {Session: "imp_1"}, {Client: "app1"}, {Kind: "rare", After: "100"}} {
		f, err := entryFilter(q, 50)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	for _, q := range []store.SessionQuery{{Live: true, Now: time.UnixMilli(100)}, {Actor: "usr_1"}, {Subject: "usr_1"}, {Client: "app1"}} {
		f, err := sessionFilter(q, 50)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

// node is a step of a plan.
type node struct {
	Type  string `json:"Node Type"`
	Table string `json:"Relation Name"`
	Index string `json:"Index Name"`
	Cond  string `json:"Index Cond"`
	Plans []node
}

// bounded are the tables whose size is that of an installation and not of its past.
var bounded = []string{"", "installation", "client", "authz_version"}

// checkPlan finds steps that read a whole table, or an index that tells nothing of what is looked for. Without arguments it is
// the plan that a connection keeps for all.
func (s *Store) checkPlan(t *testing.T, query string, args ...any) {
	t.Helper()
	c, err := s.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	run := func(query string) {
		if _, err := c.Exec(t.Context(), query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	var text string
	if len(args) > 0 {
		run("SET plan_cache_mode = force_custom_plan")
		err = c.QueryRow(t.Context(), "EXPLAIN (FORMAT JSON) "+query, args...).Scan(&text)
	} else {
		run("SET plan_cache_mode = force_generic_plan")
		run("PREPARE kept AS " + query)
		err = c.QueryRow(t.Context(), "EXPLAIN (FORMAT JSON) EXECUTE kept"+nulls(query)).Scan(&text)
		run("DEALLOCATE kept")
	}
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatal(err)
	}
	walk(plans[0].Plan, "", func(n node, table string) {
		whole := n.Type == "Seq Scan" || n.Index != "" && n.Cond == "" && n.Index != "return_token_open" // of which few are
		if whole && !slices.Contains(bounded, table) {
			t.Errorf("%s of %s %s reads all of it:\n%s", n.Type, table, n.Index, query)
		}
	})
}

// nulls is an argument for each parameter of query, which a plan for all does not look at.
func nulls(query string) string {
	n := 0
	for strings.Contains(query, fmt.Sprintf("$%d", n+1)) {
		n++
	}
	if n == 0 {
		return ""
	}
	return "(NULL" + strings.Repeat(", NULL", n-1) + ")"
}

// walk gives each step with its table; that of a bitmap's index is told by the step above it.
func walk(n node, above string, look func(node, string)) {
	table := n.Table
	if table == "" {
		table = above
	}
	look(n, table)
	for _, p := range n.Plans {
		walk(p, n.Table, look)
	}
}

// How many connections a process may hold is what the program says, else the URL, else what the machine can use.
func TestPoolSize(t *testing.T) {
	t.Parallel()
	const url = "postgres://u@h/db"
	for _, tt := range []struct {
		c    Config
		want int32
	}{
		{Config{URL: url + "?pool_max_conns=3"}, 3},
		{Config{URL: url + "?pool_max_conns=3", MaxConns: 5}, 5},
		{Config{URL: url}, int32(max(4, 2*runtime.GOMAXPROCS(0)))},
	} {
		parsed, err := parse(tt.c)
		if err != nil {
			t.Fatal(err)
		}
		if got := tune(parsed, tt.c).MaxConns; got != tt.want {
			t.Errorf("%+v: got %d connections, want %d", tt.c, got, tt.want)
		}
	}
}

// However much a search does by the way, it finds all there is, once and in order.
func TestSearchIsComplete(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{URL: postgrestest.Fresh(t).Application})
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
