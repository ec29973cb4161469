package sqlite

import (
	"context"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	insertEntry = `INSERT INTO audit_entry (id, time_at, kind, actor, subject, client, session, canonical, opening)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertEntryOnce = insertEntry + ` ON CONFLICT (id) DO NOTHING`

	insertEvent = `INSERT INTO outbox (kind, session, actor, subject, client, reason, time_at) VALUES (?, ?, ?, ?, ?, ?, ?)`
)

// Record implements impersonation.Store.
func (s *Store) Record(ctx context.Context, entries ...audit.Entry) error {
	return s.update(ctx, "recording", func(ctx context.Context, c *conn) error { return c.record(ctx, entries, nil) })
}

// RecordOnce implements impersonation.Store.
func (s *Store) RecordOnce(ctx context.Context, entries ...audit.Entry) error {
	rows, err := entriesOf(entries)
	if err != nil {
		return failed("recording", err)
	}
	return s.update(ctx, "recording", func(ctx context.Context, c *conn) error { return c.insertEntries(ctx, insertEntryOnce, rows) })
}

// entriesOf gives the columns of entries. To make them takes as long as to write them, and who writes keeps all others waiting.
func entriesOf(entries []audit.Entry) (rows [][]any, err error) {
	for _, e := range entries {
		row, err := entryRow(e)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (c *conn) insertEntries(ctx context.Context, query string, rows [][]any) error {
	for _, row := range rows {
		if _, err := c.exec(ctx, query, row...); err != nil {
			return err
		}
	}
	return nil
}

// record writes the entries and events of a write, in its transaction.
func (c *conn) record(ctx context.Context, entries []audit.Entry, events []impersonation.Event) error {
	rows, err := entriesOf(entries)
	if err != nil {
		return err
	}
	return c.recordRows(ctx, rows, events)
}

// recordRows is record for entries that entriesOf has made ready.
func (c *conn) recordRows(ctx context.Context, rows [][]any, events []impersonation.Event) error {
	if err := c.insertEntries(ctx, insertEntry, rows); err != nil {
		return err
	}
	for _, e := range events {
		if _, err := c.exec(ctx, insertEvent, e.Kind, e.Session, e.Actor, e.Subject, e.Client, e.Reason, ms(e.Time)); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) addEntry(ctx context.Context, e audit.Entry) error {
	row, err := entryRow(e)
	if err != nil {
		return err
	}
	return c.insertEntries(ctx, insertEntry, [][]any{row})
}

// entryRow is the bytes that every proof will stand on; the other columns only find them again.
func entryRow(e audit.Entry) ([]any, error) {
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

// blobOrNull keeps an empty blob and NULL from being two things.
func blobOrNull(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}
