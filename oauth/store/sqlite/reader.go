package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/understudy-id/understudy/oauth/store"
)

// readers are the connections for reads. A nil in the channel is a connection yet to be opened.
type readers struct {
	db   *sql.DB
	free chan *conn
	done chan struct{}
}

var errClosed = errors.New("closed")

func newReaders(db *sql.DB, n int) *readers {
	if n <= 0 {
		n = 4 // two for each of two cores: more would not read faster from memory
	}
	r := &readers{db: db, free: make(chan *conn, n), done: make(chan struct{})}
	for range n {
		r.free <- nil
	}
	return r
}

// close waits for the reads under way.
func (r *readers) close() {
	close(r.done)
	for range cap(r.free) {
		if c := <-r.free; c != nil {
			c.close()
		}
	}
}

// look runs f, which is one statement that finds by an index, on a connection without a transaction. Look-ups run without the
// caller's context: they are over before a goroutine that watches it would be set up.
func (s *Store) look(ctx context.Context, doing string, f func(context.Context, *conn) error) error {
	return failed(doing, s.read.with(ctx, func(c *conn) error { return f(context.WithoutCancel(ctx), c) }))
}

// view runs f in one read transaction: all its look-ups see the same state, which is that of the last commit.
func (s *Store) view(ctx context.Context, doing string, f func(context.Context, *conn) error) error {
	return s.list(ctx, doing, func(ctx context.Context, c *conn) error { return f(context.WithoutCancel(ctx), c) })
}

// list is view for what may read many rows: it ends when the caller's context does.
func (s *Store) list(ctx context.Context, doing string, f func(context.Context, *conn) error) error {
	return failed(doing, s.read.with(ctx, func(c *conn) error {
		if _, err := c.exec(context.Background(), "BEGIN"); err != nil {
			return errors.Join(errSpoilt, err)
		}
		err := f(ctx, c)
		// Without the caller's context: the transaction must end also when the call was given up.
		if _, end := c.exec(context.Background(), "COMMIT"); end != nil {
			err = errors.Join(errSpoilt, err, end)
		}
		return err
	}))
}

// errSpoilt means that a connection may still be in a transaction: the next read opens another.
var errSpoilt = errors.New("the connection is spoilt")

// with runs f on a free connection.
func (r *readers) with(ctx context.Context, f func(*conn) error) error {
	c, err := r.take(ctx)
	if err != nil {
		return err
	}
	err = f(c)
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrNotFound
	}
	if errors.Is(err, errSpoilt) {
		c.close()
		c = nil
	}
	r.free <- c
	return err
}

// take gives a free connection.
func (r *readers) take(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-r.done:
		return nil, errClosed
	default:
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-r.done:
		return nil, errClosed
	case c := <-r.free:
		return r.open(ctx, c)
	}
}

func (r *readers) open(ctx context.Context, c *conn) (*conn, error) {
	if c != nil {
		return c, nil
	}
	c, err := newConn(ctx, r.db)
	if err != nil {
		r.free <- nil
	}
	return c, err
}
