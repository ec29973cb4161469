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

// view runs f in one read transaction: all its statements see the same state, which is that of the last commit.
func (s *Store) view(ctx context.Context, doing string, f func(context.Context, *conn) error) error {
	return failed(doing, s.read.view(ctx, f))
}

func (r *readers) view(ctx context.Context, f func(context.Context, *conn) error) error {
	c, err := r.take(ctx)
	if err != nil {
		return err
	}
	err = f(ctx, c)
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrNotFound
	}
	// Without the caller's context: the transaction must end also when the call was given up.
	if _, end := c.exec(context.Background(), "COMMIT"); end != nil {
		c.close()
		c = nil // the next read opens another
		err = errors.Join(err, end)
	}
	r.free <- c
	return err
}

// take gives a connection with a transaction open on it.
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
		return r.begin(ctx, c)
	}
}

func (r *readers) begin(ctx context.Context, c *conn) (_ *conn, err error) {
	if c == nil {
		if c, err = newConn(ctx, r.db); err != nil {
			r.free <- nil
			return nil, err
		}
	}
	if _, err := c.exec(context.Background(), "BEGIN"); err != nil {
		c.close()
		r.free <- nil
		return nil, err
	}
	return c, nil
}
