package sqlite

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/store"
)

// grow are the tables that grow without bound, filled as after some months: :n people, :m of the rest.
const grow = `
	CREATE TEMP TABLE upto (i INTEGER PRIMARY KEY);
	INSERT INTO upto SELECT i FROM (WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < :m) SELECT i FROM c);
	INSERT INTO app_user (id, email, email_key, name, search_key, organisation, roles, attributes, enabled, protected, source, user_name_key, external_id)
		SELECT 'usr_' || i, '', 'mail' || i, 'name' || i, 'name' || i, 'org' || i % 50, '[]', '{}', 1, 0, 'scim:' || i % 5, 'name' || i, 'ext' || i FROM upto WHERE i <= :n;
	INSERT INTO user_group SELECT 'usr_' || i, 'group' || i % 100, 0 FROM upto WHERE i <= :n;
	INSERT INTO directory_group (id, source, name, external_id) SELECT 'grp_' || i, 'scim:' || i % 5, 'group' || i, 'ext' || i FROM upto WHERE i <= :n;
	INSERT INTO authz_version SELECT 'org' || i, 1 FROM upto WHERE i < 50;
	INSERT INTO epoch (scope, id, n, killed_by, reason) SELECT 'subject', 'usr_' || i, 0, '', '' FROM upto WHERE i <= :n;
	INSERT INTO login (id, cookie, user_id, acr, amr, expires_at, upstream, upstream_sid)
		SELECT 'lgn_' || i, CAST(i AS BLOB), 'usr_' || i % :n, '', '[]', i, 'idp', 'sid' || i FROM upto;
	INSERT INTO upstream_end SELECT 'idp', 'sid', 'sid' || i, i, i FROM upto;
	INSERT INTO oauth_grant (id, client, user_id, login, redirect_uri, scope, audience, nonce, code_hash, code_challenge, acr, amr, jti, expires_at)
		SELECT 'grt_' || i, 'app' || i % 100, 'usr_' || i % :n, 'lgn_' || i, '', '[]', '', '', CAST(i AS BLOB), '', '', '[]', 'tok_' || i, i FROM upto;
	INSERT INTO ticket (hash, client, redirect_uri, actor, subject, login, mode, scope, resource, duration, reason, ticket_number, code_challenge, expires_at)
		SELECT CAST(i AS BLOB), 'app' || i % 100, '', '', '', '', '', '', '', 1, '', '', '', i FROM upto;
	INSERT INTO impersonation_session (id, request, audit, client, actor, subject, login, mode, scope, resource, reason, ticket_number, via, jti, policy,
			expires_at, last_active_at, ended_at, before_jti, before_scope, before_audience, before_left)
		SELECT 'imp_' || i, '', '', CASE i % 5000 WHEN 7 THEN 'rare' ELSE 'app' || i % 100 END, 'usr_' || i % 1000, 'usr_' || i % :n, 'lgn_' || i, '', '', '', '', '',
			'', '', '', i, i, CASE WHEN i % 100 > 0 THEN i END, '', '', '', 0 FROM upto;
	INSERT INTO consent (id, subject, actor, actor_kind, client, scopes, mode, reason, until_at, created_by)
		SELECT 'cns_' || i, 'usr_' || i, 'client:app' || i, 'service', 'app', '[]', 'read', '', i, 'cli' FROM upto;
	INSERT INTO return_token (hash, session, expires_at, used_at) SELECT CAST(i AS BLOB), 'imp_' || i, i, CASE WHEN i % 100 > 0 THEN i END FROM upto;
	INSERT INTO pushed_request (hash, client, form, expires_at) SELECT CAST(i AS BLOB), '', '', i FROM upto;
	INSERT INTO jti_seen SELECT 'totp', CAST(i AS TEXT), i FROM upto;
	INSERT INTO logout_notice (client, sid, created_at, next_at) SELECT 'app' || i % 100, 'imp_' || i, i, i FROM upto;
	INSERT INTO sign_in_attempt SELECT CAST(i AS BLOB), '[]', NULL, i FROM upto;
	INSERT INTO audit_entry (id, time_at, kind, actor, subject, client, session, canonical)
		SELECT 'aud_' || i, i, CASE i % 500 WHEN 0 THEN 'rare' ELSE 'kind' || i % 12 END, 'usr_' || i % 1000, 'usr_' || i % :n,
			CASE i % 5000 WHEN 7 THEN 'rare' ELSE 'app' || i % 100 END, 'imp_' || i % :n, x'' FROM upto;
	INSERT INTO outbox (kind, session, actor, subject, client, reason)
		SELECT CASE i % 2 WHEN 0 THEN 'session.ended' ELSE 'session.started' END, 'imp_' || i, '', '', 'app' || i % 100, '' FROM upto;
	DROP TABLE upto;`

// Every query has its index, before somebody runs ANALYZE and after: what takes a millisecond on the first day still does after a
// million impersonations. And every index has its query: without it some plan would be another.
func TestPlans(t *testing.T) {
	t.Parallel()
	p, queries := planner{t, grown(t)}, hotQueries(t)
	p.check("never analysed", queries)
	before := p.plans(queries)
	for _, index := range p.indexes() {
		p.run(`BEGIN; DROP INDEX ` + index)
		if slices.Equal(p.plans(queries), before) {
			t.Errorf("no query needs the index %s", index)
		}
		p.run(`ROLLBACK`)
	}
	p.run(`ANALYZE`)
	p.check("analysed", queries)
}

// grown is a database that has been in use, on one connection.
func grown(t *testing.T) *sql.DB {
	t.Helper()
	n := 50_000
	switch {
	case os.Getenv("UNDERSTUDY_LONG") != "":
		n = 1_000_000
	case testing.Short():
		n = 1000
	}
	path := filepath.Join(t.TempDir(), "a.db")
	s, err := Open(t.Context(), Config{Path: path, Migrate: true, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", source(path, "_pragma=cache_size(-262144)&_synchronous=OFF"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	rows := strings.NewReplacer(":n", fmt.Sprint(n), ":m", fmt.Sprint(4*n)).Replace(grow)
	if _, err := db.ExecContext(t.Context(), `BEGIN;`+rows+`COMMIT`); err != nil {
		t.Fatal(err)
	}
	return db
}

func hotQueries(t *testing.T) []string {
	queries := []string{
		countChanged, countChangedOrOthers, countLive, countOnce, selectHeld, selectProvisioned, selectSubjectToken, selectRequest, selectSession, selectLive, selectExpired, consumeTicket, selectTicket,
		useReturn, stopSession, selectReturn, selectRevoked, selectProof, insertNext, selectUser, selectUserByEmail, walkUsers,
		walkOwn, countUsers, countOwn, matchUsers, selectPage, selectTerms, selectOrganisations, endUserLogins, revokeUserGrant,
		selectClient, deleteClientGrants, deleteTickets, selectLogin, selectLoginByCookie, endLogin, revokeLogin, touchLogin,
		selectGrantByCode, selectGrantByJTI, selectHolder, selectPeople, selectEpochs, spendCode, revokeGrant, selectAttempt,
		sweepAttempts, sweepGrants, sweepTickets, sweepReturns, sweepLogins, sweepSeen, selectEntry, selectOutbox, touchSession,
		touchItsLogin, selectKills, countCode, deleteAttempt, deleteGroups, updatePassword, updateTOTP,
		noticeSessions, noticeLogin, noticeUser, noticeClient, anyNotice, dueNotices, delayNotice, dropNotice, dropOldNotices,
		selectPushed, usePushed, countUsed, sweepPushed,
		outboxEnd, selectToTell, selectRecent, selectPersonKills, sweepOutbox,
		selectConsent, selectOpenConsent, closeConsent, revokeConsent,
		selectClientLives, revokeOwn, selectGrantByRefresh, useRefresh, selectRefreshUsed, revokeFamily,
		selectAmongUsers, selectGone, selectUpstreamEnd, selectUpstreamSession, selectUpstreamSubject, selectHint, sweepUpstreamEnds,
		selectUserByIdentity, deleteUser, countGone, deleteIdentities, revokeUserConsents,
		anyAsked, selectAsked, leaseAsked, noteHeard,
		selectByToken, selectGroup, selectMembers, countHolders, selectMembership, selectAllMembers, renameMembers, removeMembers, addMembers, moveMembers, moveGroupsOf, bumpAuthzOf,
		updateDirectoryGroup, deleteDirectoryGroup, endingsOfMembers.live, endingsOfMembers.void,
	}
	for _, q := range []store.UserQuery{{}, {UserName: "u"}, {ExternalID: "e"}, {Email: "m"}, {ID: "i"}} {
		queries = append(queries, countUsersOf+usersOf(q).query, usersPage(q).query)
	}
	for _, q := range []store.GroupQuery{{Source: "s"}, {Source: "s", Name: "n"}, {Source: "s", ExternalID: "e"}, {Source: "s", ID: "i"}, {Source: "s", Member: "m"}} {
		queries = append(queries, countGroupsOf+groupsOf(q).query, groupsPage(q).query)
	}
	for _, q := range endings {
		queries = append(queries, q.live, q.void)
	}
	for _, q := range []store.EntryQuery{
		{Kind: "k"}, {Person: "p"}, {Own: "o"}, {Session: "s"}, {Client: "c"}, {Since: time.Unix(1, 0)}, {Since: time.Unix(1, 0), Until: time.Unix(2, 0)},
		{Person: "p", Kind: "k", Since: time.Unix(1, 0)}, {Session: "s", After: "100"},
	} {
		f, err := entryFilter(q, 50)
		if err != nil {
			t.Fatal(err)
		}
		queries = append(queries, f.query)
	}
	for _, q := range []store.SessionQuery{{Live: true}, {Actor: "a"}, {Subject: "s"}, {Client: "c"}, {Actor: "a", Client: "c", After: "100"}} {
		f, err := sessionFilter(q, 50)
		if err != nil {
			t.Fatal(err)
		}
		queries = append(queries, f.query)
	}
	return queries
}

// whole matches a step of a plan that reads a whole table that grows without bound, or a whole index of it that holds more than
// what is open.
var whole = regexp.MustCompile(`SCAN (s|w|consent|impersonation_session|audit_entry|oauth_grant|ticket|return_token|login|pushed_request|jti_seen|app_user|user_group|directory_group|d|g|p|user_search|sign_in_attempt|logout_notice|upstream_end|n|x)` +
	`( *$| *\||( USING (COVERING )?INDEX (app_user|login_by|oauth_grant|ticket|jti|audit|session_by|session_o|sign_in|logout|pushed|return_token_by|sqlite_auto)))`)

// planner asks a database how it would run a query.
type planner struct {
	*testing.T
	db *sql.DB
}

func (p planner) run(statements string) {
	p.Helper()
	if _, err := p.db.ExecContext(p.Context(), statements); err != nil {
		p.Fatalf("%s: %v", statements, err)
	}
}

func (p planner) check(when string, queries []string) {
	p.Helper()
	for i, plan := range p.plans(queries) {
		if whole.MatchString(plan) {
			p.Errorf("%s: %s\n\t%s", when, strings.Join(strings.Fields(queries[i]), " "), plan)
		}
	}
}

func (p planner) plans(queries []string) (plans []string) {
	p.Helper()
	for _, q := range queries {
		plan := strings.Join(p.column("EXPLAIN QUERY PLAN "+q, 3, make([]any, 3*len(slots)+12)...), " | ") // more arguments than any query takes
		if plan == "" && !strings.HasPrefix(q, "INSERT") {
			p.Fatalf("no plan for %s", q)
		}
		plans = append(plans, plan)
	}
	return plans
}

// indexes are those that only make queries fast: the others keep rows apart.
func (p planner) indexes() []string {
	p.Helper()
	names := p.column(`SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name`, 0)
	want := strings.Fields(`app_user_by_external_id app_user_by_name app_user_by_organisation app_user_by_user_name
		audit_entry_by_actor audit_entry_by_client audit_entry_by_kind audit_entry_by_session audit_entry_by_subject audit_entry_by_time
		consent_by_actor consent_living directory_group_by_external_id directory_group_by_source jti_seen_by_end login_by_end login_by_upstream login_by_user logout_notice_by_client logout_notice_due oauth_grant_by_client oauth_grant_by_end oauth_grant_by_family oauth_grant_by_login oauth_grant_by_user outbox_to_tell
		pushed_request_by_end return_token_by_end return_token_open session_asking session_by_actor session_by_client session_by_consent session_by_subject session_expiring session_idling session_live session_of_actor session_once session_unheard
		sign_in_attempt_by_end ticket_by_client ticket_by_end upstream_end_by_end user_group_by_name user_identity_by_user`)
	if diff := cmp.Diff(want, names); diff != "" {
		p.Errorf("the indexes (-want +got):\n%s", diff)
	}
	return names
}

// column is the n-th column of what query gives.
func (p planner) column(query string, n int, args ...any) (out []string) {
	p.Helper()
	rows, err := p.db.QueryContext(p.Context(), query, args...)
	if err != nil {
		p.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		dest := make([]any, n+1)
		for i := range dest {
			dest[i] = new(string)
		}
		if err := rows.Scan(dest...); err != nil {
			p.Fatal(err)
		}
		out = append(out, *dest[n].(*string))
	}
	if err := rows.Err(); err != nil {
		p.Fatal(err)
	}
	return out
}
