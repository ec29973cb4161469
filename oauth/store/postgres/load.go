package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

const startKeyColumns = `ticket bytea, client text, actor text, subject text, login text, jti text, now bigint, most bigint, consent boolean,
	subject_login text, subject_jti text, provisioned boolean`

// one joins the row of table that condition finds, and NULL where there is none. OFFSET keeps Postgres from turning the look-up into
// another kind of join, which reads the table once for all: what it believes of a table's size is old, or was made when it was empty.
func one(table, alias, condition string) string {
	return ` LEFT JOIN LATERAL (SELECT * FROM ` + table + ` WHERE ` + condition + ` OFFSET 0) ` + alias + ` ON true`
}

// Each of these is one statement, and so of one moment, for any number of callers: see reader. What is missing is NULL from its
// join, and reads as an empty id.
var (
	selectStart = `SELECT q.ord, ` + ticketColumns + `, ` + clientColumns + `, ` + userColumns("a") + `, va.n, ` + userColumns("b") + `, vb.n, ` + loginColumns + `,
			EXISTS (SELECT 1 FROM oauth_grant g WHERE g.jti = q.jti AND g.revoked_at IS NULL),
			EXISTS (SELECT 1 FROM oauth_grant g WHERE g.jti = q.subject_jti AND g.revoked_at IS NULL)
				AND (q.subject_login = '' OR EXISTS (SELECT 1 FROM login o WHERE o.id = q.subject_login AND o.ended_at IS NULL)), ` + consentColumns + `, ` + epochArrays + `,
			(SELECT array_agg(s.id ORDER BY s.seq) FROM impersonation_session s WHERE s.login = k.login AND s.login <> '' AND s.client = k.client AND s.ended_at IS NULL),
			(SELECT count(*) FROM (SELECT 1 FROM impersonation_session s WHERE s.actor = k.actor AND s.ended_at IS NULL AND s.expires_at > q.now
				AND NOT (s.login = k.login AND s.login <> '' AND s.client = k.client) LIMIT q.most) counted), o.issuer
		FROM ` + unnested("q", startKeyColumns, 1) + one("ticket", "t", "hash = q.ticket") + `
		CROSS JOIN LATERAL (SELECT coalesce(t.client, q.client) AS client, coalesce(t.actor, q.actor) AS actor,
			coalesce(t.subject, q.subject) AS subject, coalesce(t.login, q.login) AS login) k` +
		one("client", "c", "id = k.client AND deleted_at IS NULL") +
		one("app_user", "a", "id = k.actor") + one("authz_version", "va", "organisation = a.organisation") +
		one("app_user", "b", "id = k.subject") + one("authz_version", "vb", "organisation = b.organisation") +
		one("login", "l", "id = k.login") +
		one("source", "o", "q.provisioned AND name = substr(a.source, 6) AND starts_with(a.source, '"+store.SourceSCIM+"') AND a.external_id <> '' AND issuer <> ''"+
			" AND removed_at IS NULL AND EXISTS (SELECT 1 FROM source_token i WHERE i.source = name AND i.revoked_at IS NULL AND (i.expires_at IS NULL OR i.expires_at > q.now))") +
		one("consent", "y", "q.consent AND subject = k.subject AND client = k.client AND revoked_at IS NULL") +
		epochsJoin("k.client", "k.actor", "k.subject", "a.organisation", "b.organisation")

	selectStop = `SELECT r.hash, r.expires_at, r.used_at, r.void_at IS NOT NULL, r.given, ` + wasRevoked + `, ` + sessionColumns + `, ` + loginColumns + `,
			` + userColumns("a") + `, ` + userColumns("b") + `
		FROM unnest($1::bytea[]) q(hash) CROSS JOIN LATERAL (SELECT * FROM return_token WHERE hash = q.hash OFFSET 0) r` +
		one("impersonation_session", "s", "id = r.session") + one("login", "l", "id = s.login") +
		one("app_user", "a", "id = s.actor") + one("app_user", "b", "id = s.subject")

	selectLive = `SELECT ` + sessionColumns + `, ` + clientColumns + `, ` + userColumns("a") + `, ` + userColumns("b") + `, ` + loginColumns + `, ` + consentColumns + `, ` + epochArrays + `
		FROM unnest($1::text[]) q(id) CROSS JOIN LATERAL (SELECT * FROM impersonation_session WHERE id = q.id OFFSET 0) s` +
		one("client", "c", "id = s.client AND deleted_at IS NULL") + one("login", "l", "id = s.login") +
		one("app_user", "a", "id = s.actor") + one("app_user", "b", "id = s.subject") + one("consent", "y", "s.consent <> '' AND id = s.consent") +
		epochsJoin("s.client", "s.actor", "s.subject", "a.organisation", "b.organisation")
)

// startKey is an impersonation.StartKey.
type startKey struct {
	ticket                             oauth.Hash
	client, actor, subject, login, jti string
	now                                int64 // whole seconds, so that callers of one moment share a read
	most                               int
	consent                            bool
	subjectLogin, subjectJTI           string
	provisioned                        bool
}

// startRow is a row of selectStart.
type startRow struct {
	ticket         impersonation.Ticket
	client         store.Client
	actor, subject directory.User
	na, nb         int64
	login          impersonation.Login
	consent        impersonation.Consent
	held           bool
	subjectHeld    bool
	epochs         epochs
	live           []string // ids
	elsewhere      int
	provisioned    string // the issuer of the source
}

func (r *startRow) dest(ord *int64) []any {
	return slices.Concat([]any{ord}, ticketDest(&r.ticket), clientDest(&r.client), userDest(&r.actor), []any{number{&r.na}}, userDest(&r.subject),
		[]any{number{&r.nb}}, loginDest(&r.login), []any{&r.held, &r.subjectHeld}, consentDest(&r.consent), r.epochs.dest(), []any{&r.live, &r.elsewhere, text(&r.provisioned)})
}

// LoadStart implements impersonation.Store.
func (s *Store) LoadStart(ctx context.Context, k impersonation.StartKey) (f impersonation.Facts, err error) {
	key := startKey{k.Ticket, k.Client, k.Actor, k.Subject, k.Login, k.ActorJTI, k.Now.Unix(), k.Most, k.Consent, k.SubjectLogin, k.SubjectJTI, k.Provisioned}
	if !storable(k.Client, k.Actor, k.Subject, k.Login, k.ActorJTI, k.SubjectLogin, k.SubjectJTI) {
		return f, nil
	}
	row, err := s.loadStarts.do(ctx, key)
	if err != nil || !k.Ticket.IsZero() && row.ticket.Hash.IsZero() {
		return f, failed("reading a start", err) // without the ticket nobody knows who is meant
	}
	own := *row // others may have asked for it too
	return own.facts(k), nil
}

// readStarts reads many starts.
func (s *Store) readStarts(ctx context.Context, keys []startKey) (map[startKey]*startRow, error) {
	asked := newTable(startKeyColumns)
	for _, k := range keys {
		asked.add(hashed(k.ticket), k.client, k.actor, k.subject, k.login, orNull(k.jti), k.now*1000, k.most, k.consent, k.subjectLogin, orNull(k.subjectJTI), k.provisioned)
	}
	return readMany(ctx, s, selectStart, args(asked), func(rows pgx.Rows, found map[startKey]*startRow) error {
		r := new(startRow)
		var ord int64
		if err := rows.Scan(r.dest(&ord)...); err != nil {
			return err
		}
		found[keys[ord-1]] = r
		return nil
	})
}

func (r *startRow) facts(k impersonation.StartKey) (f impersonation.Facts) {
	if t := &r.ticket; !t.Hash.IsZero() {
		f.Ticket = t
		k.Client, k.Actor, k.Subject, k.Login = t.Client, t.Actor, t.Subject, t.Login
	}
	f.Client, f.Actor, f.Subject = registered(&r.client), person(&r.actor), person(&r.subject)
	f.Login, f.ActorToken, f.Live, f.Elsewhere = found(&r.login), r.held && (k.Login == "" || r.login.ID != ""), r.live, r.elsewhere
	f.SubjectToken = r.subjectHeld
	f.Consent = given(&r.consent)
	if r.provisioned != "" {
		f.Provisioned = oauth.Party{Issuer: r.provisioned, Subject: r.actor.ExternalID}
	}
	f.Guard.Authz = versions(f.Actor, r.na, f.Subject, r.nb)
	f.Guard.Login, f.Guard.ActorJTI, f.Guard.SubjectLogin, f.Guard.SubjectJTI = k.Login, k.ActorJTI, k.SubjectLogin, k.SubjectJTI
	f.Guard.Epochs = reach(k.Client, k.Actor, k.Subject, f.Actor, f.Subject)
	f.Kills = r.epochs.fill(f.Guard.Epochs)
	return f
}

// versions gives the authz_version of each person's organisation once, "" included.
func versions(a *policy.Person, na int64, b *policy.Person, nb int64) (out []impersonation.Version) {
	if a != nil {
		out = append(out, impersonation.Version{Organisation: a.Organisation, N: na})
	}
	if b != nil && (a == nil || a.Organisation != b.Organisation) {
		out = append(out, impersonation.Version{Organisation: b.Organisation, N: nb})
	}
	return out
}

// registered is the client's part that decisions see, nil if it does not exist.
func registered(c *store.Client) *policy.Client {
	if c.ID == "" {
		return nil
	}
	return c.Deciding()
}

// given is c, nil if it does not exist.
func given(c *impersonation.Consent) *impersonation.Consent {
	if c.ID == "" {
		return nil
	}
	return c
}

// found is l, nil if it does not exist.
func found(l *impersonation.Login) *impersonation.Login {
	if l.ID == "" {
		return nil
	}
	return l
}

// person is u as a decision sees them, nil if there is no such user.
func person(u *directory.User) *policy.Person {
	if u.ID == "" {
		return nil
	}
	p := &policy.Person{Name: u.Name, Email: u.Email, Organisation: u.Organisation, Groups: u.Groups, Roles: u.Roles, Attributes: u.Attributes,
		Enabled: u.Enabled, Protected: u.Protected, SecondFactor: u.SecondFactor, Identities: u.Identities}
	p.Subject = u.ID
	return p
}

// stopRow is a row of selectStop.
type stopRow struct {
	facts          impersonation.StopFacts
	login          impersonation.Login
	actor, subject directory.User
}

// LoadStop implements impersonation.Store.
func (s *Store) LoadStop(ctx context.Context, returnToken oauth.Hash) (impersonation.StopFacts, error) {
	r, err := s.loadStops.do(ctx, returnToken)
	r.facts.Login, r.facts.Actor, r.facts.Subject = found(&r.login), person(&r.actor), person(&r.subject)
	return r.facts, failed("reading a stop", ours(err))
}

func (s *Store) readStops(ctx context.Context, hashes []oauth.Hash) (map[oauth.Hash]stopRow, error) {
	keys := make([][]byte, len(hashes))
	for i := range hashes {
		keys[i] = hashes[i][:]
	}
	return readMany(ctx, s, selectStop, []any{keys}, func(rows pgx.Rows, found map[oauth.Hash]stopRow) error {
		var r stopRow
		var key oauth.Hash
		f := &r.facts
		err := rows.Scan(slices.Concat([]any{hash{&key}, at{&f.Expires}, at{&f.Used}, &f.Void, &f.Given, &f.Revoked},
			sessionDest(&f.Session), loginDest(&r.login), userDest(&r.actor), userDest(&r.subject))...)
		found[key] = r
		return err
	})
}

// liveRow is a row of selectLive.
type liveRow struct {
	session        impersonation.Session
	client         store.Client
	actor, subject directory.User
	login          impersonation.Login
	consent        impersonation.Consent
	epochs         epochs
}

// LoadSession implements impersonation.Store.
func (s *Store) LoadSession(ctx context.Context, sid string) (l impersonation.Live, err error) {
	if !storable(sid) {
		return l, failed("reading a session", impersonation.ErrNotFound)
	}
	r, err := s.loadSessions.do(ctx, sid)
	if err != nil {
		return l, failed("reading a session", ours(err))
	}
	l.Session, l.Client, l.Actor, l.Subject, l.Login = r.session, registered(&r.client), person(&r.actor), person(&r.subject), found(&r.login)
	l.Consent = given(&r.consent)
	l.Kills = r.epochs.fill(reach(l.Session.Client, l.Session.Actor, l.Session.Subject, l.Actor, l.Subject))
	return l, nil
}

func (s *Store) readSessions(ctx context.Context, ids []string) (map[string]liveRow, error) {
	return readMany(ctx, s, selectLive, []any{ids}, func(rows pgx.Rows, found map[string]liveRow) error {
		var r liveRow
		err := rows.Scan(slices.Concat(sessionDest(&r.session), clientDest(&r.client), userDest(&r.actor), userDest(&r.subject),
			loginDest(&r.login), consentDest(&r.consent), r.epochs.dest())...)
		found[r.session.ID] = r
		return err
	})
}
