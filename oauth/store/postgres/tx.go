package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// querier runs statements: the pool, where each is its own transaction, or a connection in one.
type querier interface {
	Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// exec runs query and tells how many rows it changed.
func exec(ctx context.Context, q querier, query string, args ...any) (int64, error) {
	tag, err := q.Exec(ctx, query, args...)
	return tag.RowsAffected(), err
}

// row reads the one row of query into dest; pgx.ErrNoRows.
func row(ctx context.Context, q querier, query string, args, dest []any) error {
	return unheard(q.QueryRow(ctx, query, args...).Scan(dest...))
}

// each calls scan for every row of query.
func each(ctx context.Context, q querier, query string, args []any, scan func(pgx.Rows) error) error {
	rows, err := q.Query(ctx, query, args...)
	if err != nil {
		return nothing(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return nothing(rows.Err())
}

// nothing is unheard for what lists.
func nothing(err error) error {
	if err = unheard(err); errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

// single runs f, which is one statement: a look-up, or a write that needs no transaction around it.
func (s *Store) single(ctx context.Context, doing string, f func(context.Context, querier) error) error {
	return failed(doing, s.patiently(ctx, func(ctx context.Context) error { return missing(f(ctx, s.pool)) }))
}

// list calls scan for every row of query, which may select by this or that: its plan is made for its arguments.
func (s *Store) list(ctx context.Context, doing, query string, args []any, scan func(pgx.Rows) error) error {
	return s.single(ctx, doing, func(ctx context.Context, q querier) error {
		var b pgx.Batch
		b.Queue("BEGIN READ ONLY")
		b.Queue("SET LOCAL plan_cache_mode = force_custom_plan")
		b.Queue(query, args...).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				if err := scan(rows); err != nil {
					return err
				}
			}
			return rows.Err()
		})
		b.Queue("COMMIT")
		return nothing(q.SendBatch(ctx, &b).Close())
	})
}

// update runs f in a transaction, perhaps more than once: it must not keep what it gave the time before.
func (s *Store) update(ctx context.Context, doing string, f func(context.Context, *tx) error) error {
	return failed(doing, s.patiently(ctx, func(ctx context.Context) error { return s.transact(ctx, f) }))
}

// patiently runs f until it succeeds, fails for good, or there is no time left.
func (s *Store) patiently(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for try := 1; ; try++ {
		err := f(ctx)
		if code(err) == readOnlyTransaction {
			s.pool.Reset() // the primary has become a standby: the next connection looks for the new one
		}
		if err == nil || try == tries || !again(err) {
			return err
		}
	}
}

// tx is a transaction, with what it records.
type tx struct {
	*pgx.Conn
	entries []audit.Entry
	events  []impersonation.Event
}

func (s *Store) transact(ctx context.Context, f func(context.Context, *tx) error) error {
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release() // which closes the connection if the transaction is still open
	t := &tx{Conn: c.Conn()}
	if _, err := t.Exec(ctx, "BEGIN"); err != nil {
		return err
	}
	if err := f(ctx, t); err != nil {
		return t.rollback(ctx, err)
	}
	if err := t.commit(ctx); err != nil {
		return t.rollback(ctx, err)
	}
	return nil
}

// rollback leaves the connection clean for the next one, also for a caller who has left; otherwise it is closed.
func (t *tx) rollback(ctx context.Context, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = t.Exec(ctx, "ROLLBACK")
	return why
}

// record keeps entries and events until the end: they take the lock that orders all writes of the trail, see insertEntries.
func (t *tx) record(entries []audit.Entry, events []impersonation.Event) {
	t.entries, t.events = append(t.entries, entries...), append(t.events, events...)
}

// commit writes what was recorded and commits, in one round trip.
func (t *tx) commit(ctx context.Context) error {
	var b pgx.Batch
	if err := t.queueRecord(&b); err != nil {
		return err
	}
	b.Queue("COMMIT").Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != "COMMIT" {
			return fmt.Errorf("%w: Postgres rolled back", store.ErrUnavailable)
		}
		return nil
	})
	return t.SendBatch(ctx, &b).Close()
}

func (t *tx) queueRecord(b *pgx.Batch) error {
	entries, err := entryTable(t.entries)
	if err != nil {
		return err
	}
	if len(t.entries) > 0 {
		b.Queue(insertEntries, args(entries)...)
	}
	if len(t.events) > 0 {
		b.Queue(insertEvents, args(eventTable(t.events))...)
	}
	t.entries, t.events = nil, nil
	return nil
}
