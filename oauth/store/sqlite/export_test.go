package sqlite

import (
	"context"
	"fmt"
)

// LimitPages bounds the size of the file for the writer's connection, which only that connection can do.
func LimitPages(s *Store, pages int) error {
	return s.update(context.Background(), "limiting", func(ctx context.Context, c *conn) error {
		_, err := c.exec(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages))
		return err
	})
}

// Occupy keeps the writer busy with a job until release is called. It returns once the job has begun.
func Occupy(s *Store) (release func()) {
	begun, release := Queue(s)
	<-begun
	return release
}

// Queue has the writer be busy with a job, when that has its turn and until release is called.
func Queue(s *Store) (begun <-chan struct{}, release func()) {
	begins, end, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = s.update(context.Background(), "being busy", func(context.Context, *conn) error {
			close(begins)
			<-end
			return nil
		})
	}()
	return begins, func() { close(end); <-done }
}

// Due makes a notice due, of nobody's.
func Due(s *Store) error {
	return s.update(context.Background(), "making something due", func(ctx context.Context, c *conn) error {
		_, err := c.exec(ctx, "INSERT INTO logout_notice (client, sid, created_at, next_at) VALUES ('nobody', 'sid', 0, 0)")
		return err
	})
}

// Waiting is how many writes wait for their turn.
func Waiting(s *Store) int { return len(s.write.jobs) }
