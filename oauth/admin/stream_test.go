package admin_test

import (
	"errors"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/store"
)

// TestCloseStream: a stream is removed once, on record, and what is none changes nothing.
func TestCloseStream(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.AddClient(t.Context(), newClient(func(*admin.NewClient) {})); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	if _, err := b.st.OpenStream(t.Context(), store.Stream{ID: "str_1", Client: "app", Created: now, Polled: now}, now, 1); err != nil {
		t.Fatal(err)
	}
	if err := b.CloseStream(t.Context(), "str_1"); err != nil {
		t.Fatal(err)
	}
	if e := b.last(audit.KindStreamRemove); e.Client != "app" || e.Fields["stream"] != "str_1" {
		t.Errorf("on record: %+v", e)
	}
	if _, err := b.st.Stream(t.Context(), "str_1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the stream: %v, want ErrNotFound", err)
	}
	before := len(b.entries())
	if err := b.CloseStream(t.Context(), "str_1"); !errors.Is(err, store.ErrNotFound) || len(b.entries()) != before {
		t.Errorf("again: %v, %d more entries", err, len(b.entries())-before)
	}
}
