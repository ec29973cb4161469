package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

// TestVerifyFails: a database that fails while a stream is verified says nothing of the stream, neither that it is gone nor that it was
// asked too often.
func TestVerifyFails(t *testing.T) {
	t.Parallel()
	for what, fault := range map[string]string{
		"the write":           "RAISE 'no room'",
		"the look after that": "PERFORM set_config('search_path', 'pg_catalog', true)",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			ctx, d := t.Context(), postgrestest.Fresh(t)
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			s, err := Open(ctx, Config{URL: d.Application})
			must(err)
			defer s.Close()
			now := time.Now().UTC().Truncate(time.Millisecond)
			must(s.CreateClient(ctx, store.ClientWrite{Client: store.Client{Client: policy.Client{ID: "app"}, Created: now}}))
			_, err = s.OpenStream(ctx, store.Stream{ID: "str_1", Client: "app", Created: now, Polled: now}, now.Add(-time.Hour), 1)
			must(err)
			must(s.VerifyStream(ctx, "str_1", "", now, now))
			if err := s.VerifyStream(ctx, "str_1", "", now, now.Add(-time.Second)); !errors.Is(err, store.ErrTooMany) {
				t.Fatalf("too soon: %v", err)
			}
			owner, err := pgx.Connect(ctx, d.Owner)
			must(err)
			defer owner.Close(ctx)
			for _, statement := range []string{
				"CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + fault + "; RETURN NULL; END $$",
				"CREATE TRIGGER fault AFTER UPDATE ON ssf_stream FOR EACH STATEMENT EXECUTE FUNCTION fault()",
			} {
				_, err = owner.Exec(ctx, statement)
				must(err)
			}
			err = s.VerifyStream(ctx, "str_1", "", now, now.Add(-time.Second))
			if err == nil || errors.Is(err, store.ErrTooMany) || errors.Is(err, store.ErrNotFound) {
				t.Errorf("got %v, want the database's own error", err)
			}
		})
	}
}
