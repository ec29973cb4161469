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
	return s.update(ctx, "recording", func(ctx context.Context, c *conn) error {
		for _, e := range entries {
			if err := c.insertEntry(ctx, insertEntryOnce, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// record writes the entries and events of a write, in its transaction.
func (c *conn) record(ctx context.Context, entries []audit.Entry, events []impersonation.Event) error {
	for _, e := range entries {
		if err := c.addEntry(ctx, e); err != nil {
			return err
		}
	}
	for _, e := range events {
		if _, err := c.exec(ctx, insertEvent, e.Kind, e.Session, e.Actor, e.Subject, e.Client, e.Reason, ms(e.Time)); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) addEntry(ctx context.Context, e audit.Entry) error {
	return c.insertEntry(ctx, insertEntry, e)
}

// insertEntry writes the bytes that every proof will stand on; the other columns only find them again.
func (c *conn) insertEntry(ctx context.Context, query string, e audit.Entry) error {
	if err := store.CheckEntry(e); err != nil {
		return err
	}
	canonical, err := audit.Canonical(e)
	if err != nil {
		return err
	}
	opening, err := audit.Opening(e)
	if err != nil {
		return err
	}
	_, err = c.exec(ctx, query, e.ID, e.Time.UnixMilli(), string(e.Kind), e.Actor.Subject, e.Subject.Subject, e.Client, e.Session,
		canonical, blobOrNull(opening))
	return err
}

// blobOrNull keeps an empty blob and NULL from being two things.
func blobOrNull(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}
