package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

const (
	selectRequest = `SELECT request FROM impersonation_session WHERE id = ?`

	consumeTicket = `UPDATE ticket SET used_at = ?, session = ? WHERE hash = ? AND used_at IS NULL`

	countOnce = `SELECT count(*) FROM impersonation_session WHERE once = ? AND once <> ''`

	insertReturn = `INSERT INTO return_token (hash, session, expires_at) VALUES (?, ?, ?)`
)

// Start implements impersonation.Store.
func (s *Store) Start(ctx context.Context, w impersonation.StartWrite) error {
	rows, err := entriesOf(w.Entries)
	if err != nil {
		return failed("starting", err)
	}
	return s.update(ctx, "starting", func(ctx context.Context, c *conn) error {
		if w.Ticket.IsZero() || w.Session.Once != "" { // no ticket tells a replay from the first time, or not before what is spent with it
			if done, err := c.started(ctx, w); done || err != nil {
				return err
			}
		}
		return c.start(ctx, w, rows)
	})
}

// started reports that w was committed before: its answer was lost and the caller asks again.
func (c *conn) started(ctx context.Context, w impersonation.StartWrite) (bool, error) {
	var request string
	err := c.row(ctx, selectRequest, []any{w.Session.ID}, []any{&request})
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return request == w.RequestID, err
}

func (c *conn) start(ctx context.Context, w impersonation.StartWrite, entries [][]any) error {
	if done, err := c.consume(ctx, w); done || err != nil {
		return err
	}
	for _, id := range w.Supersedes {
		if _, err := c.end(ctx, superseded(w, id)); err != nil {
			return err
		}
	}
	// Two starts that did not see each other count as a change too.
	if err := c.hold(ctx, countChangedOrOthers, w.Guard, w.Session.Login, w.Session.Client, w.Now.UnixMilli()); err != nil {
		return err
	}
	if err := c.hasRoom(ctx, w); err != nil {
		return err
	}
	if err := c.addSession(ctx, w); err != nil {
		return err
	}
	if !w.Return.IsZero() {
		if _, err := c.exec(ctx, insertReturn, w.Return[:], w.Session.ID, ms(w.ReturnEnds)); err != nil {
			return err
		}
	}
	return c.recordRows(ctx, entries, w.Events)
}

// hasRoom answers impersonation.ErrChanged where the actor has as many sessions as they may.
func (c *conn) hasRoom(ctx context.Context, w impersonation.StartWrite) error {
	if w.MaxLive <= 0 {
		return nil
	}
	var n int64
	s := w.Session
	if err := c.row(ctx, countLive, []any{s.Actor, w.Now.UnixMilli(), s.Login, s.Client, w.MaxLive}, []any{&n}); err != nil {
		return err
	}
	if n >= int64(w.MaxLive) {
		return impersonation.ErrChanged
	}
	return nil
}

// consume uses up the ticket, if there is one, and what can start only once. A ticket that this very write consumed before is done: nothing is left to write.
func (c *conn) consume(ctx context.Context, w impersonation.StartWrite) (done bool, err error) {
	if w.Session.Once != "" {
		var n int64
		if err := c.row(ctx, countOnce, []any{w.Session.Once}, []any{&n}); err != nil {
			return false, err
		}
		if n > 0 {
			return false, impersonation.ErrSpent
		}
	}
	if w.Ticket.IsZero() {
		return false, nil
	}
	n, err := c.exec(ctx, consumeTicket, w.Now.UnixMilli(), w.Session.ID, w.Ticket[:])
	if err != nil || n > 0 {
		return false, err
	}
	if done, err = c.started(ctx, w); done || err != nil {
		return done, err
	}
	return false, impersonation.ErrSpent
}

// superseded is the end of session id by the start w. Who ended it is who starts, as the entry of the start names them.
func superseded(w impersonation.StartWrite, id string) impersonation.EndWrite {
	e := impersonation.EndWrite{Write: impersonation.Write{RequestID: w.RequestID, Now: w.Now},
		Scope: impersonation.ScopeSession, ID: id, Reason: impersonation.EndSuperseded, By: oauth.Party{Subject: w.Session.Actor}}
	if len(w.Entries) > 0 {
		e.By, e.Issuer = w.Entries[0].Actor, w.Entries[0].Subject.Issuer
	}
	return e
}
