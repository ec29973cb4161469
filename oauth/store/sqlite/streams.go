package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	streamColumns = `id, client, status, reason, description, events, position, acked, fresh, push, verified_at, created_at, polled_at`

	countStreams = `SELECT count(*) FROM ssf_stream WHERE client = ? AND polled_at > ? AND NOT push`
	insertStream = `INSERT INTO ssf_stream (` + streamColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, '[]', ?, ?, NULL, ?, ?)`

	selectStream  = `SELECT ` + streamColumns + ` FROM ssf_stream WHERE id = ?`
	selectStreams = `SELECT ` + streamColumns + ` FROM ssf_stream WHERE ?1 IN ('', client) ORDER BY created_at, id`
	knowsStream   = `SELECT EXISTS (SELECT 1 FROM ssf_stream WHERE id = ?)`

	moveStream = `UPDATE ssf_stream SET position = ?5, acked = ?6, fresh = ?7, polled_at = max(polled_at, ?8)
		WHERE id = ?1 AND position = ?2 AND acked = ?3 AND fresh = ?4`
	changeStream = `UPDATE ssf_stream SET status = ?2, reason = ?3, description = ?4, events = ?5, fresh = fresh OR ?6 WHERE id = ?1`
	leaseStream  = `UPDATE ssf_stream SET polled_at = ?3 WHERE id = ?1 AND coalesce(polled_at, 0) = ?2`
	closeStream  = `DELETE FROM ssf_stream WHERE id = ?`
	verifyStream = `UPDATE ssf_stream SET verified_at = ?2 WHERE id = ?1 AND coalesce(verified_at, 0) <= ?3`

	deleteStreams = `DELETE FROM ssf_stream WHERE client = ?`
	sweepStreams  = `DELETE FROM ssf_stream WHERE polled_at < ? AND NOT push`

	outboxEnd = `SELECT coalesce(max(position), 0) FROM outbox`

	selectToTell = `SELECT o.position, o.kind, o.session, o.reason, o.time_at, s.audit, coalesce(nullif(s.token_sub, ''), s.subject)
		FROM (SELECT x.position, x.kind, x.session, x.reason, x.time_at FROM outbox x
			WHERE x.client = ?1 AND x.kind IN ('session.ended', 'stream.verify') AND x.position > ?2 AND x.position NOT IN (SELECT value FROM json_each(?3))
				AND (x.kind = 'session.ended' AND ?4 OR x.kind = 'stream.verify' AND x.session = ?5)
			ORDER BY x.position LIMIT ?6) o
		LEFT JOIN impersonation_session s ON s.id = o.session
		ORDER BY o.position`

	// selectRecent goes from the newest session back: they are in the order of their starts.
	selectRecent = `SELECT ` + sessionColumns + `, seq FROM impersonation_session WHERE client = ? AND seq < ? ORDER BY seq DESC LIMIT ?`

	selectPersonKills = `SELECT DISTINCT
			CASE WHEN e.scope = 'organisation' AND e.id IS NOT b.organisation THEN 'actor' ELSE e.scope END,
			CASE WHEN e.scope = 'subject' THEN coalesce(nullif(k.token_sub, ''), k.subject)
				WHEN e.scope = 'organisation' AND e.id IS b.organisation THEN e.id ELSE coalesce(nullif(k.act_sub, ''), k.actor) END
		FROM (SELECT x.actor, x.subject, x.token_sub, x.act_sub, x.expires_at FROM impersonation_session x WHERE x.client = ?1 ORDER BY x.seq DESC LIMIT 1000) k
		LEFT JOIN app_user a ON a.id = k.actor
		LEFT JOIN app_user b ON b.id = k.subject
		JOIN epoch e ON e.killed_at IS NOT NULL AND
			(e.scope = 'actor' AND e.id = k.actor OR e.scope = 'subject' AND e.id = k.subject OR e.scope = 'organisation' AND e.id IN (a.organisation, b.organisation))
		WHERE k.expires_at > ?2 ORDER BY 1, 2`

	// sweepOutbox looks at the oldest alone.
	sweepOutbox = `DELETE FROM outbox WHERE position IN (
		SELECT o.position FROM (SELECT position, time_at FROM outbox ORDER BY position LIMIT ?2) o WHERE coalesce(o.time_at, 0) < ?1)`
)

func streamDest(s *store.Stream) []any {
	return []any{&s.ID, &s.Client, &s.Status, &s.Reason, &s.Description, items{&s.Events},
		&s.Cursor.Position, numbers{&s.Cursor.Acked}, &s.Cursor.Fresh, &s.Push, at{&s.Verified}, at{&s.Created}, at{&s.Polled}}
}

// positions is the column of a list of them, in the one spelling that it has.
func positions(list []int64) string {
	b, _ := json.Marshal(append([]int64{}, list...)) // numbers always marshal
	return string(b)
}

// numbers scans a column of positions.
type numbers struct{ l *[]int64 }

func (x numbers) Scan(v any) error {
	*x.l = nil
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("a list of numbers is stored as %T", v)
	}
	if s == "[]" {
		return nil
	}
	return json.Unmarshal([]byte(s), x.l)
}

// OpenStream implements store.Streams.
func (s *Store) OpenStream(ctx context.Context, n store.Stream, since time.Time, most int) (store.Stream, error) {
	if err := store.CheckKeys(n.ID, n.Client); err != nil {
		return store.Stream{}, failed("opening a stream", err)
	}
	var out store.Stream
	err := s.update(ctx, "opening a stream", func(ctx context.Context, c *conn) error {
		out = n
		if client, err := optional(c.client(ctx, n.Client)); err != nil || client == nil {
			return errors.Join(err, store.ErrNotFound)
		}
		var have int
		if err := c.row(ctx, countStreams, []any{n.Client, since.UnixMilli()}, []any{&have}); err != nil {
			return err
		}
		if have >= most && !n.Push {
			return store.ErrTooMany
		}
		if err := c.row(ctx, outboxEnd, nil, []any{&out.Cursor.Position}); err != nil {
			return err
		}
		_, err := c.exec(ctx, insertStream, n.ID, n.Client, n.Status, n.Reason, n.Description, list(n.Events), out.Cursor.Position, n.Cursor.Fresh, n.Push, ms(n.Created), ms(n.Polled))
		return exists(err)
	})
	if err != nil {
		return store.Stream{}, err // out may still be written to: a caller who left does not look at it
	}
	return out, nil
}

// Stream implements store.Streams.
func (s *Store) Stream(ctx context.Context, id string) (out store.Stream, err error) {
	err = s.look(ctx, "reading a stream", func(ctx context.Context, c *conn) error {
		return c.row(ctx, selectStream, []any{id}, streamDest(&out))
	})
	return out, err
}

// Streams implements store.Streams.
func (s *Store) Streams(ctx context.Context, client string) (out []store.Stream, err error) {
	err = s.list(ctx, "listing streams", func(ctx context.Context, c *conn) error {
		return c.each(ctx, selectStreams, []any{client}, func(r *sql.Rows) error {
			var one store.Stream
			err := r.Scan(streamDest(&one)...)
			out = append(out, one)
			return err
		})
	})
	return out, err
}

// knowsStream reports whether there is a stream, as an error where there is none.
func (c *conn) knowsStream(ctx context.Context, id string) error {
	var known bool
	err := c.row(ctx, knowsStream, []any{id}, []any{&known})
	if err == nil && !known {
		err = store.ErrNotFound
	}
	return err
}

// MoveStream implements store.Streams.
func (s *Store) MoveStream(ctx context.Context, id string, was, to store.Cursor, polled time.Time) error {
	return s.update(ctx, "moving a stream", func(ctx context.Context, c *conn) error {
		n, err := c.exec(ctx, moveStream, id, was.Position, positions(was.Acked), was.Fresh, to.Position, positions(to.Acked), to.Fresh, polled.UnixMilli())
		if err != nil || n > 0 {
			return err
		}
		if err := c.knowsStream(ctx, id); err != nil {
			return err
		}
		return impersonation.ErrChanged
	})
}

// LeaseStream implements store.Streams.
func (s *Store) LeaseStream(ctx context.Context, id string, was, until time.Time) error {
	return s.update(ctx, "leasing a stream", func(ctx context.Context, c *conn) error {
		n, err := c.exec(ctx, leaseStream, id, max(was.UnixMilli(), 0), until.UnixMilli())
		if err != nil || n > 0 {
			return err
		}
		if err := c.knowsStream(ctx, id); err != nil {
			return err
		}
		return impersonation.ErrChanged
	})
}

// ChangeStream implements store.Streams.
func (s *Store) ChangeStream(ctx context.Context, n store.Stream, fresh bool) error {
	return s.update(ctx, "changing a stream", func(ctx context.Context, c *conn) error {
		changed, err := c.exec(ctx, changeStream, n.ID, n.Status, n.Reason, n.Description, list(n.Events), fresh)
		if err == nil && changed == 0 {
			return store.ErrNotFound
		}
		return err
	})
}

// CloseStream implements store.Streams.
func (s *Store) CloseStream(ctx context.Context, id string, w impersonation.Write) error {
	return s.update(ctx, "closing a stream", func(ctx context.Context, c *conn) error {
		n, err := c.exec(ctx, closeStream, id)
		if err == nil && n == 0 {
			err = store.ErrNotFound
		}
		if err != nil {
			return err
		}
		return c.record(ctx, w.Entries, w.Events)
	})
}

// VerifyStream implements store.Streams.
func (s *Store) VerifyStream(ctx context.Context, id, state string, now, since time.Time) error {
	return s.update(ctx, "verifying a stream", func(ctx context.Context, c *conn) error {
		var stream store.Stream
		if err := c.row(ctx, selectStream, []any{id}, streamDest(&stream)); errors.Is(err, sql.ErrNoRows) {
			return store.ErrNotFound
		} else if err != nil {
			return err
		}
		n, err := c.exec(ctx, verifyStream, id, now.UnixMilli(), since.UnixMilli())
		if err != nil {
			return err
		}
		if n == 0 {
			return store.ErrTooMany
		}
		return c.record(ctx, nil, []impersonation.Event{{Kind: store.EventVerify, Session: id, Client: stream.Client, Reason: state, Time: now}})
	})
}

// OutboxEnd implements store.Streams.
func (s *Store) OutboxEnd(ctx context.Context) (end int64, err error) {
	err = s.look(ctx, "reading the end of the outbox", func(ctx context.Context, c *conn) error { return c.row(ctx, outboxEnd, nil, []any{&end}) })
	return end, err
}

// ToTell implements store.Streams.
func (s *Store) ToTell(ctx context.Context, n store.Stream, ends bool, limit int) (out []store.Telling, err error) {
	err = s.list(ctx, "reading what a stream is to tell", func(ctx context.Context, c *conn) error {
		return c.each(ctx, selectToTell, []any{n.Client, n.Cursor.Position, positions(n.Cursor.Acked), ends, n.ID, limit}, func(r *sql.Rows) error {
			var e store.Telling
			err := r.Scan(&e.Position, &e.Kind, &e.Session, &e.Reason, at{&e.Time}, text{&e.Audit}, text{&e.Subject})
			out = append(out, e)
			return err
		})
	})
	return out, err
}

// EndedSessions implements store.Streams.
func (s *Store) EndedSessions(ctx context.Context, client string, since, now time.Time, most int) (out []impersonation.Session, err error) {
	err = s.list(ctx, "listing what ended", func(ctx context.Context, c *conn) error {
		out, err = store.EndedOf(since, now, most, func(before int64, limit int) (page []impersonation.Session, last int64, err error) {
			err = c.each(ctx, selectRecent, []any{client, before, limit}, func(r *sql.Rows) error {
				var one impersonation.Session
				err := r.Scan(append(sessionDest(&one), &last)...)
				page = append(page, one)
				return err
			})
			return page, last, err
		})
		return err
	})
	return out, err
}

// ClientKills implements store.Streams.
func (s *Store) ClientKills(ctx context.Context, client string, now time.Time) ([]impersonation.Kill, error) {
	all, err := s.Kills(ctx)
	if err != nil {
		return nil, err
	}
	out, people := store.KillsOf(client, all)
	if !people {
		return out, nil
	}
	err = s.list(ctx, "reading kills of people", func(ctx context.Context, c *conn) error {
		return c.each(ctx, selectPersonKills, []any{client, now.UnixMilli()}, func(r *sql.Rows) error {
			var k impersonation.Kill
			err := r.Scan(&k.Scope, &k.ID)
			out = append(out, k)
			return err
		})
	})
	return out, err
}

// SweepStreams implements store.Streams.
func (s *Store) SweepStreams(ctx context.Context, before time.Time) error {
	return s.update(ctx, "sweeping streams", func(ctx context.Context, c *conn) error {
		_, err := c.exec(ctx, sweepStreams, before.UnixMilli())
		return err
	})
}

// SweepOutbox implements store.Streams.
func (s *Store) SweepOutbox(ctx context.Context, before time.Time, limit int) (int, error) {
	var n int64
	err := s.update(ctx, "sweeping the outbox", func(ctx context.Context, c *conn) (err error) {
		n, err = c.exec(ctx, sweepOutbox, before.UnixMilli(), limit)
		return err
	})
	if err != nil {
		return 0, err // n may still be written to: a caller who left does not look at it
	}
	return int(n), nil
}
