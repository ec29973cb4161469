package transfer

import (
	"slices"
	"strings"
)

// kind is what a column holds. It decides how the two databases' forms of one value become the same.
type kind string

const (
	text    kind = "text"
	integer kind = "integer"
	boolean kind = "boolean" // 0 and 1 in SQLite
	bytea   kind = "bytea"
	list    kind = "list"    // of strings: JSON
	mapping kind = "mapping" // of strings: JSON
	numbers kind = "numbers" // JSON in SQLite, bigint[] in Postgres
)

type column struct {
	name string
	kind kind
}

// table is one that is copied.
type table struct {
	name    string
	key     []int  // which columns its rows are ordered by: both databases sort them alike
	counter string // the column that counts by itself, "" for none
	columns []column
}

// tables are all that is copied, parents before children. The one row of installation is not copied but taken over: its name
// comes with the mark of the target.
var tables = []table{
	newTable("client", "id", "", `id text, name text, public boolean, exchange boolean, scopes list, resources list, serves list,
		redirect_uris list, secret_hash bytea, settings text, created_at integer, deleted_at integer`),
	newTable("signing_key", "seq", "seq", `seq integer, id text, algorithm text, sealed bytea, created_at integer,
		activates_at integer, retires_at integer, revoked_at integer`),
	newTable("app_user", "id", "", `id text, email text, email_key text, name text, search_key text, organisation text, roles list,
		attributes mapping, enabled boolean, protected boolean, password text, totp bytea, created_at integer, updated_at integer,
		last_sign_in_at integer, source text, user_name text, user_name_key text, external_id text, disabled_by text`),
	newTable("user_gone", "id", "", `id text, gone_at integer`),
	newTable("user_identity", "issuer, subject", "", `issuer text, subject text, user_id text`),
	newTable("user_group", "user_id, name", "", `user_id text, name text, position integer`),
	newTable("source", "name", "", `name text, organisation text, organisation_attribute text, issuer text, may_grant boolean, may_staff boolean,
		created_at integer, updated_at integer, removed_at integer`),
	newTable("source_token", "id", "", `id text, source text, hash bytea, created_at integer, expires_at integer, last_used_at integer,
		revoked_at integer`),
	newTable("directory_group", "id", "", `id text, source text, name text, external_id text, created_at integer, updated_at integer`),
	newTable("login", "id", "", `id text, cookie bytea, user_id text, auth_time integer, acr text, amr list, created_at integer,
		last_used_at integer, expires_at integer, ended_at integer, upstream text, upstream_sid text, upstream_hint bytea`),
	newTable("upstream_end", "upstream, what, value", "", `upstream text, what text, value text, ended_at integer, until_at integer`),
	newTable("oauth_grant", "id", "", `id text, client text, user_id text, login text, redirect_uri text, scope list, audience text,
		nonce text, code_hash bytea, code_challenge text, auth_time integer, acr text, amr list, created_at integer,
		code_expires_at integer, code_used_at integer, jti text, issued_at integer, expires_at integer, revoked_at integer, jkt text,
		family text, refresh_hash bytea, refresh_expires_at integer, refresh_used_at integer, token_sub text`),
	newTable("pushed_request", "hash", "", `hash bytea, client text, form text, created_at integer, expires_at integer, used_at integer`),
	newTable("ticket", "hash", "", `hash bytea, client text, redirect_uri text, actor text, subject text, login text, mode text,
		scope list, resource text, duration integer, reason text, ticket_number text, code_challenge text, created_at integer,
		expires_at integer, used_at integer, session text`),
	newTable("impersonation_session", "seq", "seq", `seq integer, id text, request text, audit text, client text, actor text,
		subject text, login text, mode text, scope list, resource text, reason text, ticket_number text, via text, jti text,
		policy text, started_at integer, expires_at integer, last_active_at integer, login_expires_at integer, ended_at integer,
		end_reason text, ended_by text, before_jti text, before_scope list, before_audience text, before_left integer,
		before_issued_at integer, before_expires_at integer, actor_kind text, jkt text, consent text, once text, token_sub text, act_iss text,
		act_sub text, foreign_token bytea, heard_at integer, ask_at integer`),
	newTable("consent", "id", "", `id text, subject text, actor text, actor_kind text, client text, scopes list, mode text, reason text,
		until_at integer, created_at integer, created_by text, revoked_at integer`),
	newTable("return_token", "hash", "", `hash bytea, session text, expires_at integer, used_at integer, void_at integer, given text`),
	newTable("jti_seen", "space, value", "", `space text, value text, until_at integer`),
	newTable("epoch", "scope, id", "", `scope text, id text, n integer, killed_at integer, killed_by text, reason text`),
	newTable("authz_version", "organisation", "", `organisation text, n integer`),
	newTable("policy_version", "seq", "seq", `seq integer, version text, document bytea, created_at integer`),
	newTable("audit_entry", "seq", "seq", `seq integer, id text, time_at integer, kind text, actor text, subject text, client text,
		session text, canonical bytea, opening bytea`),
	newTable("outbox", "position", "position", `position integer, kind text, session text, actor text, subject text, client text,
		reason text, time_at integer`),
	newTable("ssf_stream", "id", "", `id text, client text, status text, reason text, description text, events list, position integer,
		acked numbers, fresh boolean, push boolean, verified_at integer, created_at integer, polled_at integer`),
	newTable("logout_notice", "seq", "seq", `seq integer, client text, sid text, created_at integer, next_at integer`),
	newTable("sign_in_attempt", "key", "", `key bytea, counting numbers, locked_at integer, forget_at integer`),
}

func newTable(name, key, counter, columns string) table {
	t := table{name: name, counter: counter}
	for _, c := range strings.Split(columns, ",") {
		name, k, _ := strings.Cut(strings.TrimSpace(c), " ")
		t.columns = append(t.columns, column{name, kind(k)})
	}
	for _, k := range strings.Split(key, ", ") {
		t.key = append(t.key, t.index(k))
	}
	return t
}

// index is where the column stands, -1 for nowhere.
func (t table) index(name string) int {
	return slices.IndexFunc(t.columns, func(c column) bool { return c.name == name })
}

func (t table) names() []string {
	var out []string
	for _, c := range t.columns {
		out = append(out, c.name)
	}
	return out
}

// keyOf is the part of a row that it is ordered by.
func (t table) keyOf(row []any) []any {
	var out []any
	for _, i := range t.key {
		out = append(out, row[i])
	}
	return out
}
