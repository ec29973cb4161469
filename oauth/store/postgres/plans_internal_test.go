package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

// grow are the tables that grow without bound, filled as after some months: n people, four times as many of the rest. Nothing is analysed
// but by the test, however long that takes on a busy machine.
const grow = `
	DO $$ DECLARE t regclass; BEGIN
		FOR t IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relowner = current_user::regrole LOOP EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = false)', t); END LOOP;
	END $$;
	INSERT INTO app_user (id, email, email_key, name, search_key, organisation, roles, attributes, enabled, protected, source, user_name_key, external_id)
		SELECT 'usr_' || i, '', 'mail' || i, 'name' || i, 'name' || i, 'org' || i % 50, '[]', '{}', true, false, 'scim:' || i % 5, 'name' || i, 'ext' || i FROM generate_series(1, :n) i;
	INSERT INTO user_group SELECT 'usr_' || i, 'group' || i % 100, 0 FROM generate_series(1, :n) i;
	INSERT INTO directory_group (id, source, name, external_id) SELECT 'grp_' || i, 'scim:' || i % 5, 'group' || i, 'ext' || i FROM generate_series(1, :n) i;
	INSERT INTO authz_version SELECT 'org' || i, 1 FROM generate_series(0, 49) i;
	INSERT INTO epoch (scope, id, n, killed_by, reason) SELECT 'subject', 'usr_' || i, 0, '', '' FROM generate_series(1, :n) i;
	INSERT INTO login (id, cookie, user_id, acr, amr, expires_at, upstream, upstream_sid)
		SELECT 'lgn_' || i, int4send(i), 'usr_' || i % :n, '', '[]', i, 'idp', 'sid' || i FROM generate_series(1, :m) i;
	INSERT INTO upstream_end SELECT 'idp', 'sid', 'sid' || i, i, i FROM generate_series(1, :m) i;
	INSERT INTO oauth_grant (id, client, user_id, login, redirect_uri, scope, audience, nonce, code_hash, code_challenge, acr, amr, jti, expires_at)
		SELECT 'grt_' || i, 'app' || i % 100, 'usr_' || i % :n, 'lgn_' || i, '', '[]', '', '', int4send(i), '', '', '[]', 'tok_' || i, i FROM generate_series(1, :m) i;
	INSERT INTO ticket (hash, client, redirect_uri, actor, subject, login, mode, scope, resource, duration, reason, ticket_number, code_challenge, expires_at)
		SELECT int4send(i), 'app' || i % 100, '', '', '', '', '', '[]', '', 1, '', '', '', i FROM generate_series(1, :m) i;
	INSERT INTO impersonation_session (id, request, audit, client, actor, subject, login, mode, scope, resource, reason, ticket_number, via, jti, policy,
			expires_at, last_active_at, ended_at, end_reason, before_jti, before_scope, before_audience, before_left)
		SELECT 'imp_' || i, '', '', CASE i % 5000 WHEN 7 THEN 'rare' ELSE 'app' || i % 100 END, 'usr_' || i % 1000, 'usr_' || i % :n, 'lgn_' || i, '', '[]', '', '', '', '', '', '',
			i, i, CASE WHEN i % 100 > 0 THEN i END, CASE WHEN i % 100 > 0 THEN 'stopped' ELSE '' END, '', '[]', '', 0 FROM generate_series(1, :m) i;
	INSERT INTO consent (id, subject, actor, actor_kind, client, scopes, mode, reason, until_at, created_by)
		SELECT 'cns_' || i, 'usr_' || i, 'client:app' || i, 'service', 'app', '[]', 'read', '', i, 'cli' FROM generate_series(1, :m) i;
	INSERT INTO return_token (hash, session, expires_at, used_at) SELECT int4send(i), 'imp_' || i, i, CASE WHEN i % 100 > 0 THEN i END FROM generate_series(1, :m) i;
	INSERT INTO pushed_request (hash, client, form, expires_at) SELECT int4send(i), '', '', i FROM generate_series(1, :m) i;
	INSERT INTO jti_seen SELECT 'totp', i::text, i FROM generate_series(1, :m) i;
	INSERT INTO logout_notice (client, sid, created_at, next_at) SELECT 'app' || i % 100, 'imp_' || i, i, i FROM generate_series(1, :m) i;
	INSERT INTO sign_in_attempt SELECT int4send(i), '{}', NULL, i FROM generate_series(1, :m) i;
	INSERT INTO audit_entry (id, time_at, kind, actor, subject, client, session, canonical)
		SELECT 'aud_' || i, i, CASE i % 500 WHEN 0 THEN 'rare' ELSE 'kind' || i % 12 END, 'usr_' || i % 1000, 'usr_' || i % :n, CASE i % 5000 WHEN 7 THEN 'rare' ELSE 'app' || i % 100 END, 'imp_' || i % :n, '' FROM generate_series(1, :m) i;
	INSERT INTO outbox (kind, session, actor, subject, client, reason)
		SELECT CASE i % 2 WHEN 0 THEN 'session.ended' ELSE 'session.started' END, 'imp_' || i, '', '', 'app' || i % 100, '' FROM generate_series(1, :m) i;`

// Every query has its index, on tables that were analysed and on tables that were not: what takes a millisecond on the first day
// still does after a million impersonations. And every index has its query: without it some plan would cost twice as much.
func TestPlans(t *testing.T) {
	t.Parallel()
	p := planner{t, grown(t)}
	queries := slices.Concat(fixedQueries(), filters(t))
	p.check("never analysed", queries)
	p.run(`ANALYZE`)
	p.check("analysed", queries)

	if diff := cmp.Diff(indexes, p.indexes()); diff != "" {
		t.Errorf("the indexes (-want +got):\n%s", diff)
	}
	if testing.Short() {
		return // small tables need few indexes
	}
	before := make([]float64, len(queries))
	for i, q := range queries {
		before[i] = p.plan(q).Cost
	}
	for _, index := range indexes {
		p.run(`BEGIN; DROP INDEX ` + index)
		needed := false
		for i, q := range queries {
			needed = needed || p.plan(q).Cost > 2*before[i]
		}
		if !needed {
			t.Errorf("no query needs the index %s", index)
		}
		p.run(`ROLLBACK`)
	}
}

// indexes are those that only make queries fast. The others keep rows apart.
var indexes = strings.Fields(`
	app_user_by_external_id app_user_by_gram app_user_by_name app_user_by_organisation
	audit_entry_by_actor audit_entry_by_client audit_entry_by_kind audit_entry_by_session audit_entry_by_subject audit_entry_by_time
	consent_by_actor directory_group_by_external_id directory_group_by_source epoch_killed jti_seen_by_end login_by_end login_by_upstream login_by_user logout_notice_by_client logout_notice_due
	oauth_grant_by_client oauth_grant_by_end oauth_grant_by_family oauth_grant_by_login oauth_grant_by_user outbox_to_tell
	pushed_request_by_end return_token_by_end return_token_open
	session_asking session_by_actor session_by_client session_by_consent session_by_subject session_expiring session_idling session_live session_of_actor session_unheard
	sign_in_attempt_by_end ticket_by_client ticket_by_end upstream_end_by_end user_group_by_name`)

// grown is a connection as the store has them, to a database that has been in use.
func grown(t *testing.T) *pgx.Conn {
	t.Helper()
	n := 50_000
	switch {
	case os.Getenv("UNDERSTUDY_LONG") != "":
		n = 1_000_000
	case testing.Short():
		n = 1000
	}
	config, err := pgx.ParseConfig(postgrestest.Fresh(t).Owner)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range settings {
		config.RuntimeParams[name] = value
	}
	config.RuntimeParams["statement_timeout"] = "0"
	c, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	rows := strings.NewReplacer(":n", fmt.Sprint(n), ":m", fmt.Sprint(4*n)).Replace(grow)
	if _, err := c.PgConn().Exec(t.Context(), rows).ReadAll(); err != nil {
		t.Fatal(err)
	}
	return c
}

func fixedQueries() (out []filter) {
	queries := []string{
		lockGuards, isChanged, insertStarts, lockStops, insertStops, selectStart, selectStop, selectLive, selectSession, touchSession,
		touchItsLogin, endSessions, selectUser, selectUserByEmail, lockUser, updateUser, selectOrganisations, selectCredentials, updateFirstTOTP, endUserLogins,
		revokeUserGrant, walkUsers, walkOwn, countUsers, countOwn, matchUsers, selectPage, selectClient, deleteClientGrants, deleteTickets, selectLogin,
		selectLoginByCookie, selectProof, touchLogin, endLogin, revokeLogin, selectGrantByCode, selectGrantByJTI, spendCode, lockHolderUser, lockHolderLogin,
		setToken, revokeGrant, selectAttempt, sweepAttempts, sweepGrants, sweepTickets, sweepReturns, sweepLogins, sweepSeen, selectEntry, selectOutbox,
		selectKills, countCode, lockAttempt, deleteAttempt, deleteGroups, updatePassword, updateTOTP, anyNotice, leaseNotices, noticeLogin, noticeUser, noticeClient, lockLogin, lockUserLogins, delayNotice, dropNotice, dropOldNotices,
		selectPushed, usePushed, countUsed, sweepPushed,
		outboxEnd, selectToTell, selectRecent, selectPersonKills, sweepOutbox,
		selectConsent, selectOpenConsent, closeConsent, revokeConsent,
		lockClient, selectClientLives, revokeOwn, selectGrantByRefresh, queueRefresh, lockRefreshClient, lockRefreshUser, lockRefreshLogin, useRefresh, selectRefreshUsed,
		lockFamily, revokeFamily,
		selectAmongUsers, selectGone, lockUsers, insertUsers, insertGroups, insertIdentities, lockUpstreamEnd, putUpstreamEnd, selectUpstreamSession, selectUpstreamSubject, selectHint, sweepUpstreamEnds,
		selectUserByIdentity, deleteUser, insertGone, deleteIdentities, revokeUserConsents,
		anyAsked, leaseAsked, noteHeard,
		selectByToken, selectGroup, lockGroup, selectMembers, countHolders, lockMembers, selectMembership, selectAllMembers,
		renameMembers, removeMembers, addMembers, moveMembers, moveGroupsOf, bumpAuthzOf, updateDirectoryGroup, deleteDirectoryGroup,
	}
	out = append(out, filter{selectExpired, []any{100, 50, 50, 1000}}) // for few, as at each second
	for scope, q := range endings {
		if scope != impersonation.ScopeInstance && scope != impersonation.ScopeOrganisation { // they go through all that live
			queries = append(queries, q.live, q.void)
		}
	}
	for _, q := range queries {
		out = append(out, filter{query: q})
	}
	return out
}

// filters are the queries of the trail, with arguments: their plans are made for these.
func filters(t *testing.T) (out []filter) {
	at := time.UnixMilli
	for _, q := range []store.EntryQuery{
		{}, {After: "100"}, {Kind: "rare"}, {Kind: "rare", After: "100"}, {Person: "usr_1"}, {Own: "usr_1"}, {Session: "imp_1"}, {Client: "rare"},
		{Since: at(100), Until: at(200)}, {Person: "usr_1", Kind: "kind1", Since: at(100)}, {Session: "imp_1", Until: at(100)},
	} {
		f, err := entryFilter(q, 50)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	for _, q := range []store.SessionQuery{
		{}, {After: "100"}, {Live: true, Now: at(100)}, {Actor: "usr_1"}, {Subject: "usr_1"}, {Client: "rare"}, {Actor: "usr_1", Client: "app1", After: "100"},
	} {
		f, err := sessionFilter(q, 50)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	for _, q := range []store.UserQuery{{UserName: "name1"}, {ExternalID: "ext1"}, {Email: "mail1"}, {ID: "usr_1"}, {Limit: 100}} {
		q.Source = "scim:1"
		out = append(out, usersOf(countUsersOf, q), usersPage(q))
	}
	for _, q := range []store.GroupQuery{{Name: "group1"}, {ExternalID: "ext1"}, {ID: "grp_1"}, {Member: "usr_1"}, {Limit: 100}} {
		q.Source = "scim:1"
		out = append(out, groupsOf(countGroupsOf, q), groupsPage(q))
	}
	return out
}

// node is a step of a plan.
type node struct {
	Type   string  `json:"Node Type"`
	Cost   float64 `json:"Total Cost"`
	Table  string  `json:"Relation Name"`
	Index  string  `json:"Index Name"`
	Cond   string  `json:"Index Cond"`
	Filter string
	Plans  []node
}

// bounded are the tables whose size is that of an installation and not of its past, and the indexes of the few rows that are open.
var bounded = []string{"", "installation", "client", "source", "source_token", "authz_version", "return_token_open", "epoch_killed"}

// whole reports whether n reads all of a table that grows: without an index, or by one that is asked for nothing. To read the
// newest rows from the end of an index, as they come, is not that.
func (n node) whole(above node) bool {
	table := n.Table
	if table == "" {
		table = above.Table // of a bitmap's index
	}
	if slices.Contains(bounded, table) || slices.Contains(bounded, n.Index) {
		return false
	}
	newest := above.Type == "Limit" && n.Filter == ""
	return n.Type == "Seq Scan" || n.Index != "" && n.Cond == "" && !newest
}

// walk gives each step with the one above it.
func (n node) walk(above node, look func(n, above node)) {
	look(n, above)
	for _, p := range n.Plans {
		p.walk(n, look)
	}
}

// planner asks a database how it would run a query.
type planner struct {
	*testing.T
	c *pgx.Conn
}

func (p planner) run(query string) {
	p.Helper()
	if _, err := p.c.PgConn().Exec(p.Context(), query).ReadAll(); err != nil {
		p.Fatalf("%s: %v", query, err)
	}
}

func (p planner) check(when string, queries []filter) {
	p.Helper()
	for _, q := range queries {
		p.plan(q).walk(node{}, func(n, above node) {
			if n.whole(above) {
				p.Errorf("%s: %s of %s %s reads all of it:\n%s", when, n.Type, n.Table, n.Index, q.query)
			}
		})
	}
}

// plan is the plan for the arguments of q, or, without any, the one that a connection keeps for all.
func (p planner) plan(q filter) node {
	p.Helper()
	var text string
	var err error
	if len(q.args) > 0 {
		p.run("SET plan_cache_mode = force_custom_plan")
		err = p.c.QueryRow(p.Context(), "EXPLAIN (FORMAT JSON) "+q.query, q.args...).Scan(&text)
	} else {
		p.run("SET plan_cache_mode = force_generic_plan; PREPARE kept AS " + q.query)
		err = p.c.QueryRow(p.Context(), "EXPLAIN (FORMAT JSON) EXECUTE kept"+nulls(q.query), pgx.QueryExecModeSimpleProtocol).Scan(&text)
		p.run("DEALLOCATE kept")
	}
	if err != nil {
		p.Fatalf("%s: %v", q.query, err)
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		p.Fatal(err)
	}
	return plans[0].Plan
}

func (p planner) indexes() (names []string) {
	p.Helper()
	rows, err := p.c.Query(p.Context(), `SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
		WHERE c.relnamespace = 'public'::regnamespace AND NOT i.indisunique ORDER BY 1`)
	if err != nil {
		p.Fatal(err)
	}
	if names, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		p.Fatal(err)
	}
	return names
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
