package postgres

import (
	"context"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	entryColumns = `id text, time_at bigint, kind text, actor text, subject text, client text, session text, canonical bytea, opening bytea`
	eventColumns = `kind text, session text, actor text, subject text, client text, reason text, time_at bigint`

	// head is the row that stands for the end of the trail and of the outbox. Whoever writes to them locks it, before the
	// first number is drawn and until the commit: so numbers are in the order of commits, and a reader who has seen number
	// 12 will never be told of an 11. Without it a reader's cursor would pass entries by whose commit came late. The lock is
	// the last that a transaction takes, in the round trip of the commit, and is shared by all that coalesced into it.
	head = `(SELECT h.id FROM installation h WHERE h.id = 1 FOR NO KEY UPDATE OF h) head`
)

var (
	insertEntries = `INSERT INTO audit_entry (id, time_at, kind, actor, subject, client, session, canonical, opening)
		SELECT e.id, e.time_at, e.kind, e.actor, e.subject, e.client, e.session, e.canonical, e.opening
		FROM ` + unnested("e", entryColumns, 1) + ` CROSS JOIN ` + head + ` ORDER BY e.ord`
	insertEntriesOnce = insertEntries + ` ON CONFLICT (id) DO NOTHING`

	insertEvents = `INSERT INTO outbox (kind, session, actor, subject, client, reason, time_at)
		SELECT o.kind, o.session, o.actor, o.subject, o.client, o.reason, o.time_at
		FROM ` + unnested("o", eventColumns, 1) + ` CROSS JOIN ` + head + ` ORDER BY o.ord`
)

// Record implements impersonation.Store.
func (s *Store) Record(ctx context.Context, entries ...audit.Entry) error {
	return s.single(ctx, "recording", func(ctx context.Context, q querier) error {
		t, err := entryTable(entries)
		if err != nil || len(entries) == 0 {
			return err
		}
		_, err = q.Exec(ctx, insertEntries, args(t)...)
		return err
	})
}

// RecordOnce implements impersonation.Store.
func (s *Store) RecordOnce(ctx context.Context, entries ...audit.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	rows, err := entriesOf(impersonation.Write{Entries: entries})
	if err != nil {
		return failed("recording", err)
	}
	return failed("recording", s.records.do(ctx, rows))
}

// runRecords writes the entries of many calls.
func (s *Store) runRecords(ctx context.Context, calls []record) ([]error, error) {
	t := newTable(entryColumns)
	for _, entries := range calls {
		for _, values := range entries {
			t.add(values...)
		}
	}
	err := s.patiently(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, insertEntriesOnce, args(t)...)
		return err
	})
	return make([]error, len(calls)), err
}

// record is the entries of one call of RecordOnce as they will be stored.
type record [][]any

// alone: an entry that comes twice in one statement is written once.
func (record) alone() []string { return nil }

func (w record) rows() int { return len(w) }

// entryTable is entries as columns: the bytes that every proof will stand on; the other columns only find them again.
func entryTable(entries []audit.Entry) (table, error) {
	t := newTable(entryColumns)
	for _, e := range entries {
		values, err := entryValues(e)
		if err != nil {
			return nil, err
		}
		t.add(values...)
	}
	return t, nil
}

// entryValues gives an error that says that e has no canonical form.
func entryValues(e audit.Entry) ([]any, error) {
	if err := store.CheckEntry(e); err != nil {
		return nil, err
	}
	canonical, err := audit.Canonical(e)
	if err != nil {
		return nil, err
	}
	opening, err := audit.Opening(e)
	if err != nil {
		return nil, err
	}
	return []any{e.ID, e.Time.UnixMilli(), string(e.Kind), e.Actor.Subject, e.Subject.Subject, e.Client, e.Session, canonical, blobOrNull(opening)}, nil
}

func eventTable(events []impersonation.Event) table {
	t := newTable(eventColumns)
	for _, e := range events {
		t.add(eventValues(e)...)
	}
	return t
}

func eventValues(e impersonation.Event) []any {
	return []any{e.Kind, e.Session, e.Actor, e.Subject, e.Client, e.Reason, ms(e.Time)}
}
