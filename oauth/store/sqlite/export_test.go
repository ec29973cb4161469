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
	begun, end, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = s.update(context.Background(), "being busy", func(context.Context, *conn) error {
			close(begun)
			<-end
			return nil
		})
	}()
	<-begun
	return func() { close(end); <-done }
}

// Waiting is how many writes wait for their turn.
func Waiting(s *Store) int { return len(s.write.jobs) }
