package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	selectEntries = `SELECT e.seq, e.canonical, e.opening FROM audit_entry e WHERE true`
	selectEntry   = `SELECT e.seq, e.canonical, e.opening FROM audit_entry e WHERE e.id = $1`

	// An entry that is somebody's in two ways is looked for in each by its own index.
	personEntries = `e.seq IN (SELECT p.seq FROM audit_entry p WHERE p.actor = ? AND p.actor <> ''
		UNION ALL SELECT p.seq FROM audit_entry p WHERE p.subject = ? AND p.subject <> '')`
	ownEntries = `e.seq IN (SELECT p.seq FROM audit_entry p WHERE p.actor = ? AND p.actor <> ''
		UNION ALL SELECT p.seq FROM impersonation_session s JOIN audit_entry p ON p.session = s.id AND p.session <> '' WHERE s.actor = ?)`

	selectSessions = `SELECT ` + sessionColumns + `, s.seq FROM impersonation_session s WHERE true`

	selectKills = `SELECT scope, id, reason, killed_by, killed_at FROM epoch WHERE killed_at IS NOT NULL ORDER BY killed_at, scope, id`

	selectOutbox = `SELECT position, kind, session, actor, subject, client, reason, time_at FROM outbox WHERE position > $1 ORDER BY position LIMIT $2`
)

// filter puts conditions behind a query. A condition that is not asked for is left out, so that the index of those that
// are can be used; the texts are ours, what was asked for travels as arguments. A question mark stands for the next one.
type filter struct {
	query string
	args  []any
}

func (f *filter) and(asked bool, condition string, args ...any) {
	if asked {
		f.add(" AND "+condition, args...)
	}
}

func (f *filter) add(text string, args ...any) {
	for _, a := range args {
		f.args = append(f.args, a)
		text = strings.Replace(text, "?", "$"+strconv.Itoa(len(f.args)), 1)
	}
	f.query += text
}

// newest orders by seq from the newest on, behind the cursor after, and reads one row more than the page has.
func (f *filter) newest(seq, after string, limit int) error {
	if after != "" {
		n, err := strconv.ParseInt(after, 10, 64)
		if err != nil {
			return store.ErrCursor
		}
		f.and(true, seq+" < ?", n)
	}
	f.add(" ORDER BY "+seq+" DESC LIMIT ?", limit+1)
	return nil
}

// entryFilter is the query for a page of the trail. The conditions that look superfluous let Postgres use an index: the partial
// ones leave out empty text.
func entryFilter(q store.EntryQuery, limit int) (filter, error) {
	f := filter{query: selectEntries}
	f.and(q.Kind != "", "e.kind = ?", string(q.Kind))
	f.and(q.Person != "", personEntries, q.Person, q.Person)
	f.and(q.Own != "", ownEntries, q.Own, q.Own)
	f.and(q.Session != "", "e.session = ? AND e.session <> ''", q.Session)
	f.and(q.Client != "", "e.client = ? AND e.client <> ''", q.Client)
	f.and(!q.Since.IsZero(), "e.time_at >= ?", q.Since.UnixMilli())
	f.and(!q.Until.IsZero(), "e.time_at < ?", q.Until.UnixMilli())
	return f, f.newest("e.seq", q.After, limit)
}

// Entries implements store.Trail.
func (s *Store) Entries(ctx context.Context, q store.EntryQuery) (page []store.StoredEntry, next string, err error) {
	limit := pageSize(q.Limit, 1000)
	f, err := entryFilter(q, limit)
	if err != nil {
		return nil, "", failed("reading the trail", err)
	}
	if !storable(string(q.Kind), q.Person, q.Own, q.Session, q.Client) {
		return nil, "", nil
	}
	err = s.list(ctx, "reading the trail", f.query, f.args, func(r pgx.Rows) error {
		var e store.StoredEntry
		err := r.Scan(&e.Seq, &e.Canonical, &e.Opening)
		page = append(page, e)
		return err
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

// open decodes entries, once the connection is free again: a page of a thousand takes a while.
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
	err := s.single(ctx, "reading an entry", func(ctx context.Context, q querier) error {
		return row(ctx, q, selectEntry, []any{id}, []any{&e.Seq, &e.Canonical, &e.Opening})
	})
	if err != nil {
		return store.StoredEntry{}, err
	}
	return *e, open(one)
}

func sessionFilter(q store.SessionQuery, limit int) (filter, error) {
	f := filter{query: selectSessions}
	f.and(q.Live, "s.ended_at IS NULL AND s.end_reason = '' AND s.expires_at > ?", q.Now.UnixMilli())
	f.and(q.Actor != "", "s.actor = ?", q.Actor)
	f.and(q.Subject != "", "s.subject = ?", q.Subject)
	f.and(q.Client != "", "s.client = ?", q.Client)
	return f, f.newest("s.seq", q.After, limit)
}

// Sessions implements store.Trail.
func (s *Store) Sessions(ctx context.Context, q store.SessionQuery) (page []impersonation.Session, next string, err error) {
	limit := pageSize(q.Limit, 1000)
	f, err := sessionFilter(q, limit)
	if err != nil {
		return nil, "", failed("listing sessions", err)
	}
	if !storable(q.Actor, q.Subject, q.Client) {
		return nil, "", nil
	}
	var seqs []int64
	err = s.list(ctx, "listing sessions", f.query, f.args, func(r pgx.Rows) error {
		var one impersonation.Session
		var seq int64
		err := r.Scan(sessionDest(&one, &seq)...)
		page, seqs = append(page, one), append(seqs, seq)
		return err
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
	err = s.single(ctx, "reading kills", func(ctx context.Context, q querier) error {
		out = nil
		return each(ctx, q, selectKills, nil, func(r pgx.Rows) error {
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
	err = s.single(ctx, "reading the outbox", func(ctx context.Context, q querier) error {
		out = nil
		return each(ctx, q, selectOutbox, []any{after, limit}, func(r pgx.Rows) error {
			var e store.StoredEvent
			err := r.Scan(&e.Position, &e.Kind, &e.Session, &e.Actor, &e.Subject, &e.Client, &e.Reason, at{&e.Time})
			out = append(out, e)
			return err
		})
	})
	return out, err
}
