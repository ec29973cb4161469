package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	selectEntries = `SELECT seq, canonical, opening FROM audit_entry WHERE 1`
	selectEntry   = `SELECT seq, canonical, opening FROM audit_entry WHERE id = ?`

	ownEntries = `seq IN (SELECT p.seq FROM audit_entry p WHERE p.actor = ? AND p.actor <> ''
		UNION ALL SELECT p.seq FROM impersonation_session s JOIN audit_entry p ON p.session = s.id AND p.session <> '' WHERE s.actor = ?)`

	selectSessions = `SELECT ` + sessionColumns + `, seq FROM impersonation_session WHERE 1`

	selectKills = `SELECT scope, id, reason, killed_by, killed_at FROM epoch WHERE killed_at IS NOT NULL ORDER BY killed_at, scope, id`

	selectOutbox = `SELECT position, kind, session, actor, subject, client, reason, time_at FROM outbox WHERE position > ? ORDER BY position LIMIT ?`
)

// filter puts conditions behind a query. A condition that is not asked for is left out, so that the index of those that
// are can be used; the texts are ours, what was asked for travels as arguments.
type filter struct {
	query string
	args  []any
}

func (f *filter) and(asked bool, condition string, args ...any) {
	if asked {
		f.query += " AND " + condition
		f.args = append(f.args, args...)
	}
}

// newest orders from the newest on, behind the cursor after, and reads one row more than the page has.
func (f *filter) newest(after string, limit int) error {
	if after != "" {
		seq, err := strconv.ParseInt(after, 10, 64)
		if err != nil {
			return store.ErrCursor
		}
		f.and(true, "seq < ?", seq)
	}
	f.query += " ORDER BY seq DESC LIMIT ?"
	f.args = append(f.args, limit+1)
	return nil
}

// entryFilter is the query for a page of the trail. The conditions that look superfluous let SQLite use an index: the partial
// ones leave out empty text, and the bound of seq keeps a page that is not full from being looked for in all of the past.
func entryFilter(q store.EntryQuery, limit int) (filter, error) {
	f := filter{query: selectEntries}
	f.and(q.Kind != "", "kind = ?", string(q.Kind))
	f.and(q.Person != "", "(actor = ? AND actor <> '' OR subject = ? AND subject <> '')", q.Person, q.Person)
	f.and(q.Own != "", ownEntries, q.Own, q.Own)
	f.and(q.Session != "", "session = ? AND session <> ''", q.Session)
	f.and(q.Client != "", "client = ? AND client <> ''", q.Client)
	f.and(!q.Since.IsZero(), "time_at >= ? AND seq >= (SELECT min(seq) FROM audit_entry WHERE time_at >= ?)", q.Since.UnixMilli(), q.Since.UnixMilli())
	f.and(!q.Until.IsZero(), "time_at < ?", q.Until.UnixMilli())
	return f, f.newest(q.After, limit)
}

// Entries implements store.Trail.
func (s *Store) Entries(ctx context.Context, q store.EntryQuery) (page []store.StoredEntry, next string, err error) {
	limit := pageSize(q.Limit, 1000)
	f, err := entryFilter(q, limit)
	if err != nil {
		return nil, "", failed("reading the trail", err)
	}
	err = s.list(ctx, "reading the trail", func(ctx context.Context, c *conn) error {
		return c.each(ctx, f.query, f.args, func(r *sql.Rows) error {
			var e store.StoredEntry
			if err := r.Scan(&e.Seq, &e.Canonical, &e.Opening); err != nil {
				return err
			}
			page = append(page, e)
			return nil
		})
	})
	if err != nil {
		return nil, "", err
	}
	if len(page) > limit {
		page = page[:limit]
		next = strconv.FormatInt(page[limit-1].Seq, 10)
	}
	return page, next, open(page)
}

// open decodes entries, after the read transaction: a page of a thousand takes a while.
func open(page []store.StoredEntry) (err error) {
	for i := range page {
		e := &page[i]
		if e.Entry, err = audit.Open(e.Canonical, e.Opening); err != nil {
			return fmt.Errorf("reading entry %d of the trail: %w", e.Seq, err)
		}
	}
	return nil
}

// Entry implements store.Trail.
func (s *Store) Entry(ctx context.Context, id string) (store.StoredEntry, error) {
	one := make([]store.StoredEntry, 1)
	e := &one[0]
	err := s.look(ctx, "reading an entry", func(ctx context.Context, c *conn) error {
		return c.row(ctx, selectEntry, []any{id}, []any{&e.Seq, &e.Canonical, &e.Opening})
	})
	if err != nil {
		return store.StoredEntry{}, err
	}
	return *e, open(one)
}

func sessionFilter(q store.SessionQuery, limit int) (filter, error) {
	f := filter{query: selectSessions}
	// By way of the live ones' own index, or all that ended would be read in search of a few that have not.
	f.and(q.Live, "seq IN (SELECT seq FROM impersonation_session WHERE ended_at IS NULL AND expires_at > ?)", q.Now.UnixMilli())
	f.and(q.Actor != "", "actor = ?", q.Actor)
	f.and(q.Subject != "", "subject = ?", q.Subject)
	f.and(q.Client != "", "client = ?", q.Client)
	return f, f.newest(q.After, limit)
}

// Sessions implements store.Trail.
func (s *Store) Sessions(ctx context.Context, q store.SessionQuery) (page []impersonation.Session, next string, err error) {
	limit := pageSize(q.Limit, 1000)
	f, err := sessionFilter(q, limit)
	if err != nil {
		return nil, "", failed("listing sessions", err)
	}
	var seqs []int64
	err = s.list(ctx, "listing sessions", func(ctx context.Context, c *conn) error {
		return c.each(ctx, f.query, f.args, func(r *sql.Rows) error {
			var one impersonation.Session
			var seq int64
			err := r.Scan(sessionDest(&one, &seq)...)
			page, seqs = append(page, one), append(seqs, seq)
			return err
		})
	})
	if err != nil {
		return nil, "", err
	}
	if len(page) > limit {
		page = page[:limit]
		next = strconv.FormatInt(seqs[limit-1], 10)
	}
	return page, next, nil
}

// Kills implements store.Trail.
func (s *Store) Kills(ctx context.Context) (out []impersonation.Kill, err error) {
	err = s.look(ctx, "reading kills", func(ctx context.Context, c *conn) error {
		return c.each(ctx, selectKills, nil, func(r *sql.Rows) error {
			var k impersonation.Kill
			err := r.Scan(&k.Scope, &k.ID, &k.Reason, &k.By, at{&k.At})
			out = append(out, k)
			return err
		})
	})
	return out, err
}

// Outbox implements store.Trail.
func (s *Store) Outbox(ctx context.Context, after int64, limit int) (out []store.StoredEvent, err error) {
	err = s.list(ctx, "reading the outbox", func(ctx context.Context, c *conn) error {
		return c.each(ctx, selectOutbox, []any{after, limit}, func(r *sql.Rows) error {
			var e store.StoredEvent
			err := r.Scan(&e.Position, &e.Kind, &e.Session, &e.Actor, &e.Subject, &e.Client, &e.Reason, at{&e.Time})
			out = append(out, e)
			return err
		})
	})
	return out, err
}
