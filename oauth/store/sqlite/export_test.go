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
