package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	streamColumns = `id, client, status, reason, description, events, position, acked, fresh, push, verified_at, created_at, polled_at`

	// lockStreams keeps out whoever else opens a stream of the client, or removes it.
	lockStreams  = `SELECT id FROM client WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE`
	countStreams = `SELECT count(*) FROM ssf_stream WHERE client = $1 AND polled_at > $2 AND NOT push`
	insertStream = `INSERT INTO ssf_stream (` + streamColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, '{}', $8, $9, NULL, $10, $11)`

	selectStream  = `SELECT ` + streamColumns + ` FROM ssf_stream WHERE id = $1`
	selectStreams = `SELECT ` + streamColumns + ` FROM ssf_stream WHERE $1 IN ('', client) ORDER BY created_at, id`
	knowsStream   = `SELECT EXISTS (SELECT 1 FROM ssf_stream WHERE id = $1)`

	moveStream = `UPDATE ssf_stream SET position = $5, acked = $6, fresh = $7, polled_at = greatest(polled_at, $8)
		WHERE id = $1 AND position = $2 AND acked = $3 AND fresh = $4`
	changeStream = `UPDATE ssf_stream SET status = $2, reason = $3, description = $4, events = $5, fresh = fresh OR $6 WHERE id = $1`
	leaseStream  = `UPDATE ssf_stream SET polled_at = $3 WHERE id = $1 AND coalesce(polled_at, 0) = $2`
	closeStream  = `DELETE FROM ssf_stream WHERE id = $1`
	verifyStream = `UPDATE ssf_stream SET verified_at = $2 WHERE id = $1 AND coalesce(verified_at, 0) <= $3 RETURNING client`

	deleteStreams = `DELETE FROM ssf_stream WHERE client = $1`
	sweepStreams  = `DELETE FROM ssf_stream WHERE polled_at < $1 AND NOT push`

	outboxEnd = `SELECT coalesce(max(position), 0) FROM outbox`

	selectToTell = `SELECT o.position, o.kind, o.session, o.reason, o.time_at, s.audit, coalesce(nullif(s.token_sub, ''), s.subject)
		FROM (SELECT x.position, x.kind, x.session, x.reason, x.time_at FROM outbox x
			WHERE x.client = $1 AND x.kind IN ('session.ended', 'stream.verify') AND x.position > $2 AND x.position <> ALL ($3::bigint[])
				AND (x.kind = 'session.ended' AND $4 OR x.kind = 'stream.verify' AND x.session = $5)
			ORDER BY x.position LIMIT $6) o
		LEFT JOIN LATERAL (SELECT audit, subject, token_sub FROM impersonation_session WHERE id = o.session OFFSET 0) s ON true
		ORDER BY o.position`

	// selectRecent goes from the newest session back: they are in the order of their starts.
	selectRecent = `SELECT ` + sessionColumns + `, s.seq FROM impersonation_session s WHERE s.client = $1 AND s.seq < $2 ORDER BY s.seq DESC LIMIT $3`

	selectPersonKills = `SELECT DISTINCT
			CASE WHEN e.scope = 'organisation' AND e.id IS DISTINCT FROM b.organisation THEN 'actor' ELSE e.scope END,
			CASE WHEN e.scope = 'subject' THEN coalesce(nullif(s.token_sub, ''), s.subject)
				WHEN e.scope = 'organisation' AND e.id = b.organisation THEN e.id ELSE coalesce(nullif(s.act_sub, ''), s.actor) END
		FROM (SELECT x.actor, x.subject, x.token_sub, x.act_sub, x.expires_at FROM impersonation_session x WHERE x.client = $1 ORDER BY x.seq DESC LIMIT 1000) s
		LEFT JOIN LATERAL (SELECT organisation FROM app_user WHERE id = s.actor OFFSET 0) a ON true
		LEFT JOIN LATERAL (SELECT organisation FROM app_user WHERE id = s.subject OFFSET 0) b ON true
		JOIN (SELECT scope, id FROM epoch WHERE killed_at IS NOT NULL OFFSET 0) e ON
			e.scope = 'actor' AND e.id = s.actor OR e.scope = 'subject' AND e.id = s.subject OR e.scope = 'organisation' AND e.id IN (a.organisation, b.organisation)
		WHERE s.expires_at > $2 ORDER BY 1, 2`

	// sweepOutbox looks at the oldest alone.
	sweepOutbox = `DELETE FROM outbox WHERE position = ANY (ARRAY(
		SELECT o.position FROM (SELECT position, time_at FROM outbox ORDER BY position LIMIT $2) o WHERE coalesce(o.time_at, 0) < $1))`
)

// scanStream reads a row of streamColumns.
func scanStream(scan func(...any) error) (s store.Stream, err error) {
	err = scan(streamDest(&s)...)
	if len(s.Cursor.Acked) == 0 {
		s.Cursor.Acked = nil // an empty list and a missing one are the same
	}
	return s, err
}

func streamDest(s *store.Stream) []any {
	return []any{text(&s.ID), text(&s.Client), text(&s.Status), text(&s.Reason), text(&s.Description), items{&s.Events},
		&s.Cursor.Position, &s.Cursor.Acked, &s.Cursor.Fresh, &s.Push, at{&s.Verified}, at{&s.Created}, at{&s.Polled}}
}

// positions is the column of a list of them.
func positions(list []int64) []int64 { return append([]int64{}, list...) } // NULL would equal nothing

// OpenStream implements store.Streams.
func (s *Store) OpenStream(ctx context.Context, n store.Stream, since time.Time, most int) (store.Stream, error) {
	if err := store.CheckKeys(n.ID, n.Client); err != nil {
		return store.Stream{}, failed("opening a stream", err)
	}
	err := s.update(ctx, "opening a stream", func(ctx context.Context, t *tx) error {
		var client string
		if err := missing(row(ctx, t, lockStreams, []any{n.Client}, []any{&client})); err != nil {
			return err
		}
		var have int
		if err := row(ctx, t, countStreams, []any{n.Client, since.UnixMilli()}, []any{&have}); err != nil {
			return err
		}
		if have >= most && !n.Push {
			return store.ErrTooMany
		}
		if err := row(ctx, t, outboxEnd, nil, []any{&n.Cursor.Position}); err != nil {
			return err
		}
		_, err := exec(ctx, t, insertStream, n.ID, n.Client, n.Status, n.Reason, n.Description, list(n.Events), n.Cursor.Position, n.Cursor.Fresh, n.Push, ms(n.Created), ms(n.Polled))
		return exists(err)
	})
	if err != nil {
		return store.Stream{}, err
	}
	return n, nil
}

// Stream implements store.Streams.
func (s *Store) Stream(ctx context.Context, id string) (out store.Stream, err error) {
	if !storable(id) {
		return out, failed("reading a stream", store.ErrNotFound)
	}
	err = s.single(ctx, "reading a stream", func(ctx context.Context, q querier) error {
		out, err = scanStream(func(dest ...any) error { return row(ctx, q, selectStream, []any{id}, dest) })
		return err
	})
	return out, err
}

// Streams implements store.Streams.
func (s *Store) Streams(ctx context.Context, client string) (out []store.Stream, err error) {
	if !storable(client) {
		return nil, nil
	}
	err = s.single(ctx, "listing streams", func(ctx context.Context, q querier) error {
		out = nil
		return each(ctx, q, selectStreams, []any{client}, func(r pgx.Rows) error {
			one, err := scanStream(r.Scan)
			out = append(out, one)
			return err
		})
	})
	return out, err
}

// MoveStream implements store.Streams.
func (s *Store) MoveStream(ctx context.Context, id string, was, to store.Cursor, polled time.Time) error {
	return s.single(ctx, "moving a stream", func(ctx context.Context, q querier) error {
		n, err := exec(ctx, q, moveStream, id, was.Position, positions(was.Acked), was.Fresh, to.Position, positions(to.Acked), to.Fresh, polled.UnixMilli())
		if err != nil || n > 0 {
			return err
		}
		return notThere(ctx, q, id)
	})
}

// notThere says why a stream was not found as it was.
func notThere(ctx context.Context, q querier, id string) error {
	var known bool
	if err := row(ctx, q, knowsStream, []any{id}, []any{&known}); err != nil {
		return err
	}
	if known {
		return impersonation.ErrChanged
	}
	return store.ErrNotFound
}

// LeaseStream implements store.Streams.
func (s *Store) LeaseStream(ctx context.Context, id string, was, until time.Time) error {
	return s.single(ctx, "leasing a stream", func(ctx context.Context, q querier) error {
		n, err := exec(ctx, q, leaseStream, id, max(was.UnixMilli(), 0), until.UnixMilli())
		if err != nil || n > 0 {
			return err
		}
		return notThere(ctx, q, id)
	})
}

// ChangeStream implements store.Streams.
func (s *Store) ChangeStream(ctx context.Context, n store.Stream, fresh bool) error {
	return s.single(ctx, "changing a stream", func(ctx context.Context, q querier) error {
		changed, err := exec(ctx, q, changeStream, n.ID, n.Status, n.Reason, n.Description, list(n.Events), fresh)
		if err == nil && changed == 0 {
			return store.ErrNotFound
		}
		return err
	})
}

// CloseStream implements store.Streams.
func (s *Store) CloseStream(ctx context.Context, id string, w impersonation.Write) error {
	if !storable(id) {
		return failed("closing a stream", store.ErrNotFound)
	}
	return s.update(ctx, "closing a stream", func(ctx context.Context, t *tx) error {
		n, err := exec(ctx, t, closeStream, id)
		if err == nil && n == 0 {
			return store.ErrNotFound
		}
		t.record(w.Entries, w.Events)
		return err
	})
}

// VerifyStream implements store.Streams.
func (s *Store) VerifyStream(ctx context.Context, id, state string, now, since time.Time) error {
	if !storable(id) {
		return failed("verifying a stream", store.ErrNotFound)
	}
	return s.update(ctx, "verifying a stream", func(ctx context.Context, t *tx) error {
		var client string
		err := missing(row(ctx, t, verifyStream, []any{id, now.UnixMilli(), since.UnixMilli()}, []any{&client}))
		if err == nil {
			t.record(nil, []impersonation.Event{{Kind: store.EventVerify, Session: id, Client: client, Reason: state, Time: now}})
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err = notThere(ctx, t, id); errors.Is(err, impersonation.ErrChanged) {
			return store.ErrTooMany
		}
		return err
	})
}

// OutboxEnd implements store.Streams.
func (s *Store) OutboxEnd(ctx context.Context) (end int64, err error) {
	err = s.single(ctx, "reading the end of the outbox", func(ctx context.Context, q querier) error { return row(ctx, q, outboxEnd, nil, []any{&end}) })
	return end, err
}

// ToTell implements store.Streams.
func (s *Store) ToTell(ctx context.Context, n store.Stream, ends bool, limit int) (out []store.Telling, err error) {
	err = s.single(ctx, "reading what a stream is to tell", func(ctx context.Context, q querier) error {
		out = nil
		return each(ctx, q, selectToTell, []any{n.Client, n.Cursor.Position, positions(n.Cursor.Acked), ends, n.ID, limit}, func(r pgx.Rows) error {
			var e store.Telling
			err := r.Scan(&e.Position, text(&e.Kind), text(&e.Session), text(&e.Reason), at{&e.Time}, text(&e.Audit), text(&e.Subject))
			out = append(out, e)
			return err
		})
	})
	return out, err
}

// EndedSessions implements store.Streams.
func (s *Store) EndedSessions(ctx context.Context, client string, since, now time.Time, most int) ([]impersonation.Session, error) {
	out, err := store.EndedOf(since, now, most, func(before int64, limit int) (page []impersonation.Session, last int64, err error) {
		err = s.single(ctx, "reading a page", func(ctx context.Context, q querier) error {
			page = nil
			return each(ctx, q, selectRecent, []any{client, before, limit}, func(r pgx.Rows) error {
				var one impersonation.Session
				err := r.Scan(sessionDest(&one, &last)...)
				page = append(page, one)
				return err
			})
		})
		return page, last, err
	})
	return out, failed("listing what ended", err)
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
	var more []impersonation.Kill
	err = s.single(ctx, "reading kills of people", func(ctx context.Context, q querier) error {
		more = nil
		return each(ctx, q, selectPersonKills, []any{client, now.UnixMilli()}, func(r pgx.Rows) error {
			var k impersonation.Kill
			err := r.Scan(text(&k.Scope), text(&k.ID))
			more = append(more, k)
			return err
		})
	})
	return append(out, more...), err
}

// SweepStreams implements store.Streams.
func (s *Store) SweepStreams(ctx context.Context, before time.Time) error {
	return s.single(ctx, "sweeping streams", func(ctx context.Context, q querier) error {
		_, err := exec(ctx, q, sweepStreams, before.UnixMilli())
		return err
	})
}

// SweepOutbox implements store.Streams.
func (s *Store) SweepOutbox(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = s.single(ctx, "sweeping the outbox", func(ctx context.Context, q querier) error {
		deleted, err := exec(ctx, q, sweepOutbox, before.UnixMilli(), limit)
		n = int(deleted)
		return err
	})
	return n, err
}
