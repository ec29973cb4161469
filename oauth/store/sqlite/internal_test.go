package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store/storetest"
)

// However much a search does by the way, it finds all there is, once and in order.
func TestSearchIsComplete(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it searches for long")
	}
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "a.db"), Migrate: true, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	efforts, i := []effort{{1, 1}, {1, 5}, {5, 40}, usual}, 0
	storetest.CheckSearch(t, s, func(ctx context.Context, q directory.Query) ([]directory.User, string, error) {
		i++
		return s.search(ctx, q, efforts[i%len(efforts)])
	})
}
