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

// Each of these is one statement, and so of one moment. What is missing is NULL from its join, and reads as an empty id.
var (
	// selectStart has a row for each living session of the login at the client, and one if there is none.
	selectStart = `SELECT ` + ticketColumns + `, ` + clientColumns + `, ` + userColumns("a") + `, va.n, ` + userColumns("b") + `, vb.n, ` + loginColumns + `,
			EXISTS (SELECT 1 FROM oauth_grant g WHERE g.jti = $6 AND g.revoked_at IS NULL), ` + epochArrays + `, ` + sessionColumns + `
		FROM (SELECT $1::bytea AS ticket, $2::text AS client, $3::text AS actor, $4::text AS subject, $5::text AS login) q
		LEFT JOIN ticket t ON t.hash = q.ticket
		CROSS JOIN LATERAL (SELECT coalesce(t.client, q.client) AS client, coalesce(t.actor, q.actor) AS actor,
			coalesce(t.subject, q.subject) AS subject, coalesce(t.login, q.login) AS login) k
		LEFT JOIN client c ON c.id = k.client AND c.deleted_at IS NULL
		LEFT JOIN app_user a ON a.id = k.actor LEFT JOIN authz_version va ON va.organisation = a.organisation
		LEFT JOIN app_user b ON b.id = k.subject LEFT JOIN authz_version vb ON vb.organisation = b.organisation
		LEFT JOIN login l ON l.id = k.login
		LEFT JOIN impersonation_session s ON s.login = k.login AND s.client = k.client AND s.ended_at IS NULL
		` + epochsJoin("k.client", "k.actor", "k.subject", "a.organisation", "b.organisation") + ` ORDER BY s.seq`

	selectStop = `SELECT r.expires_at, r.used_at, r.void_at IS NOT NULL, r.given, ` + wasRevoked + `, ` + sessionColumns + `, ` + loginColumns + `,
			` + userColumns("a") + `, ` + userColumns("b") + `
		FROM return_token r JOIN impersonation_session s ON s.id = r.session LEFT JOIN login l ON l.id = s.login
		LEFT JOIN app_user a ON a.id = s.actor LEFT JOIN app_user b ON b.id = s.subject WHERE r.hash = $1`

	selectLive = `SELECT ` + sessionColumns + `, ` + clientColumns + `, ` + userColumns("a") + `, ` + userColumns("b") + `, ` + loginColumns + `, ` + epochArrays + `
		FROM impersonation_session s LEFT JOIN client c ON c.id = s.client AND c.deleted_at IS NULL LEFT JOIN login l ON l.id = s.login
		LEFT JOIN app_user a ON a.id = s.actor LEFT JOIN app_user b ON b.id = s.subject
		` + epochsJoin("s.client", "s.actor", "s.subject", "a.organisation", "b.organisation") + ` WHERE s.id = $1`
)

// startRow is a row of selectStart.
type startRow struct {
	ticket         impersonation.Ticket
	client         store.Client
	actor, subject directory.User
	na, nb         int64
	login          impersonation.Login
	held           bool
	epochs         epochs
	live           impersonation.Session
}

func (r *startRow) dest() []any {
	return slices.Concat(ticketDest(&r.ticket), clientDest(&r.client), userDest(&r.actor), []any{number{&r.na}}, userDest(&r.subject), []any{number{&r.nb}},
		loginDest(&r.login), []any{&r.held}, r.epochs.dest(), sessionDest(&r.live))
}

// LoadStart implements impersonation.Store.
func (s *Store) LoadStart(ctx context.Context, k impersonation.StartKey) (f impersonation.Facts, err error) {
	var first startRow
	var live []impersonation.Session
	err = s.single(ctx, "reading a start", func(ctx context.Context, q querier) error {
		live = nil
		return each(ctx, q, selectStart, []any{hashed(k.Ticket), k.Client, k.Actor, k.Subject, k.Login, orNull(k.ActorJTI)}, func(rows pgx.Rows) error {
			first = startRow{}
			err := rows.Scan(first.dest()...)
			if first.live.ID != "" {
				live = append(live, first.live)
			}
			return err
		})
	})
	if err != nil || !k.Ticket.IsZero() && first.ticket.Hash.IsZero() {
		return f, err // without the ticket nobody knows who is meant
	}
	return first.facts(k, live), nil
}

func (r *startRow) facts(k impersonation.StartKey, live []impersonation.Session) (f impersonation.Facts) {
	if t := &r.ticket; !t.Hash.IsZero() {
		f.Ticket = t
		k.Client, k.Actor, k.Subject, k.Login = t.Client, t.Actor, t.Subject, t.Login
	}
	f.Client, f.Actor, f.Subject = registered(&r.client), person(&r.actor), person(&r.subject)
	f.Login, f.ActorToken, f.Live = found(&r.login), r.login.ID != "" && r.held, live
	f.Guard.Authz = versions(f.Actor, r.na, f.Subject, r.nb)
	f.Guard.Login, f.Guard.ActorJTI = k.Login, k.ActorJTI
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
	return &c.Client
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
		Enabled: u.Enabled, Protected: u.Protected, SecondFactor: u.SecondFactor}
	p.Subject = u.ID
	return p
}

// LoadStop implements impersonation.Store.
func (s *Store) LoadStop(ctx context.Context, returnToken oauth.Hash) (f impersonation.StopFacts, err error) {
	var login impersonation.Login
	var actor, subject directory.User
	err = s.single(ctx, "reading a stop", func(ctx context.Context, q querier) error {
		return row(ctx, q, selectStop, []any{returnToken[:]}, slices.Concat([]any{at{&f.Expires}, at{&f.Used}, &f.Void, &f.Given, &f.Revoked},
			sessionDest(&f.Session), loginDest(&login), userDest(&actor), userDest(&subject)))
	})
	f.Login, f.Actor, f.Subject = found(&login), person(&actor), person(&subject)
	return f, ours(err)
}

// LoadSession implements impersonation.Store.
func (s *Store) LoadSession(ctx context.Context, sid string) (l impersonation.Live, err error) {
	var client store.Client
	var login impersonation.Login
	var actor, subject directory.User
	var e epochs
	err = s.single(ctx, "reading a session", func(ctx context.Context, q querier) error {
		return row(ctx, q, selectLive, []any{sid}, slices.Concat(sessionDest(&l.Session), clientDest(&client), userDest(&actor), userDest(&subject),
			loginDest(&login), e.dest()))
	})
	if err != nil {
		return l, ours(err)
	}
	l.Client, l.Actor, l.Subject, l.Login = registered(&client), person(&actor), person(&subject), found(&login)
	l.Kills = e.fill(reach(l.Session.Client, l.Session.Actor, l.Session.Subject, l.Actor, l.Subject))
	return l, nil
}
