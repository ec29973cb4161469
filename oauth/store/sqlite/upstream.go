package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	selectUpstreamEnd = `SELECT ended_at FROM upstream_end WHERE upstream = ? AND what = ? AND value = ?`
	putUpstreamEnd    = `INSERT INTO upstream_end (upstream, what, value, ended_at, until_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (upstream, what, value) DO UPDATE SET ended_at = excluded.ended_at, until_at = max(until_at, excluded.until_at)`

	selectUpstreamSession = `SELECT ` + loginColumns + ` FROM login WHERE upstream = ? AND upstream_sid = ? AND upstream_sid <> '' AND ended_at IS NULL`
	// selectUpstreamSubject leaves out the sessions that have a sid if ?3, which is of an end of one.
	selectUpstreamSubject = `SELECT ` + loginColumns + ` FROM login WHERE id IN (SELECT l.id FROM user_identity i CROSS JOIN login l ON l.user_id = i.user_id
		WHERE i.issuer = ?1 AND i.subject = ?2 AND l.upstream = ?1 AND (NOT ?3 OR l.upstream_sid = '') AND l.ended_at IS NULL)`

	selectHint = `SELECT upstream_hint FROM login WHERE id = ?`
)

// notOver answers impersonation.ErrChanged if the upstream of w's login has said that it is over.
func (c *conn) notOver(ctx context.Context, w store.LoginWrite) error {
	for _, row := range w.Overs() {
		var ended int64
		err := c.row(ctx, selectUpstreamEnd, []any{w.Login.Upstream, row.What, row.Value}, []any{&ended})
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return err
		case w.Ended(row, time.UnixMilli(ended)):
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
	return s.ending(ctx, "ending what an upstream says is over", func(ctx context.Context, c *conn) (all []impersonation.Ended, err error) {
		if w.Once != "" {
			if n, err := c.exec(ctx, insertSeen, w.Space(), w.Once, ms(w.OnceUntil)); err != nil || n == 0 {
				return nil, spent(err)
			}
		}
		for _, row := range w.Overs() {
			if _, err := c.exec(ctx, putUpstreamEnd, w.Upstream, row.What, row.Value, ms(w.Now), ms(w.Until)); err != nil {
				return nil, err
			}
		}
		logins, err := c.upstreamLogins(ctx, w)
		if err != nil {
			return nil, err
		}
		for _, l := range logins {
			ended, err := c.endLogin(ctx, w.LoginEnd(l))
			if err != nil {
				return nil, err
			}
			if err := c.addEntry(ctx, store.UpstreamEntry(w, l)); err != nil {
				return nil, err
			}
			all = append(all, ended...)
		}
		return all, c.record(ctx, w.Entries, w.Events)
	})
}

func spent(err error) error {
	if err == nil {
		return store.ErrSpent
	}
	return err
}

func (c *conn) upstreamLogins(ctx context.Context, w store.UpstreamEnd) (out []impersonation.Login, err error) {
	add := func(r *sql.Rows) error {
		var l impersonation.Login
		err := r.Scan(loginDest(&l)...)
		out = append(out, l)
		return err
	}
	if w.Session != "" {
		if err := c.each(ctx, selectUpstreamSession, []any{w.Upstream, w.Session}, add); err != nil {
			return nil, err
		}
	}
	if w.Subject == "" {
		return out, nil
	}
	return out, c.each(ctx, selectUpstreamSubject, []any{w.Upstream, w.Subject, w.Session != ""}, add)
}

// LoginHint implements store.Logins.
func (s *Store) LoginHint(ctx context.Context, id string) (hint []byte, err error) {
	err = s.look(ctx, "reading a login's hint", func(ctx context.Context, c *conn) error {
		return c.row(ctx, selectHint, []any{id}, []any{&hint})
	})
	return hint, err
}
