package admin

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
)

// CloseStream removes a stream of Shared Signals, with what it did not tell yet: the app opens another, which begins with all that ended.
// store.ErrNotFound.
func (a *Admin) CloseStream(ctx context.Context, id string) error {
	n, err := a.Store.Stream(ctx, id)
	if err != nil {
		return fmt.Errorf("finding stream %s: %w", id, err)
	}
	w := a.write(audit.KindStreamRemove, directory.User{}, func(e *audit.Entry) {
		e.Client = n.Client
		e.Set("stream", n.ID)
	})
	if err := a.Store.CloseStream(ctx, n.ID, w); err != nil {
		return fmt.Errorf("removing stream %s: %w", id, err)
	}
	a.log(ctx, "removed stream "+id, slog.String("stream", id), slog.String("client", n.Client))
	return nil
}
