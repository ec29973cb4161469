package postgres

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/impersonation"
)

// How a start and an end that run at the same time do not miss each other.
//
// A start first locks, FOR SHARE, every row whose change ends sessions, and then writes by a second statement of the same
// transaction. Whoever ends sessions changes such a row first, and looks for the sessions by a later statement. READ COMMITTED
// gives each statement what is committed when it begins, so there are two cases. The start has its locks first: the end waits
// for the start's commit, and then finds its session. The end has changed the row first: the start waits for the end's commit,
// and then finds the row changed. It must be two statements on both sides: one that waits for a lock goes on with what it saw
// before it waited, in all but the locked row.
//
// A row that is not there cannot be locked: the first kill of a person would pass a start that is under way. So a start first
// adds the epochs that are missing, with the count 0 that a missing row stands for. The other rows are there: an organisation's
// version since its first user, and a login or a grant that is gone counts as ended.
//
// Who shares a row lets others share it, past whoever waits to change it: starts at several replicas, which never leave a row alone, would
// keep a kill waiting until it gives up. So they queue first, and a kill, or the removal of a client, waits for those only that were there
// before it. Other ends take rows that few share at once.
//
// The login and the epoch of the actor, which is the first of the epochs, are locked FOR NO KEY UPDATE, so that of two starts of one
// login, or of one actor, the second sees the session of the first.
const (
	queueStart = `SELECT pg_advisory_xact_lock_shared(hashtextextended('start', 0))`
	queueKill  = `SELECT pg_advisory_xact_lock(hashtextextended('start', 0))`

	addEpochs = `INSERT INTO epoch (scope, id, n, killed_by, reason)
		SELECT k.scope, k.id, 0, '', '' FROM unnest($1::text[], $2::text[]) AS k(scope, id) ORDER BY k.scope, k.id ON CONFLICT DO NOTHING`

	// lockGuards locks in the order of the package comment: UNION ALL runs its parts one after the other, and the epochs come in
	// their order.
	lockGuards = `SELECT count(*) FROM (
		SELECT 1 FROM (SELECT 1 FROM authz_version WHERE organisation = ANY ($3::text[]) ORDER BY organisation FOR SHARE) a
		UNION ALL SELECT 1 FROM unnest($1::text[], $2::text[]) AS k(scope, id)
			CROSS JOIN LATERAL (SELECT 1 FROM epoch WHERE scope = 'actor' AND k.scope = 'actor' AND epoch.id = k.id OFFSET 0 FOR NO KEY UPDATE) e
		UNION ALL SELECT 1 FROM unnest($1::text[], $2::text[]) AS k(scope, id)
			CROSS JOIN LATERAL (SELECT 1 FROM epoch WHERE scope = k.scope AND k.scope <> 'actor' AND epoch.id = k.id OFFSET 0 FOR SHARE) e
		UNION ALL SELECT 1 FROM (SELECT 1 FROM login WHERE id = ANY ($4::text[]) ORDER BY id FOR NO KEY UPDATE) l
		UNION ALL SELECT 1 FROM (SELECT 1 FROM oauth_grant WHERE jti = ANY ($5::text[]) ORDER BY id FOR SHARE) g
		UNION ALL SELECT 1 FROM (SELECT 1 FROM ticket WHERE hash = ANY ($6::bytea[]) ORDER BY hash FOR NO KEY UPDATE) t
	) locked`

	guardColumns   = `login text, jti text, subject_login text, subject_jti text`
	epochColumns   = `of bigint, scope text, id text, n bigint`
	versionColumns = `of bigint, organisation text, n bigint`
)

// anyMoved is a query for the guards of which an epoch or a version is not as it was read, by their place. It takes the
// parameters from first on.
func anyMoved(first int) string {
	return `SELECT k.of FROM ` + unnested("k", epochColumns, first) + ` CROSS JOIN LATERAL (SELECT * FROM epoch WHERE scope = k.scope AND epoch.id = k.id OFFSET 0) e
			WHERE e.n <> k.n OR e.killed_at IS NOT NULL
		UNION ALL SELECT v.of FROM ` + unnested("v", versionColumns, first+len(newTable(epochColumns))) + ` JOIN authz_version a ON a.organisation = v.organisation
			WHERE a.n <> v.n`
}

// isGone tells whether a login or a token of the guard w has ended.
const isGone = `w.login <> '' AND NOT EXISTS (SELECT 1 FROM login l WHERE l.id = w.login AND l.ended_at IS NULL)
	OR w.jti <> '' AND NOT EXISTS (SELECT 1 FROM oauth_grant g WHERE g.jti = w.jti AND g.revoked_at IS NULL)
	OR w.subject_login <> '' AND NOT EXISTS (SELECT 1 FROM login l WHERE l.id = w.subject_login AND l.ended_at IS NULL)
	OR w.subject_jti <> '' AND NOT EXISTS (SELECT 1 FROM oauth_grant g WHERE g.jti = w.subject_jti AND g.revoked_at IS NULL)`

// guards are those of many writes.
type guards struct {
	locks            locks
	epochs, versions table
	n                int64
}

func newGuards() *guards {
	return &guards{epochs: newTable(epochColumns), versions: newTable(versionColumns)}
}

func (g *guards) add(one impersonation.Guard) {
	g.n++
	for _, e := range one.Epochs {
		g.epochs.add(g.n, string(e.Scope), e.ID, e.N)
		g.locks.epochs = append(g.locks.epochs, [2]string{string(e.Scope), e.ID})
	}
	for _, v := range one.Authz {
		g.versions.add(g.n, v.Organisation, v.N)
		g.locks.organisations = append(g.locks.organisations, v.Organisation)
	}
	g.locks.logins = append(g.locks.logins, one.Login, one.SubjectLogin)
	g.locks.jtis = append(g.locks.jtis, one.ActorJTI, one.SubjectJTI)
}

// guarded gives the values of guardColumns.
func guarded(one impersonation.Guard) []any {
	return []any{one.Login, one.ActorJTI, one.SubjectLogin, one.SubjectJTI}
}

// locks names the rows that starts lock.
type locks struct {
	epochs                      [][2]string
	organisations, logins, jtis []string
	tickets                     [][]byte
}

func (l *locks) queue(b *pgx.Batch) {
	slices.SortFunc(l.epochs, func(a, b [2]string) int { return strings.Compare(a[0]+"\x00"+a[1], b[0]+"\x00"+b[1]) })
	l.epochs = slices.Compact(l.epochs)
	var scopes, ids []string
	for _, e := range l.epochs {
		scopes, ids = append(scopes, e[0]), append(ids, e[1])
	}
	b.Queue(queueStart)
	b.Queue(addEpochs, scopes, ids)
	b.Queue(lockGuards, scopes, ids, l.organisations, l.logins, l.jtis, l.tickets)
}

// bumpAuthz makes every start that was decided on a person of the organisations read again.
const bumpAuthz = `INSERT INTO authz_version AS v (organisation, n) SELECT o, 1 FROM unnest($1::text[]) AS o ORDER BY o
	ON CONFLICT (organisation) DO UPDATE SET n = v.n + 1`

// bump names each organisation once, whatever organisations has.
func (t *tx) bump(ctx context.Context, organisations ...string) error {
	slices.Sort(organisations)
	_, err := exec(ctx, t, bumpAuthz, slices.Compact(organisations))
	return err
}

var isChanged = `SELECT w.ord IN (` + anyMoved(1+len(newTable(guardColumns))) + `) OR ` + isGone + ` FROM ` + unnested("w", guardColumns, 1)

// hold answers impersonation.ErrChanged if anything in one is not what it was, and keeps it so until the commit otherwise.
func (t *tx) hold(ctx context.Context, one impersonation.Guard) error {
	g, w := newGuards(), newTable(guardColumns)
	g.add(one)
	w.add(guarded(one)...)
	var b pgx.Batch
	g.locks.queue(&b)
	var changed bool
	b.Queue(isChanged, args(w, g.epochs, g.versions)...).QueryRow(func(r pgx.Row) error { return r.Scan(&changed) })
	if err := t.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	if changed {
		return impersonation.ErrChanged
	}
	return nil
}
