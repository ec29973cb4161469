package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	// lockUpstreamEnd makes the row if there is none, and locks it: a sign-in and the end of what it came of wait for each other, and the
	// second sees the first.
	lockUpstreamEnd = `INSERT INTO upstream_end AS e (upstream, what, value, until_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (upstream, what, value) DO UPDATE SET until_at = greatest(e.until_at, excluded.until_at) RETURNING e.ended_at`
	putUpstreamEnd = `INSERT INTO upstream_end AS e (upstream, what, value, ended_at, until_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (upstream, what, value) DO UPDATE SET ended_at = excluded.ended_at, until_at = greatest(e.until_at, excluded.until_at)`

	selectUpstreamSession = `SELECT ` + loginColumns + ` FROM login l WHERE l.upstream = $1 AND l.upstream_sid = $2 AND l.upstream_sid <> '' AND l.ended_at IS NULL ORDER BY l.id`
	// selectUpstreamSubject leaves out the sessions that have a sid if $3, which is of an end of one.
	selectUpstreamSubject = `SELECT ` + loginColumns + ` FROM login l
		WHERE l.user_id = (SELECT i.user_id FROM user_identity i WHERE i.issuer = $1 AND i.subject = $2)
		AND l.upstream = $1 AND (NOT $3::boolean OR l.upstream_sid = '') AND l.ended_at IS NULL ORDER BY l.id`

	selectHint = `SELECT upstream_hint FROM login WHERE id = $1`
)

// notOver answers impersonation.ErrChanged if the upstream of w's login has said that it is over.
func (t *tx) notOver(ctx context.Context, w store.LoginWrite) error {
	for _, row := range w.Overs() {
		var ended *int64
		if err := t.QueryRow(ctx, lockUpstreamEnd, w.Login.Upstream, row.What, row.Value, ms(w.Login.Expires)).Scan(&ended); err != nil {
			return err
		}
		if ended != nil && w.Ended(row, time.UnixMilli(*ended)) {
			return impersonation.ErrChanged
		}
	}
	return nil
}

// EndUpstream implements store.Logins.
func (s *Store) EndUpstream(ctx context.Context, w store.UpstreamEnd) ([]impersonation.Ended, error) {
	if err := store.CheckKeys(w.Upstream, w.Session, w.Subject, w.Space(), w.Once); err != nil {
		return nil, failed("ending what an upstream says is over", err)
	}
	return s.ending(ctx, "ending what an upstream says is over", func(ctx context.Context, t *tx) (all []impersonation.Ended, err error) {
		if w.Once != "" {
			if n, err := exec(ctx, t, insertSeen, w.Space(), w.Once, ms(w.OnceUntil)); err != nil || n == 0 {
				return nil, spent(err)
			}
		}
		for _, row := range w.Overs() {
			if _, err := exec(ctx, t, putUpstreamEnd, w.Upstream, row.What, row.Value, ms(w.Now), ms(w.Until)); err != nil {
				return nil, err
			}
		}
		logins, err := t.upstreamLogins(ctx, w)
		if err != nil {
			return nil, err
		}
		for _, l := range logins {
			ended, err := t.endLogin(ctx, w.LoginEnd(l))
			if err != nil {
				return nil, err
			}
			t.entries = append(t.entries, store.UpstreamEntry(w, l))
			all = append(all, ended...)
		}
		t.record(w.Entries, w.Events)
		return all, nil
	})
}

func spent(err error) error {
	if err == nil {
		return store.ErrSpent
	}
	return err
}

func (t *tx) upstreamLogins(ctx context.Context, w store.UpstreamEnd) (out []impersonation.Login, err error) {
	add := func(r pgx.Rows) error {
		var l impersonation.Login
		err := r.Scan(loginDest(&l)...)
		out = append(out, l)
		return err
	}
	if w.Session != "" {
		if err := each(ctx, t, selectUpstreamSession, []any{w.Upstream, w.Session}, add); err != nil {
			return nil, err
		}
	}
	if w.Subject == "" {
		return out, nil
	}
	return out, each(ctx, t, selectUpstreamSubject, []any{w.Upstream, w.Subject, w.Session != ""}, add)
}

// LoginHint implements store.Logins.
func (s *Store) LoginHint(ctx context.Context, id string) (hint []byte, err error) {
	err = s.single(ctx, "reading a login's hint", func(ctx context.Context, q querier) error {
		return row(ctx, q, selectHint, []any{id}, []any{&hint})
	})
	return hint, err
}
